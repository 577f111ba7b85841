"""The screens of the till: each asks the node's use cases and shows what they say."""

"""The small widgets of the till; all of them paint lines and none asks anything of the node."""

"""The cashier's terminal: screens and small widgets over the node's use cases, with no rule of its own."""

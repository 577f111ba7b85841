"""The cashier's terminal."""

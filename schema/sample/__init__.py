"""Sample data that ships: a hand-made Chinese grocery catalogue and a small part of real trading days."""

"""A store's node: use cases over one SQLite file, and the agent that reconciles it with the hub."""

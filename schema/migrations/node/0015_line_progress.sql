-- When the hub answered last within an exchange that is not over yet: a long one is no lost line.
ALTER TABLE hub_line ADD COLUMN answered_ms INTEGER NOT NULL DEFAULT 0;

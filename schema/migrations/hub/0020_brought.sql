-- What the desk tells of bundles that were brought: where they come from, how much they had, and what went back.
ALTER TABLE brought_bundle ADD COLUMN location TEXT NOT NULL DEFAULT '';
ALTER TABLE brought_bundle ADD COLUMN made_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE brought_bundle ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
ALTER TABLE brought_bundle ADD COLUMN size INTEGER NOT NULL DEFAULT 0;
ALTER TABLE brought_bundle ADD COLUMN answered INTEGER NOT NULL DEFAULT 0;
CREATE INDEX brought_bundle_at ON brought_bundle (at_ms);

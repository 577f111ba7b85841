-- What is carried lies in files beside this one, for its bytes must not hold up a sale; here is what is known of it.
-- `spans` names the entries that a bundle from a shop's network has; a file says nothing of them to who carries it.
ALTER TABLE carried_bundle ADD COLUMN size INTEGER NOT NULL DEFAULT 0;
ALTER TABLE carried_bundle ADD COLUMN made_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE carried_bundle ADD COLUMN spans BLOB NOT NULL DEFAULT x'';

-- Answers of the hub to what was carried there, each sealed to the node that it is for.
CREATE TABLE carried_answer (
    answer TEXT NOT NULL PRIMARY KEY,
    reader TEXT NOT NULL,
    location TEXT NOT NULL,
    entries INTEGER NOT NULL,
    size INTEGER NOT NULL,
    made_ms INTEGER NOT NULL,
    taken_ms INTEGER NOT NULL,
    handed_ms INTEGER NOT NULL DEFAULT 0,
    outcome TEXT NOT NULL DEFAULT ''
) STRICT;

-- Up to where the hub held each stream when it last said so, over the line or by a van; `as_of_ms` by the hub's clock.
CREATE TABLE hub_held (
    scope TEXT NOT NULL,
    writer TEXT NOT NULL,
    seq INTEGER NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (scope, writer)
) STRICT, WITHOUT ROWID;
CREATE TABLE hub_said (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    as_of_ms INTEGER NOT NULL,
    bearer TEXT NOT NULL
) STRICT;

-- Sealed bundles that vans took from here over this place's network.
CREATE TABLE handed_out (
    bundle TEXT NOT NULL,
    bearer TEXT NOT NULL,
    entries INTEGER NOT NULL,
    size INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (bundle, bearer)
) STRICT, WITHOUT ROWID;

-- Tills that were met on the local network: when, where, and how far their clock was from this one's (peer minus own).
CREATE TABLE lan_peer (
    node TEXT NOT NULL PRIMARY KEY,
    address TEXT NOT NULL,
    release TEXT NOT NULL,
    last_ms INTEGER NOT NULL,
    offset_ms INTEGER,
    offset_unc_ms INTEGER,
    problem TEXT NOT NULL DEFAULT '',
    problem_ms INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

-- Up to where each of them was seen to hold this node's own entries of its location.
CREATE TABLE lan_copy (
    peer TEXT NOT NULL,
    incarnation INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (peer, incarnation)
) STRICT, WITHOUT ROWID;

-- How the backup is: what the last restore that was tried for proof came to. Entries are the node's own.
CREATE TABLE backup_state (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    target TEXT NOT NULL,
    means TEXT NOT NULL,
    checked_ms INTEGER NOT NULL DEFAULT 0,
    proven_ms INTEGER NOT NULL DEFAULT 0,
    copy_ms INTEGER NOT NULL DEFAULT 0,
    entries INTEGER NOT NULL DEFAULT 0,
    behind INTEGER NOT NULL DEFAULT 0,
    problem TEXT NOT NULL DEFAULT '',
    message TEXT NOT NULL DEFAULT ''
) STRICT;

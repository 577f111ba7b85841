-- A van's settlements; what lies above the vector of the newest belongs to the next one.
CREATE TABLE van_settlement (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    settlement TEXT NOT NULL,
    previous TEXT NOT NULL,
    business_date TEXT NOT NULL,
    operator TEXT NOT NULL,
    wall_ms INTEGER NOT NULL,
    hlc_ms INTEGER NOT NULL,
    hlc_counter INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;

-- Bundles of other locations that this node carries to the hub: sealed to it, and unreadable here.
CREATE TABLE carried_bundle (
    bundle TEXT NOT NULL PRIMARY KEY,
    writer TEXT NOT NULL,
    location TEXT NOT NULL,
    content BLOB NOT NULL,
    entries INTEGER NOT NULL,
    taken_ms INTEGER NOT NULL,
    handed_ms INTEGER NOT NULL DEFAULT 0,
    outcome TEXT NOT NULL DEFAULT ''
) STRICT;

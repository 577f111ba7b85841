-- What the hub alone keeps beside the replicated log: never sent as entries, never part of another's database.

-- Single values: the incarnation of the hub's own streams, the token that reveals a restored copy.
CREATE TABLE hub_state (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One-time invitations; only a hash of the code is here. A used one stays, so that a second use is told from a guess.
CREATE TABLE invitation (
    code_hash BLOB NOT NULL PRIMARY KEY,
    profile TEXT NOT NULL,
    location TEXT NOT NULL,
    name TEXT NOT NULL,
    till TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    used_ms INTEGER,
    used_by TEXT
) STRICT, WITHOUT ROWID;

-- When each node last spoke, and what its clock was then: operations read it, no fold does.
CREATE TABLE node_contact (
    node TEXT NOT NULL PRIMARY KEY,
    last_ms INTEGER NOT NULL,
    offset_ms INTEGER,
    offset_unc_ms INTEGER,
    release TEXT NOT NULL,
    entries INTEGER NOT NULL,
    bytes_in INTEGER NOT NULL,
    bytes_out INTEGER NOT NULL,
    status TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The last clock fix appended for a writer's clock epoch in a scope: another follows only when it no longer holds.
CREATE TABLE clock_fix (
    scope TEXT NOT NULL,
    writer TEXT NOT NULL,
    clock_epoch INTEGER NOT NULL,
    offset_ms INTEGER NOT NULL,
    unc_ms INTEGER NOT NULL,
    PRIMARY KEY (scope, writer, clock_epoch)
) STRICT, WITHOUT ROWID;

-- The hull of what was measured of a clock epoch: node clock minus true time.
CREATE TABLE clock_range (
    node TEXT NOT NULL,
    clock_epoch INTEGER NOT NULL,
    lo_ms INTEGER NOT NULL,
    hi_ms INTEGER NOT NULL,
    PRIMARY KEY (node, clock_epoch)
) STRICT, WITHOUT ROWID;

-- Keys of people outside the log, so that forgetting one makes every copy of the ciphertext unreadable.
CREATE TABLE person_key (
    person TEXT NOT NULL PRIMARY KEY,
    key BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE operator_verifier (
    operator TEXT NOT NULL PRIMARY KEY,
    verifier TEXT NOT NULL,
    changed_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_token (
    name TEXT NOT NULL PRIMARY KEY,
    token_hash BLOB NOT NULL,
    created_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Completed sales and refunds as reports list them: a fold, rebuilt from the log at any time.
CREATE TABLE sale (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    receipt_number TEXT NOT NULL,
    business_date TEXT NOT NULL,
    operator TEXT NOT NULL,
    line_count INTEGER NOT NULL,
    total_minor INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX sale_by_date ON sale (business_date, scope_no);

-- What each node stated of a scope's entries when it last spoke: below what all of them hold, movements may go.
CREATE TABLE node_vector (
    node TEXT NOT NULL,
    scope TEXT NOT NULL,
    vector BLOB NOT NULL,
    PRIMARY KEY (node, scope)
) STRICT, WITHOUT ROWID;

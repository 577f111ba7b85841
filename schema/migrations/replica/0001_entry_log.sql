-- The replicated log and the folds that every replica keeps, node and hub alike.
-- Everything is keyed by scope first: a scope is the unit of replication, of locking and of distribution.
CREATE TABLE scope (
    scope_no INTEGER NOT NULL PRIMARY KEY,
    scope TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL DEFAULT 0,
    fold_digest BLOB NOT NULL
) STRICT;

-- A stream's numbers are local aliases; base is the cut below which entries were pruned.
CREATE TABLE stream (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    node TEXT NOT NULL,
    incarnation INTEGER NOT NULL,
    head_seq INTEGER NOT NULL DEFAULT 0,
    head_digest BLOB NOT NULL,
    hlc_ms INTEGER NOT NULL DEFAULT 0,
    hlc_counter INTEGER NOT NULL DEFAULT 0,
    base_seq INTEGER NOT NULL DEFAULT 0,
    base_digest BLOB NOT NULL,
    announced_seq INTEGER NOT NULL DEFAULT 0,
    wall_max_ms INTEGER NOT NULL DEFAULT 0,
    peak_ms INTEGER NOT NULL DEFAULT 0,
    sealed_seq INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (scope_no, stream_no),
    UNIQUE (scope_no, node, incarnation)
) STRICT;

CREATE TABLE entry (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL CHECK (seq > 0),
    digest BLOB NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
) STRICT;

CREATE TABLE seal (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    signature BLOB NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;

-- What a stream had seen of another: the components of its vector, each from the entry that first said so.
CREATE TABLE seen (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    writer TEXT NOT NULL,
    seq INTEGER NOT NULL,
    seen_seq INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, writer, seq)
) STRICT, WITHOUT ROWID;

-- Entries that are stored and forwarded but not folded: of an unknown kind, or written without authority.
CREATE TABLE inert (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;

-- What was refused, with its evidence; nothing of it is in the log.
CREATE TABLE quarantine (
    quarantine_no INTEGER NOT NULL PRIMARY KEY,
    stream TEXT NOT NULL,
    first_seq INTEGER NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    evidence BLOB NOT NULL,
    noted_ms INTEGER NOT NULL
) STRICT;

-- Facts of the organisation by subject; the newest by (hlc, writer, seq) holds, grants and revocations add up.
CREATE TABLE organisation_fact (
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    hlc_ms INTEGER NOT NULL,
    hlc_counter INTEGER NOT NULL,
    writer TEXT NOT NULL,
    seq INTEGER NOT NULL,
    payload BLOB NOT NULL,
    PRIMARY KEY (kind, subject, hlc_ms, hlc_counter, writer, seq)
) STRICT, WITHOUT ROWID;

-- Shared documents: the merged document with its assignments, and its records as they read now.
CREATE TABLE document (
    document TEXT NOT NULL PRIMARY KEY,
    state BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE record (
    document TEXT NOT NULL,
    record TEXT NOT NULL,
    fields BLOB NOT NULL,
    PRIMARY KEY (document, record)
) STRICT, WITHOUT ROWID;
CREATE INDEX record_by_name ON record (record);

-- Digests of elsewhere: replaceable statements of the hub, one a topic.
CREATE TABLE elsewhere (
    topic TEXT NOT NULL PRIMARY KEY,
    statement BLOB NOT NULL,
    signature BLOB NOT NULL,
    as_of_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE document_conflict (
    conflict TEXT NOT NULL PRIMARY KEY,
    document TEXT NOT NULL,
    record TEXT NOT NULL,
    field TEXT NOT NULL,
    content BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Own entries of a branch that the hub does not hold, until they are appended again in the new incarnation.
CREATE TABLE diverged (
    scope TEXT NOT NULL,
    writer TEXT NOT NULL,
    seq INTEGER NOT NULL,
    digest BLOB NOT NULL,
    body BLOB NOT NULL,
    vector BLOB NOT NULL,
    PRIMARY KEY (scope, writer, seq, digest)
) STRICT, WITHOUT ROWID;

-- Changes of documents that this replica holds: the hub brings those of a location's scope into `org`.
CREATE TABLE document_change (
    hash BLOB NOT NULL PRIMARY KEY,
    document TEXT NOT NULL,
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    is_in_org INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Entries appended again after a fork, by the digest that they had: each counts once, however often it came back.
CREATE TABLE recovered (
    scope_no INTEGER NOT NULL,
    digest BLOB NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (scope_no, digest, stream_no, seq)
) STRICT, WITHOUT ROWID;

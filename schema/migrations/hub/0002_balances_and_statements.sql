-- Every effective change of a balance, with what a finding needs as evidence.
CREATE TABLE balance_change (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    part INTEGER NOT NULL,
    balance TEXT NOT NULL,
    subject TEXT NOT NULL,
    amount INTEGER NOT NULL,
    operation TEXT NOT NULL,
    approver TEXT NOT NULL,
    hlc_ms INTEGER NOT NULL,
    hlc_counter INTEGER NOT NULL,
    writer TEXT NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq, part)
) STRICT, WITHOUT ROWID;
CREATE INDEX balance_change_by_subject ON balance_change (balance, subject);

-- Balances by scope: over all scopes they add up to what tills are told. Ingest of one scope touches no other's rows.
CREATE TABLE balance (
    scope_no INTEGER NOT NULL,
    balance TEXT NOT NULL,
    subject TEXT NOT NULL,
    slot INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (scope_no, balance, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX balance_by_slot ON balance (slot, subject, balance);

-- By slot of the subject's hash: the last entry of each stream that moved a balance there, and how often any did.
CREATE TABLE balance_slot (
    scope_no INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (scope_no, slot, stream_no)
) STRICT, WITHOUT ROWID;

-- Members' keys as tills get them, locked under the member's phone number: deleted with the key itself.
CREATE TABLE member_key (
    person TEXT NOT NULL PRIMARY KEY,
    slot INTEGER NOT NULL,
    wrapped BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Statements of elsewhere as tills ought to hold them: families for one location, or for all under the empty name.
-- The basis tells whether what a family speaks of has changed. Content with people's keys is not kept here.
CREATE TABLE statement_family (
    location TEXT NOT NULL,
    family TEXT NOT NULL,
    basis BLOB NOT NULL,
    digest BLOB NOT NULL,
    as_of_ms INTEGER NOT NULL,
    PRIMARY KEY (location, family)
) STRICT, WITHOUT ROWID;

CREATE TABLE statement_topic (
    location TEXT NOT NULL,
    family TEXT NOT NULL,
    topic TEXT NOT NULL,
    basis BLOB NOT NULL,
    told BLOB NOT NULL,
    digest BLOB NOT NULL,
    as_of_ms INTEGER NOT NULL,
    content BLOB,
    PRIMARY KEY (location, family, topic)
) STRICT, WITHOUT ROWID;

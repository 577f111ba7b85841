-- Every change of a balance that is here: what lies above the cut of the hub's statement is added to what it tells.
CREATE TABLE balance_move (
    balance TEXT NOT NULL,
    subject TEXT NOT NULL,
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    part INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (balance, subject, scope_no, stream_no, seq, part)
) STRICT, WITHOUT ROWID;

-- Which statements of elsewhere are here, by family: their digests are compared with the hub's as one.
CREATE TABLE elsewhere_topic (
    topic TEXT NOT NULL PRIMARY KEY,
    family TEXT NOT NULL,
    bucket INTEGER NOT NULL,
    buckets INTEGER NOT NULL,
    digest BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX elsewhere_topic_by_family ON elsewhere_topic (family, buckets, bucket);

-- When the hub last said that these statements still hold, by what they are of: balances, stock.
CREATE TABLE elsewhere_confirmed (
    family TEXT NOT NULL PRIMARY KEY,
    as_of_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

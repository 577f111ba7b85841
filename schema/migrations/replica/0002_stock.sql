-- Stock on hand as a fold: figures, the facts behind them by what they bear on, transfers and conflicts.
CREATE TABLE stock (
    scope_no INTEGER NOT NULL,
    key_no INTEGER NOT NULL,
    product TEXT NOT NULL,
    value INTEGER NOT NULL,
    lo INTEGER NOT NULL,
    hi INTEGER NOT NULL,
    is_present INTEGER NOT NULL,
    state BLOB,
    PRIMARY KEY (scope_no, key_no),
    UNIQUE (scope_no, product)
) STRICT;

CREATE TABLE movement (
    scope_no INTEGER NOT NULL,
    key_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    line INTEGER NOT NULL,
    quantity INTEGER NOT NULL,
    PRIMARY KEY (scope_no, key_no, stream_no, seq, line)
) STRICT, WITHOUT ROWID;

-- Where a stream's wall clock ran backwards: the latest reading before, once for each peak.
CREATE TABLE wall_peak (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    peak_ms INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;

-- Counts, sessions, resolutions and clock fixes by what they are about.
CREATE TABLE stock_fact (
    scope_no INTEGER NOT NULL,
    about TEXT NOT NULL,
    subject TEXT NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (scope_no, about, subject, stream_no, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE transfer_paper (
    scope_no INTEGER NOT NULL,
    transfer TEXT NOT NULL,
    product TEXT NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    touches TEXT NOT NULL,
    PRIMARY KEY (scope_no, transfer, product, stream_no, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX transfer_paper_touching ON transfer_paper (scope_no, touches, product);

CREATE TABLE transfer (
    scope_no INTEGER NOT NULL,
    transfer TEXT NOT NULL,
    product TEXT NOT NULL,
    transit INTEGER NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (scope_no, transfer, product)
) STRICT, WITHOUT ROWID;

CREATE TABLE corrected_epoch (
    scope_no INTEGER NOT NULL,
    writer TEXT NOT NULL,
    clock_epoch INTEGER NOT NULL,
    PRIMARY KEY (scope_no, writer, clock_epoch)
) STRICT, WITHOUT ROWID;

CREATE TABLE conflict (
    scope_no INTEGER NOT NULL,
    conflict TEXT NOT NULL,
    code TEXT NOT NULL,
    status TEXT NOT NULL,
    subject TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (scope_no, conflict)
) STRICT, WITHOUT ROWID;

-- What opening balances carry of each key: for each key the newest by (hlc, writer, seq) of its entry is in force.
CREATE TABLE key_balance (
    scope_no INTEGER NOT NULL,
    product TEXT NOT NULL,
    cut_id BLOB NOT NULL,
    hlc_ms INTEGER NOT NULL,
    hlc_counter INTEGER NOT NULL,
    writer TEXT NOT NULL,
    seq INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (scope_no, product)
) STRICT, WITHOUT ROWID;

-- The cuts at which balances stand (writer → seq, canonical bytes), dated by the earliest of their entries.
CREATE TABLE scope_cut (
    scope_no INTEGER NOT NULL,
    cut_id BLOB NOT NULL,
    hlc_ms INTEGER NOT NULL,
    hlc_counter INTEGER NOT NULL,
    writer TEXT NOT NULL,
    seq INTEGER NOT NULL,
    heads BLOB NOT NULL,
    settled BLOB NOT NULL,
    parts INTEGER NOT NULL,
    is_declared INTEGER NOT NULL,
    PRIMARY KEY (scope_no, cut_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE cut_part (
    scope_no INTEGER NOT NULL,
    cut_id BLOB NOT NULL,
    part INTEGER NOT NULL,
    PRIMARY KEY (scope_no, cut_id, part)
) STRICT, WITHOUT ROWID;

-- Runs of entries at or below a cut that still tell something of stock.
CREATE TABLE cut_keep (
    scope_no INTEGER NOT NULL,
    cut_id BLOB NOT NULL,
    writer TEXT NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    PRIMARY KEY (scope_no, cut_id, writer, first_seq)
) STRICT, WITHOUT ROWID;

-- What only a node keeps: its own state, and the read models of its till.
CREATE TABLE node_state (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    incarnation INTEGER NOT NULL,
    token TEXT NOT NULL,
    clock BLOB NOT NULL,
    receipt_next INTEGER NOT NULL,
    last_exchange_ms INTEGER NOT NULL DEFAULT 0,
    acknowledged INTEGER NOT NULL DEFAULT 0,
    sealed_key BLOB
) STRICT;

-- Receipts by number: sales and refunds of this location that are here, of every till. A copied disk may have used
-- a number twice before anyone noticed: both stay, so that the order of arrival decides nothing.
CREATE TABLE receipt (
    number TEXT NOT NULL,
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    is_refund INTEGER NOT NULL,
    total_minor INTEGER NOT NULL,
    PRIMARY KEY (number, scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;

-- Sales and refunds from elsewhere that were replayed here, so that replaying a file again changes nothing.
CREATE TABLE replayed (
    source TEXT NOT NULL,
    number TEXT NOT NULL,
    PRIMARY KEY (source, number)
) STRICT, WITHOUT ROWID;

-- What has come back of each line of a sale.
CREATE TABLE returned (
    original TEXT NOT NULL,
    line INTEGER NOT NULL,
    refund TEXT NOT NULL,
    quantity_milli INTEGER NOT NULL,
    amount_minor INTEGER NOT NULL,
    PRIMARY KEY (original, line, refund)
) STRICT, WITHOUT ROWID;

CREATE TABLE shift (
    shift TEXT NOT NULL PRIMARY KEY,
    business_date TEXT NOT NULL,
    operator TEXT NOT NULL,
    float_minor INTEGER NOT NULL,
    sales INTEGER NOT NULL DEFAULT 0,
    sales_minor INTEGER NOT NULL DEFAULT 0,
    refunds INTEGER NOT NULL DEFAULT 0,
    refunds_minor INTEGER NOT NULL DEFAULT 0,
    cash_minor INTEGER NOT NULL DEFAULT 0,
    counted_minor INTEGER,
    expected_minor INTEGER
) STRICT, WITHOUT ROWID;

-- What entries that have left this node said of its shifts; it is part of the totals above.
CREATE TABLE shift_below (
    shift TEXT NOT NULL PRIMARY KEY,
    business_date TEXT NOT NULL,
    operator TEXT NOT NULL,
    float_minor INTEGER NOT NULL,
    sales INTEGER NOT NULL DEFAULT 0,
    sales_minor INTEGER NOT NULL DEFAULT 0,
    refunds INTEGER NOT NULL DEFAULT 0,
    refunds_minor INTEGER NOT NULL DEFAULT 0,
    cash_minor INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE barcode (
    barcode TEXT NOT NULL,
    product TEXT NOT NULL,
    unit TEXT NOT NULL,
    PRIMARY KEY (barcode, product, unit)
) STRICT, WITHOUT ROWID;

-- Looks at the shelf that were begun: their basis was taken at the first touch.
CREATE TABLE look (
    product TEXT NOT NULL,
    session TEXT NOT NULL,
    zone TEXT NOT NULL,
    lo_ms INTEGER NOT NULL,
    hi_ms INTEGER NOT NULL,
    basis_lo BLOB NOT NULL,
    basis_hi BLOB NOT NULL,
    quantity_milli INTEGER NOT NULL,
    PRIMARY KEY (product, session, zone)
) STRICT, WITHOUT ROWID;

-- Settlements of vans: one row an entry, and one for each product that was counted with a difference.
CREATE TABLE van_settlement (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    settlement TEXT NOT NULL,
    business_date TEXT NOT NULL,
    operator TEXT NOT NULL,
    sales INTEGER NOT NULL,
    sold_minor INTEGER NOT NULL,
    collected_minor INTEGER NOT NULL,
    missing_minor INTEGER NOT NULL,
    cash_expected_minor INTEGER NOT NULL,
    cash_counted_minor INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
);
CREATE INDEX van_settlement_date ON van_settlement (business_date);

CREATE TABLE van_difference (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    product TEXT NOT NULL,
    difference_milli INTEGER NOT NULL,
    value_minor INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq, product)
);

-- Sealed bundles that were brought here by another node: what became of each, so that none is taken in twice.
CREATE TABLE brought_bundle (
    bundle TEXT NOT NULL PRIMARY KEY,
    writer TEXT NOT NULL,
    bearer TEXT NOT NULL,
    entries INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    at_ms INTEGER NOT NULL
);

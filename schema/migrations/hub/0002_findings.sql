-- What came back of sales, by the sale's entry id; line is -1 for money given back against no line of it.
CREATE TABLE returned_line (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    line INTEGER NOT NULL,
    original TEXT NOT NULL,
    quantity_milli INTEGER NOT NULL,
    amount_minor INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq, line)
) STRICT, WITHOUT ROWID;
CREATE INDEX returned_line_by_original ON returned_line (original);

-- What is to be judged anew because an entry told of it; ingest of a scope only ever adds rows of its own.
CREATE TABLE finding_due (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    turn INTEGER NOT NULL,
    subject TEXT NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq, turn, subject)
) STRICT, WITHOUT ROWID;

-- Refunds whose sale is not here yet.
CREATE TABLE refund_waiting (
    original TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- What the set of entries shows to be wrong across locations; it goes when the entries no longer show it.
CREATE TABLE finding (
    finding TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    amount INTEGER NOT NULL,
    state TEXT NOT NULL,
    raised_ms INTEGER NOT NULL,
    content BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Goods that tills sold without a catalogue entry: the hub may make products of them.
CREATE TABLE product_draft (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    barcode TEXT NOT NULL,
    name TEXT NOT NULL,
    price_minor INTEGER NOT NULL,
    operator TEXT NOT NULL,
    document TEXT NOT NULL,
    wall_ms INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX product_draft_by_barcode ON product_draft (barcode);

-- Tenders whose outcome the till did not know, and what became of them: the last word holds.
CREATE TABLE open_tender (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    tender INTEGER NOT NULL,
    entry TEXT NOT NULL,
    kind TEXT NOT NULL,
    means TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    reference TEXT NOT NULL,
    receipt_number TEXT NOT NULL,
    business_date TEXT NOT NULL,
    operator TEXT NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq, tender)
) STRICT, WITHOUT ROWID;

CREATE TABLE tender_outcome (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    entry TEXT NOT NULL,
    tender INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    reference TEXT NOT NULL,
    operator TEXT NOT NULL,
    note TEXT NOT NULL,
    hlc_ms INTEGER NOT NULL,
    hlc_counter INTEGER NOT NULL,
    writer TEXT NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX tender_outcome_by_entry ON tender_outcome (entry, tender);

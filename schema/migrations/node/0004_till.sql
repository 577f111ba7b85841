-- What a till's day leaves beside its sales. Rows stay when the entries that they were read from leave this node.
CREATE INDEX barcode_by_product ON barcode (product);

-- Money against balances with no goods, by receipt number: top-ups, their return, repayments.
CREATE TABLE payment (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    number TEXT NOT NULL,
    business_date TEXT NOT NULL,
    shift TEXT NOT NULL,
    member TEXT NOT NULL,
    total_minor INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX payment_by_number ON payment (number);

-- What was refunded of a sale in all, by its entry: also where the sale itself is not here.
CREATE TABLE refunded (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    original TEXT NOT NULL,
    total_minor INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX refunded_by_original ON refunded (original);

-- Sales and refunds of known customers.
CREATE TABLE purchase (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    member TEXT NOT NULL,
    number TEXT NOT NULL,
    business_date TEXT NOT NULL,
    total_minor INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX purchase_by_member ON purchase (member, business_date);

-- Tenders whose outcome was unknown, `part` by their place in the entry, and what became of them.
CREATE TABLE unknown_tender (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    part INTEGER NOT NULL,
    entry TEXT NOT NULL,
    number TEXT NOT NULL,
    business_date TEXT NOT NULL,
    means TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    reference TEXT NOT NULL,
    wall_ms INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq, part)
) STRICT, WITHOUT ROWID;
CREATE TABLE settled_tender (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    entry TEXT NOT NULL,
    part INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    operator TEXT NOT NULL,
    reference TEXT NOT NULL,
    hlc_ms INTEGER NOT NULL,
    hlc_counter INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX settled_tender_by_entry ON settled_tender (entry, part);

-- Baskets put aside, and who took them: of two tills that took one while they could not talk both are here.
CREATE TABLE parked_basket (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    basket TEXT NOT NULL,
    operator TEXT NOT NULL,
    label TEXT NOT NULL,
    total_minor INTEGER NOT NULL,
    content BLOB NOT NULL,
    wall_ms INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX parked_basket_by_name ON parked_basket (basket);
CREATE TABLE taken_basket (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    basket TEXT NOT NULL,
    operator TEXT NOT NULL,
    outcome TEXT NOT NULL,
    wall_ms INTEGER NOT NULL,
    hlc_ms INTEGER NOT NULL,
    hlc_counter INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX taken_basket_by_name ON taken_basket (basket);

-- Lines that left a basket before it was paid for.
CREATE TABLE voided_line (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    act TEXT NOT NULL,
    operator TEXT NOT NULL,
    product TEXT NOT NULL,
    quantity_milli INTEGER NOT NULL,
    amount_minor INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;

-- The drawer opened with no sale.
CREATE TABLE drawer_opening (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    shift TEXT NOT NULL,
    operator TEXT NOT NULL,
    reason TEXT NOT NULL,
    wall_ms INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX drawer_opening_by_shift ON drawer_opening (shift);

-- Business days as they were closed; what comes later amends them.
CREATE TABLE closed_day (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    business_date TEXT NOT NULL,
    operator TEXT NOT NULL,
    first_receipt TEXT NOT NULL,
    last_receipt TEXT NOT NULL,
    sales_minor INTEGER NOT NULL,
    refunds_minor INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX closed_day_by_date ON closed_day (business_date);

-- Goods that were sold though the catalogue lacks them, with the price that was keyed.
CREATE TABLE product_draft (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    barcode TEXT NOT NULL,
    name TEXT NOT NULL,
    price_minor INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX product_draft_by_barcode ON product_draft (barcode);

-- Payments by the attempt that made them, so that a key pressed twice pays once: the node's own, no fold.
CREATE TABLE attempt (
    attempt TEXT NOT NULL PRIMARY KEY,
    entry TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Takings by trading day: what reports sum up. Refunds count negative; a late entry amends the day that it names.
CREATE TABLE takings_day (
    scope_no INTEGER NOT NULL,
    business_date TEXT NOT NULL,
    operator TEXT NOT NULL,
    sales INTEGER NOT NULL,
    refunds INTEGER NOT NULL,
    total_minor INTEGER NOT NULL,
    refunded_minor INTEGER NOT NULL,
    discount_minor INTEGER NOT NULL,
    rounding_minor INTEGER NOT NULL,
    PRIMARY KEY (scope_no, business_date, operator)
);
CREATE INDEX takings_day_date ON takings_day (business_date);

CREATE TABLE product_day (
    scope_no INTEGER NOT NULL,
    business_date TEXT NOT NULL,
    product TEXT NOT NULL,
    quantity_milli INTEGER NOT NULL,
    amount_minor INTEGER NOT NULL,
    lines INTEGER NOT NULL,
    PRIMARY KEY (scope_no, business_date, product)
);
CREATE INDEX product_day_product ON product_day (product, business_date);
CREATE INDEX product_day_date ON product_day (business_date);

CREATE TABLE tender_day (
    scope_no INTEGER NOT NULL,
    business_date TEXT NOT NULL,
    means TEXT NOT NULL,
    state TEXT NOT NULL,
    tenders INTEGER NOT NULL,
    amount_minor INTEGER NOT NULL,
    PRIMARY KEY (scope_no, business_date, means, state)
);

-- Shifts as they were counted: one row an entry.
CREATE TABLE shift_count (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    shift TEXT NOT NULL,
    operator TEXT NOT NULL,
    counted_minor INTEGER NOT NULL,
    expected_minor INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
);
CREATE INDEX shift_count_time ON shift_count (at_ms);

-- Adjustments of stock by day of the writer's clock (UTC): shrinkage by reason.
CREATE TABLE adjustment_day (
    scope_no INTEGER NOT NULL,
    day_no INTEGER NOT NULL,
    reason TEXT NOT NULL,
    product TEXT NOT NULL,
    quantity_milli INTEGER NOT NULL,
    PRIMARY KEY (scope_no, day_no, reason, product)
);

-- What was said of a shift beside its sales: opened, closed, cash in and out; the last word holds, whenever it arrived.
CREATE TABLE shift_event (
    shift TEXT NOT NULL,
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    hlc_ms INTEGER NOT NULL,
    hlc_counter INTEGER NOT NULL,
    writer TEXT NOT NULL,
    business_date TEXT NOT NULL,
    operator TEXT NOT NULL,
    amount_minor INTEGER NOT NULL,
    expected_minor INTEGER NOT NULL,
    PRIMARY KEY (shift, scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;

-- Count sessions as they were opened and closed: the plan of each.
CREATE TABLE count_session (
    session TEXT NOT NULL,
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    is_opening INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    operator TEXT NOT NULL,
    plan BLOB NOT NULL,
    PRIMARY KEY (session, scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;

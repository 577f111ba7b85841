-- Orders, drafts and checked deliveries: what was said of each number, and what each comes to.
CREATE TABLE buying_fact (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    wall_ms INTEGER NOT NULL,
    hlc_ms INTEGER NOT NULL,
    hlc_counter INTEGER NOT NULL,
    writer TEXT NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX buying_fact_subject ON buying_fact (scope_no, subject);

CREATE TABLE buying (
    scope_no INTEGER NOT NULL,
    number TEXT NOT NULL,
    about TEXT NOT NULL,
    state TEXT NOT NULL,
    source TEXT NOT NULL,
    since_ms INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (scope_no, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX buying_state ON buying (scope_no, about, state, since_ms);

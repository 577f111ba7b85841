-- The JSON API: answers to writes by the key that their sender chose, so that any process of the hub replays them.
CREATE TABLE api_answer (
    caller TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    request BLOB NOT NULL,
    status INTEGER NOT NULL,
    location TEXT NOT NULL,
    content BLOB NOT NULL,
    noted_ms INTEGER NOT NULL,
    PRIMARY KEY (caller, idempotency_key)
) STRICT, WITHOUT ROWID;
CREATE INDEX api_answer_by_age ON api_answer (noted_ms);

-- Orders in which listings are read a page at a time, each page beginning where the last one ended.
CREATE INDEX sale_of_day ON sale (business_date, scope_no, stream_no, seq);
CREATE INDEX inbox_in_order ON inbox (state, scope_no, conflict);
CREATE INDEX inbox_standing ON inbox (scope_no, conflict) WHERE state <> 'DONE';
CREATE INDEX finding_by_amount ON finding (amount, finding);

-- The desk: who may sign in, what their sessions are, and what its pages read at a glance.

-- Accounts: role, locations and name are those of the operator in the log; only what must not be there is here.
CREATE TABLE account (
    login TEXT NOT NULL PRIMARY KEY,
    operator TEXT NOT NULL UNIQUE,
    password TEXT NOT NULL,
    language TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Sessions: only a hash of the cookie is here, so a stolen backup signs nobody in.
CREATE TABLE desk_session (
    token_hash BLOB NOT NULL PRIMARY KEY,
    login TEXT NOT NULL,
    csrf TEXT NOT NULL,
    created_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX desk_session_of ON desk_session (login);

-- Wrong passwords by whom they were tried for, and from where: `login:…` or `peer:…`.
CREATE TABLE sign_in_failure (
    subject TEXT NOT NULL PRIMARY KEY,
    failures INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    locked_until_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What a token of the JSON API may do and where, as JSON lists; a token of earlier releases reads everything.
ALTER TABLE api_token ADD COLUMN scopes TEXT NOT NULL DEFAULT '["read"]';
ALTER TABLE api_token ADD COLUMN locations TEXT NOT NULL DEFAULT '[]';
ALTER TABLE api_token ADD COLUMN operator TEXT NOT NULL DEFAULT '';
ALTER TABLE api_token ADD COLUMN expires_ms INTEGER;

-- Who did what at the desk: a fold of `act.recorded`; the entries of one act share its operation.
CREATE TABLE desk_act (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    operator TEXT NOT NULL,
    act TEXT NOT NULL,
    subject TEXT NOT NULL,
    operation TEXT NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX desk_act_by_time ON desk_act (at_ms);

-- Takings by the quarter of an hour (UTC, by the till's clock): a fold; zones are the reader's affair.
CREATE TABLE sales_quarter (
    quarter_no INTEGER NOT NULL,
    scope_no INTEGER NOT NULL,
    sales INTEGER NOT NULL,
    refunds INTEGER NOT NULL,
    total_minor INTEGER NOT NULL,
    PRIMARY KEY (quarter_no, scope_no)
) STRICT, WITHOUT ROWID;

-- How many entries of each kind a location wrote in an hour (UTC): whether the system is being used, and for what.
CREATE TABLE use_hour (
    hour_no INTEGER NOT NULL,
    scope_no INTEGER NOT NULL,
    kind TEXT NOT NULL,
    entries INTEGER NOT NULL,
    PRIMARY KEY (hour_no, scope_no, kind)
) STRICT, WITHOUT ROWID;

-- The last cost at which a product came in, in minor units per 1,000 thousandths: an estimate of its value.
CREATE TABLE last_cost (
    scope_no INTEGER NOT NULL,
    product TEXT NOT NULL,
    hlc_ms INTEGER NOT NULL,
    cost_minor INTEGER NOT NULL,
    PRIMARY KEY (scope_no, product)
) STRICT, WITHOUT ROWID;

-- What a location amounts to, computed anew some seconds after it changed; `entries` says of which state.
CREATE TABLE location_summary (
    scope_no INTEGER NOT NULL PRIMARY KEY,
    entries INTEGER NOT NULL,
    computed_ms INTEGER NOT NULL,
    stock_value_minor INTEGER NOT NULL,
    uncosted INTEGER NOT NULL,
    products INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The inbox: conflicts of stock as they stand or stood, with what a page filters by. `state` is the conflict's
-- status, or DONE once it is gone, by the entry of a person's decision where one took it away; money at stake is an
-- estimate at the price of the moment.
CREATE TABLE inbox (
    scope_no INTEGER NOT NULL,
    conflict TEXT NOT NULL,
    code TEXT NOT NULL,
    state TEXT NOT NULL,
    product TEXT NOT NULL,
    category TEXT NOT NULL,
    subject TEXT NOT NULL,
    stake_minor INTEGER NOT NULL,
    raised_ms INTEGER NOT NULL,
    changed_ms INTEGER NOT NULL,
    is_reopened INTEGER NOT NULL,
    settled_stream_no INTEGER,
    settled_seq INTEGER,
    content BLOB NOT NULL,
    PRIMARY KEY (scope_no, conflict)
) STRICT, WITHOUT ROWID;
CREATE INDEX inbox_by_stake ON inbox (state, stake_minor, conflict);
CREATE INDEX inbox_by_time ON inbox (state, changed_ms, conflict);
CREATE INDEX inbox_of_product ON inbox (scope_no, product);

-- People's decisions by the product that they bear on: choices of counts, voids, placed movements, recounts asked.
CREATE TABLE settlement (
    scope_no INTEGER NOT NULL,
    product TEXT NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    target TEXT NOT NULL,
    operator TEXT NOT NULL,
    role TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (scope_no, product, stream_no, seq)
) STRICT, WITHOUT ROWID;

-- Findings that people dealt with, by the amount that was at stake then: a fold of `finding.settled`.
CREATE TABLE finding_settlement (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    finding TEXT NOT NULL,
    amount INTEGER NOT NULL,
    operator TEXT NOT NULL,
    note TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX finding_settlement_of ON finding_settlement (finding);

-- Movements of a product summed up by stream, hour (UTC, by the writer's clock) and reason, up to a place in each
-- stream: made when somebody asks about a product that moves much, brought up to date whenever somebody asks again.
-- `unc_ms` is the widest bound on the clock's error among them, -1 where one was unknown.
CREATE TABLE movement_hour (
    scope_no INTEGER NOT NULL,
    key_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    hour_no INTEGER NOT NULL,
    reason TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    movements INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    unc_ms INTEGER NOT NULL,
    first_epoch INTEGER NOT NULL,
    last_epoch INTEGER NOT NULL,
    PRIMARY KEY (scope_no, key_no, stream_no, hour_no, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE movement_hour_upto (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    key_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, key_no)
) STRICT, WITHOUT ROWID;

-- Rule replays on their way: any process of the hub shows how far one is.
CREATE TABLE replay (
    replay TEXT NOT NULL PRIMARY KEY,
    operator TEXT NOT NULL,
    policy TEXT NOT NULL,
    started_ms INTEGER NOT NULL,
    beat_ms INTEGER NOT NULL,
    done INTEGER NOT NULL,
    total INTEGER NOT NULL,
    outcome TEXT
) STRICT, WITHOUT ROWID;

-- Requests that were answered within the last day: one that comes again, from whatever process, measures no clock.
CREATE TABLE request_nonce (
    nonce TEXT NOT NULL PRIMARY KEY,
    noted_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX request_nonce_by_age ON request_nonce (noted_ms);

-- What the last backup that was restored on trial holds of each scope: no cut of pruning lies above it.
CREATE TABLE checked_backup (
    scope TEXT NOT NULL PRIMARY KEY,
    vector BLOB NOT NULL,
    taken_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

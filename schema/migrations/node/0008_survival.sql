-- A replica that turned out to be unusable is left alone and another is begun: each has its own number.
ALTER TABLE backup_state ADD COLUMN generation INTEGER NOT NULL DEFAULT 1;

-- What lies beside the file and a restore needs: settings and certificate, neither of them secret.
CREATE TABLE kept_file (
    name TEXT NOT NULL PRIMARY KEY,
    content BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Entries of this node or its neighbours that were known to exist when a backup was restored and that nobody had.
CREATE TABLE missing_range (
    scope TEXT NOT NULL,
    writer TEXT NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    noted_ms INTEGER NOT NULL,
    PRIMARY KEY (scope, writer)
) STRICT, WITHOUT ROWID;

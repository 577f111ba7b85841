-- Papers of transfers that were scanned here: proof of what was sent, kept beside the log and never in it.
CREATE TABLE scanned_paper (
    notice TEXT NOT NULL PRIMARY KEY,
    transfer TEXT NOT NULL,
    origin TEXT NOT NULL,
    content BLOB NOT NULL,
    scanned_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX scanned_paper_transfer ON scanned_paper (transfer);

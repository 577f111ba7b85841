-- Paper that is to be printed, or was not long ago: written in the very transaction of the sale. A node's own, no fold.
-- `entry` names a stored entry; paper of its own (a report) is in `content`.
CREATE TABLE print_job (
    job INTEGER NOT NULL PRIMARY KEY,
    entry TEXT NOT NULL,
    content BLOB,
    is_copy INTEGER NOT NULL,
    state TEXT NOT NULL,
    fault TEXT NOT NULL,
    queued_ms INTEGER NOT NULL
) STRICT;

-- Since when the line to the hub works or not, written when that changes.
CREATE TABLE hub_line (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    is_online INTEGER NOT NULL,
    since_ms INTEGER NOT NULL,
    fault TEXT NOT NULL
) STRICT;

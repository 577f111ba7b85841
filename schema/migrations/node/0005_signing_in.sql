-- What happened at the sign-in, of every till of the location: how many wrong PINs came in a row is read from it.
CREATE TABLE sign_in (
    operator TEXT NOT NULL,
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    approver TEXT NOT NULL,
    hlc_ms INTEGER NOT NULL,
    hlc_counter INTEGER NOT NULL,
    writer TEXT NOT NULL,
    wall_ms INTEGER NOT NULL,
    clock_epoch INTEGER NOT NULL,
    PRIMARY KEY (operator, scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;

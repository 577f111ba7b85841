-- What may be promised of a product, and by whom: only products of which a right was given or a promise made.
CREATE TABLE right_figure (
    scope_no INTEGER NOT NULL,
    product TEXT NOT NULL,
    available INTEGER NOT NULL,
    promised INTEGER NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (scope_no, product)
) STRICT, WITHOUT ROWID;

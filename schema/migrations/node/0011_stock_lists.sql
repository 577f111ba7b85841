-- Goods that came in with a date to be sold by, and counted products: what the lists of expiring and uncounted ask.
CREATE TABLE dated_goods (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    part INTEGER NOT NULL,
    product TEXT NOT NULL,
    lot TEXT NOT NULL,
    expiry TEXT NOT NULL,
    quantity_milli INTEGER NOT NULL,
    wall_ms INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq, part)
) STRICT, WITHOUT ROWID;
CREATE INDEX dated_goods_expiry ON dated_goods (expiry, product);

CREATE TABLE counted_goods (
    scope_no INTEGER NOT NULL,
    stream_no INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    product TEXT NOT NULL,
    wall_ms INTEGER NOT NULL,
    PRIMARY KEY (scope_no, stream_no, seq)
) STRICT, WITHOUT ROWID;
CREATE INDEX counted_goods_product ON counted_goods (product, wall_ms);

-- Lists of goods that somebody has in hand: scanned or keyed, and not recorded yet. Of this till alone; each goes in the
-- transaction that records it, so that no list is ever recorded and still in hand.
CREATE TABLE goods_in_hand (
    name TEXT PRIMARY KEY,
    work TEXT NOT NULL,
    operator TEXT NOT NULL,
    changed_ms INTEGER NOT NULL,
    content BLOB NOT NULL
) STRICT, WITHOUT ROWID;

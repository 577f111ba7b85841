-- How often the shared documents have changed here, by which readers know that what they remember is still true, and
-- the rules by which the products below were indexed: a release with other rules indexes them anew.
CREATE TABLE catalogue_state (
    only INTEGER NOT NULL PRIMARY KEY CHECK (only = 1),
    version INTEGER NOT NULL,
    index_rules INTEGER NOT NULL
) STRICT;
INSERT INTO catalogue_state (only, version, index_rules) VALUES (1, 0, 0);

-- What an active product is found by: the number that label scales know it by, the words of its name and
-- specification (one for each Chinese character), and its pinyin from every character on, initials and full.
CREATE TABLE product_index (
    product_no INTEGER NOT NULL PRIMARY KEY,
    product TEXT NOT NULL UNIQUE,
    article TEXT NOT NULL,
    words TEXT NOT NULL,
    initials TEXT NOT NULL,
    pinyin TEXT NOT NULL
) STRICT;
CREATE INDEX product_by_article ON product_index (article) WHERE article <> '';

CREATE VIRTUAL TABLE product_text USING fts5 (
    words, initials, pinyin,
    content="product_index", content_rowid="product_no", tokenize="ascii", prefix="2", columnsize=0
);
CREATE TRIGGER product_index_added AFTER INSERT ON product_index BEGIN
    INSERT INTO product_text (rowid, words, initials, pinyin)
    VALUES (new.product_no, new.words, new.initials, new.pinyin);
END;
CREATE TRIGGER product_index_removed AFTER DELETE ON product_index BEGIN
    INSERT INTO product_text (product_text, rowid, words, initials, pinyin)
    VALUES ('delete', old.product_no, old.words, old.initials, old.pinyin);
END;

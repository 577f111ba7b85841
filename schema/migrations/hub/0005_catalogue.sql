-- Products as the desk lists and searches them: one row each, kept with the records that it is read from.
CREATE TABLE product_index (
    product TEXT NOT NULL,
    document TEXT NOT NULL,
    category TEXT NOT NULL,
    name TEXT NOT NULL,
    spec TEXT NOT NULL,
    is_active INTEGER NOT NULL,
    haystack TEXT NOT NULL,
    PRIMARY KEY (product, document)
);
CREATE INDEX product_index_category ON product_index (category, product);

-- Barcodes of all products, so that two products with one barcode are found before a till finds them.
CREATE TABLE product_barcode (
    barcode TEXT NOT NULL,
    product TEXT NOT NULL,
    document TEXT NOT NULL,
    PRIMARY KEY (barcode, product, document)
);
CREATE INDEX product_barcode_product ON product_barcode (product, document);

-- Files that were uploaded to be looked at, and what those that were taken replaced, so that it can be put back.
CREATE TABLE import_file (
    file_id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    content BLOB,
    uploaded_ms INTEGER NOT NULL,
    operator TEXT NOT NULL,
    taken_ms INTEGER,
    rows_taken INTEGER NOT NULL DEFAULT 0,
    operation TEXT NOT NULL DEFAULT '',
    undo BLOB,
    undone_ms INTEGER
);
CREATE INDEX import_file_time ON import_file (uploaded_ms);

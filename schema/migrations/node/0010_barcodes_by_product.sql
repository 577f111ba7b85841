-- A product that changes has its barcodes taken out and put in again: without this each change reads the whole index,
-- and a catalogue of 100,000 products takes minutes to arrive.
CREATE INDEX barcode_by_product ON barcode (product);

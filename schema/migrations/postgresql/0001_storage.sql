-- Rows that every batch changes keep room beside them, so that a new version lands on the same page and no index grows.
ALTER TABLE stock SET (fillfactor = 60);
ALTER TABLE stream SET (fillfactor = 50);
ALTER TABLE scope SET (fillfactor = 50);
ALTER TABLE node_contact SET (fillfactor = 60);
ALTER TABLE node_vector SET (fillfactor = 60);

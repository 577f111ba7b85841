-- A node's streams are found without reading those of every scope: a hub has thousands.
CREATE INDEX stream_by_node ON stream (node, scope_no);

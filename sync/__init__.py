"""The mechanisms of replication: log, clocks, vectors, count rules, documents and sessions; no I/O, no clock."""

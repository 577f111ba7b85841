"""Receipt printers that speak ESC/POS: documents, code pages, status, jobs, and an interpreter of the very bytes."""

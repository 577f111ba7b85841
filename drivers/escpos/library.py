"""Owns the loading of python-escpos, which would otherwise leave marks on a till.

Importing it (3.1) configures the root logger to write on standard error, over the screen, and leaves an empty temporary
folder behind each time. Both are undone here. Of its printers only `Dummy` (commands as bytes) and `Usb` are used; its
text, picture and barcode methods are not, for they replace hanzi by question marks or write on standard output.
"""

from __future__ import annotations

import logging
import os
import shutil
from functools import cache
from typing import Any


@cache
def library() -> Any:
    """Return the module `escpos.printer`."""
    root = logging.getLogger()
    before, level = list(root.handlers), root.level
    import escpos.capabilities
    import escpos.printer

    for handler in list(root.handlers):
        if handler not in before and type(handler) is logging.StreamHandler:
            root.removeHandler(handler)
    root.setLevel(level)
    if "ESCPOS_CAPABILITIES_PICKLE_DIR" not in os.environ:  # else the folder is somebody's own
        shutil.rmtree(escpos.capabilities.pickle_dir, ignore_errors=True)
    return escpos.printer

"""Owns what the till does while somebody types a number and a PIN: it makes ready what a cashier must not wait for.

Screens are imported before they are needed, and Python's collector is told never to look again at what exists by then:
a full collection stops everything for a tenth of a second, which a cashier who scans can see.
"""

from __future__ import annotations

import gc
import importlib
from typing import Final

AFTER_S: Final = 0.2
"""So long after its first picture the till warms up."""
_SCREENS: Final = ("pos_tui.screens.sale", "pos_tui.screens.tender")
_THRESHOLDS: Final = (5_000, 20, 20)
"""New objects before a collection, and collections before one of the next generation; Python's own are 700, 10, 10."""


def warm_up() -> None:
    """Import the screens of a sale and leave all that exists out of later collections."""
    for name in _SCREENS:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)

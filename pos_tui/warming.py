"""Owns what must not be done while a cashier waits: importing the screens of a sale, and collecting garbage.

A screen that closes leaves a megabyte that only Python's collector finds, and a full collection of a till stops
everything for a tenth of a second, which a cashier who scans can see. So the collector is told never to look again at
what exists once the till has come up, and then to look when a screen has closed and its successor is painted: what is
new since the start is little, and collected in milliseconds.
"""

from __future__ import annotations

import gc
import importlib
from typing import Final

from textual._styles_cache import StylesCache

AFTER_S: Final = 0.2
"""So long after its first picture the till warms up."""
TIDY_AFTER_S: Final = 0.15
"""So long after a screen has closed what it left is collected: nobody has pressed the next key by then."""
_SCREENS: Final = ("pos_tui.screens.sale", "pos_tui.screens.tender")
_THRESHOLDS: Final = (10_000, 50, 100)
"""New objects before a collection, and collections before one of the next generation: only what nobody tidied up."""


def warm_up() -> None:
    """Import the screens of a sale and leave all that exists out of later collections."""
    for name in _SCREENS:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)


def tidy_up() -> None:
    """Collect what closed screens have left.

    A cache of Textual's has widgets' painted lines in its keys, and would keep those of a thousand closed ones.
    """
    forget = getattr(StylesCache.get_inner_outer, "cache_clear", None)
    if forget is not None:
        forget()
    gc.collect()

"""A closed screen leaves nothing behind in a till that runs all day."""

from __future__ import annotations

import weakref

from textual._styles_cache import StylesCache
from textual.color import Color

from pos_tui.warming import tidy_up


def test_a_closed_widgets_painted_lines_are_let_go() -> None:
    cache = StylesCache()
    cache.get_inner_outer(Color(1, 2, 3), Color(4, 5, 6))  # As each painted border does: the cache is in its key.
    kept = weakref.ref(cache)
    del cache
    tidy_up()
    assert kept() is None

"""Owns what this one till remembers for itself: its language and its colours, in a small file beside the node."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Final

import msgspec

from schema.files import write_private
from schema.rules.promotion_terms import Language

PREFERENCES_FILE: Final = "till.json"


class Preferences(msgspec.Struct, frozen=True):
    """Language and theme; a file that cannot be read counts as absent, for nothing here may stop a till."""

    language: Language = Language.ZH
    theme: str = "dark"


def read_preferences(directory: Path) -> Preferences:
    """Read a till's preferences; the defaults where there are none that can be read."""
    try:
        return msgspec.json.decode((directory / PREFERENCES_FILE).read_bytes(), type=Preferences)
    except (OSError, msgspec.MsgspecError, ValueError):
        return Preferences()


def write_preferences(directory: Path, preferences: Preferences) -> None:
    """Write them; a full disk costs no more than asking again next time."""
    with contextlib.suppress(OSError):
        write_private(directory / PREFERENCES_FILE, msgspec.json.encode(preferences))

"""Owns which key does what on which screen: the acts that screens declare, and the shop's own keys for them.

The numeric keypad alone is enough: `+` goes on, Enter confirms, `*` takes the next choice, `-` takes back, `/` opens
the menu; function keys are short cuts. A shop renames keys by the setting `TillRules.keys` (act to keys).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from edge.wedge import narrowed

_SAME: Final = {
    "plus": "+", "add": "+", "minus": "-", "subtract": "-", "asterisk": "*", "multiply": "*", "slash": "/",
    "divide": "/", "full_stop": ".", "decimal": ".", "ideographic_full_stop": ".", "equal": "=", "equals_sign": "=",
    "multiplication_sign": "*", "division_sign": "/", "ctrl+m": "enter", "ctrl+j": "enter", "return": "enter",
    "newline": "enter", "ctrl+h": "backspace", "space": " ", "esc": "escape", "pgup": "pageup", "pgdn": "pagedown",
}  # fmt: skip
_CHARS: Final = {"。": ".", "×": "*", "÷": "/", "．": "."}
_SHOWN: Final = {
    "enter": "⏎", "escape": "Esc", "backspace": "⌫", "up": "↑", "down": "↓", "left": "←", "right": "→",
    "pageup": "PgUp", "pagedown": "PgDn", "delete": "Del", " ": "Space", "tab": "Tab", "home": "Home", "end": "End",
}  # fmt: skip


def canonical_key(key: str, character: str | None = None) -> str:
    """Return the one name of a key: its ASCII character where it types one, else its lower-case name.

    Full-width signs of an input method and the keypad's own names mean the plain sign.
    """
    if key in _SAME:
        return _SAME[key]
    if character is not None and len(character) == 1 and character.isprintable():
        return _CHARS.get(character, narrowed(character))
    return key if len(key) == 1 else key.lower()


def shown_key(key: str) -> str:
    """Return what a key bar writes for a key."""
    if key in _SHOWN:
        return _SHOWN[key]
    if len(key) == 1:
        return key
    return key.upper() if key.startswith("f") and key[1:].isdigit() else key.replace("ctrl+", "^").capitalize()


class Act(NamedTuple):
    """Something a screen can do: its name within the screen, its keys, and whether the key bar names it."""

    name: str
    keys: tuple[str, ...]
    on_bar: bool = True


def act(name: str, *keys: str, on_bar: bool = True) -> Act:
    """Declare an act with its default keys."""
    return Act(name, keys, on_bar)


class KeyTable:
    """The keys of one screen after the shop's renaming."""

    def __init__(self, screen: str, acts: Iterable[Act], renamed: Mapping[str, str]) -> None:
        self.screen = screen
        self.acts = tuple(one._replace(keys=_renamed(screen, one, renamed)) for one in acts)
        self._by_key: dict[str, Act] = {}
        for one in self.acts:
            for key in one.keys:
                self._by_key.setdefault(key, one)

    def act_of(self, key: str) -> Act | None:
        """Return what a key does on this screen; None where it does nothing of its own."""
        return self._by_key.get(key)

    def act_named(self, name: str) -> Act | None:
        """Return an act by its name."""
        return next((one for one in self.acts if one.name == name), None)


def _renamed(screen: str, one: Act, renamed: Mapping[str, str]) -> tuple[str, ...]:
    """Return an act's keys: those that the shop gave to `screen.act` or to `act` on every screen, else its own."""
    for name in (f"{screen}.{one.name}", one.name):
        if name in renamed:
            return tuple(canonical_key(key.strip().lower()) for key in renamed[name].split(",") if key.strip())
    return tuple(canonical_key(key) for key in one.keys)

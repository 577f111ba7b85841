"""Owns the colours: a dark and a light theme, both with contrasts of 7 : 1 for what must be read."""

from __future__ import annotations

from typing import Final

from textual.theme import Theme

DARK: Final = Theme(
    name="till-dark",
    primary="#7fc8d8", secondary="#9db4c8", accent="#7fc8d8", warning="#ffd166", error="#ff8a80", success="#9be29b",
    foreground="#f2f5f7", background="#11161b", surface="#11161b", panel="#1b232b", dark=True,
    variables={
        "muted": "#a9b6c2", "bar-background": "#22303b", "bar-foreground": "#e6edf2", "key-background": "#3d5566",
        "key-foreground": "#ffffff", "field-background": "#263340", "selected-background": "#2f5d70",
        "selected-foreground": "#ffffff", "marked-background": "#4a4320", "paper-background": "#fbfaf5",
        "paper-foreground": "#1a1a1a", "big": "#ffffff",
    },
)  # fmt: skip
LIGHT: Final = Theme(
    name="till-light",
    primary="#0b5563", secondary="#3d5566", accent="#0b5563", warning="#7a4b00", error="#a31515", success="#1e5c1e",
    foreground="#14181c", background="#f7f8f6", surface="#f7f8f6", panel="#e8ece9", dark=False,
    variables={
        "muted": "#4c5a64", "bar-background": "#d5dedf", "bar-foreground": "#14181c", "key-background": "#34525e",
        "key-foreground": "#ffffff", "field-background": "#ffffff", "selected-background": "#bfe0e6",
        "selected-foreground": "#0a1518", "marked-background": "#fff0bf", "paper-background": "#fffefa",
        "paper-foreground": "#1a1a1a", "big": "#000000",
    },
)  # fmt: skip
THEMES: Final = {"dark": DARK, "light": LIGHT}

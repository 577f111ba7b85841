"""Owns what the people at one till may set for it: language, colours, training; all else comes from the hub."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pos_tui.keys import act
from pos_tui.screens.base import TillScreen
from pos_tui.widgets.listing import Column, Listing, Row

if TYPE_CHECKING:
    pass

CHOICES = ("language", "theme", "training", "password", "lock", "sign_out")


class SettingsScreen(TillScreen[None]):
    """A short list; Enter changes the selected one."""

    NAME = "settings"
    ACTS = (act("change", "enter", "+"), act("back", "escape", "-"))

    def __init__(self) -> None:
        super().__init__()
        self.listing = Listing(id="settings", is_numbered=True)

    def show(self) -> None:
        """State each setting with its value."""
        assert self.listing is not None
        self.show_status()
        self.frame.border_title = self.t("settings.title")
        values = {
            "language": self.t("settings.this_language"),
            "theme": self.t("settings.dark" if self.app.current_theme.dark else "settings.light"),
            "training": self.t("settings.on" if self.till.is_training else "settings.off"),
        }
        rows = [Row((self.t(f"settings.{name}"), values.get(name, ""))) for name in self._names()]
        config = self.till.node.config
        rows += [
            Row(note=" "),
            *self.listing.notes(self.t("settings.node", name=config.name, node=config.node, till=config.till)),
            *self.listing.notes(self.t("settings.keys"), "muted"),
        ]
        self.listing.show((Column("", 26), Column("")), rows)

    def _names(self) -> tuple[str, ...]:
        return tuple(name for name in CHOICES if name != "password")

    def entered(self, _text: str) -> None:
        """Change the selected one."""
        self.act_change()

    def act_change(self) -> None:
        """Change the selected one."""
        assert self.listing is not None
        match self._names()[max(0, self.listing.selected)]:
            case "language":
                self.till_app.switch_language()
            case "theme":
                self.till_app.switch_theme()
            case "training":
                self.till_app.switch_training()
            case "lock":
                self.till_app.lock()
            case "sign_out":
                self.till_app.sign_out()
        self.show()

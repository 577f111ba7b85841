"""Owns the application: it routes keys, scans and messages to the screen on top, and knows no sale."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import App

from edge.clock_source import local_time
from edge.wedge import Wedge, WedgeDetector
from pos_tui.keys import canonical_key
from pos_tui.messages import CodeScanned, DevicesChanged
from pos_tui.screens.base import TillScreen
from pos_tui.widgets.painting import Span
from pos_tui.widgets.status_line import StatusLine
from pos_tui.themes import THEMES
from schema.rules.promotion_terms import Language
from schema.texts import Texts

if TYPE_CHECKING:
    from edge.signing_in import SignedIn
    from pos_tui.till import Till

BURST_S = 0.030
"""Keys closer together than this come from a scanner, not from fingers."""


STATUS_S = 1.0


class TillApp(App[None]):
    """The till's screen."""

    CSS_PATH = Path(__file__).parent / "till.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar = []
    TITLE = "edgetill"

    def __init__(self, till: Till, *, theme: str = "dark", renamed_keys: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.till = till
        self.texts = Texts("pos_tui", till.language)
        self.renamed_keys = dict(till.rules.keys if renamed_keys is None else renamed_keys)
        self._wedge = WedgeDetector()
        self._last_key_s = float("-inf")
        for one in THEMES.values():
            self.register_theme(one)
        self.theme = THEMES[theme].name
        self.animation_level = "none"

    def on_mount(self) -> None:
        """Show the sign-in."""
        from pos_tui.screens.sign_in import SignInScreen

        self.push_screen(SignInScreen())
        self.set_interval(STATUS_S, self.refresh_status)

    # Keys, from the terminal to the screen on top

    async def on_event(self, event: events.Event) -> None:
        """Take keys and pasted text before any widget sees them; the rest goes its way."""
        if isinstance(event, events.Key) and not event.is_forwarded:
            self._take_key(event)
            return
        if isinstance(event, events.Paste) and not event.is_forwarded:
            screen = self.screen
            if isinstance(screen, TillScreen):
                screen.take_text(event.text.splitlines()[0] if event.text else "")
            return
        await super().on_event(event)

    def _take_key(self, event: events.Key) -> None:
        screen = self.screen
        if not isinstance(screen, TillScreen):
            return
        character = event.character if event.is_printable else None
        verdict = self._wedge.key(character or event.key, event.time)
        gap_s, self._last_key_s = event.time - self._last_key_s, event.time
        if verdict.kind is Wedge.ECHO:
            return
        if verdict.kind is Wedge.SCANNED and verdict.scan is not None:
            screen.take_scan(verdict.scan, verdict.typed_length)
            return
        key = canonical_key(event.key, character)
        screen.take_key(key, character, is_burst=character is not None and gap_s < BURST_S)

    def on_code_scanned(self, message: CodeScanned) -> None:
        """Hand a code from a scanner's own port to the screen on top."""
        if isinstance(self.screen, TillScreen):
            self.screen.take_scan(message.scan, 0)

    def on_devices_changed(self, _message: DevicesChanged) -> None:
        """Have the status shown anew."""

    # Who works here

    def demo_people(self) -> list[str]:
        """Name the people of a demonstration with their PINs; nobody elsewhere."""
        return []

    def signed_in(self, signed_in: SignedIn, *, was_locked: bool) -> None:
        """Go on where the till was locked, or begin to sell."""
        from pos_tui.screens.sale import SaleScreen

        self.till.operator = signed_in
        if was_locked:
            self.pop_screen()
        else:
            self.switch_screen(SaleScreen())

    # The top line

    def status(self) -> tuple[list[Span], list[Span]]:
        """Return what stands left and right in the top line."""
        till = self.till
        name = "" if till.operator is None else f" · {till.operator.name}"
        now = local_time(till.node.now_ms(), till.node.config.time_zone).strftime("%H:%M")
        return [Span(f"{till.node.config.till}{name}", "bar")], [Span(now, "bar-muted")]

    def refresh_status(self) -> None:
        """State the top line of the screen that has one."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, TillScreen) and screen.query(StatusLine):
                screen.show_status()
                return

    # Language and lock

    def switch_language(self) -> None:
        """Show everything in the other language."""
        other = Language.EN if self.till.language is Language.ZH else Language.ZH
        self.till.language = other
        self.texts = Texts("pos_tui", other)
        self.till.price_again()
        for screen in self.screen_stack:
            if isinstance(screen, TillScreen):
                screen.retranslate()

    def lock(self) -> None:
        """Ask for a PIN before anything else happens; what is below stays as it is."""
        from pos_tui.screens.sign_in import SignInScreen

        if self.till.operator is not None and not isinstance(self.screen, SignInScreen):
            self.push_screen(SignInScreen(is_lock=True))

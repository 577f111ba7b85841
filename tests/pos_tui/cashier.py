"""A cashier at the keys of a till in a test: types as people do, scans as scanners do, and reads the screen."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING

from textual import events
from textual.pilot import Pilot

from pos_tui.app import TillApp
from schema.texts import Texts
from tests.edge.people import CASHIER, Person

if TYPE_CHECKING:
    from pos_tui.screens.base import TillScreen

NARROW, WIDE = (80, 24), (120, 36)
WAIT_S = 30.0
_NAMES = {"+": "plus", "-": "minus", "*": "asterisk", "/": "slash", ".": "full_stop", " ": "space"}


def _squeezed(text: str) -> str:
    return re.sub(r"[\s│┃╭╮╰╯─━┏┓┗┛]+", "", text)


class Cashier:
    """Presses keys with the times of a person, so that nothing typed is taken for a scan."""

    def __init__(self, app: TillApp, pilot: Pilot[None]) -> None:
        self.app, self.pilot = app, pilot
        self._clock_s = time.monotonic()
        self.keys_pressed = 0

    # Keys

    async def press(self, *keys: str) -> None:
        """Press keys one after the other, waiting for each to do what it does."""
        for key in keys:
            self._send(key, 0.2)
            self.keys_pressed += 1
            await self.settled()

    async def type(self, text: str) -> None:
        """Type a text."""
        for char in text:
            self._send(char, 0.2)
        await self.settled()

    async def enter(self, text: str = "") -> None:
        """Type a text and press Enter."""
        await self.type(text)
        await self.press("enter")

    async def choose(self, number: int) -> None:
        """Choose by a digit, which waits for a moment lest it be the first of a scan."""
        await self.press(str(number))

    async def scan(self, code: str, *, stalled_before: int = 0, stall_s: float = 0.1) -> None:
        """Scan a code with a keyboard wedge; a busy machine may hear nothing for a while before one of its keys."""
        self._clock_s += 0.5
        for place, char in enumerate(code):
            is_stalled = 0 < stalled_before == place
            if is_stalled:
                await asyncio.sleep(stall_s)
            self._send(char, stall_s if is_stalled else 0.002)
        self._send("enter", 0.002)
        await self.settled()

    async def paste(self, text: str) -> None:
        """Commit a text at once, as an input method does."""
        self.app.post_message(events.Paste(text))
        await self.settled()

    def _send(self, key: str, after_s: float) -> None:
        self._clock_s += after_s
        name = _NAMES.get(key, key)
        character = key if len(key) == 1 else ("\r" if key == "enter" else None)
        event = events.Key(name, character)
        event.time = self._clock_s
        self.app.post_message(event)

    async def settled(self) -> None:
        """Wait until the till has nothing more to do, and what came up last is painted whole."""
        await self.pilot.pause()
        end = time.monotonic() + WAIT_S
        while self.app.is_running and not self.screen._is_shown and time.monotonic() < end:
            await asyncio.sleep(0.01)
        while self.screen._held is not None:  # a digit waits lest it be the first of a scan
            await asyncio.sleep(0.01)
        await self.pilot.pause()

    # People

    async def sign_in(self, person: Person = CASHIER) -> None:
        """Sign in, and wait for the sale."""
        await self.enter(person.number)
        await self.enter(person.pin)
        await self.until_screen("sale")

    async def allow(self, person: Person) -> None:
        """Have a second person type number and PIN."""
        await self.until_screen("approve")
        await self.enter(person.number)
        await self.enter(person.pin)

    # Reading

    @property
    def screen(self) -> TillScreen[object]:
        """The screen on top."""
        screen: TillScreen[object] = self.app.screen  # type: ignore[assignment]
        return screen

    @property
    def t(self) -> Texts:
        """The texts of the till's language."""
        return self.app.texts

    @property
    def lines(self) -> list[str]:
        """The lines of the screen on top as they are painted; of a dialog those of its box."""
        strips = self.app.screen._compositor.render_strips()
        for box in self.app.screen.query("#box"):
            region = box.region
            return [strip.crop(region.x, region.right).text for strip in strips[region.y : region.bottom]]
        return [strip.text for strip in strips]

    @property
    def painted(self) -> str:
        """Everything that is painted on the screen on top."""
        return "\n".join(self.lines)

    def shows(self, text: str) -> bool:
        """Tell whether a text is painted, however its lines are broken."""
        return _squeezed(text) in _squeezed(self.painted)

    async def until(self, text: str) -> None:
        """Wait until a text is painted."""
        end = time.monotonic() + WAIT_S
        while not self.shows(text):
            assert time.monotonic() < end, f"{text!r} is not painted:\n{self.painted}"
            await self.pilot.pause(0.02)
        await self.settled()

    async def until_screen(self, name: str) -> None:
        """Wait until a screen of this name is on top and shown."""
        end = time.monotonic() + WAIT_S
        while not (getattr(self.app.screen, "NAME", "") == name and self.screen._is_shown):
            assert time.monotonic() < end, f"{name} did not come:\n{self.painted}"
            await self.pilot.pause(0.02)
        await self.settled()

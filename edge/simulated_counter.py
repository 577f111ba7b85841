"""Owns a till's counter with devices that are not there: printer, drawer, scanner, scale and customer display.

They are real to the till: a printer on a TCP port, the others on pseudo-terminals. What was printed is kept as
pictures, so that one sees the paper. For demonstrations, training and trying a `devices.toml` out.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from drivers.escpos.code_page import PROFILES
from drivers.escpos.interpreter import PaperCut
from drivers.escpos.picture import default_typeface
from drivers.simulated import (
    PrinterServer,
    PseudoTerminal,
    SimulatedDisplay,
    SimulatedPrinter,
    SimulatedScale,
    SimulatedScanner,
)
from edge.devices_config import (
    DEVICES_FILE,
    DevicesConfig,
    DisplaySettings,
    PrinterSettings,
    ScaleSettings,
    ScannerSettings,
    toml_of,
)
from schema.errors import RefusalError

QUIET_S: Final = 0.6
"""A printer without a knife has ended a receipt when nothing more comes for so long."""
TICK_S: Final = 0.05
WORDS: Final = (
    "type: scan CODE, weigh GRAMS, paper ok|low|out, cover, drawer shut|jam|free, unplug or plug scanner|scale|display"
)


MARK: Final = "# Simulated devices; this file goes when they do.\n"


@contextlib.contextmanager
def lent_to(node: Path | None, config: DevicesConfig) -> Iterator[None]:
    """Let a node's `devices.toml` name these devices for a while; nothing where no node is given.

    Raises RefusalError `devices_present` where the node has devices of its own.
    """
    if node is None:
        yield
        return
    path = node / DEVICES_FILE
    if path.exists() and not path.read_text("utf-8", "replace").startswith(MARK):
        raise RefusalError("devices_present", f"{path} stands already: move it away first", file=path.name)
    fresh = path.with_suffix(".new")
    fresh.write_text(MARK + toml_of(config), "utf-8")
    fresh.replace(path)
    try:
        yield
    finally:
        if path.exists() and path.read_text("utf-8", "replace").startswith(MARK):
            path.unlink()


class SimulatedCounter:
    """The devices, their ports in `folder`. `on_paper` hears of each picture, `on_display` of each new text."""

    def __init__(
        self,
        folder: Path,
        *,
        profile: str = "80mm",
        protocol: str = "toledo-8217",
        port: int = 0,
        on_paper: Callable[[Path], None] = lambda _: None,
        on_display: Callable[[tuple[str, str]], None] = lambda _: None,
    ) -> None:
        if profile not in PROFILES:
            raise RefusalError("profile_unknown", f"a profile is one of {', '.join(PROFILES)}")
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._profile, self._protocol = folder, profile, protocol
        self._on_paper, self._on_display = on_paper, on_display
        self.printer = SimulatedPrinter(PROFILES[profile])
        self.server = PrinterServer(self.printer, port=port)
        self.scanner = SimulatedScanner(folder / "scanner")
        self.scale = SimulatedScale(folder / "scale", protocol)
        self.display = SimulatedDisplay()
        self._panel = PseudoTerminal(folder / "display")
        self._papers = 0
        self._ending = threading.Event()
        self._threads = [
            threading.Thread(target=run, name=name, daemon=True)
            for run, name in ((self._watch_paper, "keeps the paper"), (self._watch_display, "shows the display"))
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def has_font(self) -> bool:
        """Tell whether hanzi on the pictures look like hanzi."""
        return default_typeface().has_hanzi

    def config(self) -> DevicesConfig:
        """Return the settings by which a till finds these devices."""
        return DevicesConfig(
            printer=PrinterSettings(address=self.server.address, profile=self._profile, drawer_sensor="high"),
            scanners=(ScannerSettings(address=self.scanner.address),),
            scale=ScaleSettings(address=self.scale.address, protocol=self._protocol),
            display=DisplaySettings(address=self._panel.address, hanzi=True),
        )

    def close(self) -> None:
        """Take everything away; paper that hangs out of the printer is kept."""
        self._ending.set()
        for thread in self._threads:
            thread.join(timeout=5)
        self.server.close()
        self.scanner.close()
        self.scale.close()
        self._panel.unplug()
        self._keep_paper()

    def _watch_paper(self) -> None:
        seen, quiet_since = 0, time.monotonic()
        while not self._ending.wait(TICK_S):
            marks = self.printer.paper.marks
            if len(marks) != seen:
                seen, quiet_since = len(marks), time.monotonic()
            elif seen and (isinstance(marks[-1], PaperCut) or time.monotonic() - quiet_since > QUIET_S):
                self._keep_paper()
                seen = 0

    def _keep_paper(self) -> None:
        torn = self.printer.take_paper()
        if not torn.marks:
            return
        self._papers += 1
        path = self._folder / f"paper-{self._papers:04d}.png"
        torn.picture().save(path, "PNG")
        path.with_suffix(".txt").write_text(torn.text() + "\n", "utf-8")
        self._on_paper(path)

    def _watch_display(self) -> None:
        told = (self.display.lines[0], self.display.lines[1])
        while not self._ending.is_set():
            with contextlib.suppress(OSError):
                self.display.receive(self._panel.receive(TICK_S))
            upper, lower = self.display.lines
            if (upper, lower) != told:
                told = (upper, lower)
                self._on_display(told)

    def obey(self, line: str) -> str:
        """Do what a person types at the simulated counter, and say what was done; raises RefusalError.

        `scan CODE` · `weigh GRAMS [stable|unstable|overloaded]` · `paper ok|low|out` · `cover` ·
        `drawer shut|jam|free` · `unplug scanner|scale|display` · `plug scanner|scale|display`
        """
        word, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        match word, rest:
            case ("scan", code) if code:
                self.scanner.scan(code)
                return f"scanned {code}"
            case ("weigh", text) if text:
                return self._weigh(text)
            case ("paper", "ok"):
                self.printer.load_paper()
                return "a new roll is in"
            case ("paper", "low"):
                self.printer.is_near_end = True
                return "little paper is left"
            case ("paper", "out"):
                self.printer.lines_left = 0
                return "the paper is out"
            case ("cover", _):
                self.printer.is_cover_open = True
                return "the cover is open; `paper ok` closes it"
            case ("drawer", "shut"):
                self.printer.close_drawer()
                return "the drawer is shut"
            case ("drawer", "jam" | "free"):
                self.printer.is_drawer_jammed = rest == "jam"
                return f"the drawer is {'jammed' if rest == 'jam' else 'free'}"
            case ("unplug" | "plug", "scanner" | "scale" | "display"):
                port = {"scanner": self.scanner.port, "scale": self.scale.port, "display": self._panel}[rest]
                (port.unplug if word == "unplug" else port.plug_in)()
                return f"{rest}: {word}ged"
        raise RefusalError("counter_word", WORDS)

    def _weigh(self, text: str) -> str:
        from drivers.scale import WeighState

        grams, _, state = text.partition(" ")
        try:
            self.scale.load(int(grams), WeighState(state.strip()) if state.strip() else None)
        except ValueError:
            raise RefusalError("counter_word", "weigh takes whole grams, and stable, unstable or overloaded") from None
        return f"{grams} g on the scale"

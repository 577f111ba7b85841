"""Owns the thread behind each device that is spoken to: scale, customer display, printer with its drawer.

A desk takes wishes at once, serves them in its own time, and comes back by itself when its device does.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from drivers.display import CustomerDisplay, DisplayEncoder, DisplayKind, PriceMode
from drivers.errors import DeviceError
from drivers.escpos.code_page import PrinterProfile
from drivers.escpos.document import DOUBLE, Align, Cut, LinearCode, PrintDocument, QrCode, Rule, Text, document_of
from drivers.link import BackOff, Link
from drivers.scale import PROTOCOLS, Reading, Scale, ScaleWatch
from edge.clock_source import ClockSource
from edge.device_events import Condition, DeviceEvent, DeviceRole, DeviceState, DrawerMoved, FigureKind, Weighed
from edge.devices_config import DisplaySettings, PrinterSettings, ScaleSettings
from schema.amounts import format_money
from schema.errors import EdgetillError
from schema.rules.pinyin import search_key

if TYPE_CHECKING:
    from drivers.escpos.document import Raster
    from drivers.escpos.printer import ReceiptPrinter
    from edge.print_queue import PrintQueue

PROBE_S: Final = 10.0
"""How often a scale that nobody asks is looked for."""
AGAIN_S: Final = 1.0
REFRESH_S: Final = 3.0
"""How often a display is written to although nothing has changed."""
Opener = Callable[[str], Link]
Tell = Callable[[DeviceState], None]


def state_of(role: DeviceRole, address: str, error: DeviceError | None) -> DeviceState:
    """Return the state of a device after it was used: ready, or in the trouble that the error names."""
    if error is None:
        return DeviceState(role, Condition.READY, address=address)
    return DeviceState(role, Condition.FAULT, error.code, address)


class ScaleDesk:
    """A scale that is asked when goods lie on it, and looked for now and then."""

    def __init__(
        self, settings: ScaleSettings, opener: Opener, back_off: BackOff, tell: Tell,
        on_weight: Callable[[Weighed], object],
    ) -> None:  # fmt: skip
        self._address = settings.address
        self._scale = Scale(opener(settings.address), PROTOCOLS[settings.protocol](), back_off=back_off)
        self._tell, self._on_weight = tell, on_weight
        self._turn = threading.Lock()
        self._watch: ScaleWatch | None = None
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._probe, name="looks for the scale", daemon=True)

    def start(self) -> None:
        """Begin to look for it."""
        self._tell(DeviceState(DeviceRole.SCALE, Condition.STARTING, address=self._address))
        self._thread.start()

    def stop(self) -> None:
        """Let the port go."""
        self._ending.set()
        self.watch(False)
        self._thread.join(timeout=3)
        self._scale.close()

    def weigh(self, within_s: float) -> Weighed:
        """Wait for a stable weight, or say why there is none."""
        try:
            grams = self._scale.weigh(within_s)
        except DeviceError as error:
            # A weight that cannot be sold by is no fault of the scale.
            self._heard(None if error.code.startswith("scale.") else error)
            return Weighed(None, error.code)
        self._heard(None)
        return Weighed(grams)

    def watch(self, is_on: bool) -> None:
        """Tell every change of the weight, or stop telling."""
        with self._turn:
            if is_on and self._watch is None and not self._ending.is_set():
                self._watch = ScaleWatch(self._scale, self._read, self._heard)
                self._watch.start()
                return
            watch = None if is_on else self._watch
            if not is_on:
                self._watch = None
        if watch is not None:
            watch.stop()

    def _read(self, reading: Reading) -> None:
        self._on_weight(Weighed(reading.grams, reading.fault.value if reading.fault is not None else ""))

    def _heard(self, error: DeviceError | None) -> None:
        self._tell(state_of(DeviceRole.SCALE, self._address, error))

    def _probe(self) -> None:
        wait_s = 0.0
        while not self._ending.wait(wait_s):
            wait_s = PROBE_S
            if self._watch is not None:
                continue
            try:
                self._scale.read()
            except DeviceError as error:
                self._heard(error)
                wait_s = AGAIN_S
            else:
                self._heard(None)


_MODES: Final = {
    FigureKind.NONE: PriceMode.NONE,
    FigureKind.PRICE: PriceMode.UNIT_PRICE,
    FigureKind.TOTAL: PriceMode.TOTAL,
    FigureKind.RECEIVED: PriceMode.RECEIVED,
    FigureKind.CHANGE: PriceMode.CHANGE,
}


class Shown(NamedTuple):
    """What a customer display shows: two lines, and for panels of digits the one figure among them (minor units)."""

    upper: str = ""
    lower: str = ""
    kind: FigureKind = FigureKind.NONE
    amount_minor: int | None = None


class DisplayDesk:
    """A customer display: what is newest is shown, also when the display was away meanwhile."""

    def __init__(self, settings: DisplaySettings, opener: Opener, back_off: BackOff, tell: Tell) -> None:
        self._address = settings.address
        self._encoder = DisplayEncoder(settings.kind, has_hanzi=settings.hanzi, romanise=_pinyin)
        self._display = CustomerDisplay(opener(settings.address), self._encoder, back_off=back_off)
        self._tell = tell
        self._wanted = Shown()
        self._changed = threading.Event()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="shows to the customer", daemon=True)

    def start(self) -> None:
        """Begin to show."""
        self._tell(DeviceState(DeviceRole.DISPLAY, Condition.STARTING, address=self._address))
        self._thread.start()

    def stop(self) -> None:
        """Show nothing and let the port go."""
        self._ending.set()
        self._changed.set()
        self._thread.join(timeout=3)
        self._display.close()

    def show(self, wanted: Shown) -> None:
        """Show this from now on."""
        self._wanted = wanted
        self._changed.set()

    def _run(self) -> None:
        on_panel: Shown | None = None
        while not self._ending.is_set():
            wanted = self._wanted
            if wanted != on_panel:
                try:
                    self._put(wanted)
                except DeviceError as error:
                    on_panel = None
                    self._tell(state_of(DeviceRole.DISPLAY, self._address, error))
                else:
                    on_panel = wanted
                    self._tell(state_of(DeviceRole.DISPLAY, self._address, None))
            if not self._changed.wait(REFRESH_S if on_panel is not None else AGAIN_S / 4):
                on_panel = None  # a display answers nothing: only another write tells whether it is still there
            self._changed.clear()

    def _put(self, wanted: Shown) -> None:
        if self._encoder.kind is not DisplayKind.LED8:
            self._display.show(wanted.upper, wanted.lower)
        elif wanted.amount_minor is None:
            self._display.clear()
        else:
            self._display.show_price(_MODES[wanted.kind], format_money(wanted.amount_minor))


def _pinyin(text: str) -> str:
    """Return the reading of a name for panels without hanzi: `KeKouKeLe 500ml`."""
    return " ".join(word if word.isascii() else search_key(word).full for word in text.split(" "))


class PrinterDesk:
    """A printer with its list of paper, and the drawer behind it; its programs are loaded beside the first screen."""

    def __init__(
        self, directory: Path, settings: PrinterSettings, opener: Opener, back_off: BackOff, clock: ClockSource,
        on_event: Callable[[DeviceEvent], object], tell: Tell,
    ) -> None:  # fmt: skip
        self._directory, self._settings, self._clock = directory, settings, clock
        self._opener, self._back_off = opener, back_off
        self._on_event, self._tell = on_event, tell
        self._loading = threading.Lock()
        self._queue: PrintQueue | None = None
        self._ending = threading.Event()

    def start(self, after_s: float) -> None:
        """Begin to print after a moment."""
        self._tell(DeviceState(DeviceRole.PRINTER, Condition.STARTING, address=self._settings.address))
        threading.Thread(target=self._begin, args=(after_s,), name="loads the printer", daemon=True).start()

    def stop(self) -> None:
        """End after the job in hand."""
        self._ending.set()
        with self._loading:
            if self._queue is not None:
                self._queue.stop()
                self._queue = None

    def _begin(self, after_s: float) -> None:
        self._ending.wait(after_s)
        if (queue := self._loaded()) is not None:
            queue.start()

    def _loaded(self) -> PrintQueue | None:
        """Return the queue, made when it is first needed; None once this desk has ended."""
        with self._loading:
            if self._queue is None and not self._ending.is_set():
                from edge.print_queue import PrintQueue

                printer = printer_of(self._settings, self._opener, self._back_off)
                self._queue = PrintQueue(
                    self._directory, printer, on_event=self._on_event, on_state=self._tell, clock=self._clock,
                    hold_minutes=self._settings.hold_minutes, logo=logo_of(self._directory, self._settings),
                    is_shared=self._settings.shared,
                )  # fmt: skip
            return self._queue

    def wake(self) -> None:
        """Say that paper was put on the list."""
        if (queue := self._queue) is not None:
            queue.wake()

    def print_now(self, document: PrintDocument) -> None:
        """Print what is on no list."""
        if (queue := self._loaded()) is not None:
            queue.print_now(document)

    def print_trial(self) -> None:
        """Print a page that shows width, fonts, sizes and codes."""
        self.print_now(trial_page(self._settings.printer_profile(), self._settings.address))

    def open_drawer(self) -> None:
        """Open the drawer in a thread of its own: paper does not hold it up, and it holds up nobody."""
        threading.Thread(target=self._open_drawer, name="opens the drawer", daemon=True).start()

    def _open_drawer(self) -> None:
        from drivers.escpos.printer import DrawerMove

        if (queue := self._loaded()) is None:
            return
        try:
            moved = queue.printer.open_drawer(self._settings.drawer_pin, at_once=True)
        except DeviceError as error:
            self._on_event(DrawerMoved(False if error.code == "drawer.jammed" else None, error.code))
            return
        self._on_event(DrawerMoved(None if moved is DrawerMove.UNKNOWN else True))


def printer_of(settings: PrinterSettings, opener: Opener, back_off: BackOff | None = None) -> ReceiptPrinter:
    """Return the printer that the settings name, closed."""
    from drivers.escpos.printer import ReceiptPrinter

    return ReceiptPrinter(opener(settings.address), settings.printer_profile(), back_off=back_off)


def logo_of(directory: Path, settings: PrinterSettings) -> Raster | None:
    """Return the shop's logo, its path counted from the node's directory; None where it is no picture."""
    if not settings.logo:
        return None
    from drivers.escpos.picture import read_logo

    try:
        return read_logo(directory / settings.logo, settings.printer_profile().dots)
    except (OSError, ValueError, EdgetillError):
        return None


def trial_page(profile: PrinterProfile, address: str) -> PrintDocument:
    """Return a page that shows width, fonts, sizes and codes of a printer."""
    ruler = "".join(str(place % 10) for place in range(1, profile.columns + 1))
    return document_of(
        (
            Text("打印测试", Align.CENTRE, True, DOUBLE),
            Text("edgetill", Align.CENTRE),
            Text(address),
            Text(f"{profile.name}, {profile.columns}"),
            Rule(),
            Text(ruler),
            Text("中文 ￥1,234.56 龍龘 ①②③ ·—"),
            Text("右对齐 12.50", Align.RIGHT),
            Text("加粗 BOLD", is_bold=True),
            Text("￥88.80", Align.RIGHT, True, DOUBLE),
            Rule(),
            LinearCode("TEST-000123"),
            QrCode("edgetill test 打印测试"),
            Cut(),
        )
    )

"""Owns the devices of a running till, so that nothing that is unplugged, silent or slow is felt at the screen.

Everything can be pulled out and plugged in at any time. What devices say comes as events, from their own threads; what
the screen wants of them (show, open the drawer, print) is handed over and returns at once. Only `weigh` waits, for a
weight.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self

from drivers.errors import DeviceError
from drivers.link import BackOff, link_from_address
from drivers.scanner import DuplicateGuard, Scan, SerialScanner
from edge.clock_source import ClockSource, machine_clock
from edge.device_desks import DisplayDesk, Opener, PrinterDesk, ScaleDesk, Shown, state_of
from edge.device_events import (
    Condition,
    DeviceChanged,
    DeviceEvent,
    DeviceRole,
    DeviceState,
    DrawerMoved,
    FigureKind,
    PeripheralStatus,
    Scanned,
    Weighed,
)
from edge.devices_config import DevicesConfig

if TYPE_CHECKING:
    from edge.receipts import Layout

UNSET: Final = "device.unset"
"""The fault of asking a device that the till does not have."""
PRINTER_AFTER_S: Final = 1.5
"""The printer's programs are loaded when the till's first screen stands."""
_GRAVEST: Final = (Condition.FAULT, Condition.ATTENTION, Condition.STARTING, Condition.READY, Condition.UNSET)


class Peripherals:
    """The devices of one till. `on_event` is called from several threads and must not block."""

    def __init__(
        self,
        directory: Path,
        config: DevicesConfig,
        *,
        clock: ClockSource = machine_clock,
        same_scan_guard_ms: int = 0,
        opener: Opener = link_from_address,
        back_off: Callable[[], BackOff] = BackOff,
    ) -> None:
        self._directory, self._config, self._clock = directory, config, clock
        self._opener, self._back_off = opener, back_off
        self._guard_s = same_scan_guard_ms / 1000
        self._guards: list[DuplicateGuard] = []
        self._on_event: Callable[[DeviceEvent], object] = lambda _: None
        self._turn = threading.Lock()
        self._states: dict[DeviceRole, dict[str, DeviceState]] = {}
        self._scanners: list[SerialScanner] = []
        self._scale: ScaleDesk | None = None
        self._display: DisplayDesk | None = None
        self._printer: PrinterDesk | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, on_event: Callable[[DeviceEvent], object], *, printer_after_s: float = PRINTER_AFTER_S) -> None:
        """Begin to listen, watch and print; events come from now on."""
        self._on_event = on_event
        config = self._config
        for place, settings in enumerate(config.scanners):
            self._start_scanner(str(place), settings.address, has_suffix=settings.suffix)
        if config.scale is not None:
            self._scale = ScaleDesk(config.scale, self._opener, self._back_off(), self._tell, on_event)
            self._scale.start()
        if config.display is not None:
            self._display = DisplayDesk(config.display, self._opener, self._back_off(), self._tell)
            self._display.start()
        if config.printer is not None:
            self._printer = PrinterDesk(
                self._directory, config.printer, self._opener, self._back_off(), self._clock, on_event, self._tell
            )
            self._printer.start(printer_after_s)

    def stop(self) -> None:
        """End every thread, after the paper in hand, and let every port go."""
        for scanner in self._scanners:
            scanner.stop()
        for desk in (self._scale, self._display, self._printer):
            if desk is not None:
                desk.stop()
        self._scanners, self._scale, self._display, self._printer = [], None, None, None
        with self._turn:
            self._states.clear()

    def restart(self, config: DevicesConfig) -> None:
        """Take other settings up while the till goes on."""
        self.stop()
        self._config = config
        self.start(self._on_event, printer_after_s=0)

    def status(self) -> PeripheralStatus:
        """Return how every device is, as it was last heard of; costs nothing."""
        with self._turn:
            return PeripheralStatus(
                self._gravest(DeviceRole.PRINTER), self._gravest(DeviceRole.SCANNER), self._gravest(DeviceRole.SCALE),
                self._gravest(DeviceRole.DISPLAY),
            )  # fmt: skip

    def _gravest(self, role: DeviceRole) -> DeviceState:
        states = self._states.get(role, {})
        return min(states.values(), key=lambda state: _GRAVEST.index(state.condition), default=DeviceState(role))

    def _tell(self, state: DeviceState, place: str = "") -> None:
        with self._turn:
            known = self._states.setdefault(state.role, {})
            is_news = known.get(place) != state
            known[place] = state
        if is_news and state.condition is not Condition.STARTING:
            self._on_event(DeviceChanged(state))

    def _start_scanner(self, place: str, address: str, *, has_suffix: bool) -> None:
        guard = DuplicateGuard(self._guard_s)
        self._guards.append(guard)
        self._tell(DeviceState(DeviceRole.SCANNER, Condition.STARTING, address=address), place)

        def scanned(scan: Scan) -> None:
            self._on_event(Scanned(scan.text, scan.aim, is_repeated=not guard.admits(scan, time.monotonic())))

        def changed(error: DeviceError | None) -> None:
            self._tell(state_of(DeviceRole.SCANNER, address, error), place)

        scanner = SerialScanner(
            self._opener(address), scanned, changed, silence_ends=not has_suffix, back_off=self._back_off()
        )
        self._scanners.append(scanner)
        scanner.start()

    def guard_scans(self, same_scan_guard_ms: int) -> None:
        """Ask from now on about the same code again within so many milliseconds; zero: about none."""
        self._guard_s = same_scan_guard_ms / 1000
        for guard in self._guards:
            guard.window_s = self._guard_s

    def weigh(self, within_s: float = 3.0) -> Weighed:
        """Wait for a stable weight, or say why there is none; call it from a worker, not from the screen."""
        return self._scale.weigh(within_s) if self._scale is not None else Weighed(None, UNSET)

    def watch_scale(self, is_on: bool) -> None:
        """Tell every change of the weight as `Weighed`, while goods are being weighed."""
        if self._scale is not None:
            self._scale.watch(is_on)

    def show(
        self, upper: str, lower: str = "", *, kind: FigureKind = FigureKind.NONE, amount_minor: int | None = None
    ) -> None:
        """Show two lines to the customer, on panels of digits the amount; what is newest counts, nothing waits."""
        if self._display is not None:
            self._display.show(Shown(upper, lower, kind, amount_minor))

    def open_drawer(self) -> None:
        """Open the drawer, at once and before any paper; the event `DrawerMoved` says what came of it."""
        if self._printer is not None:
            self._printer.open_drawer()
        else:
            self._on_event(DrawerMoved(None, UNSET))

    def receipt_queued(self) -> None:
        """Say that paper was put on the list; without it the list is looked at every second."""
        if self._printer is not None:
            self._printer.wake()

    def print_now(self, layout: Layout) -> None:
        """Print what is no entry (training, a test page): it is not kept when the till stops."""
        if self._printer is not None:
            self._printer.print_now(layout.document())

    def print_trial(self) -> None:
        """Print a page that shows what the printer can do."""
        if self._printer is not None:
            self._printer.print_trial()

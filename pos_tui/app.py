"""Owns the application: it routes keys, scans and messages to the screen on top, and knows no sale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import App

from edge.clock_source import local_time
from edge.device_events import (
    Condition,
    DeviceChanged,
    DrawerMoved,
    FigureKind,
    PaperFailed,
    PaperPrinted,
    PaperUnknown,
    PeripheralStatus,
    Scanned,
    Weighed,
    fault_sentence,
)
from edge.signing_in import sign_out
from edge.survival import survival
from edge.till_status import till_status
from edge.wedge import DuplicateGuard, Scan, Wedge, WedgeDetector
from pos_tui.keys import canonical_key
from pos_tui.launch import is_terminal_gone
from pos_tui.messages import DeviceTold
from pos_tui.preferences import Preferences, write_preferences
from pos_tui.screens.base import TillScreen
from pos_tui.screens.money import money
from pos_tui.screens.status_view import marks
from pos_tui.themes import DARK, THEMES
from pos_tui.warming import AFTER_S, TIDY_AFTER_S, tidy_up, warm_up
from pos_tui.widgets.painting import Span
from pos_tui.widgets.status_line import StatusLine
from schema.rules.promotion_terms import Language
from schema.texts import Texts

if TYPE_CHECKING:
    from textual.await_complete import AwaitComplete

    from edge.device_events import DeviceEvent
    from edge.peripherals import Peripherals
    from edge.selling import Completed
    from edge.signing_in import SignedIn
    from pos_tui.till import Till

SCAN_LENGTH_MIN = 8
"""No scanned code that matters is shorter; what is, reads as typed, whoever typed it."""
BURST_S = 0.030
"""Keys closer together than this come from a scanner, not from fingers."""


STATUS_S = 1.0


class TillApp(App[None]):
    """The till's screen."""

    CSS_PATH = Path(__file__).parent / "till.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar = []
    TITLE = "edgetill"

    def __init__(
        self,
        till: Till,
        *,
        theme: str = "dark",
        renamed_keys: Mapping[str, str] | None = None,
        devices: Peripherals | None = None,
        people: Sequence[str] = (),
        has_hanzi: bool = True,
        is_program: bool = False,
    ) -> None:
        super().__init__()
        self._is_program = is_program
        self.devices = devices
        self.has_hanzi = has_hanzi
        self._people = tuple(people)
        self._guard = DuplicateGuard(till.rules.same_scan_guard_ms / 1000)
        self._touched_s = 0.0
        self.till = till
        self.texts = Texts("pos_tui", till.language)
        self.renamed_keys = dict(till.rules.keys if renamed_keys is None else renamed_keys)
        self._wedge = WedgeDetector(length_min=SCAN_LENGTH_MIN)
        self._last_key_s = float("-inf")
        self._typed_on: TillScreen[Any] | None = None
        self._typed = 0
        for one in THEMES.values():
            self.register_theme(one)
        self.theme = THEMES.get(theme, DARK).name
        self.animation_level = "none"

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
        self._touched_s = monotonic()
        character = event.character if event.is_printable else None
        verdict = self._wedge.key(character or event.key, event.time)
        gap_s, self._last_key_s = event.time - self._last_key_s, event.time
        if verdict.kind is Wedge.ECHO:
            return
        if verdict.kind is Wedge.SCANNED and verdict.scan is not None:
            is_repeated = self.till.rules.same_scan_guard_ms > 0 and not self._guard.admits(verdict.scan, event.time)
            self._last_key_s = float("-inf")  # However soon, the next key begins something new.
            typed = min(verdict.typed_length, self._typed) if self._typed_on is screen else 0
            self._typed = 0
            self._take_scan(screen, verdict.scan, typed, is_repeated=is_repeated)
            return
        key = canonical_key(event.key, character)
        if self._typed_on is not screen:  # What a scan typed before a dialog came or went is not here.
            self._typed_on, self._typed = screen, 0
        self._typed += character is not None
        if key == "enter":  # It ends what came before it, a slow scanner's code as well.
            self._last_key_s = float("-inf")
        screen.take_key(key, character, is_burst=character is not None and gap_s < BURST_S)

    def restart_wedge(self) -> None:
        """Forget the keys before one that did something: a scan right behind it has its own."""
        self._wedge.restart()

    def _take_scan(self, screen: TillScreen[Any], scan: Scan, typed_length: int, *, is_repeated: bool) -> None:
        screen.take_scan(scan, typed_length, is_repeated=is_repeated)

    # Devices: their threads tell, messages bring it here

    def on_mount(self) -> None:
        """Show the sign-in; devices begin to tell."""
        from pos_tui.screens.sign_in import SignInScreen

        self.push_screen(SignInScreen())
        self.set_interval(STATUS_S, self._each_second)
        if self._is_program:  # Within another program, a test, the collector is not ours.
            self.set_timer(AFTER_S, warm_up)
        if self.devices is not None:
            self.devices.start(self._hear_device)

    def _hear_device(self, event: DeviceEvent) -> None:
        self.post_message(DeviceTold(event))

    def on_device_told(self, message: DeviceTold) -> None:
        """Hand what a device said to the screen that it concerns."""
        screen, event = self.screen, message.event
        if not isinstance(screen, TillScreen):
            return
        match event:
            case Scanned(text, aim, is_repeated):
                self._touched_s = monotonic()
                self._take_scan(screen, Scan(text, aim), 0, is_repeated=is_repeated)
            case Weighed():
                screen.weighed(event)
            case DeviceChanged(state):
                self.refresh_status()
                if state.fault:
                    screen.say(state.sentence(self.texts), "warn")
            case DrawerMoved(_, fault):
                if fault:
                    screen.say(fault_sentence(self.texts, fault, self.texts("device.drawer")), "warn")
            case PaperUnknown():
                screen.paper_unknown(event)
            case PaperFailed(_, _, fault):
                screen.say(fault_sentence(self.texts, fault, self.texts("device.printer")), "warn")
            case PaperPrinted():
                self.refresh_status()

    @property
    def has_scale(self) -> bool:
        """Tell whether this till has a scale."""
        return self.device_status().scale.condition is not Condition.UNSET

    def device_status(self) -> PeripheralStatus:
        """Return how every device is."""
        return PeripheralStatus() if self.devices is None else self.devices.status()

    def watch_scale(self, is_on: bool) -> None:
        """Have the scale tell every change, or stop."""
        if self.devices is not None:
            self.devices.watch_scale(is_on)

    def open_drawer(self) -> None:
        """Open the drawer."""
        if self.devices is not None:
            self.devices.open_drawer()

    def paper_queued(self) -> None:
        """Have the printer look at its list."""
        if self.devices is not None:
            self.devices.receipt_queued()

    def sale_completed(self) -> None:
        """Let the drawer open for cash, the receipt be printed, and the customer see the change."""
        done, practised = self.till.done, self.till.practised
        if self.till.is_training and practised is not None and self.devices is not None and self.till.prints:
            self.devices.print_now(practised.paper)
        if done is None or self.till.is_training:
            return
        if self.till.rules.opens_drawer_for_cash and any(one.means == "cash" for one in done.payments):
            self.open_drawer()
        self.paper_queued()
        self.show_customer(self.texts("display.change"), money(done.change_minor), FigureKind.CHANGE, done.change_minor)

    def refund_completed(self, completed: Completed) -> None:
        """Open the drawer for what goes back in cash, and keep on the screen what is to be given."""
        tenders = self.till.note_refund(completed)
        if any(one.means == "cash" for one in tenders):
            self.open_drawer()
        self.paper_queued()

    def print_test(self) -> bool:
        """Print a page that tests the printer; False where there is none."""
        if self.devices is None or self.device_status().printer.condition is Condition.UNSET:
            return False
        self.devices.print_now(self.till.test_page(self.texts))
        return True

    def show_basket_to_customer(self) -> None:
        """Show the customer the line that was added last, and the total."""
        priced = self.till.priced
        if self.devices is None or not priced.lines:
            return
        last = priced.lines[-1]
        self.show_customer(
            f"{last.line.name} {money(last.amount_minor)}",
            f"{self.texts('display.total')} {money(priced.total_minor)}",
            FigureKind.TOTAL,
            priced.total_minor,
        )

    def show_customer(self, upper: str, lower: str, kind: FigureKind, amount_minor: int | None) -> None:
        """Show the customer what goes on."""
        if self.devices is not None:
            self.devices.show(upper, lower, kind=kind, amount_minor=amount_minor)

    def pop_screen(self) -> AwaitComplete:
        """Go back to the screen below; what this one leaves is collected once that is painted."""
        if self._is_program:
            self.set_timer(TIDY_AFTER_S, tidy_up)
        return super().pop_screen()

    # Who works here

    def demo_people(self) -> list[str]:
        """Name the people of a demonstration with their PINs; nobody elsewhere."""
        return list(self._people)

    def signed_in(self, signed_in: SignedIn, *, was_locked: bool) -> None:
        """Go on where the till was locked, or begin to sell."""
        from pos_tui.screens.sale import SaleScreen

        self.till.operator = signed_in
        if was_locked:
            self.pop_screen()
            return
        draft = self.till.restore_draft() if self.till.basket.is_empty else None
        self.switch_screen(SaleScreen(draft, asks_lease=signed_in.is_lease_lapsed and not signed_in.limits.approves))

    # The top line

    def status(self) -> tuple[list[Span], list[Span]]:
        """Return what stands left and right in the top line."""
        till, config = self.till, self.till.node.config
        clock = local_time(till.node.now_ms(), config.time_zone).strftime("%H:%M")
        left = [Span(config.till, "bar")]
        if till.operator is not None:
            left.append(Span(f" · {till.operator.name}", "bar"))
        status = till_status(till.node)
        kept = survival(till.node)
        return left, marks(status, kept, self.device_status(), clock, self.texts, is_training=till.is_training)

    def _each_second(self) -> None:
        # Where a shell had its hang-ups ignored nothing else tells, and reading a closed terminal never waits.
        if self._is_program and is_terminal_gone():
            self.exit()
            return
        self._follow_rules()
        self.refresh_status()
        minutes = self.till.rules.lock_after_minutes
        if minutes and monotonic() - self._touched_s > minutes * 60:
            self.lock()

    def _follow_rules(self) -> None:
        """Behave as the shop's rules say now: the hub may have changed them since the till was started."""
        if not self.till.follow_rules():
            return
        rules = self.till.rules
        self._guard.window_s = rules.same_scan_guard_ms / 1000
        if self.devices is not None:
            self.devices.guard_scans(rules.same_scan_guard_ms)
        self.renamed_keys = dict(rules.keys)
        for screen in self.screen_stack:
            if isinstance(screen, TillScreen):
                screen.rename_keys()

    def refresh_status(self) -> None:
        """State the top line of the screen that has one."""
        for screen in reversed(self.screen_stack):
            if isinstance(screen, TillScreen) and screen.query(StatusLine):
                screen.show_status()
                return

    def sign_out(self) -> None:
        """Let somebody else sign in; the basket stays for them."""
        from pos_tui.screens.sign_in import SignInScreen

        if self.till.operator is not None:
            sign_out(self.till.node, self.till.operator.operator)
        self.till.operator = None
        while len(self.screen_stack) > 2:
            self.pop_screen()
        self.switch_screen(SignInScreen())

    def switch_training(self) -> None:
        """Begin to train, or stop; a basket in hand is paid or parked first."""
        screen = self.screen
        if not self.till.basket.is_empty:
            if isinstance(screen, TillScreen):
                screen.say(self.texts("training.basket"), "warn")
            return
        if self.till.is_training:
            self.till.end_training()
        else:
            self.till.begin_training()
        for one in self.screen_stack:
            one.set_class(self.till.is_training, "-training")
        if isinstance(screen, TillScreen):
            screen.say(self.texts("training.begun" if self.till.is_training else "training.ended"), "warn")
        self.refresh_status()

    # Language and lock

    def switch_language(self) -> None:
        """Show everything in the other language."""
        other = Language.EN if self.till.language is Language.ZH else Language.ZH
        if other is Language.ZH and not self.has_hanzi:
            if isinstance(self.screen, TillScreen):
                self.screen.say(self.texts("console.no_hanzi"), "warn")
            return
        self.till.language = other
        self.remember()
        self.texts = Texts("pos_tui", other)
        self.till.price_again()
        for screen in self.screen_stack:
            if isinstance(screen, TillScreen):
                screen.retranslate()

    def switch_theme(self) -> None:
        """Show dark on light, or light on dark."""
        self.theme = next(one.name for one in THEMES.values() if one.name != self.theme)
        self.remember()

    def remember(self) -> None:
        """Keep language and colours for the next start."""
        theme = next(name for name, one in THEMES.items() if one.name == self.theme)
        write_preferences(self.till.node.directory, Preferences(self.till.language, theme))

    def lock(self) -> None:
        """Ask for a PIN before anything else happens; what is below stays as it is."""
        from pos_tui.screens.sign_in import SignInScreen

        if self.till.operator is not None and not isinstance(self.screen, SignInScreen):
            self.push_screen(SignInScreen(is_lock=True))

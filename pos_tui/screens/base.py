"""Owns what every screen shares: its keys, its texts, its questions, and how a refusal is said."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, TypeVar, cast

from textual.await_complete import AwaitComplete
from textual.containers import Vertical
from textual.screen import Screen

from pos_tui.keys import Act, KeyTable, act, shown_key
from pos_tui.messages import KeyBarPressed, RowPointedAt
from pos_tui.widgets.entry_line import EntryLine
from pos_tui.widgets.key_bar import BarKey, KeyBar
from pos_tui.widgets.listing import Listing
from pos_tui.widgets.status_line import MessageLine, StatusLine
from schema.errors import CorruptionError, EdgetillError

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.timer import Timer

    from edge.device_events import PaperUnknown, Weighed
    from edge.wedge import Scan
    from pos_tui.app import TillApp
    from pos_tui.till import Till

ResultT = TypeVar("ResultT")
AnswerT = TypeVar("AnswerT")
BURST_OVER_S: Final = 0.06
"""So long after its last key a burst that ended in no scan is typed text."""
CHOICE_DELAY_S: Final = 0.06
"""A digit or letter acts after this silence, so that the first character of a scan chooses and answers nothing."""
PRACTICE_ONLY: Final = frozenset({"file_read_only"})
"""How the node of a till in training refuses to record anything."""
COMMON: Final = (act("help", "f1"), act("language", "f11", on_bar=False), act("lock", "f12", on_bar=False))


class _Held(NamedTuple):
    """A key that acts once no scan has followed it, with the timer that waits for that."""

    key: str
    character: str
    timer: Timer


class TillScreen(Screen[ResultT]):
    """A screen whose keys are acts: a key finds an act, else it types into the entry line.

    A subclass names itself (`NAME`), declares `ACTS`, and has a method `act_<name>` for each; `entered` takes what was
    typed and `show` states all its widgets anew, in the language of the moment. Where nothing can be typed, a digit
    chooses the row of that number in a numbered list.
    """

    NAME: ClassVar[str] = ""
    ACTS: ClassVar[tuple[Act, ...]] = ()
    COMMON: ClassVar[tuple[Act, ...]] = COMMON
    AUTO_FOCUS = None
    HORIZONTAL_BREAKPOINTS = [  # noqa: RUF012 - Textual declares it so
        (0, "-narrow"),
        (100, "-wide"),
    ]
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012
        (0, "-low"),
        (30, "-high"),
    ]
    entry: EntryLine | None = None
    listing: Listing | None = None

    def __init__(self) -> None:
        super().__init__()
        self._keys: KeyTable | None = None
        self._early: list[Callable[[TillScreen[Any]], None]] = []
        self._settling: Timer | None = None
        self._held: _Held | None = None
        self._is_asking = False
        self._is_shown = False

    @property
    def till_app(self) -> TillApp:
        """The application."""
        return cast("TillApp", self.app)

    @property
    def till(self) -> Till:
        """What the screens share."""
        return self.till_app.till

    def t(self, name: str, /, **facts: object) -> str:
        """Return a text in the language of the moment."""
        return self.till_app.texts(name, **facts)

    @property
    def key_table(self) -> KeyTable:
        """The keys of this screen as the shop has them."""
        if self._keys is None:
            self._keys = KeyTable(self.NAME, (*self.ACTS, *self.COMMON), self.till_app.renamed_keys)
        return self._keys

    def compose(self) -> ComposeResult:
        """Put a page of one list together, with a line to type into where there is one; other screens say how."""
        assert self.listing is not None, "a page shows a list"
        yield StatusLine(id="status")
        with Vertical(id="page"):
            yield self.listing
        yield MessageLine(id="message")
        if self.entry is not None:
            yield self.entry
        yield KeyBar(id="keys")

    def rename_keys(self) -> None:
        """Take the shop's own keys anew."""
        self._keys = None
        self.show_keys()

    @property
    def frame(self) -> Vertical:
        """The frame around a page's list, which carries its title."""
        return self.query_one("#page", Vertical)

    def on_mount(self) -> None:
        """Show everything, then take the keys that came while the screen was being made."""
        self.call_after_refresh(self._begin)
        self.show_keys()

    def _begin(self) -> None:
        self._is_shown = True
        self.show()
        early, self._early = self._early, []
        for taking in early:
            screen = self.app.screen  # one of the keys may have led elsewhere
            if isinstance(screen, TillScreen):
                taking(screen)

    def dismiss(self, result: ResultT | None = None) -> AwaitComplete:
        """Leave the screen with a result; a second time changes nothing."""
        if self.app.screen is not self:
            return AwaitComplete()
        left: AwaitComplete = super().dismiss(result)
        return left

    def on_screen_resume(self) -> None:
        """Come back from a screen above: who works here and how the line is may have changed."""
        if self._is_shown:
            self.show_status()

    def show(self) -> None:
        """State all widgets anew."""

    def retranslate(self) -> None:
        """Show everything in the other language."""
        self.show_keys()
        if self._is_shown:
            self.show()

    def show_status(self) -> None:
        """State the top line."""
        for line in self.query(StatusLine):
            line.show(*self.till_app.status())

    def label_of(self, one: Act) -> str:
        """Return the short label of an act."""
        own = f"act.{self.NAME}.{one.name}"
        return self.t(own) if self.till_app.texts.has(own) else self.t(f"act.{one.name}")

    def show_keys(self) -> None:
        """State the key bar."""
        keys = [
            BarKey(one.name, shown_key(one.keys[0]), self.label_of(one))
            for one in self.key_table.acts
            if one.on_bar and one.keys and self.offers(one.name)
        ]
        for bar in self.query(KeyBar):
            bar.show(keys)

    def offers(self, _name: str) -> bool:
        """Tell whether an act makes sense here and now; the key bar leaves others out."""
        return True

    # Keys

    def take_key(self, key: str, character: str | None, *, is_burst: bool = False) -> None:
        """Take one key, by its canonical name and what it types.

        Keys of a burst follow each other faster than people type: they are text whatever they mean alone, and are
        painted when the burst is over, if no scan has taken them by then. A digit or letter that would act waits for
        a moment: it may be the first of a burst.
        """
        if not self._is_shown:
            self._early.append(lambda screen: screen.take_key(key, character, is_burst=is_burst))
            return
        is_text = character is not None and len(key) == 1
        if self._held is not None:
            self._let_go(is_typed=is_text)
            screen = self.app.screen
            if screen is not self:  # what was held led elsewhere
                if isinstance(screen, TillScreen):
                    screen.take_key(key, character, is_burst=is_burst)
                return
        if is_text and is_burst:
            if self.entry is not None:
                self.entry.type(key, character, is_painted=False)
                self._settle_later()
            return
        found = self._act_of(key, is_text=is_text)
        if character is not None and key.isalnum() and (found is not None or self._is_number(key)):
            self._held = _Held(key, character, self.set_timer(CHOICE_DELAY_S, self._let_go))
        elif found is not None:
            self.perform(found.name)
        elif key == "enter":
            self.entered(self.entry.take() if self.entry is not None else "")
        elif key == "escape":
            self.escaped()
        elif self.entry is not None and self.entry.type(key, character):
            self.typed()
        elif self.listing is not None:
            self._move(self.listing, key)

    def _act_of(self, key: str, *, is_text: bool) -> Act | None:
        return None if is_text and self.entry is not None and self.entry.text else self.key_table.act_of(key)

    def _is_number(self, key: str) -> bool:
        """Tell whether a key is the number of a row here."""
        is_numbered = self.entry is None and self.listing is not None and self.listing.is_numbered
        return is_numbered and len(key) == 1 and key in "123456789"

    def _let_go(self, *, is_typed: bool = False) -> None:
        """Do what the held key means; text that followed it at once says that it was the first of a text."""
        held, self._held = self._held, None
        if held is None:
            return
        held.timer.stop()
        if self.app.screen is not self:  # something came over this screen meanwhile: the key is not meant for that
            return
        found = self._act_of(held.key, is_text=True)
        if is_typed:
            if self.entry is not None:
                self.entry.type(held.key, held.character)
        elif found is not None:
            self.perform(found.name)
        else:
            self.till_app.restart_wedge()
            with self.saying():
                self._choose_row(int(held.key) - 1)

    def _choose_row(self, number: int) -> None:
        assert self.listing is not None
        place = self.listing.first_shown() + number
        if place < self.listing.number:
            self.listing.select(place)
            self.entered("")
        else:
            self.app.bell()

    def _settle_later(self) -> None:
        if self._settling is None:
            self._settling = self.set_timer(BURST_OVER_S, self._settled)
        else:
            self._settling.reset()

    def _settled(self) -> None:
        self._settling = None
        if self.entry is not None:
            self.entry.update()
            if self.entry.text:
                self.typed()

    def _move(self, listing: Listing, key: str) -> None:
        match key:
            case "up":
                listing.move(-1)
            case "down":
                listing.move(1)
            case "pageup":
                listing.page(-1)
            case "pagedown":
                listing.page(1)
            case "home":
                listing.select(0)
            case "end":
                listing.select(listing.number - 1)
            case _:
                return
        self.moved()

    def take_text(self, text: str) -> None:
        """Take text that was pasted or committed by an input method: it types, and is never a scan."""
        if not self._is_shown:
            self._early.append(lambda screen: screen.take_text(text))
        elif self.entry is not None:
            for char in text:
                self.entry.type(char, char)
            self.typed()

    def take_scan(self, scan: Scan, typed_length: int, *, is_repeated: bool = False) -> None:
        """Take a code that a scanner read; what it typed into the entry line goes out again.

        `is_repeated`: the same code was read within the time in which the shop wants to be asked.
        """
        if not self._is_shown:
            del self._early[len(self._early) - typed_length :]
            self._early.append(lambda screen: screen.take_scan(scan, 0, is_repeated=is_repeated))
            return
        if self._settling is not None:
            self._settling.stop()
            self._settling = None
        if self.entry is not None and typed_length:
            self.entry.drop_last(typed_length)
        with self.saying():
            if is_repeated:
                self.scanned_again(scan)
            else:
                self.scanned(scan)

    def perform(self, name: str) -> None:
        """Do an act of this screen."""
        self.till_app.restart_wedge()
        if not self.offers(name):
            self.app.bell()
            return
        with self.saying():
            getattr(self, f"act_{name}")()

    def entered(self, text: str) -> None:
        """Take what was typed when Enter came."""

    def escaped(self) -> None:
        """Take Escape: empty the entry line first, then go back."""
        if self.entry is not None and self.entry.text:
            self.entry.set_text("")
            self.typed()
        else:
            self.back()

    def back(self) -> None:
        """Leave the screen with nothing done."""
        self.dismiss(None)

    def typed(self) -> None:
        """Note that the entry line changed."""

    def moved(self) -> None:
        """Note that another row is selected."""

    def scanned(self, _scan: Scan) -> None:
        """Take a scanned code; a screen that has no use for it says so."""
        self.app.bell()
        self.say(self.t("scan.not_here"), "warn")

    def scanned_again(self, scan: Scan) -> None:
        """Take a code that was read just before as well."""
        self.scanned(scan)

    def weighed(self, _weighed: Weighed) -> None:
        """Take what the scale says now."""

    def paper_unknown(self, _event: PaperUnknown) -> None:
        """Hear that nobody knows whether a receipt is on paper; the top line shows it until somebody answers."""
        self.say(self.t("paper.ask"), "warn")

    # Acts of every screen

    def act_help(self) -> None:
        """Show the keys of this screen."""
        from pos_tui.screens.help import HelpScreen

        self.app.push_screen(HelpScreen(self))

    def act_language(self) -> None:
        """Switch between Chinese and English."""
        self.till_app.switch_language()

    def act_lock(self) -> None:
        """Lock the till; the basket stays."""
        self.till_app.lock()

    def act_back(self) -> None:
        """Leave the screen."""
        self.back()

    # The mouse

    def on_key_bar_pressed(self, message: KeyBarPressed) -> None:
        """Do what the key bar says."""
        message.stop()
        self.perform(message.act)

    def on_row_pointed_at(self, message: RowPointedAt) -> None:
        """Select a row; pointing at it again chooses it."""
        message.stop()
        if self.listing is None:
            return
        if message.is_again:
            self.entered("")
        else:
            self.listing.select(message.index)
            self.moved()

    # Saying and asking

    def say(self, text: str, tone: str = "") -> None:
        """Say something in the message line."""
        for line in self.query(MessageLine):
            line.show(text, tone)
            return

    @contextmanager
    def saying(self) -> Iterator[None]:
        """Say a refusal of the node in the cashier's language; after a failure of the disk the file is opened anew."""
        try:
            yield
        except CorruptionError as error:
            self._survive(error)
        except EdgetillError as error:
            self.app.bell()
            is_practice = self.till.is_training and error.code in PRACTICE_ONLY
            self.say(self.t("training.not_here") if is_practice else self.till_app.texts.refusal(error), "bad")

    def _survive(self, error: CorruptionError) -> None:
        """Go on with a file that was verified after the disk failed; end the till in a sentence where it cannot be."""
        self.app.bell()
        try:
            if error.code != "not_recorded" or self.till.is_training:
                raise error
            self.till.reopen()
        except EdgetillError as worse:
            self.app.exit(return_code=1, message=self.till_app.texts.refusal(worse))
            return
        self.say(self.t("survival.reopened"), "bad")

    def converse(self, conversation: Coroutine[Any, Any, None]) -> None:
        """Begin a conversation of several questions; one at a time."""
        if self._is_asking:
            conversation.close()
            return
        self._is_asking = True
        self.run_worker(self._conversing(conversation), name=self.NAME, group="conversation")

    async def _conversing(self, conversation: Coroutine[Any, Any, None]) -> None:
        try:
            with self.saying():
                await conversation
        finally:
            self._is_asking = False

    async def ask(self, screen: TillScreen[AnswerT]) -> AnswerT | None:
        """Show a screen over this one and wait for its answer; None when the cashier went back."""
        answered: asyncio.Future[AnswerT | None] = asyncio.get_running_loop().create_future()

        def answer(result: AnswerT | None) -> None:
            if not answered.done():
                answered.set_result(result)

        await self.app.push_screen(screen, answer)
        return await answered

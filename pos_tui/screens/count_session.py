"""Owns the screen on which shelves are counted: a scan adds one, a number is the whole line, `+` goes on to check."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.containers import Container

from edge.catalog import product_of
from edge.count_answers import pending_papers
from edge.count_lines import CountSheet, SheetLine, drop_line, is_open, record_quiet_lines, touch_line
from edge.counting import CLOCK_BOUND_MS_MAX, open_looks, record_looks, session_of
from edge.keyed import keyed_quantity
from edge.search import SearchHit, search
from edge.settings import setting
from edge.stock import on_hand
from pos_tui.keys import act
from pos_tui.screens.count_codes import ReadingScreen
from pos_tui.screens.dialogs import Choice, ChooseScreen, ConfirmScreen
from pos_tui.widgets.entry_line import EntryLine
from pos_tui.widgets.key_bar import KeyBar
from pos_tui.widgets.listing import Column, Listing, Row
from pos_tui.widgets.status_line import MessageLine, StatusLine
from pos_tui.widgets.total_panel import Fact, TotalFigures, TotalPanel
from schema.amounts import format_quantity
from schema.errors import RefusalError
from schema.settings import CountRules

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from edge.basket import BasketLine
    from edge.wedge import Scan

BEAT_S = 1.0
"""How often other tills' lines are looked for, and quiet lines of this one recorded."""
WIDE_FROM = 100
CODE_DIGITS_MIN = 4
"""A number of so many digits may be the code of goods."""
QUANTITY_DIGITS_MAX = 6
"""A longer number is a code."""


class CountSessionScreen(ReadingScreen[str]):
    """The lines of one zone, one line to scan and type into, how far the count is; answers what the menu says then."""

    NAME = "count_session"
    ACTS = (
        act("review", "+", "f8"), act("less", "-"), act("zone", "*", "f4"), act("find", "/", "f3"),
        act("papers", "f2"), act("keep", "f5"), act("forget", "delete"), act("back", "escape"),
    )  # fmt: skip

    def __init__(self, session: str) -> None:
        super().__init__()
        self._session = session
        self._zone = ""
        self._zones: tuple[str, ...] = ()
        self._plan: frozenset[str] = frozenset()
        self._sheet: CountSheet
        self._rows: list[Row] = []
        self._products: list[str] = []
        self._places: dict[str, int] = {}
        self._selected = -1
        self._in_zone = self._in_all = 0
        self._others: dict[str, int] = {}
        self._known: dict[str, tuple[str, str, str]] = {}
        self._hits: list[SearchHit] = []
        self._is_searching = False
        self._is_finding = False
        self._is_begun = False
        self._rules = CountRules()
        self.listing = Listing(id="lines")
        self.total = TotalPanel(id="total")
        self.message = MessageLine(id="message")
        self.entry = EntryLine(id="entry")

    def compose(self) -> ComposeResult:
        """Put the screen together."""
        assert self.entry is not None
        assert self.listing is not None
        yield StatusLine(id="status")
        with Container(id="body"):
            yield self.listing
            yield self.total
            yield self.message
        yield self.entry
        yield KeyBar(id="keys")

    # Showing

    def show(self) -> None:
        """State everything anew; the first time the zone and the open papers are asked about."""
        if not self._is_begun:
            self._begin_count()
        self.show_status()
        self._read_zone()
        if self._is_searching:
            self.typed()
        self.show_keys()

    def _begin_count(self) -> None:
        self._is_begun = True
        node = self.till.node
        found = session_of(node, self._session)
        assert found is not None, "the menu offers counts that are here"
        self._zones, self._plan = found.zones, frozenset(found.products)
        self._rules = setting(node, CountRules)
        self._sheet = CountSheet(node, self._session)
        waiting = open_looks(node, self._session)
        self._zone = max(waiting, key=lambda one: one.hi_ms).zone if waiting else (found.zones or ("",))[0]
        self.set_interval(BEAT_S, self._beat)
        self.converse(self._open(asks_zone=len(found.zones) > 1 and not waiting))

    async def _open(self, *, asks_zone: bool) -> None:
        bound_ms = self.till.node.state().clock.bound_ms()
        if bound_ms is None or bound_ms > CLOCK_BOUND_MS_MAX:
            self.say(self.t("stock_count.clock"), "warn")
        if asks_zone:
            await self._choose_zone()
        if pending_papers(self.till.node, self._session):
            await self._ask_papers()

    def offers(self, name: str) -> bool:
        """The zone is asked for only where there are several."""
        return name != "zone" or len(self._zones) > 1

    def _read_zone(self, product: str = "") -> None:
        """State the lines of the zone; `product` is selected, else what was."""
        wanted = product or self._product_in_hand()
        lines = self._sheet.of_zone(self._zone)
        self._products = [line.product for line in lines]
        self._places = {code: place for place, code in enumerate(self._products)}
        self._rows = [self._row(place, line) for place, line in enumerate(lines)]
        self._selected = self._places.get(wanted, len(lines) - 1)
        self._add_up()
        self._paint()

    def _add_up(self) -> None:
        """Count how far the plan is, and what the other tills have recorded."""
        counted = self._sheet.counted()
        needed = len(self._zones) or 1
        self._in_all = sum(1 for code in self._plan if len(counted.get(code, ())) >= needed)
        self._in_zone = sum(1 for code in self._plan if self._zone in counted.get(code, ()))
        self._others = {}
        for line in self._sheet.lines.values():
            if line.till:
                self._others[line.till] = self._others.get(line.till, 0) + 1

    def _product_in_hand(self) -> str:
        return self._products[self._selected] if 0 <= self._selected < len(self._products) else ""

    def _called(self, product: str) -> tuple[str, str, str]:
        """Return a product's name with size, its unit as people call it, and a barcode."""
        known = self._known.get(product)
        if known is None:
            found = product_of(self.till.node, product)
            if found is None:
                known = (product, "", product)
            else:
                goods = found.product
                barcode = next((code for code, unit in goods.barcodes if unit in {"", goods.unit}), goods.code)
                unit = goods.unit if goods.is_weighed else goods.unit_name
                known = (f"{goods.name} {goods.spec}".strip(), unit, barcode)
            self._known[product] = known
        return known

    def _row(self, place: int, line: SheetLine) -> Row:
        name, unit, barcode = self._called(line.product)
        where = line.till or self.t("stock_count.waits")
        style = "" if not line.till else "muted"
        if self._plan and line.product not in self._plan:
            name = f"{name} {self.t('stock_count.unplanned')}"
        return Row((str(place + 1), name, barcode, f"{format_quantity(line.quantity_milli)}{unit}", where), style)

    def _paint(self) -> None:
        assert self.listing is not None
        assert self.entry is not None
        t = self.till_app.texts
        columns = (
            Column("#", 4, "right"), Column(t("sale.goods")), Column(t("sale.code"), 13, from_width=76),
            Column(t("stock_count.counted"), 10, "right"), Column(t("stock_count.where"), 8),
        )  # fmt: skip
        empty = (t("stock_count.empty"), t("stock_count.empty_hint"))
        self.listing.show(columns, self._rows, selected=self._selected, empty=empty, has_cursor=True)
        self._selected = self.listing.selected
        self._paint_panel()
        name = self._called(self._product_in_hand())[0] if self._products else ""
        hint = t("stock_count.hint_line", name=name) if name else t("stock_count.hint")
        self.entry.show(t("stock_count.prompt"), hint)

    def _paint_panel(self) -> None:
        t = self.till_app.texts
        product = self._product_in_hand()
        facts = []
        if self._zone:
            facts.append(Fact(t("stock_count.zone"), self._zone, "accent"))
        facts.append(Fact(t("stock_count.lines"), str(len(self._rows))))
        if self._plan:
            facts.append(Fact(t("stock_count.of_plan"), f"{self._in_zone}/{len(self._plan)}"))
            if len(self._zones) > 1:
                facts.append(Fact(t("stock_count.in_all_zones"), f"{self._in_all}/{len(self._plan)}"))
        if not self._rules.is_blind and product:
            facts.append(Fact(t("stock_count.book"), format_quantity(on_hand(self.till.node, product)[0].value)))
        notes = [Fact(till, t("stock_count.recorded", number=number)) for till, number in sorted(self._others.items())]
        if not product:
            self.total.show(TotalFigures(t("stock_count.counted"), "0", "muted", tuple(facts), tuple(notes)))
            return
        line = self._sheet.lines[product, self._zone]
        _, unit, _ = self._called(product)
        # Beside the list there is room for the name; below it the figure is close to its row.
        label = self._called(product)[0] if self.size.width >= WIDE_FROM else unit or t("stock_count.counted")
        self.total.show(TotalFigures(label, format_quantity(line.quantity_milli), "big", tuple(facts), tuple(notes)))

    def moved(self) -> None:
        """Show the line that was pointed at."""
        assert self.listing is not None
        if not self._is_searching:
            self._selected = self.listing.selected
            self._paint()

    # Counting

    def scanned(self, scan: Scan) -> None:
        """Take a scanned code; what stands in the entry line may multiply it."""
        self._leave_search()
        self.take_scanned(scan)

    def entered(self, text: str) -> None:
        """Take a typed code or name, a chosen search result, or the quantity of the line in hand."""
        assert self.listing is not None
        if self._hits and self._is_searching:
            hit = self._hits[max(0, self.listing.selected)]
            self._leave_search()
            self._pick(hit.code, None)
            return
        was_finding = self._is_finding
        self._leave_search()
        if not text:
            return
        with self.saying():
            if was_finding or not self._is_quantity(text):
                self.take_code(text)
            elif len(text) < CODE_DIGITS_MIN or product_of(self.till.node, text) is None:
                self._state(keyed_quantity(text))
            elif not self._products:
                self.take_code(text)
            else:
                self.converse(self._quantity_or_code(text))

    @staticmethod
    def _is_quantity(text: str) -> bool:
        return text.replace(".", "", 1).isdigit() and text.isascii() and len(text) <= QUANTITY_DIGITS_MAX

    async def _quantity_or_code(self, text: str) -> None:
        """Ask which of two things a number is: so many of the line in hand, or the code of other goods."""
        in_hand = self._called(self._product_in_hand())[0]
        choices = [
            Choice("code", self.till.product_name(text), self.t("search.code")),
            Choice("quantity", self.t("stock_count.so_many", name=in_hand, number=text)),
        ]
        what = await self.ask(ChooseScreen(self.t("stock_count.which_number", number=text), choices))
        if what == "quantity":
            self._state(keyed_quantity(text))
        elif what == "code":
            self.call_later(self._pick, text, None)

    def _state(self, quantity_milli: int) -> None:
        """Take a number as the whole of the line in hand."""
        product = self._product_in_hand()
        if not product:
            raise RefusalError("count_line_missing", "scan the goods first, then key how many there are")
        found = product_of(self.till.node, product)
        if quantity_milli % 1000 and found is not None and not found.product.is_weighed:
            self.app.bell()
            self.say(self.t("stock_count.broken", name=self._called(product)[0]), "warn")
            return
        self._touch(product, quantity_milli, is_total=True)

    def counted(self, line: BasketLine, quantity_milli: int) -> None:
        """Add what was seen to its line."""
        self._touch(line.product, quantity_milli)

    def _touch(self, product: str, quantity_milli: int, *, is_total: bool = False, is_anew: bool = False) -> None:
        try:
            touched = touch_line(
                self.till.node, self._session, self._zone, product, quantity_milli, operator=self.till.operator_id,
                is_total=is_total, is_anew=is_anew,
            )  # fmt: skip
        except RefusalError as refusal:
            if refusal.code != "line_recorded":
                raise
            self.app.bell()
            self.converse(self._count_anew(product, quantity_milli, refusal))
            return
        line = self._sheet.put(touched.look)
        place = self._places.get(product)
        if place is None:
            place = self._places[product] = len(self._products)
            self._products.append(product)
            self._rows.append(self._row(place, line))
            if product in self._plan:
                self._in_zone += 1
                zones = sum(1 for zone in self._zones or ("",) if (product, zone) in self._sheet.lines)
                self._in_all += zones == (len(self._zones) or 1)
        else:
            self._rows[place] = self._row(place, line)
        self._selected = place
        self._paint()
        name, unit, _ = self._called(product)
        total = f"{format_quantity(line.quantity_milli)}{unit}"
        if touched.before_milli is not None:
            before = f"{format_quantity(touched.before_milli)}{unit}"
            self.say(self.t("stock_count.went_on", name=name, before=before, total=total), "warn")
        else:
            self.say(self.t("stock_count.counts", name=name, total=total))

    async def _count_anew(self, product: str, quantity_milli: int, refusal: RefusalError) -> None:
        """Ask whether a line that stands already is counted again from nothing."""
        name, unit, _ = self._called(product)
        was = refusal.facts.get("quantity_milli", 0)
        facts = {
            "name": name, "till": refusal.facts.get("till", ""),
            "quantity": f"{format_quantity(was if isinstance(was, int) else 0)}{unit}",
        }  # fmt: skip
        is_moved = bool(refusal.facts.get("is_moved"))
        text = self.t("stock_count.moved_text" if is_moved else "stock_count.anew_text", **facts)
        if await self.ask(ConfirmScreen(self.t("stock_count.anew"), text)):
            self._touch(product, quantity_milli, is_anew=True)

    def act_less(self) -> None:
        """Take one back of the line in hand."""
        product = self._product_in_hand()
        if product:
            self._touch(product, -1000)

    def act_forget(self) -> None:
        """Forget the line in hand, unless it is recorded."""
        product = self._product_in_hand()
        if not product:
            return
        if self._sheet.lines[product, self._zone].till:
            self.say(self.t("stock_count.is_recorded"), "warn")
            return
        drop_line(self.till.node, self._session, self._zone, product)
        self._sheet.dropped(product, self._zone)
        self._read_zone()
        self.say(self.t("stock_count.forgotten", name=self._called(product)[0]))

    # Search

    def typed(self) -> None:
        """Search as one types a name; numbers are quantities or codes."""
        assert self.entry is not None
        assert self.listing is not None
        text = self.entry.text
        if not self._is_searched(text):
            if self._is_searching:
                self._hits, self._is_searching = [], False
                self._paint()
            return
        self._is_searching = True
        self._hits = search(self.till.node, text.partition("*")[2] or text, 30)
        t = self.till_app.texts
        columns = (Column(t("search.code"), 8), Column(t("search.goods")), Column(t("search.barcode"), 14))
        rows = [Row((hit.code, f"{hit.name} {hit.spec}".strip(), hit.barcode)) for hit in self._hits]
        empty = (t("search.nothing", text=text), t("search.nothing_hint"))
        self.listing.show(columns, rows, selected=0, empty=empty, has_cursor=True)

    def _is_searched(self, text: str) -> bool:
        rest = text.partition("*")[2] if "*" in text else text
        return bool(rest.strip()) and (self._is_finding or not rest[:1].isascii() or rest[:1].isalpha())

    def _leave_search(self) -> None:
        if self._is_searching or self._is_finding:
            self._hits, self._is_searching, self._is_finding = [], False, False
            self._paint()

    def act_find(self) -> None:
        """Have what is typed next sought, numbers as well."""
        assert self.entry is not None
        self._is_finding = True
        self.entry.show(self.t("stock_count.find"), self.t("stock_count.find_hint"))

    # Zones and papers

    def act_zone(self) -> None:
        """Go on in another zone."""
        self.converse(self._choose_zone())

    async def _choose_zone(self) -> None:
        by_zone: dict[str, int] = {}
        for _, zone in self._sheet.lines:
            by_zone[zone] = by_zone.get(zone, 0) + 1
        choices = [
            Choice(zone, zone, self.t("stock_count.zone_lines", number=by_zone.get(zone, 0))) for zone in self._zones
        ]
        chosen = await self.ask(
            ChooseScreen(
                self.t("stock_count.zone_title"), choices, self.t("stock_count.zone_text"),
                selected=self._zones.index(self._zone),
            )
        )  # fmt: skip
        if chosen is not None:
            self._zone = chosen
            self._selected = -1
            self._read_zone()
            self.say(self.t("stock_count.zone_now", zone=chosen), "good")

    def act_papers(self) -> None:
        """Say again which deliveries and returns are on the shelf."""
        self.converse(self._ask_papers(with_answered=True))

    async def _ask_papers(self, *, with_answered: bool = False) -> None:
        from pos_tui.screens.count_papers import CountPapersScreen

        papers = pending_papers(self.till.node, self._session, with_answered=with_answered)
        if not papers:
            self.say(self.t("stock_count.no_papers"))
            return
        await self.ask(CountPapersScreen(self._session, papers))

    # Keeping

    def _beat(self) -> None:
        """Look for other tills' lines, and record what nobody has touched for a while."""
        if self.app.screen is not self or self.till.is_training:
            return
        with self.saying():
            product = self._product_in_hand()
            if not is_open(self.till.node, self._session):
                self._closed_elsewhere()
                return
            quiet_ms = self._rules.record_after_seconds * 1000
            record_quiet_lines(self.till.node, self._session, quiet_ms=quiet_ms, keep=(product, self._zone))
            changed = self._sheet.refresh()
            if changed and not self._is_searching:
                if self._zone in changed:
                    self._read_zone()
                else:
                    self._add_up()
                    self._paint_panel()

    def _closed_elsewhere(self) -> None:
        """Record what waits here all the same: it was seen; then leave."""
        number = len(self._record())
        self.dismiss(self.t("stock_count.closed_elsewhere", number=number))

    def _record(self) -> tuple[object, ...]:
        if not open_looks(self.till.node, self._session):
            return ()
        return record_looks(self.till.node, self._session, operator=self.till.operator_id)

    def act_keep(self) -> None:
        """Record all that waits here, so that the other tills see it."""
        number = len(self._record())
        self._sheet.refresh()
        self._read_zone()
        self.say(self.t("stock_count.kept", number=number), "good")

    def act_review(self) -> None:
        """Go on to what is missing, to recounts and to the end of the count."""
        self.converse(self._review())

    async def _review(self) -> None:
        from pos_tui.screens.count_review import CountReviewScreen

        number = len(self._record())
        outcome = await self.ask(CountReviewScreen(self._session))
        if outcome is not None:
            is_left = outcome == CountReviewScreen.LEFT
            self.dismiss(self.t("stock_count.kept", number=number) if is_left else "")
            return
        self._sheet = CountSheet(self.till.node, self._session)
        self._read_zone()

    def escaped(self) -> None:
        """Empty the entry line or leave the search first; then record what waits and leave: the count stays open."""
        assert self.entry is not None
        if self.entry.text or self._is_finding or self._is_searching:
            self.entry.set_text("")
            self._leave_search()
            self._paint()
        else:
            self.back()

    def act_back(self) -> None:
        """Leave; the count stays open for this till and the others."""
        self.escaped()

    def back(self) -> None:
        """Record what waits here, and leave."""
        number = len(self._record())
        self.dismiss(self.t("stock_count.kept", number=number) if number else "")

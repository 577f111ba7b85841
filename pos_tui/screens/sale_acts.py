"""Owns the conversations of the sale: discounts, prices, gifts, weights, members, parking, and who must allow what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from edge import basket as baskets
from edge.keyed import keyed_money, keyed_quantity
from edge.limits import Act
from edge.parking import CLEARED
from edge.scanning import PriceNeeded, WeightNeeded, pick
from pos_tui.screens.allowing import AllowingScreen
from pos_tui.screens.dialogs import AskScreen, Choice, ChooseScreen, ConfirmScreen
from pos_tui.screens.money import money
from schema.rules.card_numbers import refuse_card_number

if TYPE_CHECKING:
    from edge.basket import Basket, BasketLine, PricedLine
    from edge.search import SearchHit

PPM_OF_PERCENT_MILLI = 10
"""One thousandth of a percent in parts per million."""


class SaleActs(AllowingScreen[None]):
    """What can be done to a basket beside scanning; the screen below it shows what came of it."""

    def change(self, basket: Basket, *, selected: int | None = None, said: str = "", tone: str = "") -> None:
        """Take a changed basket."""
        raise NotImplementedError

    def add(self, line: BasketLine, warnings: tuple[str, ...] = ()) -> None:
        """Put a line into the basket."""
        raise NotImplementedError

    def selected_line(self) -> int:
        """Return the selected line's place; raises RefusalError where there is none."""
        raise NotImplementedError

    def edit(self, how: Callable[[Basket], Basket], *, said: str = "", tone: str = "") -> None:
        """Change the basket by one of its edits; the selection stays."""
        self.change(how(self.till.basket), said=said, tone=tone)

    def _priced(self) -> tuple[int, PricedLine]:
        place = self.selected_line()
        return place, self.till.priced.lines[place]

    # Lines

    def act_void(self) -> None:
        """Take the selected line out."""
        self.converse(self._void())

    async def _void(self) -> None:
        place, priced = self._priced()
        approver = await self.allowed(Act.VOID, priced.amount_minor)
        if approver is None:
            return
        self.till.record_voids((priced,), approver=approver)
        name = priced.line.name
        self.edit(lambda basket: baskets.void(basket, place), said=self.t("sale.voided", name=name))

    def act_clear(self) -> None:
        """Take everything out, after a question."""
        if not self.till.basket.is_empty:
            self.converse(self._clear())

    async def _clear(self) -> None:
        question = ConfirmScreen(self.t("clear.title"), self.t("clear.text", total=money(self.till.priced.total_minor)))
        if not await self.ask(question):
            return
        approver = await self.allowed(Act.VOID, self.till.priced.total_minor)
        if approver is not None:
            self.till.record_voids(self.till.priced.lines, approver=approver, act=CLEARED)
            self.change(baskets.EMPTY, said=self.t("clear.done"))

    def act_quantity(self) -> None:
        """Ask the quantity of the selected line."""
        self.converse(self._quantity())

    async def _quantity(self) -> None:
        place, priced = self._priced()
        text = await self.ask(
            AskScreen(self.t("quantity.title"), priced.line.name, prompt=self.t("quantity.prompt"),
                      hint=self.t("quantity.hint"), check=keyed_quantity)
        )  # fmt: skip
        if text is not None:
            self.edit(lambda basket: baskets.set_quantity(basket, place, keyed_quantity(text)))

    def act_price(self) -> None:
        """Key a price for the selected line."""
        self.converse(self._price())

    async def _price(self) -> None:
        place, priced = self._priced()
        text = await self.ask(
            AskScreen(self.t("price.title"), self.t("price.text", name=priced.line.name,
                      price=money(priced.list_price_minor)), prompt="￥", check=keyed_money)
        )  # fmt: skip
        if text is not None:
            price_minor = keyed_money(text)
            await self._try_line(
                place,
                Act.OVERRIDE,
                lambda basket, approver: baskets.set_price(basket, place, price_minor, approver=approver),
            )

    def act_gift(self) -> None:
        """Give the selected line away, with a reason; a gift line becomes an ordinary one again."""
        self.converse(self._gift())

    async def _gift(self) -> None:
        place, priced = self._priced()
        if priced.line.gift_reason:
            self.edit(lambda basket: baskets.set_gift(basket, place, ""))
            return
        reasons = tuple(self.t(f"gift.{name}") for name in ("promotion", "apology", "sample", "staff"))
        choices = [Choice(reason, reason) for reason in reasons] + [Choice("", self.t("gift.other"))]
        reason = await self.ask(ChooseScreen(self.t("gift.title"), choices, priced.line.name))
        if reason == "":
            reason = await self.ask(AskScreen(self.t("gift.title"), prompt=self.t("gift.reason")))
        if reason:
            why = reason
            await self._try_line(
                place, Act.GIFT, lambda basket, approver: baskets.set_gift(basket, place, why, approver=approver)
            )

    async def _try_line(self, place: int, what: Act, how: Callable[[Basket, str], Basket]) -> None:
        """Change a line if what it then gives away is within the limits, or allowed."""
        priced = self.till.price(how(self.till.basket, "")).lines[place]
        given = priced.list_amount_minor - priced.amount_minor
        approver = await self.allowed(what, given, priced.list_amount_minor)
        if approver is not None:
            self.edit(lambda basket: how(basket, approver))

    def act_discount(self) -> None:
        """Take something off the line or the whole."""
        self.converse(self._discount())

    async def _discount(self) -> None:
        kinds = ("line_amount", "line_share", "basket_amount", "basket_share", "none")
        place, priced = self._priced()
        kind = await self.ask(
            ChooseScreen(self.t("discount.title"), [Choice(kind, self.t(f"discount.{kind}")) for kind in kinds],
                         self.t("discount.text", name=priced.line.name, amount=money(priced.amount_minor),
                                total=money(self.till.priced.total_minor)))
        )  # fmt: skip
        if kind is None:
            return
        if kind == "none":
            self.edit(lambda basket: baskets.set_basket_discount(baskets.set_line_discount(basket, place)))
            return
        minor, ppm = 0, 0
        if kind.endswith("amount"):
            text = await self.ask(AskScreen(self.t(f"discount.{kind}"), prompt="￥", check=keyed_money))
            minor = 0 if text is None else keyed_money(text)
        else:
            text = await self.ask(
                AskScreen(self.t(f"discount.{kind}"), self.t("discount.share_text"), prompt="%", check=keyed_quantity)
            )
            ppm = 0 if text is None else keyed_quantity(text.strip().rstrip("%％")) * PPM_OF_PERCENT_MILLI
        if text is None:
            return
        if kind.startswith("line"):
            await self._try_line(
                place, Act.DISCOUNT,
                lambda basket, approver: baskets.set_line_discount(
                    basket, place, discount_minor=minor, discount_ppm=ppm, approver=approver
                ),
            )  # fmt: skip
            return
        changed = baskets.set_basket_discount(self.till.basket, discount_minor=minor, discount_ppm=ppm)
        before, after = self.till.priced.total_minor, self.till.price(changed).total_minor
        approver = await self.allowed(Act.DISCOUNT, before - after, before)
        if approver is not None:
            self.change(baskets.approve(changed, approver))

    def act_unit(self) -> None:
        """Sell the selected goods in another unit."""
        self.converse(self._unit())

    async def _unit(self) -> None:
        place, priced = self._priced()
        units = self.till.units_of(priced.line.product)
        choices = [
            Choice(unit.unit, unit.name, "?" if unit.price_minor is None else money(unit.price_minor)) for unit in units
        ]
        if len(choices) < 2:
            self.say(self.t("unit.only_one", name=priced.line.name), "warn")
            return
        unit = await self.ask(ChooseScreen(self.t("unit.title"), choices, priced.line.name))
        if unit is None:
            return
        outcome = pick(self.till.node, priced.line.product, unit=unit, quantity_milli=priced.line.quantity_milli)
        if isinstance(outcome, PriceNeeded):
            await self.open_price(outcome.line, ())
        elif isinstance(outcome, WeightNeeded):
            await self.weigh(outcome.line, ())
        else:
            line = getattr(outcome, "line")  # noqa: B009 - every outcome of a known product has one
            self.change(baskets.add(baskets.void(self.till.basket, place), line))

    # Goods that must be asked about

    async def choose_candidate(self, hits: Sequence[SearchHit], quantity_milli: int | None) -> None:
        """Let the cashier choose among goods that share a code or a name."""
        choices = [
            Choice(
                hit.code, f"{hit.name} {hit.spec}".strip(), "?" if hit.price_minor is None else money(hit.price_minor)
            )
            for hit in hits[:30]
        ]
        code = await self.ask(ChooseScreen(self.t("candidates.title"), choices))
        if code is not None:
            self.take_picked(code, quantity_milli)

    def take_picked(self, code: str, quantity_milli: int | None) -> None:
        """Take a product that was chosen from a list."""
        raise NotImplementedError

    async def open_price(self, line: BasketLine, warnings: tuple[str, ...]) -> None:
        """Ask the price of goods that have none yet."""
        text = await self.ask(
            AskScreen(self.t("open_price.title"), self.t("open_price.text", name=line.name), prompt="￥", check=_price)
        )
        if text is not None:
            self.add(replace(line, override_minor=keyed_money(text)), warnings)

    async def open_unknown(self, line: BasketLine, *, is_misread: bool) -> None:
        """Sell goods that the catalogue lacks: a price, and a name if there is time; the hub gets a draft."""
        text = self.t("unknown.misread" if is_misread else "unknown.text", code=line.barcode)
        self.app.bell()
        price = await self.ask(AskScreen(self.t("unknown.title"), text, prompt="￥", check=_price))
        if price is None:
            return
        name = await self.ask(
            AskScreen(self.t("unknown.name_title"), self.t("unknown.name_text"), prompt=self.t("unknown.name"),
                      check=_name)
        )  # fmt: skip
        self.add(replace(line, name=name or line.name, override_minor=keyed_money(price)), ())

    async def weigh(self, line: BasketLine, warnings: tuple[str, ...]) -> None:
        """Take the weight from the scale, or as it is keyed."""
        from pos_tui.screens.weigh import WeighScreen

        grams = await self.ask(WeighScreen(line))
        if grams is not None:
            self.add(replace(line, quantity_milli=grams), warnings)

    # Who buys

    def act_member(self) -> None:
        """Find the member by phone number; for a basket that has one, show or drop them."""
        from pos_tui.screens.member import MemberScreen

        self.app.push_screen(MemberScreen(), lambda _: self.show())

    def act_empties(self) -> None:
        """Turn the selected line into empties that come back, or take that back."""
        place = self.selected_line()
        self.edit(lambda basket: baskets.take_empties(self.till.node, basket, place), said=self.t("empties.taken"))

    def act_coupon(self) -> None:
        """Take a coupon's code."""
        self.converse(self._coupon())

    async def _coupon(self) -> None:
        text = await self.ask(AskScreen(self.t("coupon.title"), prompt=self.t("coupon.prompt"), takes_scan=True))
        if text:
            self.edit(lambda basket: baskets.add_coupon(basket, text))

    async def begin_refund(self, reference: str) -> None:
        """Open the refund with a receipt that was scanned."""
        raise NotImplementedError


def _name(text: str) -> None:
    refuse_card_number(text, lambda _: False)


def _price(text: str) -> None:
    baskets.check_price(keyed_money(text))

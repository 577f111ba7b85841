"""Takes the money for a basket: what is due by which means, the limits of who takes it, and the sale as one fact.

A sale, what it does to balances, drafts of unknown goods and its place in the print queue are one transaction. It bears
the attempt that the tender screen made when it opened: completing it again finds the first sale and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from edge.acting import next_entry_id
from edge.allowing import allow
from edge.balance_effects import CHARGED, COUPON, EARNED, SPENT, Effect, append_effects, move
from edge.balances import balance
from edge.basket import Basket, PricedBasket, PricedLine, price_basket, spread
from edge.catalog import tax_bp
from edge.credit import check_credit, lend
from edge.giving_back import CASH, EXCHANGE
from edge.limits import Act
from edge.node import Node, Writing
from edge.print_jobs import queue_receipt
from edge.scanning import read_payment_code
from edge.selling import Completed, Marks, Recorded, SaleDraft, append_sale, completed_of, with_parts
from edge.settings import setting
from edge.trade_projections import UNKNOWN
from schema.amounts import format_money
from schema.errors import RefusalError
from schema.identity import EntryId, NodeId, Scope, Stream
from schema.kinds.balances import BalanceMove
from schema.kinds.tills import ProductDrafted
from schema.kinds.trading import Refund, Sale, SaleLine, Tender
from schema.rows import BalanceKind
from schema.rules.card_numbers import refuse_card_number
from schema.rules.cash import quick_amounts
from schema.rules.promotion_terms import Language
from schema.rules.receipt import ROUNDING_REASON
from schema.rules.rounding import round_to_step
from schema.settings import CashRules, LoyaltyRules, TillRules

ATTEMPT: Final = "till:"
"""What a sale's `source` begins with where it bears an attempt."""
CASH_ROUNDING: Final = "cash"
"""The reference of a line's share of cash rounding; a share of 抹零 has none."""
CONFIRMED: Final = "confirmed"
ACCOUNT: Final = "account"
MEMBER_MEANS: Final = frozenset({ACCOUNT, "stored", "points"})
EXTERNAL_MEANS: Final = frozenset({"wechat", "alipay", "card"})
"""What a service outside decides: its tenders are confirmed or unknown. Means of the shop's own making are too."""
GIFT_CARD: Final = "gift_card"
REFERENCE_MAX: Final = 64
_MINUTE_MS: Final = 60_000


class Payment(msgspec.Struct, frozen=True):
    """What the cashier keyed: an amount by one means; of cash `given_minor` is what was handed over.

    `reference` is a transaction's number or a gift card's code; `state` is confirmed or unknown for what a service
    outside decides.
    """

    means: str
    amount_minor: int = 0
    given_minor: int = 0
    reference: str = ""
    state: str = ""


class Due(NamedTuple):
    """Where a payment stands, in minor units.

    `total_minor` is what the customer pays in the end, `dropped_minor` the 抹零 and `cash_rounding_minor` what cash
    rounding took off besides (negative: added). `paid_minor` counts towards the total; `left_minor` is still to come:
    where it is to come in cash it is `left_cash_minor`. `over_minor` is what exceeds the total by means that give no
    change.
    """

    total_minor: int
    dropped_minor: int
    cash_rounding_minor: int
    paid_minor: int
    left_minor: int
    left_cash_minor: int
    change_minor: int
    over_minor: int = 0


class DropChoice(NamedTuple):
    """One way to drop the small change: what is dropped, and what is due then."""

    dropped_minor: int
    total_minor: int


def due(node: Node, priced: PricedBasket, payments: Sequence[Payment], dropped_minor: int = 0) -> Due:
    """Say where a payment stands; it refuses nothing."""
    return _due(setting(node, CashRules), priced.total_minor - dropped_minor, payments, dropped_minor)


def _due(rules: CashRules, total: int, payments: Sequence[Payment], dropped_minor: int) -> Due:
    others = sum(payment.amount_minor for payment in payments if payment.means != CASH)
    cash = [payment for payment in payments if payment.means == CASH]
    given = sum(payment.given_minor or payment.amount_minor for payment in cash)
    rest = max(0, total - others)
    over = max(0, others - total)
    in_cash = round_to_step(rest, max(1, rules.step_minor), rules.rounding)
    if not cash:
        return Due(total, dropped_minor, 0, others, rest, in_cash, 0, over)
    if given < in_cash:
        return Due(total, dropped_minor, 0, others + given, in_cash - given, in_cash - given, 0, over)
    rounding = rest - in_cash
    return Due(total - rounding, dropped_minor, rounding, others + in_cash, 0, 0, given - in_cash, over)


def quick_cash(node: Node, left_minor: int) -> tuple[int, ...]:
    """Return what a customer is likely to hand over for what is left: the exact amount first, as cash can pay it."""
    rules = setting(node, CashRules)
    return quick_amounts(round_to_step(left_minor, max(1, rules.step_minor), rules.rounding))


def drop_choices(node: Node, priced: PricedBasket) -> tuple[DropChoice, ...]:
    """Return the ways to drop the small change (抹零) that the shop offers: to 角, to 元."""
    drops = {priced.total_minor % step for step in setting(node, CashRules).drop_steps_minor if step > 0}
    return tuple(DropChoice(drop, priced.total_minor - drop) for drop in sorted(drops - {0}))


def complete(
    node: Node,
    basket: Basket,
    payments: Sequence[Payment] = (),
    *,
    operator: str = "",
    attempt: str,
    dropped_minor: int = 0,
    approver: str = "",
    priced: PricedBasket | None = None,
    prints: bool = False,
    language: Language = Language.ZH,
) -> Completed:
    """Sell a basket; when this returns the sale is on the disk, with everything that belongs to it.

    Without payments it is paid exactly in cash. `priced` is the basket as the customer was shown it; it is priced anew
    where it is left out. `attempt` is a random id of this tender: a second call with it returns the first's sale.

    Raises RefusalError, and nothing is recorded: what the basket lacks (`basket_empty`, `price_missing`), what the
    payments lack (`tenders_short`, `tenders_exceed`, `means_unknown`, `member_missing`, `balance_low`, …), or
    `approval_needed` where a limit asks for a second person.
    """
    known = completed_attempt(node, attempt)
    if known is not None:
        return known
    if priced is None:
        priced = price_basket(node, basket, language=language)
    check_basket(basket, priced)
    paying = payments or (Payment(CASH, given_minor=priced.total_minor - dropped_minor),)
    plan = due(node, priced, paying, dropped_minor)
    check_payments(node, basket, plan, paying)
    people = (*basket.approvers, approver)
    check_allowed(node, operator, people, priced, dropped_minor)
    with node.write() as writing:
        known = completed_attempt(node, attempt)
        if known is not None:
            return known
        recorded = record_sale(
            node, writing, basket, priced, paying, plan, operator=operator, approvers=people, source=source_of(attempt)
        )
        if prints:
            queue_receipt(writing, str(recorded.entry.id))
    return completed_of(node, recorded)


def completed_attempt(node: Node, attempt: str) -> Completed | None:
    """Return the sale that an attempt has made; None where it has made none."""
    if not attempt:
        return None
    rows = node.connection.execute(
        "SELECT s.scope, t.node, t.incarnation, r.seq FROM replayed p JOIN receipt r ON r.number = p.number"
        " JOIN scope s ON s.scope_no = r.scope_no JOIN stream t ON t.scope_no = r.scope_no"
        " AND t.stream_no = r.stream_no WHERE p.source = ? ORDER BY r.scope_no, r.stream_no, r.seq",
        (source_of(attempt),),
    ).fetchall()
    for scope, name, incarnation, seq in rows:
        place = EntryId(Stream(Scope(scope), NodeId(name), int(incarnation)), int(seq))
        entry = node.replica.log.entry(place.stream, place.seq)
        if entry is not None and isinstance(entry.payload, Sale | Refund):
            sold = entry.payload
            change = sum(max(0, tender.given_minor - tender.amount_minor) for tender in sold.tenders)
            return completed_of(node, Recorded(sold.receipt_number, entry, sold.total_minor, change))
    return None


def source_of(attempt: str) -> str:
    """Return what a sale or refund says in `source` of the attempt that made it; empty where there was none."""
    return f"{ATTEMPT}{attempt}" if attempt else ""


# What is refused.


def check_basket(basket: Basket, priced: PricedBasket) -> None:
    """Refuse a basket that has nothing in it, or goods without a price."""
    if basket.is_empty:
        raise RefusalError("basket_empty", "there is nothing to sell")
    if priced.unpriced:
        name = priced.lines[priced.unpriced[0]].line.name
        raise RefusalError("price_missing", f"{name} has no price yet: give its price", name=name)
    if priced.total_minor < 0:
        raise RefusalError(
            "empties_exceed", "the empties are worth more than the goods: give the deposit back instead",
            amount=format_money(-priced.total_minor),
        )  # fmt: skip


def check_payments(node: Node, basket: Basket, plan: Due, payments: Sequence[Payment]) -> None:
    """Refuse payments that do not come to the total, are not taken here, or hold what must not be kept."""
    if plan.dropped_minor < 0 or plan.total_minor < 0:
        raise RefusalError("rounding_invalid", "what is dropped lies between nothing and the total")
    known = {*setting(node, TillRules).means, GIFT_CARD, EXCHANGE, CASH}
    for payment in payments:
        if payment.means not in known:
            raise RefusalError("means_unknown", f"{payment.means} is not taken here", means=payment.means)
        if payment.amount_minor < 0 or payment.given_minor < 0:
            raise RefusalError("amount_invalid", "an amount is not negative")
        if payment.state not in {"", CONFIRMED, UNKNOWN}:
            raise RefusalError("tender_state", "a payment is confirmed or unknown")
        check_reference(node, payment)
        if payment.means in MEMBER_MEANS and basket.member is None:
            raise RefusalError("member_missing", "who pays? Look the customer up first", means=payment.means)
    if plan.left_minor > 0:
        raise RefusalError("tenders_short", "not all of it is paid yet", left=format_money(plan.left_minor))
    if plan.over_minor > 0:
        raise RefusalError(
            "tenders_exceed",
            "more was paid than is due, and only cash gives change",
            over=format_money(plan.over_minor),
        )


def check_reference(node: Node, payment: Payment) -> None:
    """Refuse a reference that must not be kept: a payment code, or what looks like a card's number."""
    if read_payment_code(payment.reference) is not None:
        raise RefusalError("payment_code_kept", "a payment code is not kept: leave the reference empty")
    if len(payment.reference) > REFERENCE_MAX:
        raise RefusalError("text_long", f"a reference has at most {REFERENCE_MAX} characters", most=REFERENCE_MAX)
    if payment.means != GIFT_CARD:
        refuse_card_number(payment.reference, lambda code: _is_barcode(node, code))
    elif not payment.reference:
        raise RefusalError("gift_card_missing", "scan the gift card")


def _is_barcode(node: Node, code: str) -> bool:
    return node.connection.execute("SELECT 1 FROM barcode WHERE barcode = ?", (code,)).fetchone() is not None


def check_allowed(
    node: Node, operator: str, approvers: Sequence[str], priced: PricedBasket, dropped_minor: int
) -> None:
    """Ask for a second person where what was done by hand exceeds the operator's limits."""
    for line in priced.lines:
        people = (line.line.approver, *approvers)
        base = line.list_amount_minor
        for discount in line.discounts:
            if discount.reason == "line":
                allow(node, operator, people, Act.DISCOUNT, discount.share_minor, base)
            elif discount.reason == "gift":
                allow(node, operator, people, Act.GIFT, discount.share_minor, base)
        if line.line.override_minor is not None and line.line.is_known and line.price_minor < line.list_price_minor:
            cheaper = base - line.amount_minor - sum(discount.share_minor for discount in line.discounts)
            allow(node, operator, people, Act.OVERRIDE, cheaper, base)
    by_hand = [d.share_minor for line in priced.lines for d in line.discounts if d.reason == "basket"]
    if by_hand:
        before = priced.total_minor + sum(by_hand)
        allow(node, operator, approvers, Act.DISCOUNT, sum(by_hand), before)
    if dropped_minor:
        allow(node, operator, approvers, Act.ROUNDING, dropped_minor, priced.total_minor)


# The sale and what belongs to it, within one transaction.


def record_sale(
    node: Node,
    writing: Writing,
    basket: Basket,
    priced: PricedBasket,
    payments: Sequence[Payment],
    plan: Due,
    *,
    operator: str,
    approvers: Sequence[str],
    source: str,
    operation: str = "",
) -> Recorded:
    """Append a sale that was checked, and in its operation what it does to balances and the drafts of unknown goods.

    Balances are read here, so that of two tenders at once only one can spend what is there. Raises RefusalError
    `balance_low`, `credit_exceeded` or `approval_needed`.
    """
    effects = _effects(node, basket, priced, payments, plan, operator, approvers)
    drafts = _drafts(priced, operator)
    draft = sale_draft(node, basket, priced, payments, plan, writing.business_date, operator, approvers, source)
    if (effects or drafts) and not operation:
        operation = str(next_entry_id(node, writing))
    recorded = append_sale(node, writing, draft, operation=operation)
    append_effects(writing, effects, recorded.number, operator=operator, approver=draft.approver, operation=operation)
    lent = sum(payment.amount_minor for payment in payments if payment.means == ACCOUNT)
    if lent and draft.member:
        lend(node, writing, draft.member, lent, recorded.number, operation)
    for drafted in drafts:
        writing.append(msgspec.structs.replace(drafted, document=recorded.number), operation=operation)
    return recorded


def sale_draft(
    node: Node, basket: Basket, priced: PricedBasket, payments: Sequence[Payment], plan: Due, business_date: str,
    operator: str, approvers: Sequence[str], source: str = "",
) -> SaleDraft:  # fmt: skip
    """Return the sale as it is paid: 抹零 and cash rounding spread over the lines, kits with their parts."""
    lines = spread(priced.lines, plan.dropped_minor, ROUNDING_REASON)
    lines = spread(lines, plan.cash_rounding_minor, ROUNDING_REASON, CASH_ROUNDING)
    sold, marks = sale_lines(node, lines, business_date)
    return SaleDraft(
        lines=sold, tenders=_tenders(payments, plan),
        rounding_minor=plan.dropped_minor + plan.cash_rounding_minor, operator=operator,
        member=basket.member.person if basket.member is not None else "",
        approver=_names((*approvers, *(line.line.approver for line in priced.lines))),
        flags=basket.flags, source=source, marks=marks,
    )  # fmt: skip


def sale_lines(
    node: Node, lines: Sequence[PricedLine], business_date: str
) -> tuple[tuple[SaleLine, ...], dict[int, Marks]]:
    """Return priced lines as a sale holds them, each kit followed by its parts, and the marks on the goods by line."""
    sold: list[SaleLine] = []
    marks: dict[int, Marks] = {}
    for line in lines:
        place, goods = len(sold), line.line
        if goods.lot or goods.expiry or goods.serial:
            marks[place] = Marks(goods.lot, goods.expiry, goods.serial)
        sold += [
            one if one.kit_parent is None else msgspec.structs.replace(one, kit_parent=place)
            for one in with_parts(node, [_sale_line(line, business_date)], business_date)
        ]
    return tuple(sold), marks


def _names(people: Iterable[str]) -> str:
    """Join who allowed something, each once, as far as they fit a code."""
    names = ""
    for person in dict.fromkeys(one for one in people if one):
        longer = f"{names},{person}" if names else person
        names = longer if len(longer) <= 96 else names
    return names


def _sale_line(line: PricedLine, business_date: str) -> SaleLine:
    goods = line.line
    quantity_milli = -goods.quantity_milli if goods.is_empties else goods.quantity_milli
    return SaleLine(
        goods.product, goods.unit, goods.factor_milli, quantity_milli, line.list_price_minor, line.price_minor,
        line.per_milli, line.source, line.amount_minor, goods.tax_class, tax_bp(goods.tax_class, business_date),
        line.discounts, name="" if goods.is_known else goods.name,
    )  # fmt: skip


def _tenders(payments: Sequence[Payment], plan: Due) -> tuple[Tender, ...]:
    """Return the tenders as they sum to the total: cash is one, with all that was given."""
    others = [payment for payment in payments if payment.means != CASH]
    given = sum(payment.given_minor or payment.amount_minor for payment in payments if payment.means == CASH)
    tenders = [Tender(one.means, one.amount_minor, 0, one.reference, _state(one)) for one in others if one.amount_minor]
    cash = plan.total_minor - sum(one.amount_minor for one in others)
    if cash or given or not tenders:
        tenders.insert(_cash_place(payments), Tender(CASH, cash, given if given > cash else cash))
    return tuple(tenders)


def _cash_place(payments: Sequence[Payment]) -> int:
    return next((place for place, payment in enumerate(payments) if payment.means == CASH), 0)


def _state(payment: Payment) -> str:
    if payment.means in MEMBER_MEANS or payment.means in {GIFT_CARD, EXCHANGE}:
        return ""
    return payment.state or CONFIRMED


def _drafts(priced: PricedBasket, operator: str) -> list[ProductDrafted]:
    return [
        ProductDrafted(line.line.barcode, line.line.name, line.price_minor, operator)
        for line in priced.lines
        if not line.line.is_known and line.line.barcode
    ]


def _effects(
    node: Node, basket: Basket, priced: PricedBasket, payments: Sequence[Payment], plan: Due, operator: str,
    approvers: Sequence[str],
) -> list[Effect]:  # fmt: skip
    """Return what a sale does to balances; raises RefusalError where one does not suffice."""
    coupons = tuple(move(BalanceKind.COUPON, code, 1) for code in priced.coupons_used)
    for code in priced.coupons_used:
        if balance(node, BalanceKind.COUPON, code).amount > 0:
            raise RefusalError("coupon_used", f"coupon {code} has been used already: take it out", coupon=code)
    effects = [Effect(COUPON, coupons)] if coupons else []
    paid: dict[str, int] = {}
    for payment in payments:
        if payment.means == GIFT_CARD:
            effects.append(_gift_card(node, payment, operator, approvers))
        paid[payment.means] = paid.get(payment.means, 0) + payment.amount_minor
    if basket.member is None:
        return effects
    person, rules = basket.member.person, setting(node, LoyaltyRules)
    spent = _spent(node, person, rules, paid, operator, approvers)
    if spent:
        effects.append(Effect(SPENT, spent))
    if amount := paid.get(ACCOUNT, 0):
        check_credit(node, person, amount, operator, approvers)
        effects.append(Effect(CHARGED, (move(BalanceKind.CUSTOMER_CREDIT, person, amount),)))
    earned = points_earned(rules, plan.total_minor - paid.get("points", 0))
    if earned:
        effects.append(Effect(EARNED, (move(BalanceKind.MEMBER_POINTS, person, earned),)))
    return effects


def points_earned(rules: LoyaltyRules, amount_minor: int) -> int:
    """Return the points that an amount earns; what points pay for earns none."""
    return max(0, amount_minor) // rules.earn_minor if rules.earn_minor > 0 else 0


def _spent(
    node: Node, person: str, rules: LoyaltyRules, paid: dict[str, int], operator: str, approvers: Sequence[str]
) -> tuple[BalanceMove, ...]:
    moves: list[BalanceMove] = []
    if amount := paid.get("points", 0):
        points, rest = divmod(amount, max(1, rules.point_minor))
        if rest:
            raise RefusalError(
                "points_broken", "this is no whole number of points", point=format_money(rules.point_minor)
            )
        known = balance(node, BalanceKind.MEMBER_POINTS, person)
        if known.amount < points:
            raise RefusalError("points_low", f"the member has {known.amount} points", points=known.amount)
        if not is_fresh(node, rules, known.elsewhere_as_of_ms) and points > rules.offline_points_max:
            allow(node, operator, approvers, Act.OFFLINE_SPENDING, points)
        moves.append(move(BalanceKind.MEMBER_POINTS, person, -points))
    if amount := paid.get("stored", 0):
        principal = balance(node, BalanceKind.MEMBER_BALANCE, person)
        bonus = balance(node, BalanceKind.MEMBER_BONUS, person)
        if max(0, principal.amount) + max(0, bonus.amount) < amount:
            raise RefusalError("balance_low", "the stored value does not suffice",
                               left=format_money(max(0, principal.amount) + max(0, bonus.amount)))  # fmt: skip
        if not is_fresh(node, rules, principal.elsewhere_as_of_ms) and amount > rules.offline_stored_minor_max:
            allow(node, operator, approvers, Act.OFFLINE_SPENDING, amount)
        first = min(amount, max(0, principal.amount))
        moves += [
            move(BalanceKind.MEMBER_BALANCE, person, -first), move(BalanceKind.MEMBER_BONUS, person, first - amount)
        ]  # fmt: skip
    return tuple(moves)


def _gift_card(node: Node, payment: Payment, operator: str, approvers: Sequence[str]) -> Effect:
    known = balance(node, BalanceKind.GIFT_CARD, payment.reference)
    if known.amount < payment.amount_minor:
        raise RefusalError("balance_low", "the gift card does not suffice", left=format_money(max(0, known.amount)))
    rules = setting(node, LoyaltyRules)
    if not is_fresh(node, rules, known.elsewhere_as_of_ms) and payment.amount_minor > rules.offline_stored_minor_max:
        allow(node, operator, approvers, Act.OFFLINE_SPENDING, payment.amount_minor)
    return Effect(SPENT, (move(BalanceKind.GIFT_CARD, payment.reference, -payment.amount_minor),))


def is_fresh(node: Node, rules: LoyaltyRules, as_of_ms: int | None) -> bool:
    """Tell whether what is known of a balance elsewhere is new enough to be spent without a limit."""
    return as_of_ms is not None and node.now_ms() - as_of_ms <= rules.balance_fresh_minutes * _MINUTE_MS

"""Owns the terms of a promotion as data: what it gives for which goods, when, to whom, and how it is said in words.

The hub's import, the record that tills read and the search for the cheapest combination share this vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from schema.amounts import AMOUNT_MAX, Milli, Minor
from schema.identity import ProductId
from schema.rows import PromotionKind, PromotionRow
from schema.rules.rounding import PricePer

PPM: Final = 1_000_000
EVERYTHING: Final = "*"
"""In `not_with`: the promotion combines with no other."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One group of a set: so many pieces of these products or categories."""

    count: int
    products: tuple[ProductId, ...] = ()
    categories: tuple[str, ...] = ()


class Promotion(PromotionRow, frozen=True, kw_only=True):
    """A promotion's whole terms; a row of a table is one whose further fields have their defaults.

    `parts` are the groups of a mix-and-match set, or for buy N get M the one group that the free pieces come from
    (without it the cheapest of the bought ones are free). `is_each` repeats an amount off for every full threshold
    (每满减). `unit` is the selling unit that prices, amounts and counts speak of (empty: the base unit); percentages
    are for all units. `limit` counts uses in one basket: pieces, sets, or thresholds (0: any number). `tiers` names
    the members it is for (empty: everyone). `weekdays` are 1 (Monday) to 7; the minutes of the local day run from
    `from_minute` until `until_minute`, over midnight where the first is later. `coupon` must be presented; with a
    final `*` it names a series of codes. `groups` are names that other promotions refuse in `not_with`. A higher
    `priority` goes first. `skips_promoted` leaves lines out on which a goods promotion gives something.
    """

    parts: tuple[Part, ...] = ()
    is_each: bool = False
    unit: str = ""
    limit: int = 0
    except_products: tuple[ProductId, ...] = ()
    except_categories: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    weekdays: tuple[int, ...] = ()
    from_minute: int = 0
    until_minute: int = 0
    coupon: str = ""
    is_single_use: bool = False
    groups: tuple[str, ...] = ()
    not_with: tuple[str, ...] = ()
    priority: int = 0
    skips_promoted: bool = False

    @property
    def is_for_basket(self) -> bool:
        """Tell whether it lowers what is due for a basket rather than single pieces."""
        return self.kind in _BASKET_KINDS and bool(self.threshold_minor or not (self.products or self.categories))

    @property
    def problem(self) -> str | None:
        """Say what is wrong with the terms, as a stable code; None: they can be applied."""
        numbers = (self.amount_minor, self.threshold_minor, self.buy_count, self.free_count, self.limit)
        if any(not 0 <= number <= AMOUNT_MAX for number in numbers) or not 0 <= self.percent_ppm <= PPM:
            return "promotion.number"
        if any(not 1 <= day <= 7 for day in self.weekdays):
            return "promotion.weekday"
        if not (0 <= self.from_minute < MINUTES_OF_DAY and 0 <= self.until_minute <= MINUTES_OF_DAY):
            return "promotion.minute"
        if any(not 1 <= part.count <= COUNT_MAX for part in self.parts):
            return "promotion.count"
        match self.kind:
            case PromotionKind.PERCENT_OFF:
                return None if self.percent_ppm else "promotion.percent"
            case PromotionKind.AMOUNT_OFF:
                return None if self.amount_minor else "promotion.amount"
            case PromotionKind.SPECIAL_PRICE:
                return None if self.products or self.categories else "promotion.products"
            case PromotionKind.N_FOR_PRICE:
                return None if 1 <= self.buy_count <= COUNT_MAX else "promotion.count"
            case PromotionKind.BUY_N_GET_M:
                free = self.parts[0].count if self.parts else self.free_count
                is_right = len(self.parts) <= 1 and 1 <= self.buy_count <= COUNT_MAX and 1 <= free <= COUNT_MAX
                return None if is_right else "promotion.count"
            case PromotionKind.MIX_AND_MATCH:
                return None if self.parts else "promotion.parts"


_BASKET_KINDS: Final = frozenset({PromotionKind.PERCENT_OFF, PromotionKind.AMOUNT_OFF})
MINUTES_OF_DAY: Final = 24 * 60
COUNT_MAX: Final = 999

_decode_terms = msgspec.json.Decoder(Promotion).decode


def write_terms(promotion: Promotion) -> str:
    """Write a promotion as the scalar that its record's field `terms` holds."""
    return msgspec.json.encode(promotion).decode()


def read_terms(terms: object) -> Promotion | None:
    """Read the field `terms`; None for what cannot be read or applied, so that no edit can stop a till."""
    if not isinstance(terms, str):
        return None
    try:
        promotion = _decode_terms(terms)
    except msgspec.MsgspecError:
        return None
    return None if promotion.problem else promotion


class BasketLine(msgspec.Struct, frozen=True, kw_only=True):
    """A priced line before promotions: `price_minor` for `per` of the selling unit `unit` (empty: the base unit).

    `amount_minor` is what it costs so far. A line whose amount is not its price times whole pieces is weighed,
    labelled or already discounted: promotions that count pieces leave it alone. `is_promotable` is off for prices
    that a person keyed in and for gifts.
    """

    product: ProductId
    quantity_milli: Milli
    price_minor: Minor
    amount_minor: Minor
    category: str = ""
    unit: str = ""
    per: PricePer = PricePer.PIECE
    is_weighed: bool = False
    is_promotable: bool = True

    @property
    def pieces(self) -> int:
        """Return how many single pieces the line has; zero where it must stay whole."""
        count, rest = divmod(self.quantity_milli, 1000)
        is_whole = not (self.is_weighed or self.per is not PricePer.PIECE or rest)
        return count if is_whole and self.price_minor * count == self.amount_minor else 0


class LocalMoment(NamedTuple):
    """When the basket is priced: Unix milliseconds, and the shop's own weekday (1 is Monday) and minute of the day."""

    unix_ms: int
    weekday: int
    minute: int


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """Why a line is cheaper, as data for one sentence on screen and paper."""

    code: str
    name: str
    kind: PromotionKind
    times: int
    discount_minor: Minor
    percent_ppm: int = 0
    amount_minor: Minor = Minor(0)
    threshold_minor: Minor = Minor(0)
    buy_count: int = 0
    free_count: int = 0
    coupon: str = ""


class Language(StrEnum):
    """The languages that texts for customers exist in."""

    ZH = "zh"
    EN = "en"


def _money(minor: int) -> str:
    yuan, fen = divmod(minor, 100)
    return f"{yuan}.{fen:02d}" if fen else str(yuan)


def _percent(ppm: int, language: Language) -> str:
    remains = PPM - ppm if language is Language.ZH else ppm
    digits = f"{remains // 10_000}.{remains % 10_000:04d}".rstrip("0").rstrip(".")
    if language is Language.EN:
        return f"{digits}%"
    return f"{digits.removesuffix('0')}折" if remains % 10_000 == 0 and remains >= 100_000 else f"{digits}%价"


def reason_sentence(reason: Reason, language: Language) -> str:
    """Say in the customer's language what a promotion does."""
    zh = language is Language.ZH
    amount, threshold = _money(reason.amount_minor), _money(reason.threshold_minor)
    match reason.kind:
        case PromotionKind.SPECIAL_PRICE:
            words = f"特价{amount}元" if zh else f"special price {amount}"
        case PromotionKind.PERCENT_OFF:
            percent = _percent(reason.percent_ppm, language)
            if reason.percent_ppm == PPM:
                words = "免费" if zh else "free"
            else:
                words = percent if zh else f"{percent} off"
            if reason.threshold_minor:
                words = f"满{threshold}元{words}" if zh else f"{words} from {threshold}"
        case PromotionKind.AMOUNT_OFF:
            words = f"减{amount}元" if zh else f"{amount} off"
            if reason.threshold_minor:
                words = f"满{threshold}{words}" if zh else f"{words} from {threshold}"
        case PromotionKind.BUY_N_GET_M:
            words = (
                f"买{reason.buy_count}送{reason.free_count}"
                if zh
                else f"buy {reason.buy_count} get {reason.free_count} free"
            )
        case PromotionKind.N_FOR_PRICE:
            words = f"{reason.buy_count}件{amount}元" if zh else f"{reason.buy_count} for {amount}"
        case PromotionKind.MIX_AND_MATCH:
            percent = _percent(reason.percent_ppm, language)
            if reason.percent_ppm:
                words = f"组合{percent}" if zh else f"set {percent} off"
            else:
                words = f"组合价{amount}元" if zh else f"set for {amount}"
    return words if reason.name in {"", reason.code} else f"{reason.name} {words}"


def is_open(promotion: Promotion, moment: LocalMoment) -> bool:
    """Tell whether a promotion runs at a moment; a window over midnight belongs to the day on which it began."""
    if promotion.valid_from_ms is not None and moment.unix_ms < promotion.valid_from_ms:
        return False
    if promotion.valid_until_ms is not None and moment.unix_ms >= promotion.valid_until_ms:
        return False
    start, end, day = promotion.from_minute, promotion.until_minute or MINUTES_OF_DAY, moment.weekday
    if start < end:
        if not start <= moment.minute < end:
            return False
    elif end <= moment.minute < start:
        return False
    elif moment.minute < end:
        day = (day - 2) % 7 + 1
    return not promotion.weekdays or day in promotion.weekdays


def coupon_for(promotion: Promotion, coupons: Collection[str]) -> str | None:
    """Return the presented code that a promotion asks for, the first of a series; None: it was not presented."""
    if promotion.coupon.endswith(EVERYTHING):
        start = promotion.coupon[:-1]
        return min((code for code in coupons if len(code) > len(start) and code.startswith(start)), default=None)
    return promotion.coupon if promotion.coupon in coupons else None


def may_combine(one: Promotion, other: Promotion) -> bool:
    """Tell whether two promotions may both be used in one basket."""
    return not (
        EVERYTHING in one.not_with
        or EVERYTHING in other.not_with
        or any(group in other.groups for group in one.not_with)
        or any(group in one.groups for group in other.not_with)
    )

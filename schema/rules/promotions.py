"""Owns which combination of promotions costs the customer least.

The rules in one paragraph. Goods promotions (special price, percent or amount off named goods, buy N get M, N for a
price, mix and match) claim pieces, and a piece is claimed once; within a combination each piece goes where most is
saved. Basket promotions (a percentage or amount off from a threshold on) follow by priority: each measures its
threshold on what the goods promotions left, and takes its part of what is still due. A combination is a set of
promotions of which no two refuse each other; of all combinations the cheapest stands, so a promotion more never costs
the customer anything. Everything is integers, sorted before it is searched, and bounded by counts, never by a clock:
two tills give the same result for the same basket in whatever order it was scanned.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations
from itertools import product as cartesian
from math import prod
from typing import Final, NamedTuple

import msgspec

from schema.amounts import AMOUNT_MAX, Minor
from schema.kinds.trading import LineDiscount
from schema.rows import PromotionKind
from schema.rules.allocation import allocate
from schema.rules.promotion_terms import (
    PPM,
    BasketLine,
    LocalMoment,
    Part,
    Promotion,
    Reason,
    coupon_for,
    is_open,
    may_combine,
    write_terms,
)
from schema.rules.rounding import line_amount, scale

_PIECE_KINDS: Final = frozenset({PromotionKind.PERCENT_OFF, PromotionKind.SPECIAL_PRICE, PromotionKind.AMOUNT_OFF})
REASON: Final = "promotion"
"""The reason of a line's discount that came from here; its reference is the promotion's code."""
NODES_MAX: Final = 128
"""Combinations that one search looks at before it settles for the best one found."""
STATES_MAX: Final = 2048
"""Partly filled sets that are kept side by side while pieces are shared out."""
LEVELS_MAX: Final = 64
"""Ways to reach the thresholds that one bound weighs."""
STEPS_MAX: Final = 30_000
"""Pieces × states that one search may spend on sharing pieces out."""


class AppliedLine(msgspec.Struct, frozen=True):
    """One line's part: what is due for it now, and the share of each promotion as the sale will record it."""

    amount_minor: Minor
    discounts: tuple[LineDiscount, ...]


class Applied(msgspec.Struct, frozen=True):
    """The cheapest combination: lines in the basket's order, one reason for each promotion that gave something.

    `coupons` are the codes used up. `is_exact` is off when the search met its bound: the combination is legal and
    the same on every till, but a cheaper one may exist.
    """

    lines: tuple[AppliedLine, ...]
    reasons: tuple[Reason, ...]
    coupons: tuple[str, ...]
    total_minor: Minor
    discount_minor: Minor
    is_exact: bool = True


class _Slot(NamedTuple):
    """A place in a set: the lines it may be filled from, how many pieces, and from which one on they are free."""

    lines: frozenset[int]
    size: int
    free_from: int


class _Offer(NamedTuple):
    """An applicable promotion made ready: `rank` orders offers, `gains` are per piece for single pieces."""

    rank: int
    promotion: Promotion
    coupon: str
    lines: frozenset[int]
    gains: Mapping[int, int]
    slots: tuple[_Slot, ...]
    set_price: int
    set_percent: int

    @property
    def is_simple(self) -> bool:
        return not self.slots and not self.promotion.limit


class _Claim(NamedTuple):
    """What a goods promotion gives: the share of each line, and how often it was used."""

    rank: int
    shares: tuple[tuple[int, int], ...]
    times: int


class _Outcome(NamedTuple):
    """What an enabled set of promotions comes to."""

    total: int
    claims: tuple[_Claim, ...]

    @property
    def used(self) -> tuple[int, ...]:
        return tuple(sorted(claim.rank for claim in self.claims))


class _Component(NamedTuple):
    """Lines that compete for the same sets, in the order of sharing out, with all goods promotions that touch them."""

    lines: tuple[int, ...]
    ranks: frozenset[int]


class _Search:
    """One basket's search; lines are in canonical order, so that the order of scanning cannot matter."""

    def __init__(
        self, lines: Sequence[BasketLine], promotions: Iterable[Promotion], moment: LocalMoment,
        tiers: frozenset[str], coupons: Collection[str],
    ) -> None:  # fmt: skip
        self._lines = lines
        self._pieces = [line.pieces if line.is_promotable else 0 for line in lines]
        self._counts = [pieces or 1 for pieces in self._pieces]
        self._prices = [
            line.price_minor if pieces else line.amount_minor
            for line, pieces in zip(lines, self._pieces, strict=True)
        ]  # fmt: skip
        self._by_product: dict[str, list[int]] = {}
        self._by_category: dict[str, list[int]] = {}
        for place, line in enumerate(lines):
            if line.is_promotable and line.amount_minor > 0:
                self._by_product.setdefault(line.product, []).append(place)
                self._by_category.setdefault(line.category, []).append(place)
        self._all = frozenset(place for places in self._by_product.values() for place in places)
        self._offers = self._applicable(promotions, moment, tiers, coupons)
        self._width = 1 + max((len(offer.slots) for offer in self._offers), default=0)
        self._digit = (len(self._offers) * self._width + 1).bit_length()
        self._goods = [offer for offer in self._offers if not offer.promotion.is_for_basket]
        self._basket = [offer for offer in self._offers if offer.promotion.is_for_basket]
        self._components = self._split()
        self._listed = [sum(lines[place].amount_minor for place in offer.lines) for offer in self._offers]
        self._promotable = sum(lines[place].amount_minor for place in self._all)
        self._fixed = sum(line.amount_minor for line in lines) - self._promotable
        self._inside = {
            offer.rank: [n for n, part in enumerate(self._components) if offer.lines.issuperset(part.lines)]
            for offer in self._basket
        }
        self._refused = {
            (one.rank, other.rank)
            for one, other in combinations(self._offers, 2)
            if (one.promotion.not_with or other.promotion.not_with) and not may_combine(one.promotion, other.promotion)
        }
        self._known: dict[tuple[int, frozenset[int]], tuple[int, tuple[_Claim, ...]]] = {}
        self._steps = 0
        self._is_exact = True

    def _scope(self, products: Iterable[str], categories: Iterable[str], promotion: Promotion) -> frozenset[int]:
        places = {place for product in products for place in self._by_product.get(product, ())}
        places.update(place for category in categories for place in self._by_category.get(category, ()))
        if not places and not products and not categories:
            places = set(self._all)
        if promotion.except_products or promotion.except_categories:
            places.difference_update(
                place
                for place in tuple(places)
                if self._lines[place].product in promotion.except_products
                or self._lines[place].category in promotion.except_categories
            )
        return frozenset(places)

    def _applicable(
        self, promotions: Iterable[Promotion], moment: LocalMoment, tiers: frozenset[str], coupons: Collection[str]
    ) -> list[_Offer]:
        found: list[tuple[tuple[int, str, str], Promotion, str, frozenset[int]]] = []
        for promotion in promotions:
            if promotion.tiers and tiers.isdisjoint(promotion.tiers):
                continue
            coupon = coupon_for(promotion, coupons) if promotion.coupon else ""
            if coupon is None or not is_open(promotion, moment) or promotion.problem:
                continue
            if promotion.kind is PromotionKind.MIX_AND_MATCH:
                lines: frozenset[int] = frozenset()
            else:
                lines = self._scope(promotion.products, promotion.categories, promotion)
                if not lines:
                    continue
            found.append(((-promotion.priority, promotion.code, write_terms(promotion)), promotion, coupon, lines))
        found.sort(key=lambda each: each[0])
        offers: list[_Offer] = []
        for _, promotion, coupon, lines in found:
            offer = self._offer(len(offers), promotion, coupon, lines)
            if offer is not None:
                offers.append(offer)
        return offers

    def _offer(self, rank: int, promotion: Promotion, coupon: str, lines: frozenset[int]) -> _Offer | None:
        if promotion.is_for_basket:
            if sum(self._lines[place].amount_minor for place in lines) < promotion.threshold_minor:
                return None
            return _Offer(rank, promotion, coupon, lines, {}, (), 0, 0)
        if promotion.kind in _PIECE_KINDS:
            gains = {place: gain for place in lines if (gain := self._gain(promotion, place)) > 0}
            return _Offer(rank, promotion, coupon, frozenset(gains), gains, (), 0, 0) if gains else None
        slots, price = self._slots(promotion, lines), 0
        if any(sum(self._pieces[place] for place in slot.lines) < slot.size for slot in slots):
            return None
        if promotion.kind in {PromotionKind.N_FOR_PRICE, PromotionKind.MIX_AND_MATCH}:
            price = 0 if promotion.percent_ppm else promotion.amount_minor
        percent = promotion.percent_ppm if promotion.kind is PromotionKind.MIX_AND_MATCH else 0
        touched = frozenset[int]().union(*(slot.lines for slot in slots))
        return _Offer(rank, promotion, coupon, touched, {}, slots, price, percent)

    def _gain(self, promotion: Promotion, place: int) -> int:
        """Return what a promotion for single pieces takes off one piece, or off a line that stays whole."""
        line, pieces, price = self._lines[place], self._pieces[place], self._prices[place]
        if promotion.kind is PromotionKind.PERCENT_OFF:
            return scale(price, promotion.percent_ppm, PPM)
        if line.unit != promotion.unit:
            return 0
        if promotion.kind is PromotionKind.AMOUNT_OFF:
            return min(price, promotion.amount_minor) if pieces else 0
        special = (
            promotion.amount_minor if pieces else line_amount(promotion.amount_minor, line.quantity_milli, line.per)
        )
        return max(0, price - special)

    def _slots(self, promotion: Promotion, lines: frozenset[int]) -> tuple[_Slot, ...]:
        def countable(places: Iterable[int]) -> frozenset[int]:
            return frozenset(p for p in places if self._pieces[p] and self._lines[p].unit == promotion.unit)

        def part_slot(part: Part, free_from: int) -> _Slot:
            return _Slot(countable(self._scope(part.products, part.categories, promotion)), part.count, free_from)

        buy = promotion.buy_count
        match promotion.kind:
            case PromotionKind.N_FOR_PRICE:
                return (_Slot(countable(lines), buy, 0),)
            case PromotionKind.BUY_N_GET_M if promotion.parts:
                return (_Slot(countable(lines), buy, buy), part_slot(promotion.parts[0], 0))
            case PromotionKind.BUY_N_GET_M:
                return (_Slot(countable(lines), buy + promotion.free_count, buy),)
            case _:
                return tuple(part_slot(part, 0) for part in promotion.parts)

    def _split(self) -> list[_Component]:
        """Group the lines that some set or limit couples; all others stand alone."""
        root = {place: place for place in self._all}

        def find(place: int) -> int:
            while root[place] != place:
                place = root[place]
            return place

        for offer in self._goods:
            if not offer.is_simple:
                heads = sorted({find(place) for place in offer.lines})
                for head in heads[1:]:
                    root[head] = heads[0]
        members: dict[int, list[int]] = {}
        for place in sorted(self._all):
            members.setdefault(find(place), []).append(place)
        components = []
        for places in members.values():
            ranks = frozenset(offer.rank for offer in self._goods if not offer.lines.isdisjoint(places))
            if ranks:
                components.append(_Component(self._order(places), ranks))
        return components

    def _order(self, places: Sequence[int]) -> tuple[int, ...]:
        """Order lines so that few sets are open at once, and by falling price where the cheapest piece is free.

        The order costs or saves time and nothing else: what a path is worth does not depend on it.
        """
        rest = sorted(places, key=lambda place: (-self._prices[place], place))
        shared = [offer for offer in self._goods if not offer.is_simple and not offer.lines.isdisjoint(places)]
        if len(shared) < 2:
            return tuple(rest)
        touched = {place: frozenset(offer.rank for offer in shared if place in offer.lines) for place in rest}
        queues = [
            [place for place in rest if place in offer.lines][::-1]
            for offer in shared
            if len(offer.slots) == 1 and offer.slots[0].free_from
        ]
        opened: frozenset[int] = frozenset()
        order: list[int] = []
        while rest:
            barred = {place for queue in queues for place in queue[:-1]}
            chosen = min((p for p in rest if p not in barred), key=lambda p: len(touched[p] - opened))
            rest.remove(chosen)
            order.append(chosen)
            opened |= touched[chosen]
            for queue in queues:
                if queue and queue[-1] == chosen:
                    queue.pop()
        return tuple(order)

    # Goods: share the pieces of one component out over its promotions.

    def _component(self, number: int, enabled: frozenset[int]) -> tuple[int, tuple[_Claim, ...]]:
        key = (number, enabled)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._share_out(self._components[number], enabled)
        return known

    def _share_out(self, component: _Component, enabled: frozenset[int]) -> tuple[int, tuple[_Claim, ...]]:
        offers = [self._offers[rank] for rank in sorted(enabled)]
        alone: dict[int, tuple[int, int]] = {}
        for offer in offers:
            if offer.is_simple:
                for place, gain in offer.gains.items():
                    if gain > alone.get(place, (0, 0))[0]:
                        alone[place] = (gain, offer.rank)
        shared = [offer for offer in offers if not offer.is_simple]
        taken: dict[int, dict[int, int]] = {}
        places = [place for place in component.lines if any(place in offer.lines for offer in shared)]
        claimed = self._assign(places, shared, alone) if shared else []
        left = {place: self._counts[place] for place in component.lines}
        singles: dict[int, list[tuple[int, int]]] = {}
        saved: dict[int, int] = {}
        times: dict[int, int] = {}
        for place, rank, gain in claimed:
            left[place] -= 1
            counts = taken.setdefault(rank, {})
            counts[place] = counts.get(place, 0) + 1
            saved[rank] = saved.get(rank, 0) + gain
        claims: list[_Claim] = []
        for rank, counts in taken.items():
            offer = self._offers[rank]
            pieces = sum(counts.values())
            if not offer.slots:
                claims.append(_Claim(rank, tuple((p, n * offer.gains[p]) for p, n in counts.items()), pieces))
                continue
            times[rank] = pieces // sum(slot.size for slot in offer.slots)
            discount = saved[rank] - times[rank] * offer.set_price
            order = sorted(counts)
            shares = allocate(discount, [counts[p] * self._prices[p] for p in order])
            claims.append(_Claim(rank, tuple(zip(order, shares, strict=True)), times[rank]))
        for place, count in left.items():
            if count and place in alone:
                gain, rank = alone[place]
                singles.setdefault(rank, []).append((place, gain * count))
                times[rank] = times.get(rank, 0) + count
        claims += [_Claim(rank, tuple(shares), times[rank]) for rank, shares in singles.items()]
        claims = [claim for claim in claims if sum(share for _, share in claim.shares) > 0]
        return sum(share for claim in claims for _, share in claim.shares), tuple(claims)

    def _assign(
        self, places: Sequence[int], shared: Sequence[_Offer], alone: Mapping[int, tuple[int, int]]
    ) -> list[tuple[int, int, int]]:
        """Choose for every piece the set that it joins: the largest saving, then the first path in a fixed order.

        Pieces that the cheapest of is free go by falling price, so that sets are filled as the customer would group
        them. A state is how far each promotion's open set is filled, and how often a limited one was used; a path is
        a number whose digits are the choices. A digit's place is the piece's own among all pieces by falling price,
        in whatever order pieces are shared out: sharings that save the same leave different lines to the basket
        promotions, so which of them is taken must not hang on promotions that are switched off.
        """
        offsets: list[int] = []
        width = 0
        caps: list[int] = []
        for offer in shared:
            offsets.append(width)
            width += len(offer.slots) + 1
            sets = min(
                (sum(self._pieces[p] for p in slot.lines) // slot.size for slot in offer.slots), default=AMOUNT_MAX
            )
            caps.append(min(sets, offer.promotion.limit or sets))
        states: dict[tuple[int, ...], tuple[int, int]] = {(0,) * width: (0, 0)}
        shifts: dict[int, int] = {}
        shift = 0
        for place in sorted(places, key=lambda place: (-self._prices[place], place), reverse=True):
            shift += self._digit * self._counts[place]
            shifts[place] = shift
        pieces: list[tuple[int, int]] = []
        for number, place in enumerate(places):
            price, plain = self._prices[place], alone.get(place, (0, 0))[0]
            joins = self._joins(place, shared, offsets, caps)
            for _ in range(self._counts[place]):
                if self._steps + len(states) > STEPS_MAX:
                    self._is_exact = False
                    break
                self._steps += len(states)
                shifts[place] -= self._digit
                shift = shifts[place]
                pieces.append((place, shift))
                following: dict[tuple[int, ...], tuple[int, int]] = {}
                for state, (gain, path) in states.items():
                    _keep(following, state, gain + plain, path)
                    for offer, offset, slot, cap in joins:
                        joined = self._join(offer, offset, slot, cap, state, price, place)
                        if joined is not None:
                            code = offer.rank * self._width + slot + 2
                            _keep(following, joined[0], gain + joined[1], path | code << shift)
                states = following if len(following) <= STATES_MAX else self._narrow(following, shared, offsets)
            states = self._completable(states, places[number + 1 :], joins)
        path = min((-gain, path) for state, (gain, path) in states.items() if _is_closed(state, shared, offsets))[1]
        mask = (1 << self._digit) - 1
        return self._gains_of([(place, path >> shift & mask) for place, shift in pieces])

    def _completable(
        self, states: dict[tuple[int, ...], tuple[int, int]], left: Sequence[int],
        joins: Sequence[tuple[_Offer, int, int, int]],
    ) -> dict[tuple[int, ...], tuple[int, int]]:  # fmt: skip
        """Drop the states with an open set that the lines which are left cannot fill."""
        for offer, offset in {offer.rank: (offer, offset) for offer, offset, _, _ in joins if offer.slots}.values():
            sizes = [slot.size for slot in offer.slots]
            pieces = [sum(self._pieces[place] for place in left if place in slot.lines) for slot in offer.slots]
            first, end = offset + 1, offset + 1 + len(sizes)
            kept: dict[tuple[int, ...], tuple[int, int]] = {}
            for state, found in states.items():
                fills = state[first:end]
                sets = max(-(-fill // size) for fill, size in zip(fills, sizes, strict=True))
                if not sets or all(sets * z - f <= n for z, f, n in zip(sizes, fills, pieces, strict=True)):
                    kept[state] = found
            states = kept
        return states

    @staticmethod
    def _joins(
        place: int, shared: Sequence[_Offer], offsets: Sequence[int], caps: Sequence[int]
    ) -> list[tuple[_Offer, int, int, int]]:
        found = []
        for offer, offset, cap in zip(shared, offsets, caps, strict=True):
            if not offer.slots and place in offer.gains:
                found.append((offer, offset, -1, cap))
            found += [(offer, offset, n, cap) for n, slot in enumerate(offer.slots) if place in slot.lines]
        return found

    def _join(
        self, offer: _Offer, offset: int, number: int, cap: int, state: tuple[int, ...], price: int, place: int
    ) -> tuple[tuple[int, ...], int] | None:
        """Return the state and saving after a piece joins a set; None where the set has no room for it."""
        uses = state[offset]
        if number < 0:
            if uses >= cap:
                return None
            return (*state[:offset], uses + 1, *state[offset + 1 :]), offer.gains[place]
        is_limited = offer.promotion.limit > 0
        slots, first = offer.slots, offset + 1
        fill = state[first + number]
        if fill >= slots[number].size * (cap - uses if is_limited else cap):
            return None
        changed = list(state)
        changed[first + number] = fill + 1
        gain = self._piece_gain(offer, number, fill, price)
        if all(changed[first + n] >= slot.size for n, slot in enumerate(slots)):
            for n, slot in enumerate(slots):
                changed[first + n] -= slot.size
            gain -= offer.set_price
            if is_limited:
                changed[offset] += 1
        return tuple(changed), gain

    @staticmethod
    def _piece_gain(offer: _Offer, number: int, fill: int, price: int) -> int:
        if offer.set_percent:
            return scale(price, offer.set_percent, PPM)
        slot = offer.slots[number]
        return price if fill % slot.size >= slot.free_from else 0

    def _narrow(
        self, states: dict[tuple[int, ...], tuple[int, int]], shared: Sequence[_Offer], offsets: Sequence[int]
    ) -> dict[tuple[int, ...], tuple[int, int]]:
        """Keep the states that saved most, and of the closed ones at least the best, so that an end is in reach."""
        self._is_exact = False
        ranked = sorted(states.items(), key=lambda each: (-each[1][0], each[1][1]))
        closed = next(each for each in ranked if _is_closed(each[0], shared, offsets))
        return dict([closed, *ranked[:STATES_MAX]])

    def _gains_of(self, choices: Iterable[tuple[int, int]]) -> list[tuple[int, int, int]]:
        """Name for each piece that joined something the line, the offer and its own saving, without sets' prices."""
        fills: dict[tuple[int, int], int] = {}
        found = []
        for place, choice in choices:
            if not choice:
                continue
            rank, number = divmod(choice - 1, self._width)
            offer, number = self._offers[rank], number - 1
            if number < 0:
                found.append((place, rank, offer.gains[place]))
                continue
            fill = fills.get((rank, number), 0)
            fills[rank, number] = fill + 1
            found.append((place, rank, self._piece_gain(offer, number, fill, self._prices[place])))
        return found

    # Combinations: which promotions are on.

    def _evaluate(self, off: frozenset[int]) -> _Outcome:
        """Return what all promotions but these come to, whether or not they refuse each other."""
        claims: list[_Claim] = []
        after = [line.amount_minor for line in self._lines]
        by_rank: dict[int, list[_Claim]] = {}
        for number, component in enumerate(self._components):
            for claim in self._component(number, component.ranks - off)[1]:
                by_rank.setdefault(claim.rank, []).append(claim)
        promoted = set()
        for rank, parts in sorted(by_rank.items()):
            shares = tuple(share for claim in parts for share in claim.shares)
            claims.append(_Claim(rank, shares, sum(claim.times for claim in parts)))
            for place, share in shares:
                after[place] = Minor(after[place] - share)
                if share:
                    promoted.add(place)
        due: list[int] = list(after)
        for offer in self._basket:
            if offer.rank not in off:
                taken = _basket_claim(offer, after, due, promoted)
                if taken is not None:
                    claims.append(taken)
                    for place, share in taken.shares:
                        due[place] -= share
        return _Outcome(sum(due), tuple(claims))

    def _bound(self, off: frozenset[int]) -> int:
        """Return a total that no set of the promotions that are left on undercuts.

        Every way in which the basket promotions may reach their thresholds is tried: where one is reached, goods
        promotions in its scope have left so much, and saved at most the rest. A basket promotion gives at most what
        it would give on prices without them, and one for the whole basket takes its part of what is left. Each of
        these steps falls or stays when the amount before it falls, so they may be chained.
        """
        gains = [self._component(n, component.ranks - off)[0] for n, component in enumerate(self._components)]
        most_saved = sum(gains)
        offers = [offer for offer in self._basket if offer.rank not in off]
        listed = [self._listed[offer.rank] for offer in offers]
        inside = [sum(gains[n] for n in self._inside[offer.rank]) for offer in offers]
        levels = [self._levels(offer, most_saved) for offer in offers]
        while prod(len(each) for each in levels) > LEVELS_MAX:
            longest = max(range(len(levels)), key=lambda n: (len(levels[n]), n))
            levels[longest] = [(-1, levels[longest][-1][1])]  # All of it, for nothing: a weaker bound, still one.
        best: int = self._promotable
        base: int
        for chosen in cartesian(*levels):
            saved = most_saved
            for (reached, _), most, within in zip(chosen, listed, inside, strict=True):
                saved = min(saved, most_saved - within + min(within, most - reached))
            taken = [
                offer.rank for offer, (reached, times) in zip(offers, chosen, strict=True) if times and reached >= 0
            ]
            if len(taken) > 1 and self._conflict(taken) is not None:
                continue
            rest = self._promotable - saved
            for offer, (_, times), most, within in zip(offers, chosen, listed, inside, strict=True):
                if offer.promotion.skips_promoted:
                    base = most
                elif offer.lines == self._all:
                    base = rest
                else:  # What was saved beyond all that can be saved elsewhere was saved in its scope.
                    base = most - max(0, saved - (most_saved - within))
                if offer.promotion.kind is PromotionKind.PERCENT_OFF:
                    rest -= min(rest, scale(base, offer.promotion.percent_ppm, PPM) if times else 0)
                else:
                    rest -= min(rest, offer.promotion.amount_minor * times)
            best = min(best, rest)
        return best + self._fixed

    def _levels(self, offer: _Offer, saved: int) -> list[tuple[int, int]]:
        """Return the (amount reached, times given) that are possible, from never to as often as prices allow.

        Where there are too many, one stands for all, with −1 as what need be reached.
        """
        listed = self._listed[offer.rank]
        most = _basket_discount(offer.promotion, listed, listed)[1]
        threshold = offer.promotion.threshold_minor
        sure = 0 if offer.promotion.skips_promoted else _basket_discount(offer.promotion, listed - saved, listed)[1]
        if most - sure > LEVELS_MAX:
            return [(-1, most)]
        is_refused = any(offer.rank in pair for pair in self._refused)
        never = [(0, 0)] if is_refused or not sure else []
        return never + [(threshold * times, times) for times in range(max(sure, 1), most + 1)]

    def _conflict(self, used: Sequence[int]) -> tuple[int, int] | None:
        """Return the first two of some promotions, in rising order, that refuse each other."""
        if not self._refused:
            return None
        return next((pair for pair in combinations(used, 2) if pair in self._refused), None)

    def _first_guess(self, outcome: _Outcome) -> frozenset[int]:
        """Return what to switch off so that the promotions that give most stay, each that fits the ones before."""
        given = {claim.rank: sum(share for _, share in claim.shares) for claim in outcome.claims}
        kept: list[int] = []
        for rank in sorted(given, key=lambda rank: (-given[rank], rank)):
            if all(may_combine(self._offers[rank].promotion, self._offers[other].promotion) for other in kept):
                kept.append(rank)
        return frozenset(range(len(self._offers))) - frozenset(kept)

    def best(self) -> tuple[_Outcome, bool]:
        """Search combinations, the most promising first, until none can be cheaper or the bound is met."""
        nothing = frozenset(range(len(self._offers)))
        best = self._evaluate(nothing)
        none_off: frozenset[int] = frozenset()
        root = self._evaluate(none_off)
        if self._conflict(root.used) is not None:
            guess = self._evaluate(self._first_guess(root))
            if self._conflict(guess.used) is None:
                best = min(best, guess, key=_preference)
        queue = [(self._bound(none_off), 0, none_off)]
        seen = {none_off}
        while queue:
            bound, _, off = heapq.heappop(queue)
            if bound >= best.total:
                break
            outcome = self._evaluate(off)
            conflict = self._conflict(outcome.used)
            if conflict is None:
                best = min(best, outcome, key=_preference)
            for rank in conflict or outcome.used if bound < best.total else ():
                fewer = off | {rank}
                if fewer in seen:
                    continue
                if len(seen) >= NODES_MAX:
                    self._is_exact = False
                    break
                seen.add(fewer)
                least = self._bound(fewer)
                if least < best.total:
                    heapq.heappush(queue, (least, len(seen), fewer))
        return best, self._is_exact

    def reasons(self, outcome: _Outcome) -> tuple[tuple[Reason, ...], tuple[str, ...]]:
        """Return the reasons in the order of application, and the coupon codes that are used up."""
        found, coupons = [], []
        for claim in outcome.claims:
            offer = self._offers[claim.rank]
            promotion = offer.promotion
            free = promotion.parts[0].count if promotion.kind is PromotionKind.BUY_N_GET_M and promotion.parts else 0
            found.append(
                Reason(
                    code=promotion.code,
                    name=promotion.name,
                    kind=promotion.kind,
                    times=claim.times,
                    discount_minor=Minor(sum(share for _, share in claim.shares)),
                    percent_ppm=promotion.percent_ppm,
                    amount_minor=promotion.amount_minor,
                    threshold_minor=promotion.threshold_minor,
                    buy_count=promotion.buy_count,
                    free_count=free or promotion.free_count,
                    coupon=offer.coupon,
                )
            )
            if offer.coupon and promotion.is_single_use:
                coupons.append(offer.coupon)
        return tuple(found), tuple(sorted(set(coupons)))

    def code_of(self, rank: int) -> str:
        """Return the code of the promotion at a rank."""
        return self._offers[rank].promotion.code


def _keep(states: dict[tuple[int, ...], tuple[int, int]], state: tuple[int, ...], gain: int, path: int) -> None:
    known = states.get(state)
    if known is None or gain > known[0] or (gain == known[0] and path < known[1]):
        states[state] = (gain, path)


def _is_closed(state: tuple[int, ...], shared: Sequence[_Offer], offsets: Sequence[int]) -> bool:
    return not any(
        any(state[offset + 1 : offset + 1 + len(offer.slots)]) for offer, offset in zip(shared, offsets, strict=True)
    )


def _preference(outcome: _Outcome) -> tuple[int, int, tuple[int, ...]]:
    """Order outcomes: the cheapest, then the one with fewer promotions, then that of the higher priorities."""
    return outcome.total, len(outcome.claims), outcome.used


def _basket_discount(promotion: Promotion, reached: int, due: int) -> tuple[int, int]:
    """Return what a basket promotion takes off an amount due, and how often, when so much was reached."""
    if reached < promotion.threshold_minor:
        return 0, 0
    if promotion.kind is PromotionKind.PERCENT_OFF:
        return scale(due, promotion.percent_ppm, PPM), 1
    times = reached // promotion.threshold_minor if promotion.is_each and promotion.threshold_minor else 1
    times = min(times, promotion.limit or times)
    return min(due, promotion.amount_minor * times), times


def _basket_claim(offer: _Offer, after: Sequence[int], due: Sequence[int], promoted: set[int]) -> _Claim | None:
    places = sorted(offer.lines - promoted if offer.promotion.skips_promoted else offer.lines)
    weights = [due[place] for place in places]
    discount, times = _basket_discount(offer.promotion, sum(after[place] for place in places), sum(weights))
    if not discount:
        return None
    shares = allocate(discount, weights)
    return _Claim(offer.rank, tuple(zip(places, shares, strict=True)), times)


def _line_key(line: BasketLine) -> tuple[object, ...]:
    return (
        line.product, line.unit, line.price_minor, line.amount_minor, line.quantity_milli, line.per.value,
        line.category, line.is_weighed, line.is_promotable,
    )  # fmt: skip


def best_combination(
    basket: Sequence[BasketLine],
    promotions: Iterable[Promotion],
    moment: LocalMoment,
    tiers: Collection[str] = (),
    coupons: Collection[str] = (),
) -> Applied:
    """Return the cheapest legal combination for a basket, with each line's shares and the reasons.

    `tiers` are the member's (empty: no member); `coupons` the codes presented, each checked by the caller for having
    been used already. Promotions outside their window or with impossible terms are passed over. The shares of a line
    never exceed its amount, and all shares sum to the discount.
    """
    order = sorted(range(len(basket)), key=lambda place: (*_line_key(basket[place]), place))
    search = _Search([basket[place] for place in order], promotions, moment, frozenset(tiers), frozenset(coupons))
    outcome, is_exact = search.best()
    amounts = [line.amount_minor for line in basket]
    discounts: list[list[LineDiscount]] = [[] for _ in basket]
    for claim in outcome.claims:
        code = search.code_of(claim.rank)
        for place, share in claim.shares:
            if share:
                discounts[order[place]].append(LineDiscount(REASON, code, share))
                amounts[order[place]] = Minor(amounts[order[place]] - share)
    reasons, used = search.reasons(outcome)
    listed = sum(line.amount_minor for line in basket)
    return Applied(
        lines=tuple(AppliedLine(amount, tuple(found)) for amount, found in zip(amounts, discounts, strict=True)),
        reasons=reasons,
        coupons=used,
        total_minor=Minor(outcome.total),
        discount_minor=Minor(listed - outcome.total),
        is_exact=is_exact,
    )

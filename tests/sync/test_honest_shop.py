"""A simulated shop whose shelf is known: with honest clock bounds the figure is never certain and wrong."""

from __future__ import annotations

import os
import random

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync.fold import fold_set
from sync.stock_facts import (
    AmbiguousPick,
    ClockFix,
    Count,
    Disagreement,
    Fact,
    Key,
    Look,
    Movement,
    Policy,
    Rank,
    Rules,
    SessionOpen,
)

THOROUGH = os.environ.get("EDGETILL_THOROUGH") == "1"
HOUR, MINUTE = 3_600_000, 60_000
LAG = 10 * MINUTE
ZONES = ("Z1", "Z2")


class PendingLook(msgspec.Struct):
    """A count in progress: begun, seen at one of the coming steps, posted later."""

    writer: str
    zone: str | None
    session: str | None
    lo: int
    basis_lo: dict[str, int]
    seen_in: int
    ends_in: int
    posted_in: int
    quantity: int = 0
    hi: int = 0
    basis_hi: dict[str, int] = {}


class PendingSale(msgspec.Struct):
    """Goods that left the shelf and are not keyed yet."""

    writer: str
    zone: str
    quantity: int
    due: int


class HonestShop:
    """A physical shelf in two zones, tills with bounded clock errors, exact counts."""

    def __init__(self, seed: int, lies: bool = False) -> None:
        """Draw a shop; where it lies, one till's clock is an hour wrong beyond its bound."""
        self.rng = random.Random(seed)
        self.now = 100 * HOUR
        self.shelf = {"Z1": 20, "Z2": 20}
        self.writers = ["n1.0", "n2.0", "n3.0"]
        self.vectors: dict[str, dict[str, int]] = {writer: {} for writer in self.writers}
        self.bounds = {writer: self.rng.choice([100, 4000, 5 * MINUTE]) for writer in self.writers}
        self.offsets = {writer: self.rng.randint(-bound, bound) for writer, bound in self.bounds.items()}
        self.liar = self.rng.choice(self.writers) if lies else None
        if self.liar is not None:
            self.offsets[self.liar] += HOUR
        self.lag = self.rng.choice([0, 0, LAG])
        self.facts: list[Fact] = []
        self.looks: list[PendingLook] = []
        self.sales: list[PendingSale] = []
        self.sessions = 0
        self.record(self.writers[0], None, 40, "receipt")

    def head(self, writer: str) -> tuple[str, int, dict[str, int]]:
        """Append an entry."""
        vector = self.vectors[writer]
        before = dict(vector)
        vector[writer] = before.get(writer, 0) + 1
        return writer, vector[writer], before

    def wall(self, writer: str) -> int:
        """Read a till's clock."""
        return self.now + self.offsets[writer]

    def record(self, writer: str, zone: str | None, quantity: int, reason: str) -> None:
        """Key a movement."""
        name, seq, vector = self.head(writer)
        shown = zone if self.rng.random() < 0.5 else None
        self.facts.append(
            Movement(
                name,
                seq,
                0,
                "SHOP",
                "A",
                quantity,
                reason,
                self.wall(writer),
                self.bounds[writer],
                0,
                vector,
                shown,
            )
        )

    def step(self) -> None:
        """Let time pass and something happen."""
        rng = self.rng
        self.now += rng.choice([500, 3000, MINUTE, 7 * MINUTE])
        writer = rng.choice(self.writers)
        for sale in [one for one in self.sales if one.due <= self.now + 8 * MINUTE]:
            self.sales.remove(sale)
            self.record(sale.writer, sale.zone, sale.quantity, "sale")
        match rng.choice(["sell", "sell", "receive", "hear", "hear", "look", "session", "wait"]):
            case "sell":
                zone = rng.choice(ZONES)
                self.shelf[zone] -= 1
                if self.lag and rng.random() < 0.5:
                    self.sales.append(PendingSale(writer, zone, -1, self.now + LAG))
                else:
                    self.record(writer, zone, -1, "sale")
            case "receive":
                zone = rng.choice(ZONES)
                self.shelf[zone] += 2
                self.record(writer, zone, 2, "receipt")
            case "hear":
                other = rng.choice(self.writers)
                for name, seq in self.vectors[other].items():
                    self.vectors[writer][name] = max(seq, self.vectors[writer].get(name, 0))
            case "look":
                self.look(writer, None, None)
            case "session":
                self.sessions += 1
                session = f"S{self.sessions}"
                name, seq, vector = self.head(writer)
                self.facts.append(SessionOpen(name, seq, self.wall(writer), vector, "SHOP", session, ZONES))
                for zone in (*ZONES, *rng.choices(ZONES, k=rng.choice([0, 0, 1]))):
                    self.look(rng.choice(self.writers), zone, session)
        self.progress()

    def look(self, writer: str, zone: str | None, session: str | None) -> None:
        """Begin to look at the shelf."""
        seen = self.rng.choice([0, 0, 1, 2])
        ends = seen + self.rng.choice([0, 0, 1])
        posted = ends + self.rng.choice([0, 1, 3])
        self.looks.append(
            PendingLook(writer, zone, session, self.wall(writer), dict(self.vectors[writer]), seen, ends, posted)
        )

    def progress(self) -> None:
        """See, end and post the looks that are due."""
        for look in list(self.looks):
            if look.seen_in == 0:
                look.quantity = self.shelf[look.zone] if look.zone else sum(self.shelf.values())
            if look.ends_in == 0:
                look.hi, look.basis_hi = self.wall(look.writer), dict(self.vectors[look.writer])
            if look.posted_in == 0:
                self.post(look)
            look.seen_in -= 1
            look.ends_in -= 1
            look.posted_in -= 1

    def post(self, look: PendingLook) -> None:
        """Append the count."""
        self.looks.remove(look)
        writer, seq, vector = self.head(look.writer)
        self.facts.append(
            Count(
                writer,
                seq,
                0,
                "SHOP",
                "A",
                Rank.CLERK,
                self.wall(writer),
                self.bounds[writer],
                0,
                vector,
                (Look(look.quantity, look.lo, look.hi, look.basis_lo, look.basis_hi, look.zone),),
                look.session,
            )
        )

    def close(self) -> None:
        """Key what is still in the customers' hands."""
        for sale in self.sales:
            self.record(sale.writer, sale.zone, sale.quantity, "sale")
        if self.liar is not None:
            name, seq, vector = self.head("hub.0") if "hub.0" in self.vectors else ("hub.0", 1, {})
            bound = self.bounds[self.liar]
            self.facts.append(ClockFix(name, seq, self.now, vector, self.liar, 0, HOUR, bound))

    def check(self) -> bool:
        """Compare the figure with the shelf; tell whether the figure was certain."""
        policy = Policy(
            disagreement=self.rng.choice([one for one in Disagreement if one is not Disagreement.MANUAL]),
            ambiguous=self.rng.choice(list(AmbiguousPick)),
        )
        rules = Rules(policy, {}, {"SHOP": {"sale": LAG}} if self.lag else {})
        figure = fold_set(self.facts, rules).figures[Key("SHOP", "A")]
        assert figure.lo <= sum(self.shelf.values()) <= figure.hi
        return figure.lo == figure.hi


@settings(
    max_examples=4000 if THOROUGH else 150, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
@given(st.integers(0, 2**32), st.booleans())
def test_shelf_is_always_within_the_range(seed: int, lies: bool) -> None:
    shop = HonestShop(seed, lies)
    for _ in range(shop.rng.randint(5, 30)):
        shop.step()
    shop.close()
    shop.check()


def test_most_figures_are_certain() -> None:
    certain = 0
    for seed in range(100):
        shop = HonestShop(seed)
        for _ in range(20):
            shop.step()
        shop.close()
        certain += shop.check()
    assert certain > 10

"""Workload: makes the facts of a small random fleet, each consistent with what its writer could have known."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

from sync.stock_facts import (
    Accept,
    AmbiguousPick,
    Classify,
    ClockFix,
    Count,
    Disagreement,
    Fact,
    Grant,
    Look,
    Movement,
    Notice,
    Policy,
    Promise,
    PromiseEnd,
    Rank,
    RightMove,
    Rules,
    SessionOpen,
    Side,
    Void,
    entry_id,
)

SHOP, WAREHOUSE, PRODUCT = "SHOP", "WH", "A"
ZONES = ("Z1", "Z2")
MINUTE = 60_000


class Fleet:
    """Nodes with wrong clocks that sell, count, transfer, resolve and now and then hear of each other."""

    def __init__(self, seed: int) -> None:
        """Draw everything from one seed, so that a failure is replayed by its number."""
        self.rng = random.Random(seed)
        self.now = 1_000 * MINUTE
        self.writers = ["n1.0", "n2.0", "n3.0", "hub.0"][: self.rng.randint(2, 4)]
        self.vectors: dict[str, dict[str, int]] = {writer: {} for writer in self.writers}
        self.clocks = {
            writer: (self.rng.choice([0, 0, 500, -20 * MINUTE]), self.rng.choice([0, 1000, 1000, 5 * MINUTE, None]))
            for writer in self.writers
        }
        self.epochs = dict.fromkeys(self.writers, 0)
        self.facts: list[Fact] = []
        self.sessions: list[str] = []
        self.rules = Rules(
            Policy(
                self.rng.choice([0, 0, 2, 5]),
                self.rng.choice([0, 100_000]),
                self.rng.choice(list(Disagreement)),
                self.rng.choice(list(AmbiguousPick)),
                self.rng.choice([1, 2]),
            ),
            {},
            self.rng.choice([{}, {SHOP: {"sale": 10 * MINUTE}}]),
            {SHOP: ("n1", "n2")},
        )

    def run(self, steps: int) -> list[Fact]:
        """Take some random steps and return all facts."""
        acts: list[tuple[Callable[[], None], int]] = [
            (self.move, 8),
            (self.count, 4),
            (self.hear, 5),
            (self.zone_count, 3),
            (self.transfer, 3),
            (self.resolve, 2),
            (self.void, 1),
            (self.fix_clock, 1),
            (self.step_clock, 1),
            (self.share, 2),
        ]
        for _ in range(steps):
            self.now += self.rng.choice([100, 1000, MINUTE, 10 * MINUTE])
            (act,) = self.rng.choices([a for a, _ in acts], [w for _, w in acts])
            act()
        return self.facts

    def head(self, writer: str) -> tuple[str, int, dict[str, int]]:
        """Append: return writer, sequence and the vector as of the append."""
        vector = self.vectors[writer]
        before = dict(vector)
        seq = vector.get(writer, 0) + 1
        vector[writer] = seq
        return writer, seq, before

    def wall(self, writer: str) -> int:
        """Read a node's clock."""
        return self.now + self.clocks[writer][0]

    def pick(self) -> str:
        """Choose a writer."""
        return self.rng.choice(self.writers)

    def hear(self) -> None:
        """Let one node learn all that another holds."""
        a, b = self.rng.sample(self.writers, 2)
        for writer, seq in self.vectors[b].items():
            self.vectors[a][writer] = max(seq, self.vectors[a].get(writer, 0))

    def step_clock(self) -> None:
        """Start a clock epoch with another error."""
        writer = self.pick()
        self.epochs[writer] += 1
        self.clocks[writer] = self.rng.choice([0, 700, 30 * MINUTE]), self.rng.choice([1000, None])

    def move(self) -> None:
        """Move stock."""
        writer, seq, vector = self.head(self.pick())
        wall = self.wall(writer)
        stated = None
        if self.rng.random() < 0.1:
            start = wall - self.rng.choice([0, 5, 30]) * MINUTE
            stated = (start, start + 1000)
        for line in range(self.rng.choice([1, 1, 1, 2])):
            sells = self.rng.random() < 0.7
            self.facts.append(
                Movement(
                    writer,
                    seq,
                    line,
                    SHOP,
                    PRODUCT,
                    -self.rng.randint(1, 3) if sells else self.rng.randint(1, 10),
                    "sale" if sells else "receipt",
                    wall,
                    self.clocks[writer][1],
                    self.epochs[writer],
                    vector,
                    self.rng.choice([None, None, None, *ZONES]),
                    self.rng.choice([None, None, "D1", "D2"]),
                    stated=stated,
                )
            )

    def count(self, session: str | None = None, zone: str | None = None) -> None:
        """Look at a shelf and post the count, perhaps after other entries of the same node."""
        writer = self.pick()
        looks = []
        for _ in range(self.rng.choice([1, 1, 1, 2])):
            basis_lo, lo = dict(self.vectors[writer]), self.wall(writer)
            self.now += self.rng.choice([0, 500, 5 * MINUTE])
            if self.rng.random() < 0.3:
                self.hear()
            looks.append(
                Look(
                    self.rng.randint(0, 12),
                    lo,
                    max(lo, self.wall(writer)),
                    basis_lo,
                    dict(self.vectors[writer]),
                    zone or self.rng.choice([None, None, *ZONES]),
                )
            )
        if self.rng.random() < 0.4:
            self.move()
        _, seq, vector = self.head(writer)
        names = ["T1", "T2", "D1", *(entry_id(one.writer, one.seq) for one in self.facts[-3:])]
        self.facts.append(
            Count(
                writer,
                seq,
                0,
                SHOP,
                PRODUCT,
                self.rng.choice(list(Rank)),
                self.wall(writer),
                self.clocks[writer][1],
                self.epochs[writer],
                vector,
                tuple(looks),
                session,
                (self.rng.choice(names),) if self.rng.random() < 0.15 else (),
                (self.rng.choice(names),) if self.rng.random() < 0.1 else (),
            )
        )

    def zone_count(self) -> None:
        """Open a session, or count a zone of one."""
        if not self.sessions or self.rng.random() < 0.3:
            session = f"S{len(self.sessions) + 1}"
            self.sessions.append(session)
            writer, seq, vector = self.head(self.pick())
            self.facts.append(SessionOpen(writer, seq, self.wall(writer), vector, SHOP, session, ZONES))
        for _ in range(self.rng.randint(1, 3)):
            self.count(self.rng.choice(self.sessions), self.rng.choice(ZONES))

    def transfer(self) -> None:
        """Write one side of a transfer: here, or elsewhere with or without a notice in between."""
        writer, seq, vector = self.head(self.pick())
        ships = self.rng.random() < 0.5
        outward = self.rng.random() < 0.2
        location = (SHOP if outward else WAREHOUSE) if ships else (WAREHOUSE if outward else SHOP)
        kind = Notice if location == WAREHOUSE and self.rng.random() < 0.5 else Movement
        quantity = self.rng.randint(1, 5)
        self.facts.append(
            kind(
                writer,
                seq,
                0,
                location,
                PRODUCT,
                -quantity if ships else quantity,
                "ship" if ships else "recv",
                self.wall(writer),
                self.clocks[writer][1],
                self.epochs[writer],
                vector,
                transfer=self.rng.choice(["T1", "T2", "T3"]),
                destination=(WAREHOUSE if outward else SHOP) if ships else None,
                document=self.rng.choice([None, "D1"]),
                is_final=not ships and self.rng.random() < 0.3,
            )
        )

    def known(self, writer: str, *kinds: type) -> list[Fact]:
        """Return what a node holds of some kinds of fact."""
        vector = self.vectors[writer]
        return [one for one in self.facts if isinstance(one, kinds) and vector.get(one.writer, 0) >= one.seq]

    def resolve(self) -> None:
        """Choose an observation, or decide a pair."""
        writer = self.pick()
        counts, movements = self.known(writer, Count), self.known(writer, Movement)
        if not counts:
            return
        count = self.rng.choice(counts)
        assert isinstance(count, Count)
        name = count.session or count.id
        rank = self.rng.choice(list(Rank))
        if movements and self.rng.random() < 0.6:
            movement = self.rng.choice(movements)
            _, seq, vector = self.head(writer)
            side = self.rng.choice([Side.BEFORE, Side.AFTER])
            target = entry_id(movement.writer, movement.seq)
            self.facts.append(Classify(writer, seq, self.wall(writer), vector, rank, target, name, side))
        else:
            _, seq, vector = self.head(writer)
            self.facts.append(Accept(writer, seq, self.wall(writer), vector, rank, SHOP, PRODUCT, name))

    def share(self) -> None:
        """Give a right away, promise something, or end a promise, honestly or not."""
        writer, seq, _ = self.head(self.pick())
        promise = self.rng.choice(["P1", "P2", "P3"])
        act = self.rng.randrange(4)
        if act == 0:
            self.facts.append(Grant(writer, seq, SHOP, PRODUCT, self.rng.randint(1, 6), self.pick()))
        elif act == 3:
            holder, successor = self.rng.choice(["", self.pick()]), self.rng.choice(["", self.pick()])
            self.facts.append(RightMove(writer, seq, SHOP, PRODUCT, self.rng.randint(1, 6), holder, successor))
        elif act == 1:
            self.facts.append(Promise(writer, seq, SHOP, PRODUCT, self.rng.randint(1, 4), promise))
        else:
            outcome = self.rng.choice(["fulfilled", "cancelled", "expired"])
            self.facts.append(PromiseEnd(writer, seq, SHOP, PRODUCT, promise, outcome))

    def void(self) -> None:
        """Take out an entry of any kind, a VOID included."""
        writer = self.pick()
        held = self.known(writer, object)
        if held:
            voids = [one for one in held if isinstance(one, Void)]
            target = self.rng.choice(voids if voids and self.rng.random() < 0.4 else held)
            _, seq, vector = self.head(writer)
            name = entry_id(target.writer, target.seq)
            if self.rng.random() < 0.2:
                name += "#0"
            self.facts.append(Void(writer, seq, self.wall(writer), vector, Rank.ADMIN, name))

    def fix_clock(self) -> None:
        """Measure a clock epoch."""
        writer, seq, vector = self.head(self.pick())
        target = self.pick()
        epoch = self.rng.randint(0, self.epochs[target])
        offset = self.rng.choice([self.clocks[target][0], 0, -MINUTE])
        self.facts.append(ClockFix(writer, seq, self.wall(writer), vector, target, epoch, offset, 500))


def arrival_orders(facts: Sequence[Fact], rng: random.Random, samples: int) -> Iterable[list[Fact]]:
    """Yield random orders of delivery in which some facts arrive twice."""
    for _ in range(samples):
        order = [*facts, *rng.choices(facts, k=len(facts) // 3)] if facts else []
        rng.shuffle(order)
        yield order

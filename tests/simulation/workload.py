"""Workload: the traffic of a chain's days, drawn from the world's seed and steered to where conflicts live."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

from schema.catalogue import Scalar
from schema.errors import RefusalError
from schema.identity import ORG, LocationId, Stream, location_scope
from schema.kinds.base import StockMove
from schema.kinds.counting import (
    CountAccepted,
    CountClosed,
    CountOpened,
    CountRecorded,
    EntryVoided,
    Look,
    MovementClassified,
)
from schema.kinds.organisation import (
    AuthorityGranted,
    AuthorityRevoked,
    LocationDefined,
    OrganisationFounded,
    PolicySet,
    ScopeGrant,
)
from schema.kinds.rights import PromiseEnded, PromiseMade, RightGranted, RightMoved
from schema.kinds.stock import (
    GoodsReceived,
    StockAdjusted,
    StockRepacked,
    TransferDispatched,
    TransferNoticed,
    TransferReceived,
)
from schema.kinds.trading import Refund, RefundLine, Sale, SaleLine, ShiftOpened, Tender
from sync.clock import ClockMeasurement
from sync.document_projection import read_document
from sync.documents import edit
from sync.signing import SigningKey
from tests.simulation.carrying import deliver_bundles, hand_mail, load_bundle
from tests.simulation.conversation import Conversation
from tests.simulation.machine import HOUR, MINUTE, SECOND, Machine
from tests.simulation.releases import NEW, OLD, TastingGiven
from tests.simulation.world import World

CATEGORIES = {"drinks": ("cola", "tea", "water"), "snacks": ("nuts", "rice"), "fruit": ("apple", "pear", "plum")}
PRODUCTS = [product for products in CATEGORIES.values() for product in products]
WEIGHTS = [8, 5, 3, 3, 2, 2, 1, 1]
ZONES = ("Z1", "Z2")
DAY_CODE = "2026-09-21"
VAN = "V"


class Shipment(NamedTuple):
    """Goods on the road, with the paper that goes with them."""

    transfer: str
    origin: str
    destination: str
    lines: tuple[tuple[str, int], ...]
    document: str


class Workload:
    """Founds an organisation and lets its people work, its lines fail and its disks die."""

    def __init__(self, world: World, *, tills: int, shops: int) -> None:
        self.world = world
        self.rng: random.Random = world.rng
        self.shipments: list[Shipment] = []
        self.backups: list[tuple[Machine, object]] = []
        self.sessions: dict[str, list[str]] = {}
        self.session_no = 0
        self.transfer_no = 0
        self.promise_no = 0
        self.promises: list[tuple[str, str, str]] = []
        """Scope, name and product of what was promised."""
        world.locations[:] = ["W", *(f"S{n + 1}" for n in range(shops)), VAN]
        self._found(tills)
        rng = self.rng
        self.actions: list[tuple[int, Callable[[Machine], None]]] = [
            (30, self.sell), (4, self.refund), (6, self.receive), (4, self.adjust), (2, self.repack),
            (6, self.dispatch), (8, self.arrive), (10, self.look), (12, self.post_count), (5, self.zone_session),
            (4, self.zone_line), (4, self.count_transit), (6, self.accept), (4, self.void), (4, self.classify),
            (4, self.price),
            (2, self.taste), (1, self.shift), (4, self.hear_and_count),
            (3, self.give_right), (3, self.promise), (2, self.end_promise),
        ]  # fmt: skip
        self.actions = [(weight * rng.choice([0, 1, 1, 2]) or 1, action) for weight, action in self.actions]

    # Founding.

    def _found(self, tills: int) -> None:
        world, hub, rng = self.world, self.world.hub, self.rng

        def found() -> None:
            hub.append(ORG, OrganisationFounded("Chain", world.hub_key.public))
            for location in world.locations:
                lags = (("sale", rng.choice([0, 0, 10 * MINUTE])),)
                hub.append(ORG, LocationDefined(location, location, "shop", lags, ZONES))
            for category, products in CATEGORIES.items():
                self._policy(category)
                fields = {(p, f): v for p in products for f, v in (("name", p), ("unit", "pc"))}
                for document, sets in (
                    (f"products/{category}", fields),
                    (f"prices/standard/{category}", {(p, "pc"): 100 for p in products}),
                ):
                    state = read_document(hub.disk, document)
                    writer = hub.stream(ORG).writer
                    for change in edit(state, sets, writer=writer, time_ms=hub.moment().wall_ms):
                        hub.append(ORG, change)

        hub.transact(found)
        for location in world.locations:
            for number in range(tills if location.startswith("S") else 1):
                self.enrol(location, f"{location}{number + 1}")

    def _policy(self, category: str) -> None:
        rng = self.rng
        self.world.hub.append(
            ORG,
            PolicySet(
                category,
                rng.choice([0, 1000, 2000]),
                rng.choice([0, 50_000]),
                rng.choice(["latest", "latest", "authority", "lowest", "average", "manual"]),
                rng.choice(["midpoint", "conservative"]),
            ),
        )

    def enrol(self, location: str, name: str) -> None:
        """Grant a new node and start it; it may also be that its machine comes up before the grant reaches it."""
        world, rng = self.world, self.rng
        signer = SigningKey(rng.randbytes(32))
        self._grant(signer, location, name, rng.choice(["clerk", "supervisor", "supervisor", "auditor"]))
        machine = Machine(world, name, signer, location)
        machine.wall_error_ms = rng.choice([0, 0, 20, -700, 3 * SECOND, -HOUR, 20 * MINUTE])
        machine.release = rng.choice([NEW, NEW, OLD])
        machine.uses_bundles = location == VAN
        if rng.random() < 0.7:  # somebody set the clock at installation, and said how well
            claimed = ClockMeasurement(0, rng.choice([50, 2_000, abs(machine.wall_error_ms) + 50]))
            machine.transact(lambda: (machine.anchor(claimed),))
        world.machines.append(machine)

    def enrol_again(self) -> None:
        """Invite anew the nodes that a restored hub forgot before any of them had heard of its own grant."""
        world, hub = self.world, self.world.hub
        for node in world.nodes:
            if hub.replica.organisation.public_key(hub.disk, node.signer.node) is None:
                self._grant(node.signer, node.location, node.till, "auditor")
                world.count("enrolled again")

    def _grant(self, signer: SigningKey, location: str, name: str, rank: str) -> None:
        hub, rng = self.world.hub, self.rng
        permissions = ["trade", "stock", "count", "resolve", *(["catalogue.write"] if rng.random() < 0.8 else [])]
        scopes: tuple[ScopeGrant, ...] = (
            ScopeGrant(f"loc/{location}", tuple(permissions), rank), ScopeGrant("loc/*", ("notice",), "clerk")
        )  # fmt: skip
        if location == VAN:  # it promises its customers goods that are still in the warehouse
            scopes += (ScopeGrant("loc/W", ("notice", "trade"), "clerk"),)
        granted = AuthorityGranted(signer.node, signer.public, name, location, name, scopes)
        hub.transact(lambda: (hub.append(ORG, granted),))

    # One step.

    def step(self) -> None:
        """Let one thing happen somewhere."""
        world, rng = self.world, self.rng
        world.now += rng.choice([20, 500, 5 * SECOND, MINUTE, MINUTE, 10 * MINUTE])
        draw = rng.random()
        if draw < 0.62:
            machine = rng.choice(world.alive)
            if machine.is_hub:
                self.administer(machine)
            else:
                action = rng.choices([a for _, a in self.actions], [w for w, _ in self.actions])[0]
                if machine.location == VAN and rng.random() < 0.4:
                    action = rng.choice([self.load, self.stop_at_shop, self.stop_at_shop, self.unload])
                action(machine)
        elif draw < 0.95:
            self.talk()
        else:
            self.trouble()

    def talk(self) -> None:
        """Carry one frame of some session, or begin one."""
        world, rng = self.world, self.rng
        world.deliver_late()
        world.conversations = [one for one in world.conversations if not one.is_over]
        if world.conversations and rng.random() < 0.85:
            conversation = rng.choice(world.conversations)
            for _ in range(rng.choice([1, 2, 6])):
                conversation.step()
            return
        node = rng.choice(world.nodes)
        if node.uses_bundles:
            world.exchange_bundles(node)
            return
        peers = [m for m in world.nodes if m.location == node.location and m is not node and not m.uses_bundles]
        server = rng.choice(peers) if peers and rng.random() < 0.35 else world.hub
        if node.transact(lambda: True):
            world.conversations.append(Conversation(node, server))

    def trouble(self) -> None:
        """Break something, or mend it."""
        world, rng = self.world, self.rng
        node = rng.choice(world.nodes)
        match rng.choice(
            ["kills", "loss", "damage", "partition", "partition", "mend", "reboot", "clock", "clock", "battery",
             "backup", "backup", "restore", "clone", "hub backup", "hub backup", "hub restore", "restore",
             "hub away", "upgrade", "enrol", "revoke", "promote"]
        ):  # fmt: skip
            case "kills":
                world.kill_chance = rng.choice([0, 0.1, 0.4])
            case "loss":
                world.loss_chance = rng.choice([0, 0.1, 0.3])
            case "damage":
                world.damage_chance = rng.choice([0, 0.05, 0.2])
            case "partition":
                node.can_hear, node.can_speak = rng.choice([(False, True), (True, False), (False, False)])
                world.count("partition")
            case "mend":
                for machine in world.alive:
                    machine.can_hear = machine.can_speak = True
            case "reboot":
                node.boot()
            case "clock":
                node.wall_error_ms += rng.choice([-HOUR, HOUR, 10 * SECOND, -10 * SECOND, 2 * MINUTE])
                world.count("clock jump")
            case "battery":  # the clock restarts years ago and nobody knows the time
                node.wall_error_ms = -300_000_000_000
                node.boot()
                world.count("dead clock")
            case "backup":
                self.backups.append((node, node.disk.image()))
            case "restore":
                theirs = [(machine, image) for machine, image in self.backups if not machine.is_hub]
                if theirs:
                    node, image = rng.choice(theirs)
                    self.replace_disk(node, image, is_known=rng.random() < 0.5)
            case "clone":
                twins = sum("~" in m.name for m in world.alive)
                if twins < 2 and not node.uses_bundles:
                    world.clone(node, is_known=rng.random() < 0.3)
            case "hub backup":
                self.backups.append((world.hub, world.hub.disk.image()))
            case "hub restore":
                mine = [image for machine, image in self.backups if machine.is_hub]
                if mine:
                    self.replace_disk(world.hub, rng.choice(mine), is_known=True)
            case "hub away":  # only the neighbours are left, and the van
                world.hub.can_hear = world.hub.can_speak = False
                world.count("hub away")
            case "upgrade":
                old = [m for m in world.alive if m.release == OLD]
                if old:
                    world.upgrade(rng.choice(old))
            case "enrol":
                if len(world.machines) < 20:
                    location = rng.choice(world.locations[:-1])
                    self.enrol(location, f"{location}n{len(world.machines)}")
            case "revoke":
                self.revoke(node)
            case _:
                rank = rng.choice(["supervisor", "auditor", "admin"])
                self._grant(node.signer, node.location, node.till, rank)

    def replace_disk(self, machine: Machine, image: object, *, is_known: bool) -> None:
        """Restore a backup, having told the auditor what no other disk holds."""
        if self.on_disk_lost is not None:
            self.on_disk_lost(machine)
        self.world.restore(machine, image, is_known=is_known)

    on_disk_lost: Callable[[Machine], None] | None = None

    def revoke(self, node: Machine) -> None:
        """Let a node leave the fleet at what the hub holds of it, or a little earlier."""
        world, hub, rng = self.world, self.world.hub, self.rng
        if len(world.nodes) < 4 or rng.random() < 0.7:
            return
        lasts = tuple(
            (row.stream.scope, row.stream.writer, max(0, row.head.seq - rng.choice([0, 0, 1, 3])))
            for row in hub.replica.rows()
            if row.stream.node == node.signer.node
        )
        hub.transact(lambda: (hub.append(ORG, AuthorityRevoked(node.signer.node, lasts)),))
        world.count("revoked")
        for scope in {node.home, location_scope(LocationId("W"))}:
            writer = node.stream(scope).writer
            moved = RightMoved(rng.choice(PRODUCTS), 1000 * rng.randint(1, 6), writer, operator="o1")
            hub.transact(partial(hub.append, scope, moved))

    # The till.

    def moves(self, sign: int, most: int = 5) -> tuple[StockMove, ...]:
        rng = self.rng
        products = rng.choices(PRODUCTS, WEIGHTS, k=rng.randint(1, most))
        return tuple(
            StockMove(p, sign * 1000 * rng.randint(1, 3), zone=rng.choice(["", "", "", *ZONES])) for p in products
        )

    def stated(self, machine: Machine) -> tuple[int, int] | None:
        if self.rng.random() < 0.75:
            return None
        wall = machine.moment().wall_ms - self.rng.choice([0, MINUTE, 30 * MINUTE, 5 * HOUR])
        return wall - MINUTE, wall

    def do(self, machine: Machine, act: Callable[[], object]) -> bool:
        """Run one use case in one transaction; false when the machine died in it."""
        return machine.transact(lambda: (act(),), fuse=self.world.fuse()) is not None

    def sell(self, machine: Machine) -> None:
        def act() -> None:
            moves = self.moves(-1)
            lines = tuple(
                SaleLine(m.product, "", 1000, -m.quantity_milli, 100, 100, 1000, "list", 100, "13", 1300) for m in moves
            )
            total = 100 * len(lines)
            number = machine.next_receipt()
            sale = Sale(number, DAY_CODE, "s", "o1", lines, moves, (Tender("cash", total),), total)
            machine.append(machine.home, sale)

        self.do(machine, act)

    def refund(self, machine: Machine) -> None:
        def act() -> None:
            moves = self.moves(1, 1)
            line = RefundLine(None, moves[0].product, "", 1000, moves[0].quantity_milli, 100, "13", 1300, "shelf")
            number = machine.next_receipt()
            refund = Refund(number, DAY_CODE, "s", "o1", "", (line,), moves, (Tender("cash", -100),), 100)
            machine.append(machine.home, refund)

        self.do(machine, act)

    def receive(self, machine: Machine) -> None:
        def act() -> None:
            moves = tuple(m.__class__(m.product, m.quantity_milli * 4, zone=m.zone) for m in self.moves(1))
            document = f"D{self.rng.randint(1, 20)}"
            machine.append(machine.home, GoodsReceived(document, "sup", "o1", moves, stated=self.stated(machine)))

        self.do(machine, act)

    def adjust(self, machine: Machine) -> None:
        def act() -> None:
            reason = self.rng.choice(["wastage", "found"])
            moves = self.moves(1 if reason == "found" else -1, 2)
            machine.append(machine.home, StockAdjusted(reason, "o1", moves, stated=self.stated(machine)))

        self.do(machine, act)

    def repack(self, machine: Machine) -> None:
        a, b = self.rng.sample(PRODUCTS, 2)
        moves = (StockMove(a, -1000), StockMove(b, 6000))
        self.do(machine, lambda: machine.append(machine.home, StockRepacked("o1", moves)))

    def taste(self, machine: Machine) -> None:
        if machine.release == NEW:
            moves = self.moves(-1, 2)
            self.do(machine, lambda: machine.append(machine.home, TastingGiven("o1", moves)))

    def shift(self, machine: Machine) -> None:
        self.do(machine, lambda: machine.append(machine.home, ShiftOpened("s", DAY_CODE, "o1", 10_000)))

    # Transfers.

    def dispatch(self, machine: Machine, to: str = "") -> None:
        rng = self.rng
        destination = to or rng.choice([x for x in self.world.locations if x != machine.location])
        self.transfer_no += 1
        products = sorted(set(rng.choices(PRODUCTS, WEIGHTS, k=rng.randint(1, 2))))
        lines = tuple((p, 1000 * rng.randint(2, 9)) for p in products)
        document = f"P{self.transfer_no}"
        shipment = Shipment(f"T{self.transfer_no}", machine.location, destination, lines, document)

        def act() -> None:
            moves = tuple(StockMove(p, -q) for p, q in lines)
            stated = self.stated(machine)
            out = TransferDispatched(shipment.transfer, destination, "o1", moves, document, stated)
            self._with_notice(machine, out, "dispatched", shipment, moves, False, destination, stated)

        if self.do(machine, act):
            self.shipments.append(shipment)

    def arrive(self, machine: Machine) -> None:
        rng = self.rng
        mine = [s for s in self.shipments if s.destination == machine.location]
        if not mine:
            return
        shipment = rng.choice(mine)
        factor = rng.choice([1, 1, 1, 0.5, 0.5, 2])
        is_final = rng.random() < 0.6

        def act() -> None:
            moves = tuple(StockMove(p, max(1, int(q // 1000 * factor)) * 1000) for p, q in shipment.lines)
            stated = self.stated(machine)
            got = TransferReceived(shipment.transfer, shipment.origin, "o1", moves, is_final, shipment.document, stated)
            self._with_notice(machine, got, "received", shipment, moves, is_final, shipment.origin, stated)

        if self.do(machine, act) and rng.random() < 0.7:
            self.shipments.remove(shipment)

    # The van.

    def load(self, van: Machine) -> None:
        """Load in the warehouse: it dispatches, and the van takes in what its paper says, to the last piece or not."""
        warehouse = next((m for m in self.world.nodes if m.location == "W"), None)
        if warehouse is None:
            return
        self.dispatch(warehouse, VAN)
        if self.rng.random() < 0.8:
            self.arrive(van)
        self.world.count("van loaded")

    def unload(self, van: Machine) -> None:
        """Bring what is left home, hand the hub what others gave along, and sync as a van does: by a file."""
        self.dispatch(van, "W")
        warehouse = next((m for m in self.world.nodes if m.location == "W"), None)
        if warehouse is not None and self.rng.random() < 0.8:
            self.arrive(warehouse)
        deliver_bundles(self.world, van)
        self.world.exchange_bundles(van)
        self.world.count("van unloaded")

    def stop_at_shop(self, van: Machine) -> None:
        """Call at a shop: leave goods, take its bundle along, hand it the hub's answer, and hear it over its LAN."""
        world, rng = self.world, self.rng
        shops = [m for m in world.nodes if m.location not in {VAN, "W"} and not m.uses_bundles]
        if not shops:
            return
        shop = rng.choice(shops)
        hand_mail(world, van, shop)
        if rng.random() < 0.6:
            self.dispatch(van, shop.location)
            if rng.random() < 0.7:
                self.arrive(shop)
        if rng.random() < 0.7 and len(van.aboard) < 4:
            load_bundle(world, van, shop)
        if rng.random() < 0.5 and van.transact(lambda: True):
            world.conversations.append(Conversation(van, shop))
        self.sell(van)

    # Rights on shared stock.

    def give_right(self, machine: Machine) -> None:
        """Give the hub, the van or a neighbour the right to promise goods of this place."""
        rng = self.rng
        holders = [self.world.hub, *(m for m in self.world.nodes if m.location in {VAN, machine.location})]
        holder = rng.choice(holders).stream(machine.home).writer
        granted = RightGranted(rng.choices(PRODUCTS, WEIGHTS)[0], 1000 * rng.randint(1, 6), holder, "o1")
        self.do(machine, lambda: machine.append(machine.home, granted))

    def promise(self, machine: Machine) -> None:
        """Put goods aside, of this place or (the van, the hub) of another; now and then more than was given."""
        rng = self.rng
        scope = machine.home
        if machine.location == VAN and rng.random() < 0.6:
            scope = location_scope(LocationId("W"))
        self.promise_no += 1
        name = f"R{self.promise_no}"
        product = rng.choices(PRODUCTS, WEIGHTS)[0]
        made = PromiseMade(name, product, 1000 * rng.randint(1, 4), 0, "o1")
        if self.do(machine, lambda: machine.append(scope, made)):
            self.promises.append((scope, name, product))

    def end_promise(self, machine: Machine) -> None:
        """Fulfil, cancel or let expire a promise, one's own or (somebody else came for it) another's."""
        mine = [one for one in self.promises if one[0] == machine.home]
        if mine:
            scope, name, product = self.rng.choice(mine)
            outcome = self.rng.choice(["fulfilled", "cancelled", "expired"])
            ended = PromiseEnded(name, product, outcome, "o1")
            self.do(machine, lambda: machine.append(location_scope(LocationId(machine.location)), ended))
            if self.rng.random() < 0.7:
                self.promises.remove((scope, name, product))

    def _with_notice(
        self,
        machine: Machine,
        act: TransferDispatched | TransferReceived,
        name: str,
        shipment: Shipment,
        moves: tuple[StockMove, ...],
        is_final: bool,
        counterpart: str,
        stated: tuple[int, int] | None,
    ) -> None:
        own = machine.replica.log.stream(machine.stream(machine.home))
        operation = f"{machine.stream(machine.home)}:{(own.head.seq if own else 0) + 1}"
        vector = machine.vector()
        entry = machine.append(machine.home, act, operation)
        notice = TransferNoticed(
            name, shipment.transfer, machine.location, counterpart, moves, is_final, str(entry.id), vector, stated
        )
        machine.append(location_scope(LocationId(counterpart)), notice, operation)

    # Counts.

    def book(self, machine: Machine, product: str) -> int:
        row = machine.disk.execute(
            "SELECT value FROM stock JOIN scope USING (scope_no) WHERE scope = ? AND product = ?",
            (machine.home, product),
        ).fetchone()
        return int(row[0]) if row else 0

    def quantity(self, machine: Machine, product: str) -> int:
        """Say what a counter found: mostly the book figure or near it."""
        near = self.rng.choice([0, 0, 0, 1000, -1000, 5000])
        return max(0, self.book(machine, product) + near) if self.rng.random() < 0.8 else 1000 * self.rng.randint(0, 30)

    def look(self, machine: Machine) -> None:
        """Touch a shelf for the first time: the basis is what this node holds now."""
        product = self.rng.choices(PRODUCTS, WEIGHTS)[0]
        taken = machine.transact(lambda: (machine.moment().wall_ms, machine.vector()))
        if taken is not None:
            machine.looks.append((product, *taken))

    def post_count(self, machine: Machine) -> None:
        """Finish a look and post it; now and then two tills count one product at once."""
        if not machine.looks:
            self.look(machine)
        if not machine.looks:
            return
        product, lo_ms, basis = machine.looks.pop(self.rng.randrange(len(machine.looks)))
        self.record(machine, product, lo_ms, basis, self.quantity(machine, product))
        peers = [m for m in self.world.nodes if m.location == machine.location and m is not machine]
        if peers and self.rng.random() < 0.5:
            peer = self.rng.choice(peers)
            self.world.now += self.rng.choice([500, 5 * SECOND, MINUTE])
            taken = peer.transact(lambda: (peer.moment().wall_ms, peer.vector()))
            if taken is not None:
                self.record(peer, product, *taken, self.quantity(peer, product))

    def hear_and_count(self, machine: Machine) -> None:
        """Reconcile with a neighbour and count at once: what a wrong clock stamped is already known."""
        peers = [m for m in self.world.nodes if m.location == machine.location and m.signer is not machine.signer]
        if not peers or machine.uses_bundles:
            return
        peer = self.rng.choice(peers)
        if not (machine.can_speak and machine.can_hear and peer.can_speak and peer.can_hear):
            return
        Conversation(machine, peer).run()
        product = self.rng.choice(PRODUCTS[:3])
        taken = machine.transact(lambda: (machine.moment().wall_ms, machine.vector()))
        if taken is not None:
            self.record(machine, product, *taken, self.quantity(machine, product))

    def record(
        self,
        machine: Machine,
        product: str,
        lo_ms: int,
        basis: tuple[tuple[str, int], ...],
        quantity: int,
        session: str = "",
        zone: str = "",
        absorbs: tuple[str, ...] = (),
    ) -> None:
        rng = self.rng

        def act() -> None:
            hi_ms = max(lo_ms, machine.moment().wall_ms)
            look = Look(quantity, lo_ms, hi_ms, basis, machine.vector(), zone)
            names = [s.transfer for s in self.shipments if s.destination == machine.location]
            names += [s.document for s in self.shipments[-3:]] + [f"D{rng.randint(1, 20)}"]
            declared = absorbs or ((rng.choice(names),) if rng.random() < 0.2 else ())
            denied = (rng.choice(names),) if rng.random() < 0.05 else ()
            role = rng.choice(["clerk", "clerk", "supervisor", "auditor"])
            machine.append(machine.home, CountRecorded(product, role, "o1", (look,), session, declared, denied))

        self.do(machine, act)

    def count_transit(self, machine: Machine) -> None:
        """Count goods whose receipt is not keyed: found as just so much more, or declared."""
        mine = [s for s in self.shipments if s.destination == machine.location]
        if not mine:
            return
        shipment = self.rng.choice(mine)
        product, quantity = self.rng.choice(shipment.lines)
        taken = machine.transact(lambda: (machine.moment().wall_ms, machine.vector()))
        if taken is not None:
            self.world.now += 5 * SECOND
            absorbs = (shipment.transfer,) if self.rng.random() < 0.4 else ()
            found = max(0, self.book(machine, product)) + quantity
            self.record(machine, product, *taken, found, absorbs=absorbs)

    def zone_session(self, machine: Machine) -> None:
        self.session_no += 1
        session = f"C{self.session_no}"
        opened = CountOpened(session, ZONES, (), "o1")
        if self.do(machine, lambda: machine.append(machine.home, opened)):
            self.sessions.setdefault(machine.location, []).append(session)
            for _ in range(self.rng.randint(0, 3)):
                self.zone_line(machine)
            if self.rng.random() < 0.4:
                self.do(machine, lambda: machine.append(machine.home, CountClosed(session, "o1")))

    def zone_line(self, machine: Machine) -> None:
        open_here = self.sessions.get(machine.location, [])[-2:]
        if not open_here:
            return
        taken = machine.transact(lambda: (machine.moment().wall_ms, machine.vector()))
        if taken is not None:
            self.world.now += SECOND
            product = self.rng.choice(PRODUCTS[:2])
            session, zone = self.rng.choice(open_here), self.rng.choice(ZONES)
            counters = [machine]
            if self.rng.random() < 0.4:
                counters += [m for m in self.world.nodes if m.location == machine.location and m is not machine][:1]
            if self.rng.random() < 0.5:
                found = 1000 * self.rng.choice([2, 8])
                self.record(machine, product, *taken, found, session, ZONES[zone == ZONES[0]])
            for counter in counters:
                found = 1000 * self.rng.choice([2, 2, 3, 8])
                self.record(counter, product, taken[0], counter.vector(), found, session, zone)

    # Resolutions.

    def _entries(self, machine: Machine, kind: type) -> Iterator[str]:
        scope = machine.home
        for row in machine.replica.log.streams(scope):
            for entry in machine.replica.log.entries(row, max(0, row.head.seq - 12)):
                if isinstance(entry.payload, kind):
                    yield f"{row.stream.writer}:{entry.body.seq}"

    def _counts(self, machine: Machine) -> list[tuple[str, str]]:
        found = []
        for row in machine.replica.log.streams(machine.home):
            for entry in machine.replica.log.entries(row, max(0, row.head.seq - 25)):
                if isinstance(entry.payload, CountRecorded):
                    name = entry.payload.session or f"{row.stream.writer}:{entry.body.seq}"
                    found.append((entry.payload.product, name))
        return found

    def accept(self, machine: Machine) -> None:
        """Choose a count to believe; now and then two people choose otherwise at once."""
        counts = self._counts(machine)
        if not counts:
            return
        product, _ = self.rng.choice(counts)
        names = [name for p, name in counts if p == product]
        deciders = [machine]
        if self.rng.random() < 0.6:
            others = [m for m in self.world.nodes if m.location == machine.location and m is not machine]
            deciders += self.rng.sample(others, min(1, len(others)))
        for who in deciders:
            role = self.rng.choice(["clerk", "supervisor"])
            name = self.rng.choice(names)
            self.do(
                who,
                lambda who=who, role=role, name=name: who.append(  # type: ignore[misc]
                    machine.home, CountAccepted(product, name, role, "o1", who.vector())
                ),
            )

    def void(self, machine: Machine) -> None:
        kind = self.rng.choice([EntryVoided, Sale, CountRecorded, GoodsReceived, TransferReceived, CountAccepted])
        with_names = list(self._entries(machine, kind))
        if with_names:
            target = self.rng.choice(with_names) + self.rng.choice(["", "", "#0"])
            voided = EntryVoided(target, self.rng.choice(["clerk", "supervisor"]), "o1", machine.vector())
            self.do(machine, lambda: machine.append(machine.home, voided))

    def classify(self, machine: Machine) -> None:
        kind = self.rng.choice([Sale, GoodsReceived, TransferReceived])
        movements, counts = list(self._entries(machine, kind)), self._counts(machine)
        if movements and counts:
            _, observation = self.rng.choice(counts)
            side = self.rng.choice(["BEFORE", "AFTER"])
            verdict = MovementClassified(self.rng.choice(movements), observation, side, "clerk", "o1", machine.vector())
            self.do(machine, lambda: machine.append(machine.home, verdict))

    # The catalogue.

    def price(self, machine: Machine) -> None:
        """Edit a shared document here, at the hub in `org`, at a shop in its own scope."""
        rng = self.rng
        scope = ORG if machine.is_hub else machine.home
        category = rng.choice(list(CATEGORIES))
        sets: dict[tuple[str, str], Scalar]
        if rng.random() < 0.2:
            document, sets = f"products/{category}", {(rng.choice(PRODUCTS), "name"): rng.choice("abc")}
        else:
            document = f"prices/standard/{category}"
            sets = {(p, "pc"): rng.randint(1, 5) * 100 for p in rng.sample(CATEGORIES[category], 2)}

        def act() -> None:
            state = read_document(machine.disk, document)
            stream = Stream(scope, machine.signer.node, machine.incarnation)
            role = "admin" if machine.is_hub else rng.choice(["clerk", "supervisor", "auditor"])
            for change in edit(state, sets, writer=stream.writer, time_ms=machine.moment().wall_ms, role=role):
                machine.append(scope, change)

        try:
            self.do(machine, act)
        except RefusalError as error:
            self.world.count(f"edit {error.code}")

    # The hub.

    def administer(self, hub: Machine) -> None:
        """Change a policy or a price, or settle a location's conflict, at the hub."""
        draw = self.rng.random()
        if draw < 0.2:
            self.do(hub, lambda: self._policy(self.rng.choice(list(CATEGORIES))))
        elif draw < 0.5:
            self.price(hub)
        else:
            location = self.rng.choice(self.world.locations)
            hub.location = location
            try:
                self.rng.choice([self.accept, self.void, self.classify, self.promise, self.end_promise])(hub)
            finally:
                hub.location = ""

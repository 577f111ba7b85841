"""A hub process under load: founded in place on SQLite or PostgreSQL, with simulated tills that speak its protocol.

The tills hold real replicas in memory and real keys; what they send is what an agent sends. They are granted their
places in one transaction, because a thousand invitations are not what is measured.
"""

from __future__ import annotations

import os
import random
import secrets
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from hub.enrolment import Profile, grants_of
from hub.importing import found_sample
from hub.own_log import parse_location
from hub.service import init_hub, open_hub
from schema import sample
from schema.identity import ORG, LocationId, location_scope
from schema.kinds.base import StockMove
from schema.kinds.organisation import AuthorityGranted
from schema.kinds.stock import StockOpened
from schema.kinds.trading import Sale, SaleLine, Tender
from sync.messages import Batch
from sync.signing import SigningKey, seal_message
from sync.transport import EnrolResponse
from sync.verification import verify_batch
from tests import processes
from tests.hub.databases import fresh_postgresql, own_server, postgresql_programs, server_url
from tests.hub.fleet import FleetNode, now_ms

HOUR_MS = 3_600_000


def sale_lines() -> list[SaleLine]:
    """Return one line for each priced product of the sample catalogue."""
    return [
        SaleLine(
            product.code, product.unit.value, 1000, 1000, product.price_minor, product.price_minor, 1000, "list",
            product.price_minor, product.tax_class.value, 1300, operator="1012",
        )
        for product in sample.catalogue()
        if product.price_minor
    ]  # fmt: skip


def five_line_sale(pool: Sequence[SaleLine], chooser: random.Random, number: str) -> Sale:
    """Return a sale of five different products."""
    lines = tuple(chooser.sample(pool, 5))
    moves = tuple(StockMove(line.product, -1000) for line in lines)
    total = sum(line.amount_minor for line in lines)
    return Sale(number, "2026-11-22", "s1", "1012", lines, moves, (Tender("cash", total, total),), total)


@dataclass
class HubProcess:
    """A founded hub whose server runs as a process of its own."""

    directory: Path
    database: str
    address: str = ""
    pid: int = 0
    _running: ExitStack = field(default_factory=ExitStack)

    def start(self, *options: str) -> None:
        """Serve until `stop`."""
        running, self.address = self._running.enter_context(processes.serving_hub(self.directory, "--plain", *options))
        self.pid = running.pid
        self._process: subprocess.Popen[str] = running

    def stop(self) -> None:
        """End the server and wait for it."""
        self._running.close()

    def tills(self, names: Sequence[tuple[str, str]]) -> list[FleetNode]:
        """Grant places to new tills, each (location, till code), before the server starts."""
        hub = open_hub(self.directory)
        found: list[FleetNode] = []
        moves = tuple(StockMove(line.product, 10_000_000) for line in sale_lines())
        try:
            with hub.store.transaction(ORG) as replica:
                for location in sorted({location for location, _ in names}):
                    # A shop that sells what it never had would measure the inbox instead.
                    scope = location_scope(LocationId(location))
                    hub.own_log.append(replica, scope, StockOpened("bench", moves))
                for location, till in names:
                    signer = SigningKey(secrets.token_bytes(32))
                    scopes = grants_of(Profile.TILL, LocationId(location))
                    name = f"{location} {till}"
                    grant = AuthorityGranted(signer.node, signer.public, name, location, till, scopes)
                    hub.own_log.append(replica, ORG, grant)
                    node = FleetNode(signer, _enrolled(hub.identity.signer, grant))
                    # A till that was away for long vouches for little: a busy machine is no reason for a clock fix.
                    node.unc_ms = HOUR_MS
                    found.append(node)
                batches, more = replica.outgoing(ORG, {}, 64 * 1024 * 1024, hub.identity.signer)
                assert not more
            for node in found:
                _take(node, batches)
        finally:
            hub.close()
        return found

    def processor_s(self) -> float:
        """Return the processor time that the server has used."""
        words = Path(f"/proc/{self.pid}/stat").read_text("ascii").rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def resident_mb(self) -> float:
        """Return the memory that the server holds."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _enrolled(root: SigningKey, grant: AuthorityGranted) -> EnrolResponse:
    scopes = ((ORG, False), (location_scope(LocationId(grant.location)), False))
    return EnrolResponse(
        "Bench", root.node, root.public, grant.node, grant.name, grant.location, grant.till, scopes, "", "", "CNY",
        "Asia/Shanghai", 4, now_ms(),
    )  # fmt: skip


def _take(node: FleetNode, batches: Sequence[Batch]) -> None:
    node.connection.execute("BEGIN")
    for batch in batches:
        admitted = node.replica.admit(batch)
        if admitted is not None:
            node.replica.store(verify_batch(*admitted))
    node.connection.execute("COMMIT")


def databases() -> tuple[str, ...]:
    """Return the databases that are here: `sqlite`, and `postgresql` where it is installed."""
    is_here = server_url() is not None or postgresql_programs() is not None
    return ("sqlite", "postgresql") if is_here else ("sqlite",)


@contextmanager
def database_on(kind: str) -> Iterator[str]:
    """Give a fresh database of a kind; a PostgreSQL server of our own syncs its disk, as SQLite does."""
    with ExitStack() as stack:
        if kind == "sqlite":
            yield "hub.db"
            return
        named, programs = server_url(), postgresql_programs()
        if named is None:
            assert programs is not None, "PostgreSQL is installed here"
            named = stack.enter_context(own_server(programs, is_durable=True))
        yield stack.enter_context(fresh_postgresql(named))


@contextmanager
def hub_on(kind: str, locations: int) -> Iterator[HubProcess | None]:
    """Give a hub of the sample chain and so many locations more on `sqlite` or `postgresql`, not yet serving.

    None where no PostgreSQL is installed.
    """
    if kind not in databases():
        yield None
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgetill-bench-")))
        database = stack.enter_context(database_on(kind))
        places = [parse_location(f"{code}:{code}:shop") for code in ("A", "B", "W", "V")]
        places += [parse_location(f"S{number}:Shop {number}:shop") for number in range(locations)]
        init_hub(folder / "hub", name="Bench", locations=places, database=database)
        hub = open_hub(folder / "hub")
        try:
            found_sample(hub)
        finally:
            hub.close()
        process = HubProcess(folder / "hub", database)
        try:
            yield process
        finally:
            process.stop()


def trade(node: FleetNode, count: int, pool: Sequence[SaleLine], seed: int) -> None:
    """Record five-line sales at a till."""
    chooser = random.Random(seed)
    node.connection.execute("BEGIN")
    for number in range(count):
        node.append(five_line_sale(pool, chooser, f"T{seed}-1-{number:06d}"))
    node.connection.execute("COMMIT")


def own_batches(node: FleetNode, per_batch: int) -> list[Batch]:
    """Return a till's own entries as batches of so many, each sealed at its end."""
    row = node.replica.log.stream(node.stream())
    assert row is not None
    bodies = [body for _, body in node.replica.log.bodies(row, 0, 1_000_000)]
    found = []
    for first in range(0, len(bodies), per_batch):
        part = tuple(bodies[first : first + per_batch])
        last = first + len(part)
        digest = node.replica.log.digest_at(row, last)
        assert digest is not None
        seal = node.signer.sign(seal_message(node.stream(), last, digest))
        found.append(Batch(node.scope, node.signer.node, node.incarnation, first + 1, part, seal))
    return found

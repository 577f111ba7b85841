"""The figures of the hub's store: what one hub process takes in, and how a crowd that comes back at once fares."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import httpx
import msgspec

from sync.elsewhere import ALL_FAMILIES, digest_of
from sync.messages import encode_request
from tests.bench.crowd import CrowdTill, RawLine, Replies
from tests.bench.figure import Figure
from tests.bench.hub_load import HubProcess, hub_on, own_batches, sale_lines, trade
from tests.hub.fleet import FleetNode

SALES: Final = 30_000
TILLS: Final = (("A", "A8"), ("B", "B8"), ("S0", "S8"), ("S1", "S9"))
PER_REQUEST: Final = 2_000
"""About what an agent's batches grow to while the line carries them."""
CROWD: Final = 1_000
CROWD_SALES: Final = 100
TILLS_PER_SHOP: Final = 4
REPLY_S_MAX: Final = 5.0
NOOP_NODES: Final = 64
NOOP_SECONDS: Final = 8.0

NO_POSTGRESQL: Final = "no PostgreSQL is installed here: `make system-packages`"


def hub_ingest_sqlite_entries_per_s(_: object) -> Figure:
    """Five-line sales of four tills at once, pushed over HTTP into one process on SQLite: verified and folded."""
    return _ingest("hub_ingest_sqlite_entries_per_s", "sqlite", 10_000)


def hub_ingest_postgres_entries_per_s(_: object) -> Figure:
    """The same into PostgreSQL on this machine, which syncs its disk."""
    return _ingest("hub_ingest_postgres_entries_per_s", "postgresql", 8_000)


def _ingest(name: str, kind: str, reach: int) -> Figure:
    with hub_on(kind, locations=4) as hub:
        if hub is None:
            return Figure(name, 0, "entries/s", f">= {reach}", False, NO_POSTGRESQL)
        tills = hub.tills(TILLS)
        pool = sale_lines()
        work: list[tuple[FleetNode, list[bytes]]] = []
        for seed, till in enumerate(tills):
            trade(till, SALES // len(tills), pool, seed)
            work.append((till, [encode_request(till.request([b])) for b in own_batches(till, PER_REQUEST)]))
        hub.start()
        threads = [threading.Thread(target=_push, args=(hub, till, bodies)) for till, bodies in work]
        used, began = hub.processor_s(), time.perf_counter()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds, used = time.perf_counter() - began, hub.processor_s() - used
        _assert_drained(hub, tills)
    value = SALES / seconds
    note = f"{used / SALES * 1e6:.0f} us of the hub's processor for each entry"
    return Figure(name, round(value), "entries/s", f">= {reach}", value >= reach, note)


def _push(hub: HubProcess, till: FleetNode, bodies: Sequence[bytes]) -> None:
    with httpx.Client(base_url=hub.address, timeout=60, trust_env=False) as client:
        for body in bodies:
            till.post(client, body)


def _assert_drained(hub: HubProcess, tills: Sequence[FleetNode]) -> None:
    """Let each till hear of the others, and then have nothing left to say."""

    async def meet() -> None:
        replies = Replies()
        crowd = [CrowdTill.of(till) for till in tills]
        line = RawLine(hub.address)
        for till in [*crowd, *crowd]:
            await till.sync(line, replies)
        for till in crowd:
            before = len(replies.seconds)
            await till.sync(line, replies)
            assert len(replies.seconds) == before + 1
        line.close()
        assert not replies.failures, replies.failures

    asyncio.run(meet())


def thousand_nodes_drain_s(_: object) -> Figure:
    """A thousand tills of 250 shops come back at once, each with 100 sales, to one process on PostgreSQL."""
    name, reach = "thousand_nodes_drain_s", f"all drained, replies < {REPLY_S_MAX:g} s or busy, memory flat"
    with hub_on("postgresql", CROWD // TILLS_PER_SHOP) as hub:
        if hub is None:
            return Figure(name, 0, "s", reach, False, NO_POSTGRESQL)
        pool = sale_lines()
        tills = hub.tills([(f"S{number // TILLS_PER_SHOP}", f"N{number}") for number in range(CROWD)])
        for seed, till in enumerate(tills):
            trade(till, CROWD_SALES, pool, seed)
        crowd = [CrowdTill.of(till) for till in tills]
        hub.start()
        replies = Replies()
        started_mb = hub.resident_mb()
        peaks: list[float] = []
        seconds = asyncio.run(_come_back(hub, crowd, replies, peaks))
        with_all_mb = hub.resident_mb()
        again = Replies()
        asyncio.run(_come_back(hub, crowd, again, peaks))
        lost = _lost(hub, tills)
    slowest = max(replies.seconds + again.seconds)
    is_flat = max(peaks) <= started_mb + 200
    is_met = not lost and not replies.failures and not again.failures and slowest < REPLY_S_MAX and is_flat
    note = (
        f"{CROWD * CROWD_SALES / seconds:.0f} entries/s, {len(replies.seconds)} replies, slowest {slowest:.2f} s,"
        f" {replies.busy} times busy, {lost} lost; {started_mb:.0f} MB at the start, {with_all_mb:.0f} after,"
        f" {max(peaks):.0f} at most"
    )
    return Figure(name, round(seconds, 1), "s", reach, is_met, note)


async def _come_back(hub: HubProcess, crowd: Sequence[CrowdTill], replies: Replies, peaks: list[float]) -> float:
    async def one(till: CrowdTill) -> None:
        line = RawLine(hub.address)
        await till.sync(line, replies)
        line.close()

    async def watch() -> None:
        while True:
            peaks.append(hub.resident_mb())
            await asyncio.sleep(0.2)

    watching = asyncio.create_task(watch())
    began = time.perf_counter()
    await asyncio.gather(*(one(till) for till in crowd))
    seconds = time.perf_counter() - began
    watching.cancel()
    return seconds


def _lost(hub: HubProcess, tills: Sequence[FleetNode]) -> int:
    from hub.service import open_hub

    opened = open_hub(hub.directory)
    lost = 0
    with opened.store.snapshot() as replica:
        for till in tills:
            held = replica.log.heads(till.scope).get(till.stream().writer)
            lost += CROWD_SALES - (held.seq if held else 0)
    opened.close()
    return lost


def noop_sessions_per_s(_: object) -> Figure:
    """Sessions of 64 tills with nothing to say, kept-alive and signed afresh, served by one process on PostgreSQL."""
    name = "noop_sessions_per_s"
    rates = {}
    for kind in ("sqlite", "postgresql"):
        with hub_on(kind, locations=NOOP_NODES // TILLS_PER_SHOP) as hub:
            if hub is not None:
                rates[kind] = _noop_rate(hub)
    note = ", ".join(f"{kind} {rate:.0f} ({used:.0f} us of the hub each)" for kind, (rate, used) in rates.items())
    if "postgresql" not in rates:
        return Figure(name, 0, "sessions/s", ">= 800", False, NO_POSTGRESQL)
    value = min(rate for rate, _ in rates.values())
    return Figure(name, round(value), "sessions/s", ">= 800", value >= 800, note)


def _noop_rate(hub: HubProcess) -> tuple[float, float]:
    tills = hub.tills([(f"S{number // TILLS_PER_SHOP}", f"N{number}") for number in range(NOOP_NODES)])
    for seed, till in enumerate(tills):
        trade(till, 5, sale_lines(), seed)
    hub.start()
    _assert_drained(hub, tills)
    jobs = []
    for till in tills:
        replies = Replies()
        known = CrowdTill.of(till)
        asyncio.run(known.sync(RawLine(hub.address), replies))
        request = msgspec.structs.replace(known.request(), topics=((ALL_FAMILIES, digest_of({})),))
        jobs.append((till.signer.private.private_bytes_raw().hex(), till.hub, encode_request(request).hex()))
    file = hub.directory / "jobs.json"
    file.write_text(json.dumps(jobs), "utf-8")
    words = [sys.executable, "-m", "tests.bench.noop_client", hub.address, str(file), str(NOOP_SECONDS)]
    used = hub.processor_s()
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert not done.returncode, done.stderr
    rate = float(done.stdout)
    return rate, (hub.processor_s() - used) / (rate * NOOP_SECONDS) * 1e6


FIGURES: Final[dict[str, Callable[[object], Figure]]] = {
    measure.__name__: measure
    for measure in (
        hub_ingest_sqlite_entries_per_s,
        hub_ingest_postgres_entries_per_s,
        thousand_nodes_drain_s,
        noop_sessions_per_s,
    )
}

"""One round among the neighbours that can be found now: for a machine that has just been restored, or a script."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Final, TypeVar

from edge.clock_source import ClockSource
from edge.handing_out import van_of
from edge.lan import Line
from edge.lan_carry import VisitReport, visit
from edge.lan_discovery import Address, Announcement, Discovery
from edge.lan_identity import client_context
from edge.lan_session import WHOLE, PeerReport, exchange
from edge.node import Node
from schema.errors import EdgetillError, RefusalError
from sync.messages import Request, Response, decode_response, encode_request

SEARCH_S: Final = 3.0
ROUNDS_MAX: Final = 200
"""A visit ends when neither side has more, or after so many sessions."""

ResultT = TypeVar("ResultT")


def visit_neighbours(node: Node, addresses: Iterable[str] = (), *, search_s: float = SEARCH_S) -> list[PeerReport]:
    """Exchange once with every neighbour that is listed, named here, or announces itself; returns what came of each."""
    return asyncio.run(_visit(node, addresses, search_s))


def visit_shops(node: Node, addresses: Iterable[str] = (), *, search_s: float = SEARCH_S) -> list[VisitReport]:
    """Call on every node of another place that is listed, named here, or announces itself, as a van that leaves.

    It takes what is there now, however little it is since the last time; raises RefusalError `van_only` elsewhere.
    """
    if not van_of(node, node.config.node_id):
        raise RefusalError("van_only", "only a van carries for other shops")
    return asyncio.run(_call(node, addresses, search_s))


def visit_shops_of(directory: Path, clock: ClockSource) -> list[VisitReport]:
    """Visit as `visit_shops` does, on a connection of its own: for a screen, from a thread."""
    with Node(directory, clock=clock) as node:
        return visit_shops(node)


async def _call(node: Node, addresses: Iterable[str], search_s: float) -> list[VisitReport]:
    reports: dict[str, VisitReport] = {}
    for address in await _places(node, addresses, search_s):
        with suppress(OSError):
            try:
                await _call_on(node, address, reports)
            except EdgetillError as error:
                reports.setdefault(
                    str(address), VisitReport("", str(address), refused=error.code, message=error.message)
                )
    return list(reports.values())


async def _call_on(node: Node, address: Address, reports: dict[str, VisitReport]) -> None:
    async with Line.to(address, client_context(node)) as line:
        if line.peer in reports or line.peer == node.config.node_id:
            return
        await exchange(node, line.peer, str(address), token_hex(8), line.carry, _at_once, is_org_only=True)
        report = await visit(node, line.peer, line.carry, _at_once, is_leaving=True)
        if report is not None:
            reports[line.peer] = report


async def _at_once(piece: Callable[[], ResultT]) -> ResultT:
    return piece()


def ask_neighbours(
    node: Node,
    begin: Callable[[], Generator[Request, Response, int]],
    addresses: Iterable[str] = (),
    *,
    search_s: float = 0.0,
) -> int:
    """Put the requests that a generator yields to one neighbour after the other; returns the sum of what it returns."""
    return asyncio.run(_ask(node, begin, addresses, search_s))


async def _ask(
    node: Node, begin: Callable[[], Generator[Request, Response, int]], addresses: Iterable[str], search_s: float
) -> int:
    total = 0
    for address in await _places(node, addresses, search_s):
        asking = begin()
        try:
            request = next(asking)
            async with Line.to(address, client_context(node)) as line:
                while True:
                    response = decode_response(await line.carry(encode_request(request)))
                    if any(refusal.stream == WHOLE for refusal in response.refusals):
                        break
                    request = asking.send(response)
        except StopIteration as done:
            total += int(done.value)
        except (EdgetillError, OSError):
            continue
    return total


async def _visit(node: Node, addresses: Iterable[str], search_s: float) -> list[PeerReport]:
    reports: dict[str, PeerReport] = {}
    for address in await _places(node, addresses, search_s):
        with suppress(EdgetillError, OSError):
            report = await _visit_one(node, address)
            reports.setdefault(report.peer, report)
    return list(reports.values())


async def _places(node: Node, addresses: Iterable[str], search_s: float) -> list[Address]:
    """Return whom to call on, each once: who is listed, named, or announces itself within the time, if any."""
    listed = [Address.parse(text, node.config.lan_port) for text in (*node.config.lan_peers, *addresses)]
    return list(dict.fromkeys([*listed, *(await _search(node, search_s) if search_s else ())]))


async def _search(node: Node, search_s: float) -> list[Address]:
    found: dict[str, Address] = {}

    def note(name: str, address: Address | None) -> None:
        if address is not None:
            found[name] = address

    config = node.config
    discovery = Discovery(Announcement(config.node, config.hub, config.location, token_hex(8), config.lan_port), note)
    try:
        await discovery.start(is_announced=False)
        await asyncio.sleep(search_s)
    except OSError:
        return []
    finally:
        with suppress(Exception):
            await asyncio.wait_for(discovery.stop(), 3)
    return list(found.values())


async def _visit_one(node: Node, address: Address) -> PeerReport:
    instance = token_hex(8)
    async with Line.to(address, client_context(node)) as line:
        total = PeerReport(line.peer)
        is_org_only = False
        for _ in range(ROUNDS_MAX):
            try:
                report = await exchange(
                    node, line.peer, str(address), instance, line.carry, _at_once, is_org_only=is_org_only
                )
            except RefusalError as error:
                # A neighbour that does not know this node yet hears of its grant first.
                if error.code != "scope_forbidden" or is_org_only:
                    raise
                is_org_only = True
                continue
            total.entries_sent += report.entries_sent
            total.entries_received += report.entries_received
            total.refusals += report.refusals
            total.is_complete = report.is_complete and not is_org_only
            total.has_renewed = total.has_renewed or report.has_renewed
            if report.is_complete and is_org_only:
                is_org_only = False
            elif report.is_complete or not (report.entries_sent or report.entries_received):
                break
        return total

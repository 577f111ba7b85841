"""The neighbours: tills of one location keep each other's entries without a hub, each sale within a second.

One thread runs the lines to all of them; what touches the file runs in two threads beside it, each with a connection
of its own, in transactions as short as the sync agent's. The till's process knows nothing of it: its commit is noticed
by SQLite's data version, a read of shared memory, and pushed.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import ssl
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

from edge.applying import Pace
from edge.clock_source import ClockSource
from edge.handing_out import Outbox
from edge.lan_carry import answer_visit, is_visited, visit
from edge.lan_copies import note_problem
from edge.lan_discovery import Address, Announcement, Discovery
from edge.lan_frames import read_frame, write_frame
from edge.lan_identity import client_context, peer_of, server_context
from edge.lan_server import HANDSHAKE_S, LanServer
from edge.lan_session import PeerReport, answer, exchange, refusing
from edge.node import Node
from schema.errors import CorruptionError, EdgetillError, RefusalError, TransientError
from schema.identity import NodeId
from sync.visiting import is_visit

POLL_S: Final = 0.02
"""How often a commit of the till is looked for."""
ROUND_S: Final = 5.0
"""How often neighbours compare what they hold when nothing was sold here: what came from the hub goes on so."""
CONNECT_S: Final = 3.0
REPLY_S: Final = 15.0
RETRY_S: Final = (0.5, 30.0)
"""The first and the longest pause before an address is tried again."""
TOLD_EVERY_S: Final = 60.0
UNVISITED_S: Final = 300.0
"""A node that refuses a van's visit, or says what it should not, is left alone for so long."""

Tell = Callable[[str], None]
ResultT = TypeVar("ResultT")


class _Worker:
    """One thread with its own connection to the node's file."""

    def __init__(self, directory: Path, clock: ClockSource, name: str) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._directory = directory
        self._clock = clock
        self.node: Node

    async def open(self) -> Node:
        self.node = await self.run(lambda: Node(self._directory, clock=self._clock))
        return self.node

    def run(self, work: Callable[[], ResultT]) -> Awaitable[ResultT]:
        return asyncio.get_running_loop().run_in_executor(self._pool, work)

    async def close(self) -> None:
        if hasattr(self, "node"):
            await self.run(self.node.close)
        self._pool.shutdown(wait=False)


class LanService:
    """A node among its neighbours, from `start` to `stop`."""

    def __init__(self, directory: Path, clock: ClockSource, tell: Tell) -> None:
        self._directory = directory
        self._clock = clock
        self._tell = tell
        self._told_s: dict[str, float] = {}
        self._instance = secrets.token_hex(8)
        self._thread = threading.Thread(target=self._run, name="neighbours", daemon=True)
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[None] | None = None
        self._is_stopping = False
        self._group: asyncio.TaskGroup
        self._followed: dict[str, asyncio.Task[None]] = {}
        self._once: set[asyncio.Task[None]] = set()
        self._lines: dict[NodeId, str] = {}
        self._unvisited_until_s: dict[NodeId, float] = {}
        self._visits: _Worker
        self._own = 0
        self._news = asyncio.Event()
        self.port = 0
        self.has_failed = ""

    def start(self) -> None:
        """Begin; returns when the node listens, or has said why it cannot."""
        self._thread.start()
        self._ready.wait(30)

    def stop(self) -> None:
        """End all lines and wait for what is at work."""
        self._is_stopping = True
        if self._loop is not None and self._main is not None:
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._main.cancel)
        self._thread.join(15)

    def _say(self, text: str, topic: str = "") -> None:
        """Tell a person, the same thing once a minute at most."""
        now_s = time.monotonic()
        key = topic or text
        if now_s - self._told_s.get(key, -TOLD_EVERY_S) >= TOLD_EVERY_S:
            if len(self._told_s) > 1_000:
                self._told_s.clear()
            self._told_s[key] = now_s
            self._tell(text)

    def _run(self) -> None:
        pause_s = 1.0
        while not self._is_stopping:
            try:
                asyncio.run(self._live())
            except asyncio.CancelledError:
                break
            except RefusalError as error:
                self.has_failed = error.code
                self._say(f"the neighbours are not reached: {error.message}")
                break
            except (EdgetillError, OSError) as error:
                self._say(f"the neighbours are not reached for now: {error}")
                time.sleep(pause_s)
                pause_s = min(pause_s * 2, 30.0)
            finally:
                self._ready.set()
        self._ready.set()

    async def _live(self) -> None:
        self._loop, self._main = asyncio.get_running_loop(), asyncio.current_task()
        self._news = asyncio.Event()
        self._followed, self._lines = {}, {}
        callers, called, visits = (
            _Worker(self._directory, self._clock, "calls"),
            _Worker(self._directory, self._clock, "called"),
            _Worker(self._directory, self._clock, "visits"),
        )
        self._visits, outbox = visits, Outbox()
        server: LanServer | None = None
        discovery: Discovery | None = None
        try:
            node = await callers.open()
            served = await called.open()
            visited = await visits.open()
            pace, visit_pace = Pace(), Pace()

            async def respond(peer: NodeId, host: str, body: bytes) -> bytes:
                if is_visit(body):  # in a thread of its own: sealing for a van keeps no neighbour's sale waiting
                    return await visits.run(lambda: answer_visit(visited, peer, host, body, outbox, visit_pace))
                return await called.run(lambda: answer(served, peer, host, self._instance, body, pace))

            def noted(peer: NodeId | None, host: str, error: EdgetillError) -> None:
                self._note(called, peer, host, error)

            server = LanServer(server_context(node), respond, lambda error: refusing(served, error), noted)
            self.port = self._listen(server, node)
            discovery = Discovery(
                Announcement(node.config.node, node.config.hub, node.config.location, self._instance, self.port),
                lambda name, address: self._found(callers, name, address),
            )
            async with asyncio.TaskGroup() as group:
                self._group = group
                group.create_task(server.serve())
                group.create_task(self._watch(Node(self._directory, clock=self._clock, is_read_only=True)))
                for text in node.config.lan_peers:
                    self._found(callers, text, Address.parse(text, node.config.lan_port))
                try:
                    await discovery.start()
                except OSError as error:
                    self._say(f"neighbours cannot be searched for on this network: {error}")
                self._ready.set()
        except* EdgetillError as errors:
            raise _first(errors) from None
        finally:
            await asyncio.gather(*self._once, return_exceptions=True)
            if discovery is not None:
                with suppress(Exception):
                    await asyncio.wait_for(discovery.stop(), 3)
            if server is not None:
                await server.close()
            for worker in (callers, called, visits):
                await worker.close()

    def _listen(self, server: LanServer, node: Node) -> int:
        host = node.config.lan_host or "0.0.0.0"  # noqa: S104 - nobody gets in without the organisation's certificate
        try:
            return server.listen(host, node.config.lan_port)
        except OSError as error:
            self._say(f"port {node.config.lan_port} is taken ({error.strerror}): listening on another")
            return server.listen(host, 0)

    def _note(self, worker: _Worker, peer: NodeId | None, host: str, error: EdgetillError) -> None:
        """Note what a caller did wrong, and tell it where it is more than a line that broke."""
        if peer is None:
            self._say(f"{host} called without a certificate of this organisation", f"unknown {host}")
            return
        if error.code == "peer_self":
            return
        if error.code == "twin_met":
            self._say(f"{error.message}; this one goes on under a new incarnation")
        elif isinstance(error, RefusalError):
            self._say(f"the neighbour {peer} at {host} was refused: {error.message}", f"{peer} {error.code}")

        async def keep() -> None:
            with suppress(EdgetillError):
                await worker.run(lambda: note_problem(worker.node, peer, host, error.code))

        self._spawn(keep())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._once.add(task)
        task.add_done_callback(self._once.discard)

    def _found(self, worker: _Worker, name: str, address: Address | None) -> None:
        """Follow an address that was announced or listed; an announcement that was taken back ends it."""
        following = self._followed.pop(name, None)
        if following is not None:
            following.cancel()
        if address is not None:
            self._followed[name] = self._group.create_task(self._follow(worker, name, address))

    async def _watch(self, node: Node) -> None:
        """Notice what is appended here, by whatever process, without a lock and without reading the log."""
        sql = "SELECT coalesce(sum(head_seq), 0) FROM stream WHERE node = ?"
        try:
            version = -1
            while True:
                found = node.connection.execute("PRAGMA data_version").fetchone()[0]
                if found != version:
                    version = found
                    own = int(node.connection.execute(sql, (node.config.node,)).fetchone()[0])
                    if own != self._own:
                        self._own = own
                        news, self._news = self._news, asyncio.Event()
                        news.set()
                await asyncio.sleep(POLL_S)
        finally:
            node.close()

    async def _follow(self, worker: _Worker, name: str, address: Address) -> None:
        """Keep one neighbour up to date for as long as its address stands."""
        context = client_context(worker.node)
        pause_s = RETRY_S[0]
        while True:
            try:
                async with Line.to(address, context) as line:
                    if self._lines.setdefault(line.peer, name) != name:
                        raise TransientError("peer_followed", f"{line.peer} is reached at another address already")
                    try:
                        while True:
                            own, news = self._own, self._news
                            report = await self._exchange(worker, line, address)
                            pause_s = RETRY_S[0]
                            if report.is_complete and await worker.run(partial(is_visited, worker.node, line.peer)):
                                await self._visit(line, address)
                            if report.is_complete and own == self._own:
                                with suppress(TimeoutError):
                                    async with asyncio.timeout(ROUND_S * random.uniform(0.8, 1.2)):  # noqa: S311
                                        await news.wait()
                            elif not report.entries_sent and not report.entries_received:
                                await asyncio.sleep(1.0)  # one side cannot give what the other lacks
                    finally:
                        if self._lines.get(line.peer) == name:
                            del self._lines[line.peer]
            except RefusalError as error:
                if error.code == "peer_self":
                    return
                self._say(f"the neighbour at {address}: {error.message}", f"{address} {error.code}")
                pause_s = RETRY_S[1]
            except (TransientError, OSError):
                pause_s = min(pause_s * 2, RETRY_S[1])
            except CorruptionError as error:
                self._say(f"{error.message} [{error.code}]")
                pause_s = RETRY_S[1]
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - two tills need not retry in step

    async def _visit(self, line: Line, address: Address) -> None:
        """Let a van take a shop's bundle along and bring what the hub answered; a liar is left alone for a while."""
        if time.monotonic() < self._unvisited_until_s.get(line.peer, 0.0):
            return
        try:
            report = await visit(self._visits.node, line.peer, line.carry, self._visits.run)
        except RefusalError as error:
            self._unvisited_until_s[line.peer] = time.monotonic() + UNVISITED_S
            self._note(self._visits, line.peer, str(address), error)
            return
        if report is None:
            return
        if report.refused:
            self._unvisited_until_s[line.peer] = time.monotonic() + UNVISITED_S
            self._say(f"{report.location}: {report.message}", f"visit {line.peer} {report.refused}")
        if report.taken is not None:
            self._say(f"{report.taken.entries} entries of {report.location} came aboard", f"aboard {line.peer}")

    async def _exchange(self, worker: _Worker, line: Line, address: Address) -> PeerReport:
        report: PeerReport | None = None
        for is_org_only in (False, True):
            try:
                report = await exchange(
                    worker.node, line.peer, str(address), self._instance, line.carry, worker.run,
                    is_org_only=is_org_only,
                )  # fmt: skip
                break
            except RefusalError as error:
                # The neighbour does not know yet that this node is of its location: it hears of the grant first.
                if error.code != "scope_forbidden" or is_org_only:
                    raise
        assert report is not None
        for refusal in report.refusals:
            self._say(f"refused {refusal.stream} from {refusal.seq}: {refusal.message}", f"{refusal.stream}")
        if report.has_renewed:
            self._say(f"{line.peer} holds more, or other, of this node's entries: it goes on under a new incarnation")
        return report


def _first(errors: BaseExceptionGroup[EdgetillError]) -> EdgetillError:
    found: BaseException = errors
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    assert isinstance(found, EdgetillError)
    return found


class Line:
    """An open line to a neighbour whose certificate was verified."""

    def __init__(self, peer: NodeId, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.peer = peer
        self._reader = reader
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def to(cls, address: Address, context: ssl.SSLContext) -> AsyncIterator[Line]:
        """Open a line for the time of a block; raises TransientError, OSError, or RefusalError `peer_unknown`."""
        try:
            async with asyncio.timeout(CONNECT_S + HANDSHAKE_S):
                reader, writer = await asyncio.open_connection(*address, ssl=context, ssl_handshake_timeout=HANDSHAKE_S)
        except TimeoutError:
            raise TransientError("peer_silent", f"{address} does not answer") from None
        try:
            peer = peer_of(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
            yield cls(peer, reader, writer)
        finally:
            writer.transport.abort()

    async def carry(self, body: bytes) -> bytes:
        """Send a frame and return the answer's; raises TransientError or OSError when the line is gone."""
        await write_frame(self._writer, body)
        answered = await read_frame(self._reader, idle_s=REPLY_S)
        if answered is None:
            raise TransientError("peer_gone", f"{self.peer} ended the line")
        return answered


@contextmanager
def among_neighbours(node: Node, tell: Tell) -> Iterator[LanService | None]:
    """Keep a node among its neighbours for the time of a block; nothing happens where its settings say so."""
    if not node.config.lan:
        yield None
        return
    service = LanService(node.directory, node.clock_source, tell)
    service.start()
    try:
        yield service
    finally:
        service.stop()

"""The side of a node that its neighbours call: bounded in connections, bytes, time and work.

Own frames over TLS instead of a web server: the application sees the certificate that was shown, a slow peer has a
time limit at every step, and a connection that stays open costs a sale one round trip instead of four.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Final

from edge.lan_frames import IDLE_S, read_frame, write_frame
from edge.lan_identity import peer_of
from schema.errors import EdgetillError, RefusalError, TransientError
from schema.identity import NodeId

HANDSHAKE_S: Final = 5.0
HANDSHAKES_MAX: Final = 32
HANDSHAKES_PER_ADDRESS_MAX: Final = 6
CONNECTIONS_MAX: Final = 32
CONNECTIONS_PER_PEER_MAX: Final = 2
PENALTY_S: Final = 5.0
"""Whoever sent what is no message is heard again after this time."""
WORK_SHARE: Final = 0.5
WORK_BURST_S: Final = 2.0
"""A neighbour may use so much of a node's time at once, and half of it for long."""
LINGER_S: Final = 2.0
_PENALISED: Final = frozenset(
    {
        "frame_malformed", "frame_too_large", "frame_truncated", "frame_bomb", "message_malformed", "node_mismatch",
        "protocol_unknown", "peer_broke_off", "peer_silent",
    }
)  # fmt: skip
_GOES_ON: Final = frozenset({"scope_forbidden"})

Answer = Callable[[NodeId, str, bytes], Awaitable[bytes]]
"""Answers one request of a peer at an address; raises EdgetillError."""
Refuse = Callable[[RefusalError], bytes]
Noted = Callable[[NodeId | None, str, EdgetillError], None]
"""Is told what a caller did wrong; None where it showed no certificate."""


class Allowance:
    """How much of the node's working time a caller has left."""

    def __init__(self, now_s: float) -> None:
        self._left_s = WORK_BURST_S
        self._at_s = now_s

    def spend(self, worked_s: float, now_s: float) -> float:
        """Take what a request cost; returns how long the next one has to wait."""
        self._left_s = min(WORK_BURST_S, self._left_s + (now_s - self._at_s) * WORK_SHARE) - worked_s
        self._at_s = now_s
        return max(0.0, -self._left_s / WORK_SHARE)


class LanServer:
    """Listens for neighbours until it is closed."""

    def __init__(
        self, context: ssl.SSLContext, answer: Answer, refuse: Refuse, noted: Noted, *, idle_s: float = IDLE_S
    ) -> None:
        self._context = context
        self._answer = answer
        self._refuse = refuse
        self._noted = noted
        self._idle_s = idle_s
        self._listener: socket.socket | None = None
        self._handshakes: Counter[str] = Counter()
        self._open: dict[NodeId, list[asyncio.StreamWriter]] = {}
        self._penalty_until_s: dict[NodeId, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self, host: str, port: int) -> int:
        """Take a port; returns it. Raises OSError where it is taken."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(HANDSHAKES_MAX)
        except OSError:
            listener.close()
            raise
        listener.setblocking(False)
        self._listener = listener
        return int(listener.getsockname()[1])

    async def serve(self) -> None:
        """Accept callers until cancelled."""
        loop = asyncio.get_running_loop()
        assert self._listener is not None
        while True:
            try:
                caller, address = await loop.sock_accept(self._listener)
            except OSError:  # the caller went away meanwhile, or this process has no descriptor left
                await asyncio.sleep(0.1)
                continue
            host = str(address[0])
            if self._handshakes.total() >= HANDSHAKES_MAX or self._handshakes[host] >= HANDSHAKES_PER_ADDRESS_MAX:
                caller.close()
                continue
            self._handshakes[host] += 1
            task = asyncio.create_task(self._meet(caller, host))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Stop listening and let everybody go."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()

    async def _meet(self, caller: socket.socket, host: str) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(loop=loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        try:
            caller.setblocking(False)
            caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, caller, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=LINGER_S,
            )  # fmt: skip
        except (OSError, ssl.SSLError) as error:
            caller.close()
            self._noted(None, host, RefusalError("peer_unknown", f"a caller proved nothing: {error}"))
            return
        finally:
            self._handshakes[host] -= 1
            self._handshakes += Counter()  # forgets addresses with none
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        peer: NodeId | None = None
        try:
            peer = peer_of(writer.get_extra_info("ssl_object").getpeercert(binary_form=True))
            if time.monotonic() < self._penalty_until_s.get(peer, 0.0):
                return
            self._admit(peer, writer)
            await self._converse(peer, host, reader, writer)
        except EdgetillError as error:
            if peer is not None and error.code in _PENALISED:
                self._penalty_until_s[peer] = time.monotonic() + PENALTY_S
            self._noted(peer, host, error)
        except OSError:
            return
        finally:
            if peer is not None and writer in self._open.get(peer, ()):
                self._open[peer].remove(writer)
            writer.transport.abort() if writer.is_closing() else writer.close()

    def _admit(self, peer: NodeId, writer: asyncio.StreamWriter) -> None:
        """Keep a peer's connection; its oldest makes way, for a line that died silently still counts as one."""
        mine = self._open.setdefault(peer, [])
        mine.append(writer)
        while len(mine) > CONNECTIONS_PER_PEER_MAX:
            mine.pop(0).transport.abort()
        if sum(map(len, self._open.values())) > CONNECTIONS_MAX:
            raise TransientError("peers_too_many", "too many neighbours are connected")

    async def _converse(
        self, peer: NodeId, host: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        allowance = Allowance(time.monotonic())
        while (body := await read_frame(reader, idle_s=self._idle_s)) is not None:
            began_s = time.monotonic()
            try:
                answered = await self._answer(peer, host, body)
            except RefusalError as error:
                await write_frame(writer, self._refuse(error))
                if error.code not in _GOES_ON:
                    await asyncio.sleep(0)
                    raise
                continue
            await write_frame(writer, answered)
            now_s = time.monotonic()
            if wait_s := allowance.spend(now_s - began_s, now_s):
                await asyncio.sleep(wait_s)

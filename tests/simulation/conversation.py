"""A session between two simulated machines, frame by frame, with whatever befalls the line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schema.identity import ORG
from sync.clock import measure
from sync.messages import (
    Request,
    decode_response,
    encode_request,
)
from sync.session import (
    ClientSession,
    SessionResult,
)
from sync.version_vector import VersionVector
from tests.simulation.releases import release_view

if TYPE_CHECKING:
    from tests.simulation.machine import Machine


class Conversation:
    """A session on its way: each step carries one frame, and time and others go on in between."""

    def __init__(self, client: Machine, server: Machine) -> None:
        self.client, self.server = client, server
        subscriptions = client.subscriptions
        if not server.is_hub:
            subscriptions = [s for s in subscriptions if not s.own_only]
        if not server.is_hub and server.location != client.location:  # a van on a shop's LAN
            subscriptions = [s for s in subscriptions if s.scope == ORG]
        rng = client.world.rng
        bytes_max = rng.choice([None, 2_000, 300, 20_000])
        self.session = ClientSession(client.signer, client.release, subscriptions, bytes_max=bytes_max)
        self.boots = client.boots, server.boots
        self.request: Request | None = client.transact(lambda: self.session.open(client.replica, client.report()))
        self.sent_ms = client.world.now
        self.answered: bytes | None = None
        self.theirs: dict[str, VersionVector] = {}
        self.is_over = self.request is None

    def step(self, *, is_calm: bool = False) -> None:
        """Carry one frame; on any fault the session is simply over."""
        world, client = self.client.world, self.client
        if self.is_over:
            return
        if (client.boots, self.server.boots) != self.boots or client.is_dead or self.server.is_dead:
            self.is_over = True
            return
        assert self.request is not None
        if self.answered is None:
            request = self.request
            raw = encode_request(request)
            self.sent_ms = world.now

            def anticipated() -> None:
                self.session.anticipate(client.replica, request)

            if world.rng.random() < 0.5:
                client.transact(anticipated)
            self.answered = world.carry(client, self.server, raw, is_calm=is_calm)
            self.is_over = self.answered is None
            return
        response = decode_response(self.answered)
        self.answered = None
        client.round_trip_ms = world.now - self.sent_ms

        def measured() -> bool:
            if self.server.is_hub:
                sent = self.sent_ms + client.wall_error_ms
                client.anchor(measure(sent, response.wall_ms, world.now + client.wall_error_ms))
            return True

        client.transact(measured)
        if client.ingest(response.batches, can_die=not is_calm) is None:
            self.is_over = True
            return
        self.theirs |= {v.scope: v.vector for v in response.vectors}
        request = self.request
        with release_view(client.release):
            following = client.transact(
                lambda: (self.session.next(client.replica, client.report(), request, response),)
            )
        assert following is not None
        self.request = following[0]
        world.count("round trip")
        if self.request is None:
            self.is_over = True
            result = self.session.result
            if result.mismatched_folds:
                world.fail(f"{client.name} and {self.server.name} hold the same and show other: {result}")
            client.finish(self.server, result, self.theirs)
            if result.is_complete:
                world.count("session")
                if not self.server.is_hub:
                    is_visit = self.server.location != client.location
                    world.count("lan visit" if is_visit else "lan session")
                    if not self.server.world.hub.can_hear:
                        world.count("lan session without a hub")

    def run(self) -> SessionResult:
        """Carry the session to its end on a quiet line."""
        limit = 2_000
        while not self.is_over and limit:
            self.client.world.now += 20
            self.step(is_calm=True)
            limit -= 1
        if not limit:
            self.client.world.fail(f"a session of {self.client.name} with {self.server.name} never ends")
        return self.session.result

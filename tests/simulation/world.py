"""World: a hub and its nodes in one process, on real replicas, with every fault a chain of shops has seen.

Goal: one seed decides all time and entropy, so that a failure is replayed by its number. Each machine is one disk
(an in-memory SQLite) and one process on it; a kill is a rollback at any statement, a clone or a backup is a copy of
the disk, and messages are the real frames, lost, doubled, late or damaged on the way.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from schema.errors import RefusalError
from sync.bundle import BundleHeader, is_bundle_signed, read_bundle, write_bundle
from sync.messages import (
    Batch,
    ForkProbe,
    decode_request,
    decode_response,
    scope_vector,
)
from sync.session import (
    SessionResult,
    differing,
    locate,
    own_ahead,
    partings,
    probe,
)
from sync.signing import SigningKey
from sync.transport import NONCE_HEADER, SIGNATURE_HEADER, is_request_signed, sign_request
from sync.version_vector import Head, VersionVector
from tests.simulation.conversation import Conversation
from tests.simulation.machine import SECOND, Committed, Disk, Machine
from tests.simulation.releases import NEW, OLD


class World:
    """Everything that one seed makes."""

    def __init__(self, seed: int, steps: int = 600) -> None:
        self.seed = seed
        self.steps = steps
        self.rng = random.Random(seed)
        self.now = 1_790_000_000_000
        self.kill_chance = 0.0
        self.loss_chance = 0.0
        self.damage_chance = 0.0
        self.hub_key = SigningKey(self.rng.randbytes(32))
        self.machines: list[Machine] = []
        self.locations: list[str] = []
        self.conversations: list[Conversation] = []
        self.late_requests: list[tuple[Machine, bytes]] = []
        self.late_batches: list[tuple[Machine, tuple[Batch, ...]]] = []
        self.counts: dict[str, int] = {}
        self.on_commit: Callable[[Committed], None] | None = None
        self.hub = Machine(self, "hub", self.hub_key, "")
        self.machines.append(self.hub)

    def fail(self, message: str) -> None:
        """Say what is wrong, with the command that replays it."""
        raise AssertionError(
            f"seed {self.seed}: {message}\nreplay: make simulate SEED={self.seed} RUNS=1 STEPS={self.steps}"
        )

    def count(self, what: str, by: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + by

    def committed(self, what: Committed) -> None:
        if self.on_commit is not None:
            self.on_commit(what)

    def fuse(self) -> int | None:
        """Draw the statement before which the power goes; None for a transaction that is left alone."""
        return self.rng.randint(1, 60) if self.rng.random() < self.kill_chance else None

    def machine_of(self, node: str) -> Machine:
        return next(m for m in self.machines if m.signer.node == node)

    @property
    def alive(self) -> list[Machine]:
        return [m for m in self.machines if not m.is_dead]

    @property
    def nodes(self) -> list[Machine]:
        return [m for m in self.machines if not m.is_dead and not m.is_hub]

    # The line.

    def carry(self, client: Machine, server: Machine, raw: bytes, *, is_calm: bool) -> bytes | None:
        """Bring a request and its answer over the line, or lose either."""
        rng = self.rng
        headers = sign_request(client.signer, server.signer.node, "/sync", raw, str(rng.random()))
        if is_calm:
            return server.answer(raw, can_die=False)
        if rng.random() < self.damage_chance:
            self._deliver_damaged(client, server, raw, headers)
            return None
        if rng.random() < self.loss_chance or not (client.can_speak and server.can_hear):
            self.count("request lost")
            if rng.random() < 0.5:
                self.late_requests.append((server, raw))
            return None
        answered = server.answer(raw)
        if answered is not None and rng.random() < self.loss_chance:
            self.count("request doubled")
            answered = server.answer(raw)
        if answered is None:
            return None
        if rng.random() < self.damage_chance:
            self.count("response damaged")
            self._must_refuse(lambda: decode_response(self.damaged(answered)))
            return None
        if rng.random() < self.loss_chance or not (client.can_hear and server.can_speak):
            self.count("response lost")
            if rng.random() < 0.5:
                self.late_batches.append((client, decode_response(answered).batches))
            return None
        return answered

    def _deliver_damaged(self, client: Machine, server: Machine, raw: bytes, headers: dict[str, str]) -> None:
        broken = self.damaged(raw)
        self.count("request damaged")
        nonce, signature = headers[NONCE_HEADER], headers[SIGNATURE_HEADER]
        if is_request_signed(client.signer.public, server.signer.node, "/sync", broken, nonce, signature):
            self.fail("a damaged request passed for a signed one")
        self._must_refuse(lambda: decode_request(broken))

    def _must_refuse(self, decode: Callable[[], Any]) -> None:
        try:
            decode()
        except RefusalError:
            self.count("frame refused")

    def damaged(self, raw: bytes) -> bytes:
        """Cut a frame in half, or flip one bit."""
        if self.rng.random() < 0.5:
            return raw[: self.rng.randrange(len(raw))]
        at = self.rng.randrange(len(raw))
        return raw[:at] + bytes([raw[at] ^ 1 << self.rng.randrange(8)]) + raw[at + 1 :]

    def deliver_late(self) -> None:
        """Bring a message that was thought lost."""
        if self.late_requests and self.rng.random() < 0.7:
            server, raw = self.late_requests.pop(self.rng.randrange(len(self.late_requests)))
            if not server.is_dead:
                self.count("late request")
                server.answer(raw)
        if self.late_batches and self.rng.random() < 0.7:
            client, batches = self.late_batches.pop(self.rng.randrange(len(self.late_batches)))
            if not client.is_dead:
                self.count("late response")
                client.ingest(batches)

    # Bundles.

    def exchange_bundles(self, node: Machine, *, is_calm: bool = False) -> None:
        """Carry a file to the hub and one back, as a stick does; either may be damaged."""
        suspects = [
            stream
            for s in node.subscriptions
            for stream in differing(
                node.replica, s.scope, node.hub_vectors.get(s.scope, {}), node.signer.node if s.own_only else None
            )
        ]
        probes = tuple(probe(node.replica, stream) for stream in suspects)
        there = self.bundle(node, self.hub, node.hub_vectors, probes=probes)
        header = self.read(self.hub, there, is_calm=is_calm)
        if header is None:
            return
        stated: dict[str, VersionVector] = {v.scope: v.vector for v in header.vectors}
        found = tuple((p.stream, locate(self.hub.replica, p)) for p in header.probes)
        back = self.bundle(self.hub, node, stated, asker=node, found=found)
        answer = self.read(node, back, is_calm=is_calm)
        if answer is None:
            return
        node.hub_vectors = {v.scope: v.vector for v in answer.vectors}
        result = SessionResult()
        result.parted = partings(node.replica, probes, answer.branches)
        for scope, vector in node.hub_vectors.items():
            result.ahead += own_ahead(node.replica, scope, vector, node.signer.node)
        node.finish(self.hub, result, node.hub_vectors)

    def bundle(
        self,
        writer: Machine,
        reader: Machine,
        theirs: dict[str, VersionVector],
        asker: Machine | None = None,
        probes: tuple[ForkProbe, ...] = (),
        found: tuple[tuple[str, int], ...] = (),
    ) -> bytes:
        """Write what a reader lacks who holds `theirs`: of the writer's scopes, or of those of `asker`."""
        subscriptions = (asker or writer).subscriptions
        only = {s.scope: (asker or writer).signer.node if s.own_only else None for s in subscriptions}

        def write() -> bytes:
            replica = writer.replica
            heads = {scope: replica.log.heads(scope, node) for scope, node in only.items()}
            vectors = tuple(scope_vector(s, v, own_only=only[s] is not None) for s, v in heads.items())
            parts = []
            for scope, node in only.items():
                known = dict(theirs.get(scope, {}))
                while True:
                    batches, has_more = replica.outgoing(scope, known, 5_000, writer.signer, node)
                    if not batches:
                        break
                    parts.append(tuple(batches))
                    for batch in batches:
                        row = replica.log.stream(batch.stream)
                        last = batch.first_seq + len(batch.entries) - 1
                        assert row is not None
                        digest = replica.log.digest_at(row, last)
                        assert digest is not None
                        known[batch.stream.writer] = Head(last, digest)
                    if not has_more:
                        break
            header = BundleHeader(
                1, writer.release, writer.signer.node, reader.signer.node, self.now, vectors, (), probes, found
            )
            return b"".join(write_bundle(header, parts, writer.signer))

        made = writer.transact(write)
        assert made is not None
        self.count("bundle")
        return made

    def read(self, reader: Machine, data: bytes, *, is_calm: bool) -> BundleHeader | None:
        """Let a machine take in a bundle; None where it was refused as a whole, or the machine was killed."""
        if not is_calm and self.rng.random() < self.damage_chance * 2:
            data = self.damaged(data)
            self.count("bundle damaged")
        try:
            header, parts = read_bundle(data)
            for batches in parts:
                if reader.ingest(batches, can_die=not is_calm) is None:
                    return None
            writer = (
                self.machine_of(header.writer) if any(m.signer.node == header.writer for m in self.machines) else None
            )
            if writer is None or not is_bundle_signed(data, writer.signer.node, writer.signer.public):
                return None
        except RefusalError as error:
            self.count(f"bundle refused {error.code}")
            return None
        return header

    # Disks.

    def clone(self, machine: Machine, *, is_known: bool) -> Machine:
        """Copy a disk into a second machine; both live on under one key."""
        twin = Machine(
            self, f"{machine.till}~{len(self.machines)}", machine.signer, machine.location, image=machine.disk.image()
        )
        twin.release, twin.wall_error_ms = machine.release, machine.wall_error_ms
        self.machines.append(twin)
        if is_known:
            twin.transact(lambda: (twin.renew(),))
        else:
            twin.knows_copy = machine.knows_copy = False
        self.count("clone")
        return twin

    def restore(self, machine: Machine, image: Any, *, is_known: bool) -> None:
        """Put an older copy of a disk into its machine."""
        machine.disk = Disk(image)
        machine.hub_vectors = {}
        machine.boot()
        if is_known:
            machine.transact(lambda: (machine.renew(),))
        else:
            machine.knows_copy = False
        self.count("hub restore" if machine.is_hub else "restore")

    # The end.

    def heal(self) -> None:
        """End every fault: all lines up, all clocks and releases as they are, nobody is killed."""
        self.kill_chance = self.loss_chance = self.damage_chance = 0.0
        self.conversations.clear()
        self.late_requests.clear()
        self.late_batches.clear()
        for machine in self.alive:
            machine.can_hear = machine.can_speak = True
            if machine.release == OLD:
                self.upgrade(machine)

    def upgrade(self, machine: Machine) -> None:
        """Install the newer release and fold what the older one had parked."""
        machine.release = NEW
        machine.boot()
        machine.transact(lambda: (machine.replica.unpark(),))
        self.count("upgrade")

    def sync(self, node: Machine) -> None:
        """Let one node reconcile with the hub on a quiet line."""
        self.now += SECOND
        if node.uses_bundles:
            self.exchange_bundles(node, is_calm=True)
        else:
            Conversation(node, self.hub).run()

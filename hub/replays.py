"""Rule replays as jobs: begun by a page, carried out beside it, seen by every process of the hub while they run."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple

import msgspec

from hub.rule_replay import ReplayOutcome, check_policy, replay_policy
from hub.store import HubStore
from schema.errors import RefusalError, TransientError
from schema.kinds.organisation import PolicySet

BEAT_S: Final = 0.5
STALE_MS: Final = 20_000
"""A replay that said nothing for so long died with its process."""
KEPT_MS: Final = 86_400_000
RUNNING_MAX: Final = 3
_log = logging.getLogger("edgetill.replays")


class Replay(NamedTuple):
    """A replay as it stands; `outcome` once it is done."""

    id: str
    policy: PolicySet
    done: int
    total: int
    is_stale: bool
    outcome: ReplayOutcome | None


class Replays:
    """Begins replays and tells of them."""

    def __init__(self, store: HubStore, now_ms: Callable[[], int]) -> None:
        self._store = store
        self._now_ms = now_ms
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="replay")
        self._waiting = 0

    def begin(self, policy: PolicySet, locations: Sequence[str], operator: str) -> str:
        """Begin a replay; returns its id. Raises RefusalError `policy_invalid`, TransientError `busy`."""
        check_policy(policy)
        if self._waiting >= RUNNING_MAX:
            raise TransientError("busy", "other replays are running: try again in a moment")
        name, now_ms = secrets.token_urlsafe(9), self._now_ms()
        with self._store.transaction(None) as replica:
            replica.connection.execute("DELETE FROM replay WHERE started_ms < ?", (now_ms - KEPT_MS,))
            replica.connection.execute(
                "INSERT INTO replay (replay, operator, policy, started_ms, beat_ms, done, total, outcome)"
                " VALUES (?, ?, ?, ?, ?, 0, 0, NULL)",
                (name, operator, msgspec.json.encode(policy).decode(), now_ms, now_ms),
            )
        self._waiting += 1
        self._pool.submit(self._run, name, policy, tuple(locations))
        return name

    def _run(self, name: str, policy: PolicySet, locations: Sequence[str]) -> None:
        last = 0.0

        def progress(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= BEAT_S:
                last = time.monotonic()
                self._write(name, done, total, None)

        try:
            with self._store.snapshot() as replica:
                outcome = replay_policy(replica, policy, locations, self._now_ms(), progress)
            self._write(name, outcome.products, outcome.products, outcome)
        except Exception as error:
            _log.error("a rule replay failed", exc_info=error)
        finally:
            self._waiting -= 1

    def _write(self, name: str, done: int, total: int, outcome: ReplayOutcome | None) -> None:
        content = None if outcome is None else msgspec.json.encode(outcome).decode()
        with self._store.transaction(None) as replica:
            replica.connection.execute(
                "UPDATE replay SET done = ?, total = ?, beat_ms = ?, outcome = ? WHERE replay = ?",
                (done, total, self._now_ms(), content, name),
            )

    def find(self, name: str) -> Replay:
        """Return a replay as it stands; raises RefusalError `replay_unknown`."""
        with self._store.snapshot() as replica:
            row = replica.connection.execute(
                "SELECT policy, beat_ms, done, total, outcome FROM replay WHERE replay = ?", (name,)
            ).fetchone()
        if row is None:
            raise RefusalError("replay_unknown", "this replay is gone: begin another")
        policy, beat_ms, done, total, content = row
        outcome = None if content is None else msgspec.json.decode(content, type=ReplayOutcome)
        is_stale = outcome is None and self._now_ms() - int(beat_ms) > STALE_MS
        return Replay(name, msgspec.json.decode(policy, type=PolicySet), int(done), int(total), is_stale, outcome)

    def close(self) -> None:
        """End what runs; what has not begun is left."""
        self._pool.shutdown(wait=True, cancel_futures=True)

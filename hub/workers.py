"""A bounded set of threads for the hub's blocking work, with a bounded queue before them: who is too late hears so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from schema.errors import TransientError

RETRY_SECONDS: Final = 2
ResultT = TypeVar("ResultT")


class Workers:
    """A bounded set of threads with a bounded queue before them."""

    def __init__(self, *, threads: int, waiting_max: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="hub")
        self._threads = threads
        self._waiting_max = waiting_max
        self._running = 0

    @property
    def is_full(self) -> bool:
        """Tell whether another request would wait too long."""
        return self._running >= self._threads + self._waiting_max

    @property
    def busy_ms(self) -> int:
        """Return how long nodes had better wait before the next step: 0 while less than half the places are taken."""
        places = self._threads + self._waiting_max
        return RETRY_SECONDS * 1000 if self._running * 2 > places + self._threads else 0

    async def run(self, work: Callable[[], ResultT]) -> ResultT:
        """Run blocking work; raises TransientError `busy` when too many requests wait already."""
        if self.is_full:
            raise TransientError("busy", "the hub is busy: try again in a moment")
        self._running += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._running -= 1

    def close(self) -> None:
        """Wait for the work that runs."""
        self._pool.shutdown(wait=True)

"""Children that die: a fork of this process does some work, acknowledges it on a pipe, and is ended where a plan says.

A fork costs a few milliseconds and a start of Python half a second: thousands of deaths become possible. Nothing may
hold a node's file open here while a child is made.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import time
import traceback
from collections.abc import Callable
from typing import Final, NamedTuple

from tests.faults.nursery import HANG_S, Death, Order, doom

Tell = Callable[[str], None]
BUG: Final = 99
"""The exit status of a child whose work failed in a way that no fault explains."""


class Plan(NamedTuple):
    """Where a child dies. MOMENT: so long after its n-th line (its birth for none)."""

    death: Death = Death.NEVER
    number: int = 0
    steps: int = 0
    wait_s: float = 0.0


class Life(NamedTuple):
    """What became of a child: its exit status (minus the signal that ended it), and the lines that it told."""

    status: int
    lines: list[str]

    @property
    def was_killed(self) -> bool:
        """It died by its plan, and not at the end of its work."""
        return self.status in {-signal.SIGKILL, -signal.SIGXFSZ}


def draw_plan(rng: random.Random, *, writes: int, commits: int, lines: int, moment_s: float) -> Plan:
    """Draw a death within so many writes, commits or lines of a child's work."""
    death = rng.choice((Death.MOMENT, Death.BEFORE, Death.AFTER, Death.WITHIN, Death.BEFORE_COMMIT, Death.AFTER_COMMIT))
    match death:
        case Death.MOMENT:
            return Plan(death, rng.randint(0, lines), 0, rng.random() * moment_s)
        case Death.WITHIN:
            return Plan(death, rng.randint(1, writes), rng.choice((1, 2, 3, 5, 8, 13, 21, 40, 80)))
        case Death.BEFORE_COMMIT | Death.AFTER_COMMIT:
            return Plan(death, rng.randint(1, commits))
        case _:
            return Plan(death, rng.randint(1, writes))


def live(work: Callable[[Tell], None], plan: Plan) -> Life:
    """Let a child do some work and die by its plan; AssertionError where it failed otherwise."""
    reading, writing = os.pipe()
    errors_reading, errors_writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        os.dup2(errors_writing, 2)
        _be_born(work, plan, writing)
    os.close(writing)
    os.close(errors_writing)
    lines = _listen(reading, child, plan)
    _, status = os.waitpid(child, 0)
    with os.fdopen(errors_reading, "rb") as errors:
        said = errors.read().decode(errors="replace")
    life = Life(os.waitstatus_to_exitcode(status), lines)
    assert life.was_killed or life.status == 0, f"{plan}: ended with {life.status}: {said[-3000:]}"
    return life


def _be_born(work: Callable[[Tell], None], plan: Plan, writing: int) -> None:
    signal.alarm(HANG_S)
    status = BUG
    try:
        doom(Order((), {}, "", plan.death, plan.number, plan.steps))
        work(lambda line: (os.write(writing, f"{line}\n".encode()), None)[1])
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _listen(reading: int, child: int, plan: Plan) -> list[str]:
    """Read what a child tells; where its plan says so, kill it."""
    content = b""
    is_doomed = plan.death is Death.MOMENT
    kill_at = time.monotonic() + plan.wait_s if is_doomed and plan.number == 0 else None
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        while True:
            left = None if kill_at is None else max(0.0, kill_at - time.monotonic())
            if select.select([pipe], [], [], left)[0]:
                chunk = pipe.read(65536)
                if not chunk:
                    break
                content += chunk
                if is_doomed and kill_at is None and content.count(b"\n") >= plan.number:
                    kill_at = time.monotonic() + plan.wait_s
            if kill_at is not None and time.monotonic() >= kill_at:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
                kill_at, is_doomed = None, False
    whole, _, _ = content.rpartition(b"\n")
    return whole.decode().splitlines()

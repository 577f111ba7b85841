"""One run of the simulator: a world, its traffic and faults, and the judgement at the end."""

from __future__ import annotations

import random
from collections import Counter
from typing import NamedTuple

from sync.stock_facts import ConflictCode
from tests.simulation.auditor import Auditor
from tests.simulation.workload import Workload
from tests.simulation.world import World

AUDIT_EACH = 60


class Run(NamedTuple):
    """What one seed did."""

    seed: int
    steps: int
    machines: int
    counts: dict[str, int]
    codes: Counter[ConflictCode]


def simulate(seed: int, steps: int = 600) -> Run:
    """Run one seed; raises AssertionError with the seed and the command that replays it."""
    world = World(seed, steps)
    auditor = Auditor(world)
    try:
        shape = random.Random(seed)
        shops, tills = shape.choice([(1, 1), (1, 2), (1, 4), (2, 2), (2, 3), (3, 5)])
        workload = Workload(world, shops=shops, tills=tills)
        workload.on_disk_lost = auditor.disk_lost
        for step in range(1, steps + 1):
            workload.step()
            if step % AUDIT_EACH == 0:
                auditor.audit(world.rng.choice(world.alive))
                auditor.compare()
        world.heal()
        for node in world.nodes:
            world.sync(node)
        workload.enrol_again()
        auditor.settle()
    except AssertionError:
        raise
    except Exception as error:
        raise AssertionError(
            f"seed {seed}: {type(error).__name__}: {error}\nreplay: make simulate SEED={seed} RUNS=1 STEPS={steps}"
        ) from error
    return Run(seed, steps, len(world.machines), world.counts, auditor.codes)

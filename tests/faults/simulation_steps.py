"""Steps of the simulated fleet: a hub, tills, a warehouse and vans under every fault that the simulator knows."""

from __future__ import annotations

from typing import Final

from tests.faults.fault import Fault, Tally
from tests.simulation.run import simulate

FIRST_SEED: Final = 100_000
STEPS: Final = 300
TOLD: Final = (
    "kill", "clone", "restore", "hub restore", "hub away", "lan session", "carried bundle delivered", "bundle damaged",
    "pictures compared", "entries",
)  # fmt: skip


def run(seed: int, until: float) -> Tally:
    """Simulate one history to its end, drained and judged."""
    met = simulate(FIRST_SEED + seed, STEPS)
    tally = Tally(met.steps)
    tally.facts.update({what: met.counts.get(what, 0) for what in TOLD})
    tally.facts["histories"] = 1
    return tally


SIMULATION_STEPS: Final = Fault("simulation_steps", "steps", 1_000_000, run, "0 divergences, drained after healing")

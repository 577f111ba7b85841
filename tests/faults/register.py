"""The register of all kinds of fault, in the order of the table."""

from __future__ import annotations

from typing import Final

from tests.faults.bit_flips import BIT_FLIPS
from tests.faults.fault import Fault
from tests.faults.kills import KILLS
from tests.faults.power_cuts import POWER_CUTS
from tests.faults.simulation_steps import SIMULATION_STEPS

FAULTS: Final[tuple[Fault, ...]] = (KILLS, POWER_CUTS, BIT_FLIPS, SIMULATION_STEPS)

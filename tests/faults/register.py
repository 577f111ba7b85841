"""The register of all kinds of fault, in the order of the table."""

from __future__ import annotations

from typing import Final

from tests.faults.bit_flips import BIT_FLIPS
from tests.faults.clones import CLONES
from tests.faults.disk_full import DISK_FULL
from tests.faults.fault import Fault
from tests.faults.io_errors import IO_ERRORS
from tests.faults.kills import KILLS
from tests.faults.lan_copies import LAN_COPY
from tests.faults.power_cuts import POWER_CUTS
from tests.faults.simulation_steps import SIMULATION_STEPS
from tests.faults.stolen_disk import STOLEN_DISK

FAULTS: Final[tuple[Fault, ...]] = (
    KILLS, POWER_CUTS, IO_ERRORS, DISK_FULL, CLONES, BIT_FLIPS, SIMULATION_STEPS, STOLEN_DISK, LAN_COPY,
)  # fmt: skip

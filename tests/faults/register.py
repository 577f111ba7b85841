"""The register of all kinds of fault, in the order of the table."""

from __future__ import annotations

from typing import Final

from tests.faults.fault import Fault
from tests.faults.kills import KILLS

FAULTS: Final[tuple[Fault, ...]] = (KILLS,)

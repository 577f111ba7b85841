"""`python -m tests.faults --kills N --seed S`: kills a till many times, and audits each death.

One in ten of the deaths is that of the program in its terminal, at a step of a sale; the others meet a till that
replays a log, at a chosen write.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import traceback
from pathlib import Path

from tests.faults.killed_replays import kill_replays
from tests.faults.killed_tills import kill_tills


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--kills", type=int, default=300, help="how many processes die")
    parser.add_argument("--seed", type=int, default=None, help="where they die; a new one is drawn without")
    parser.add_argument("--baskets", type=int, default=300, help="baskets of each log")
    chosen = parser.parse_args()
    seed = secrets.randbelow(1_000_000) if chosen.seed is None else chosen.seed
    again = f"make faults KILLS={chosen.kills} SEED={seed}"
    print(f"seed {seed}: {chosen.kills} kills", flush=True)
    with tempfile.TemporaryDirectory(prefix="edgetill-faults-") as folder:
        try:
            (Path(folder) / "replays").mkdir()
            tills = kill_tills(Path(folder) / "till", kills=max(1, chosen.kills // 10), seed=seed)
            tally = kill_replays(
                Path(folder) / "replays", kills=chosen.kills - tills.kills, seed=seed, baskets=chosen.baskets
            )
        except AssertionError:
            traceback.print_exc()
            print(f"FAILED; to see it again: {again}", file=sys.stderr)
            return 1
    print(f"  {tills.kills:5} in the terminal: {tills.paid} just after the money was taken, {tills.unpaid} before")
    for death, count in sorted(tally.kills.items()):
        print(f"  {count:5} {death}")
    print(
        f"{tally.rounds} logs sold once, {tally.acknowledged} sales acknowledged and none lost,"
        f" {tally.unacknowledged} durable but never told; to see it again: {again}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())

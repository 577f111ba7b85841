"""A till killed in its terminal at any step of a sale has sold the whole basket or nothing, and knows which."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.killed_tills import kill_tills


@pytest.mark.long
def test_a_till_killed_at_any_step_of_a_sale_has_sold_it_whole_or_gives_the_basket_back(tmp_path: Path) -> None:
    tally = kill_tills(tmp_path, kills=10, seed=4)
    assert tally.kills == 10
    assert tally.paid, "no kill met a sale that was paid already"
    assert tally.unpaid, "no kill met a sale before it was paid"

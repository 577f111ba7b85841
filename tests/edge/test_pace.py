"""What comes from elsewhere is taken in portions that never keep a sale waiting."""

from __future__ import annotations

import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from edge.applying import BULK_ENTRIES, Pace
from edge.node import Node
from edge.store import Store

SALE_BYTES, CHANGE_BYTES = 300, 30_000


def test_a_change_of_the_catalogue_is_not_taken_in_with_as_many_others_as_sales_are() -> None:
    pace = Pace()
    for _ in range(20):  # sales, of which a millisecond takes ten
        taken = pace.count([SALE_BYTES] * 1_000)
        pace.note(taken * SALE_BYTES, taken * 0.1)
    assert pace.count([SALE_BYTES] * 1_000) > 20
    assert pace.count([CHANGE_BYTES] * 1_000) == 1


@given(st.lists(st.integers(1, 70_000), min_size=1), st.booleans())
def test_something_is_taken_each_time(sizes: list[int], is_bulk: bool) -> None:
    pace = Pace(is_bulk=is_bulk)
    position = 0
    while position < len(sizes):
        count = pace.count(sizes[position:])
        assert 1 <= count <= BULK_ENTRIES
        position += count
    assert position == len(sizes)


def test_a_writer_that_waits_takes_the_first_pause_of_another(node: Node) -> None:
    """SQLite's own waiting would have slept over pauses of two milliseconds, more and more of them."""
    other = Store(node.store.path)
    is_over = threading.Event()

    def hold() -> None:
        connection = Store(node.store.path)
        while not is_over.is_set():
            with connection.transaction():
                time.sleep(0.03)
            time.sleep(0.01)
        connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        waited = []
        for _ in range(20):
            began = time.monotonic()
            with other.transaction():
                waited.append(time.monotonic() - began)
            time.sleep(0.005)
    finally:
        is_over.set()
        holder.join()
        other.close()
    assert sorted(waited)[10] < 0.2

"""The figure of counting: two people on two tills count 3,000 products of a shop by zones, while sales arrive."""

from __future__ import annotations

import re
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Final

from edge.counting import open_session
from edge.node import Node
from pos_tui.screens.stock_menu import WORKS
from schema.settings import CountRules
from tests.bench.cashier import Cashier
from tests.bench.figure import Figure, percentile
from tests.bench.large_shop import Priced, products
from tests.bench.large_shop import _stock as stock_shelves
from tests.bench.sync_load import syncing, trade_elsewhere
from tests.bench.till_figures import MS
from tests.edge.goods import settle
from tests.edge.people import CASHIER, employ
from tests.edge.shops import Shops, carry, exchange

COUNTED: Final = 3_000
CATALOGUE: Final = 5_000
SALES: Final = 45_000
ZONES: Final = ("back", "front")
GAP_S: Final = 0.02


def count_scan_ms(_bench: object) -> Figure:
    """From a scan's Enter to its painted line, counting 3,000 products on two tills; and from the confirmation that
    the rest is zero to the closed count, its 3,000 zeros written.
    """
    chosen = Random(6).sample(list(products(CATALOGUE)), COUNTED)
    took: list[float] = []
    with tempfile.TemporaryDirectory(prefix="edgetill-count-") as folder:
        one, other, seller, session = _two_tills(Path(folder), [each.product.code for each in chosen])
        with Cashier(one, "--no-sync") as first, Cashier(other, "--no-sync") as second:
            for cashier, zone in zip((first, second), ZONES, strict=True):
                cashier.sign_in(CASHIER)
                _go_on(cashier, session, zone)
            with syncing(one, seller) as arriving:
                half = COUNTED // 2
                for mine, theirs in zip(chosen[:half], chosen[half:], strict=True):
                    for cashier, product in ((first, mine), (second, theirs)):
                        took.append(_scan(cashier, product))
                assert arriving.poll() is None, "nothing arrived any more while this was measured"
            second.terminal.press("f5")
            second.terminal.wait_for(second.t("stock_count.kept", number=0)[-8:])
            with Node(one) as here, Node(other) as there:
                exchange(here, there)
            close_s = _close(first, session)
    p50, p99 = statistics.median(took), percentile(took, 0.99)
    note = f"p50 {p50:.1f}, p99 {p99:.1f}, max {max(took):.0f} ms over {len(took)} scans; closed in {close_s:.2f} s"
    is_met = p50 <= 35 and close_s <= 2
    return Figure("count_scan_ms", round(p50, 1), "ms (median)", "<= 35, closing <= 2 s", is_met, note)


def _two_tills(folder: Path, products_planned: list[str]) -> tuple[Path, Path, Path, str]:
    """Make two tills with one count open, and a third whose sales the first has not heard of."""
    shops = Shops(folder)
    here, there, seller = (shops.make_node(name) for name in ("A1", "A2", "A3"))
    employ(shops, CASHIER)
    for node in (here, there):
        stock_shelves(node, CATALOGUE)
    trade_elsewhere(here, seller, [f"N{number:05d}" for number in range(1, CATALOGUE, 5)], SALES)
    settle(here, CountRules(recount_value_minor=1_000_000_000))
    session = open_session(here, ZONES, products_planned).session
    carry(here, there)
    shops.close()
    return folder / "A1", folder / "A2", folder / "A3", session


def _go_on(cashier: Cashier, session: str, zone: str) -> None:
    """Go on with the count that is open, in a zone."""
    terminal = cashier.terminal
    terminal.press("\x17")  # Ctrl+W
    cashier.sees("stock_menu.count")
    terminal.silence(0.2)
    cashier.types(str([work.name for work in WORKS].index("count") + 1))
    cashier.sees("count_menu.title", "count_menu.book")
    terminal.silence(0.2)
    _choose(cashier, cashier.t("count_menu.go_on", session=session))
    cashier.sees("stock_count.zone_title")
    terminal.silence(0.2)
    _choose(cashier, zone)
    cashier.terminal.wait_for(cashier.t("stock_count.zone_now", zone=zone))
    terminal.silence(0.1)


def _choose(cashier: Cashier, label: str) -> None:
    """Press the digit before a label."""
    found = next(match for line in _lines(cashier) if (match := re.search(r"(\d)\s+" + re.escape(label), line)))
    cashier.types(found[1])


def _lines(cashier: Cashier) -> Sequence[str]:
    held: list[Sequence[str]] = []

    def hold(lines: Sequence[str]) -> bool:
        held.append(list(lines))
        return True

    cashier.terminal.wait_until(hold, "anything")
    return held[-1]


def _scan(cashier: Cashier, product: Priced) -> float:
    """Scan a product; returns the milliseconds from its Enter to its painted line."""
    terminal = cashier.terminal
    sent_ns = terminal.scan(product.barcode)
    said = cashier.t("stock_count.counts", name=product.called, total="")
    painted_ns = terminal.wait_until(
        lambda lines: any(product.barcode in line for line in lines) and any(said in line for line in lines),
        f"the line of {product.called}",
    )
    terminal.silence(GAP_S)
    return (painted_ns - sent_ns) * MS


def _close(cashier: Cashier, session: str) -> float:
    """Check, confirm the zeros, and see the count closed; returns the seconds from the confirmation."""
    terminal = cashier.terminal
    terminal.silence(1.5)  # what arrived is on the screen
    terminal.press("+")
    cashier.sees("act.count_review.close")
    terminal.silence(0.3)
    terminal.press("+")
    cashier.sees("count_review.zeros")
    terminal.silence(0.3)
    sent_ns = terminal.press("enter")
    painted_ns = terminal.wait_for(cashier.t("count_report.closed", session=session))
    return (painted_ns - sent_ns) * MS / 1000


COUNT_FIGURES: Final[tuple[Callable[[object], Figure], ...]] = (count_scan_ms,)

"""The figures of the till: measured through a pseudo-terminal, from the key that is sent to the cells that are painted.

Each figure opens the till as a shop does, on a copy of a shop with 100,000 products.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final

from drivers.simulated import PrinterServer, SimulatedPrinter
from edge.basket import EMPTY, add, price_basket
from edge.devices_config import DEVICES_FILE
from edge.node import Node
from edge.search import search
from schema.rules.pinyin import search_starts
from tests.bench.cashier import PEOPLE_GAP_S, Cashier
from tests.bench.figure import Figure, percentile
from tests.bench.large_shop import OTHER_TILL, Priced, copy_of_large_shop, line_of, products
from tests.bench.sync_load import syncing
from tests.bench.terminal import Lines
from tests.edge.people import CASHIER

MS: Final = 1e-6
"""Nanoseconds to milliseconds."""
LINES: Final = 50
SCANS: Final = 300
WORDS: Final = 60
PAYMENTS: Final = 100
STARTS: Final = 5
SALES: Final = 2_000
FLAT_MB: Final = 4.0
"""More memory than this between the middle and the end of 2,000 sales is a leak."""


@contextmanager
def shop() -> Iterator[Path]:
    """Give a till's directory of a large shop, with its neighbour's beside it."""
    with tempfile.TemporaryDirectory(prefix="edgetill-till-") as folder:
        yield copy_of_large_shop(Path(folder))


@contextmanager
def till(directory: Path) -> Iterator[Cashier]:
    """Give a cashier who has signed in at the till of a directory."""
    with Cashier(directory, "--no-sync") as cashier:
        cashier.sign_in(CASHIER)
        cashier.terminal.silence()
        yield cashier


def goods(count: int, seed: int) -> list[Priced]:
    """Choose that many different products from the whole catalogue."""
    return Random(seed).sample(list(products()), count)


def scan_paint_ms(_bench: object) -> Figure:
    """From the Enter of a scanned code to its painted line and total, in a basket of 50 lines, sync running."""
    chosen = goods(LINES + SCANS, seed=1)
    kept, scanned = chosen[:LINES], chosen[LINES:]
    with shop() as directory:
        with Node(directory, is_read_only=True) as node:
            basket = EMPTY
            for one in kept:
                basket = add(basket, line_of(one))
            before = price_basket(node, basket).total_minor
            totals = [price_basket(node, add(basket, line_of(one))).total_minor for one in scanned]
        took: list[float] = []
        with till(directory) as cashier:
            terminal = cashier.terminal
            for one in kept:
                terminal.scan(one.barcode)
                terminal.wait_for(one.product.name)
            cashier.sees_total(before)
            with syncing(directory, directory.parent / OTHER_TILL) as arriving:
                for one, total in zip(scanned, totals, strict=True):
                    sent_ns = terminal.scan(one.barcode)
                    painted_ns = cashier.sees_total(total, f"{LINES + 1} ", one.product.name)
                    took.append((painted_ns - sent_ns) * MS)
                    terminal.silence(0.03)
                    terminal.press("-")
                    cashier.sees_total(before)
                    terminal.silence(PEOPLE_GAP_S)
                assert arriving.poll() is None, "nothing arrived any more while this was measured"
    p50, p99 = statistics.median(took), percentile(took, 0.99)
    note = f"p50 {p50:.1f}, p99 {p99:.1f}, max {max(took):.0f} ms over {len(took)} scans"
    return Figure("scan_paint_ms", round(p99, 1), "ms (p99)", "p50 <= 25, p99 <= 60", p50 <= 25 and p99 <= 60, note)


def search_paint_ms(_bench: object) -> Figure:
    """From a search's keystroke to its painted results, sync running."""
    typed = [search_starts(one.product.name).initials[0][:5] for one in goods(WORDS, seed=2)]
    took: list[float] = []
    with shop() as directory:
        with Node(directory, is_read_only=True) as node:
            expected = {
                text[:n]: [hit.code for hit in search(node, text[:n])[:5]] for text in typed for n in range(1, 6)
            }
        with till(directory) as cashier, syncing(directory, directory.parent / OTHER_TILL) as arriving:
            terminal = cashier.terminal
            for text in typed:
                for n in range(1, len(text) + 1):
                    codes = expected[text[:n]]
                    sent_ns = terminal.press(text[n - 1])
                    painted_ns = terminal.wait_until(
                        lambda lines, shown=text[:n], codes=codes: (  # type: ignore[misc]
                            any(shown in line for line in lines[-4:]) and _in_order(lines, codes)
                        ),
                        f"{text[:n]!r} with {codes}",
                    )
                    took.append((painted_ns - sent_ns) * MS)
                    terminal.silence(PEOPLE_GAP_S)
                terminal.press("escape")
                cashier.sees("sale.empty")
                terminal.silence(0.05)
            assert arriving.poll() is None, "nothing arrived any more while this was measured"
    p50, p99 = statistics.median(took), percentile(took, 0.99)
    note = f"p50 {p50:.1f}, max {max(took):.0f} ms over {len(took)} keystrokes"
    return Figure("search_paint_ms", round(p99, 1), "ms (p99)", "p99 <= 60", p99 <= 60, note)


def _in_order(lines: Lines, codes: Sequence[str]) -> bool:
    places = [next((n for n, line in enumerate(lines) if code in line), -1) for code in codes]
    return -1 not in places and places == sorted(places)


def pay_paint_ms(_bench: object) -> Figure:
    """From the key that takes exact cash to the durable sale and the painted change, sync running."""
    chosen = goods(PAYMENTS * 3, seed=3)
    took: list[float] = []
    with shop() as directory:
        with till(directory) as cashier, syncing(directory, directory.parent / OTHER_TILL) as arriving:
            terminal = cashier.terminal
            for number in range(1, PAYMENTS + 1):
                for one in chosen[3 * number - 3 : 3 * number]:
                    terminal.scan(one.barcode)
                    terminal.wait_for(one.product.name)
                terminal.press("+")
                cashier.sees("tender.left")
                terminal.silence(PEOPLE_GAP_S)
                sent_ns = terminal.press("enter")
                painted_ns = cashier.sees_total(0, cashier.t("done.change"), f"A1-1-{number:06d}")
                took.append((painted_ns - sent_ns) * MS)
                terminal.silence(0.05)
            assert arriving.poll() is None, "nothing arrived any more while this was measured"
            terminal.kill()
        assert sales_of(directory) == PAYMENTS
    p50, p99 = statistics.median(took), percentile(took, 0.99)
    note = f"p50 {p50:.1f}, max {max(took):.0f} ms over {len(took)} sales"
    return Figure("pay_paint_ms", round(p99, 1), "ms (p99)", "p99 <= 60", p99 <= 60, note)


def sales_of(directory: Path) -> int:
    """Count the sales of this till that are in its file."""
    with Node(directory, is_read_only=True) as node:
        like = f"{node.config.till}-%"
        row = node.connection.execute("SELECT count(*) FROM receipt WHERE number LIKE ?", (like,)).fetchone()
    return int(row[0])


def till_cold_start_s(_bench: object) -> Figure:
    """From the command to the painted sign-in, without a network, the node's file not in the machine's memory."""
    took: list[float] = []
    with shop() as directory:
        for _ in range(STARTS):
            _forget(directory)
            with Cashier(directory) as cashier:
                painted_ns = cashier.comes()
                took.append((painted_ns - cashier.terminal.started_ns) * MS / 1000)
    value = statistics.median(took)
    note = f"median of {STARTS}; slowest {max(took):.2f} s, fastest {min(took):.2f} s"
    return Figure("till_cold_start_s", round(value, 2), "s", "<= 1.5", value <= 1.5, note)


def _forget(directory: Path) -> None:
    """Have the machine drop what it holds of a folder's files."""
    for path in directory.iterdir():
        file = os.open(path, os.O_RDONLY)
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


def till_memory_mb(_bench: object) -> Figure:
    """The till's memory after 2,000 sales, and whether it still grows."""
    chosen = goods(SALES, seed=4)
    held: list[float] = []
    with shop() as directory:
        with till(directory) as cashier:
            terminal = cashier.terminal
            for number, one in enumerate(chosen, 1):
                terminal.scan(one.barcode)
                terminal.wait_for(one.product.name)
                terminal.press("+")
                cashier.sees("tender.left")
                terminal.press("enter")
                terminal.wait_for(f"A1-1-{number:06d}")
                if number % (SALES // 4) == 0:
                    held.append(terminal.memory_mb())
            terminal.kill()
        assert sales_of(directory) == SALES
    value, growth = held[-1], held[-1] - held[len(held) // 2 - 1]
    note = f"after each quarter of {SALES} sales: {', '.join(f'{each:.0f}' for each in held)} MB"
    is_met = value <= 150 and growth <= FLAT_MB
    return Figure("till_memory_mb", round(value, 1), "MB", "<= 150, flat", is_met, note)


def keys_per_cash_sale(_bench: object) -> Figure:
    """The keys that a cashier presses besides five scans for an exact cash sale with its receipt on paper."""
    printer = SimulatedPrinter()
    server = PrinterServer(printer)
    with shop() as directory:
        (directory / DEVICES_FILE).write_text(f'[printer]\naddress = "{server.address}"\n', "utf-8")
        with till(directory) as cashier:
            terminal = cashier.terminal
            before = terminal.keys_sent
            for one in goods(5, seed=5):
                terminal.scan(one.barcode)
                terminal.wait_for(one.product.name)
            terminal.press("+")
            cashier.sees("tender.left")
            terminal.press("enter")
            cashier.sees("done.change")
            keys = terminal.keys_sent - before
            terminal.settle(3)
        server.close()
        paper = printer.paper.text()
    assert "A1-1-000001" in paper, paper
    return Figure("keys_per_cash_sale", keys, "keys", "<= 2", keys <= 2, "five scans, exact cash, receipt printed")


TILL_FIGURES: Final[tuple[Callable[[object], Figure], ...]] = (
    scan_paint_ms, search_paint_ms, pay_paint_ms, till_cold_start_s, till_memory_mb, keys_per_cash_sale,
)  # fmt: skip

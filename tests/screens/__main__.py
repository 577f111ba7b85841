"""`make screenshots`: drives the till through a sale, its money, a refund and a shift, opens the desk, keeps pictures.

The till is the product's own screen on a real node, at the keys of the cashier that the screen's tests use too; clock,
keys and random names are fixed, so that the pictures change when the screen does and not otherwise. `rsvg-convert`
turns them into PNG, with whatever monospaced and Chinese fonts the machine has.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import itertools
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from PIL import Image

from drivers.escpos.code_page import PAPER_80MM
from drivers.escpos.printer import Outcome, ReceiptPrinter
from drivers.simulated import SimulatedPrinter
from edge.node import Node
from edge.receipts import receipt_document
from pos_tui.app import TillApp
from pos_tui.till import Till
from schema.rules.promotion_terms import Language
from tests.pos_tui.cashier import Cashier
from tests.screens.desk import take_desk
from tests.screens.drawing import svg_of
from tests.screens.sample_shop import PEOPLE, StillClock, sample_till

PICTURES: Final = Path(__file__).parent / "pictures"
SIZE: Final = (100, 30)
COLOURS: Final = 64
CASHIER: Final = next(one for one in PEOPLE if one.role == "cashier")
TYPED: Final = ("11007", "11009", "11012", "14002", "11006", "3*12010", "18001")


class Album:
    """Takes pictures of one till's screens into a folder."""

    def __init__(self, folder: Path, language: Language) -> None:
        self._folder = folder
        self._language = language
        self.taken: list[Path] = []

    def take(self, cashier: Cashier, name: str) -> None:
        """Keep what stands on the screen under a name."""
        svg = svg_of(cashier.app.screen._compositor.render_strips(), SIZE[0])
        done = subprocess.run(["rsvg-convert"], input=svg.encode(), capture_output=True, check=True)
        picture = Image.open(io.BytesIO(done.stdout)).convert("RGB")
        picture.quantize(COLOURS, dither=Image.Dither.NONE).save(self.file(name), "PNG", optimize=True)

    def file(self, name: str) -> Path:
        """Return where a picture of this name goes."""
        self.taken.append(self._folder / f"{name}_{self._language.value}.png")
        return self.taken[-1]


async def work(folder: Path, language: Language, album: Album) -> None:
    """Let a cashier work at a till, and take the pictures on the way."""
    clock = StillClock()
    shops, node = sample_till(folder, clock)
    with node.write():
        node.connection.execute("UPDATE node_state SET last_exchange_ms = ?", (clock().wall_ms - 2 * 3_600_000,))
    app = TillApp(Till(node, language=language))
    async with app.run_test(size=SIZE) as pilot:
        cashier = Cashier(app, pilot)
        await cashier.settled()
        await cashier.sign_in(CASHIER)
        await cashier.press("f10")
        await cashier.until_screen("shift")
        await cashier.press("1")
        await cashier.until_screen("ask")
        await cashier.enter("300")
        await cashier.until_screen("shift")
        await cashier.press("escape")
        await cashier.until_screen("sale")
        for text in TYPED:
            await cashier.enter(text)
        await cashier.until_screen("weigh")
        await cashier.enter("1250")
        await cashier.until_screen("sale")
        await cashier.enter("3*11001")
        album.take(cashier, "sale")
        await cashier.press("+")
        await cashier.until_screen("tender")
        await cashier.type("100")
        album.take(cashier, "tender")
        await cashier.enter()
        await cashier.until_screen("sale")
        album.take(cashier, "change")
        done = app.till.done
        assert done is not None
        clock.pass_minutes(3)
        await cashier.press("f7")
        await cashier.until_screen("refund")
        await cashier.enter(done.receipt_number)
        await cashier.press("down", "enter", "enter")
        album.take(cashier, "refund")
        await cashier.press("escape", "escape")
        await cashier.until_screen("sale")
        await cashier.press("f10")
        await cashier.until_screen("shift")
        album.take(cashier, "shift")
        await cashier.press("6")
        await cashier.until_screen("count")
        for pieces in ("3", "1", "2", "", "1"):
            await cashier.enter(pieces)
        album.take(cashier, "count")
        await cashier.press("escape")
        await cashier.until_screen("shift")
        await cashier.press("5")
        await cashier.until_screen("report")
        album.take(cashier, "report")
    if language is Language.ZH:
        print_receipt(node, done.entry, album.file("receipt"))
    shops.close()


def print_receipt(node: Node, entry: str, path: Path) -> None:
    """Print the receipt of a sale on a simulated printer, and keep the paper's picture."""
    device = SimulatedPrinter(PAPER_80MM)
    printer = ReceiptPrinter(device.link(), PAPER_80MM)
    report = printer.print(receipt_document(node, entry, columns=PAPER_80MM.columns).document())
    assert report.outcome is Outcome.PRINTED, report
    device.picture().save(path, "PNG")


def fix_random_names() -> None:
    """Let what is random in the product be the same in every run: a receipt's code is made of it."""
    numbers = itertools.count(1)
    secrets.token_hex = lambda nbytes=None: f"{next(numbers):0{2 * (nbytes or 32)}x}"
    secrets.randbelow = lambda exclusive_upper_bound: next(numbers) % exclusive_upper_bound


def main() -> int:
    """Take all pictures."""
    parser = argparse.ArgumentParser(prog="make screenshots", description=__doc__)
    parser.add_argument("--out", type=Path, default=PICTURES)
    parser.add_argument("--desk", action="store_true", help="the desk's pictures alone")
    options = parser.parse_args()
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    desk = take_desk(out)
    if options.desk:
        print(*desk, sep="\n")
        return 0
    fix_random_names()
    for language in Language:
        album = Album(out, language)
        with tempfile.TemporaryDirectory(prefix="edgetill-screens-") as folder:
            asyncio.run(work(Path(folder), language, album))
        for path in album.taken:
            print(path)
    print(*desk, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""A stolen disk: of names, prices, customers and keys of an encrypted node nothing stands on it in clear.

A seed is one till that trades with canaries in all that it writes, and is killed again and again; after each death,
while it runs and when it has ended, every file of its directory, of the folder for temporary files and of its output
is searched for them, in each encoding that a program might use.
"""

from __future__ import annotations

import os
import random
from functools import cache
from pathlib import Path
from typing import Final

from edge.backup_target import keep_files
from edge.clock_source import machine_clock
from edge.config import read_key
from edge.counting import count_product
from edge.encrypted_copy import EncryptedCopier
from edge.encryption import adopt_key, data_key, write_guarded
from edge.node import Node
from edge.selling import LineRequest, sell
from edge.stock import QuantityRequest, adjust_stock, dispatch_transfer, receive_goods
from schema.identity import ORG
from schema.kinds.organisation import CustomerDefined, OperatorDefined
from tests.edge.households import Household, configure
from tests.faults.fault import Fault, Tally, is_over
from tests.faults.mortals import Tell, draw_plan, live
from tests.faults.places import copy_node, kept_folder, open_node, scratch

DEATHS: Final = 12
PASSPHRASE: Final = "a disk that somebody carries away"
WORDS: Final = ("KANARIENVOGEL", "金丝雀一号", "canary@example.test", "6900000000777", "CANARY-DOC-7")
PRICE_MINOR: Final = int.from_bytes(b"kanary", "big")
"""A price whose bytes, as SQLite and MessagePack write integers, are letters that can be searched for."""


@cache
def _encrypted() -> Path:
    """Return an encrypted till that knows a customer and an operator; copy it."""
    household = Household(kept_folder() / "encrypted")
    with household.serving() as hub:
        with hub.store.transaction(ORG) as replica:
            hub.own_log.append(replica, ORG, OperatorDefined("o1", WORDS[0], "cashier", ("A",), b""))
            hub.own_log.append(replica, ORG, CustomerDefined(WORDS[3], bytes(32), WORDS[1], WORDS[2].encode()))
        directory = household.enrol(hub, "A1", passphrase=PASSPHRASE)
    configure(directory, lan=False)
    return directory


def _needles(directory: Path) -> dict[str, bytes]:
    found = {
        f"{word} in {code}": word.encode(code)
        for word in (*WORDS, PASSPHRASE)
        for code in ("utf-8", "utf-16-le", "gb18030")
    }
    seed = read_key(directory).private.private_bytes_raw()
    key = data_key(directory)
    assert key is not None
    found |= {"the price": b"kanary", "the private key": seed, "the private key in hex": seed.hex().encode()}
    found |= {"the data key": key, "the data key in hex": key.hex().encode()}
    return found


def search(folders: list[Path], needles: dict[str, bytes]) -> list[str]:
    """Name every canary that stands in a file of these folders."""
    found = []
    for folder in folders:
        for file in folder.rglob("*"):
            if file.is_file():
                content = file.read_bytes()
                found += [f"{what} stands in {file.name}" for what, needle in needles.items() if needle in content]
    return found


def _trade(node: Node, rng: random.Random) -> None:
    word = rng.choice(WORDS)
    match rng.randrange(5):
        case 0 | 1:
            sell(node, [LineRequest(WORDS[3], 1000, price_minor=PRICE_MINOR)], operator=WORDS[0])
        case 2:
            receive_goods(node, [QuantityRequest("P0001", 1000, lot=WORDS[4])], supplier=word, note=word)
        case 3:
            adjust_stock(node, "wastage", [QuantityRequest("P0001", 1000)], document=WORDS[4], note=word)
            count_product(node, "P0001", 5000, operator=WORDS[0])
        case _:
            dispatch_transfer(node, "B", [QuantityRequest("P0001", 1000)], document=WORDS[4], note=word)
            write_guarded(node.directory, "draft", word.encode())


def run(seed: int, until: float) -> Tally:
    """Trade with canaries, die, and search."""
    rng = random.Random(seed)
    tally = Tally()
    with scratch() as folder:
        template = _encrypted()
        directory = copy_node(template, folder / "A1")
        key = data_key(template)
        assert key is not None
        adopt_key(directory, key)
        temporary = folder / "temporary"
        temporary.mkdir()
        needles = _needles(directory)

        def work(tell: Tell) -> None:
            os.environ |= {"TMPDIR": str(temporary), "SQLITE_TMPDIR": str(temporary)}
            with open_node(directory) as node:
                keep_files(node)
                for _ in range(30):
                    _trade(node, rng)
                    tell("traded")
                    if rng.random() < 0.1:
                        with EncryptedCopier(directory, machine_clock) as copier:
                            copier.copy()

        found: list[str] = []
        for _ in range(DEATHS):
            if is_over(until):
                break
            life = live(work, draw_plan(rng, writes=120, commits=12, lines=10, moment_s=0.02))
            tally.facts["deaths"] += life.was_killed
            tally.facts["acts"] += len(life.lines)
            found += search([directory, temporary], needles)
            tally.facts["searches"] += 1
        with open_node(directory) as node:
            _trade(node, rng)
            found += search([directory, temporary], needles)
        found += search([directory, temporary], needles)
        assert not found, sorted(set(found))
    return tally


STOLEN_DISK: Final = Fault("stolen_disk", "canaries found", 0, run, "nothing of it in clear", is_most=True)

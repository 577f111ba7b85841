"""Kills by SIGKILL, at random moments and at chosen writes, in everything that a node does.

A seed is one scene: a till at its work (sales, counts, transfers), a node that exchanges with its hub, a migration of
a file with a history, a restore, a log that is replayed, or the program in its terminal. After each death a copy of
what it left is audited, and the next child goes on with the file itself.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final
from unittest.mock import patch

import edge.store
from edge.doctor import examine
from edge.node import Node
from edge.restoring import restore
from edge.sync_agent import sync_once
from schema.database import read_migrations
from tests.faults.fault import NEVER, Fault, Tally, is_over
from tests.faults.hub_in_process import Home, enrolled
from tests.faults.killed_replays import kill_replays
from tests.faults.killed_tills import kill_tills
from tests.faults.mortals import Plan, Tell, draw_plan, live
from tests.faults.places import copied, copy_node, fresh_till, open_node, scratch
from tests.faults.workday import WEIGHTS, Done, Workday, audit

DEEDS: Final = 40
"""What a child would do if nobody killed it."""
WORK_KILLS, SYNC_KILLS, OPENING_KILLS, RESTORE_KILLS, REPLAY_KILLS, TILL_KILLS = 30, 20, 40, 30, 30, 4
DOCTOR_SHARE: Final = 0.1


def _work(directory: Path, seed: int, weights: dict[str, int]) -> Callable[[Tell], None]:
    def work(tell: Tell) -> None:
        with open_node(directory) as node:
            day = Workday(node, random.Random(seed), weights)
            for _ in range(DEEDS):
                for done in day.do_one():
                    tell(str(done))

    return work


def _at_work(folder: Path, rng: random.Random, until: float) -> Tally:
    """Kill a till at its work, the same till again and again."""
    tally = Tally()
    heavy = rng.choice((("sale", "refund"), ("count", "zones"), ("dispatch", "arrival")))
    weights = {deed: weight * (6 if deed in heavy else 1) for deed, weight in WEIGHTS.items()}
    directory = copy_node(fresh_till(), folder / "A1")
    told: list[Done] = []
    deaths = 0
    for _ in range(WORK_KILLS):
        if is_over(until):
            break
        plan = draw_plan(rng, writes=150, commits=12, lines=8, moment_s=0.02)
        life = live(_work(directory, rng.randrange(1 << 30), weights), plan)
        told += [Done.parse(line) for line in life.lines]
        deaths += life.was_killed
        tally.count += life.was_killed
        tally.facts[f"in {heavy[0]} work"] += life.was_killed
        with copied(directory, folder / "copy") as node:
            found = audit(node, told, in_hand=deaths, with_doctor=rng.random() < DOCTOR_SHARE)
            assert node.state().incarnation == 1, "a killed till is no copied one"
            assert len(found.entries) - len(told) <= deaths * 14, "more than the deeds in hand were never told"
    with open_node(directory) as node:
        audit(node, told, in_hand=deaths)
    tally.facts["acknowledged"] += len(told)
    return tally


def _in_sync(folder: Path, rng: random.Random, until: float) -> Tally:
    """Kill a node and its hub while they exchange, both at once as in one building's power cut."""
    tally = Tally()
    home = enrolled().copied(folder / "home")
    directory = home.tills[0]
    told: list[Done] = []
    deaths = 0
    for _ in range(SYNC_KILLS):
        if is_over(until):
            break
        plan = draw_plan(rng, writes=500, commits=60, lines=12, moment_s=0.08)
        life = live(_exchange(home, rng.randrange(1 << 30)), plan)
        told += [Done.parse(line) for line in life.lines]
        deaths += life.was_killed
        tally.count += life.was_killed
        tally.facts["in sync"] += life.was_killed
        with copied(directory, folder / "copy") as node:
            audit(node, told, in_hand=deaths, with_doctor=rng.random() < DOCTOR_SHARE)
            assert node.state().incarnation == 1, "a killed till is no copied one"
    with home.opened() as hub, open_node(directory) as node:
        assert sync_once(node, home.line(hub, node)).is_complete
        audit(node, told, in_hand=deaths)
        home.compare(hub, node)
    tally.facts["acknowledged"] += len(told)
    return tally


def _exchange(home: Home, seed: int) -> Callable[[Tell], None]:
    def work(tell: Tell) -> None:
        rng = random.Random(seed)
        with home.opened() as hub, open_node(home.tills[0]) as node:
            day = Workday(node, rng)
            for _ in range(DEEDS // 4):
                for _ in range(rng.randint(1, 5)):
                    for done in day.do_one():
                        tell(str(done))
                sync_once(node, home.line(hub, node), bytes_max=rng.choice((None, 2_000)))

    return work


NEWER: Final = (
    "node/9999_newer.sql",
    [
        "CREATE TABLE receipt_new (number TEXT NOT NULL PRIMARY KEY, colour TEXT NOT NULL, rest TEXT NOT NULL) STRICT",
        "INSERT INTO receipt_new SELECT number, 'white', hex(randomblob(200)) FROM receipt",
        "ALTER TABLE receipt ADD COLUMN colour TEXT NOT NULL DEFAULT ''",
        "UPDATE receipt SET colour = (SELECT colour FROM receipt_new n WHERE n.number = receipt.number)",
        "DROP TABLE receipt_new",
        "CREATE TABLE newer_table (only INTEGER NOT NULL PRIMARY KEY) STRICT",
        "INSERT INTO newer_table VALUES (1)",
    ],
)
"""What a later release might do to a file with a history."""


def _with_newer(*parts: str) -> list[tuple[str, list[str]]]:
    found = read_migrations(*parts)
    return [*found, NEWER] if "node" in parts else found


def _in_migration(folder: Path, rng: random.Random, until: float) -> Tally:
    """Kill the first start of a newer release on a file with a history."""
    tally = Tally()
    old = copy_node(fresh_till(), folder / "old")
    with open_node(old) as node:
        day = Workday(node, rng)
        told = [done for _ in range(60) for done in day.do_one()]
    directory = folder / "A1"

    def start(_: Tell) -> None:
        with patch.object(edge.store, "read_migrations", _with_newer), open_node(directory):
            pass

    for _ in range(OPENING_KILLS):
        if is_over(until):
            break
        shutil.rmtree(directory, ignore_errors=True)
        copy_node(old, directory)
        was_killed = live(start, draw_plan(rng, writes=24, commits=3, lines=0, moment_s=0.006)).was_killed
        tally.count += was_killed
        tally.facts["in migration"] += was_killed
        with patch.object(edge.store, "read_migrations", _with_newer), open_node(directory) as node:
            audit(node, told, in_hand=0, with_doctor=rng.random() < DOCTOR_SHARE)
            assert node.connection.execute("SELECT count(*) FROM newer_table").fetchone()[0] == 1
            whites = node.connection.execute("SELECT count(*) FROM receipt WHERE colour = 'white'").fetchone()[0]
            assert whites == len([one for one in told if one.number]), "a row was not migrated, or twice"
            sold = Workday(node, rng).sell()
            audit(node, [*told, *sold], in_hand=0, with_doctor=False)
    return tally


@cache
def _backed_up() -> tuple[Path, list[Done], str]:
    """Return a backup of a till that had sold, what it had acknowledged, and the passphrase that restores it."""
    home = enrolled()
    folder = home.folder.with_name("backed-up")
    directory = copy_node(home.tills[0], folder / "A1")
    with open_node(directory) as node:
        from edge.backup_target import keep_files

        keep_files(node)
        day = Workday(node, random.Random(7))
        told = [done for _ in range(40) for done in day.do_one()]
        node.connection.execute("VACUUM INTO ?", (str(folder / "backup.db"),))
    return folder / "backup.db", told, home.passphrase


def _in_restore(folder: Path, rng: random.Random, until: float) -> Tally:
    """Kill restores: then there is a node or nothing, and the restore can be repeated."""
    tally = Tally()
    backup, told, passphrase = _backed_up()
    directory = folder / "new"

    def restored(_: Tell) -> None:
        from edge.clock_source import machine_clock

        restore(directory, str(backup), passphrase, machine_clock, search_s=0)

    def check(node: Node) -> None:
        audit(node, told, in_hand=0, with_doctor=False)
        sold = Workday(node, rng).sell()
        assert sold[0].number not in {one.number for one in told}, "a restored till used a number twice"
        assert examine(node).is_healthy

    for _ in range(RESTORE_KILLS):
        if is_over(until):
            break
        shutil.rmtree(directory, ignore_errors=True)
        was_killed = live(restored, draw_plan(rng, writes=60, commits=8, lines=0, moment_s=0.35)).was_killed
        tally.count += was_killed
        tally.facts["in restore"] += was_killed
        if (directory / "node.toml").exists():
            with open_node(directory) as node:
                check(node)
            tally.facts["restored in spite of it"] += was_killed
        else:
            assert not directory.exists() or not any(directory.iterdir()), "half a node was left"
    shutil.rmtree(directory, ignore_errors=True)
    assert live(restored, Plan()).status == 0
    with open_node(directory) as node:
        check(node)
    return tally


def _in_replay(folder: Path, rng: random.Random, until: float) -> Tally:
    """Kill the verb that replays a log, at chosen writes and bytes."""
    kills = REPLAY_KILLS if until == NEVER or not is_over(until) else 0
    met = kill_replays(folder, kills=kills, seed=rng.randrange(1 << 30), baskets=60)
    tally = Tally(sum(met.kills.values()))
    tally.facts["in a replayed log"] += tally.count
    tally.facts["acknowledged"] += met.acknowledged
    return tally


def _in_terminal(folder: Path, rng: random.Random, until: float) -> Tally:
    """Kill the till's program itself, at a step of a sale."""
    if is_over(until):
        return Tally()
    met = kill_tills(folder / "till", kills=TILL_KILLS, seed=rng.randrange(1 << 30))
    tally = Tally(met.kills)
    tally.facts["in the terminal"] += met.kills
    return tally


_SCENES: Final = (
    _at_work, _in_sync, _at_work, _in_migration, _at_work, _in_restore, _at_work, _in_migration, _at_work, _in_replay,
)  # fmt: skip
TERMINAL_EACH: Final = 25
"""One seed in so many kills the program in its terminal: a start of it takes as long as ten other deaths."""


def run(seed: int, until: float) -> Tally:
    """Play the scene of a seed."""
    rng = random.Random(seed)
    scene = _in_terminal if seed % TERMINAL_EACH == 0 else _SCENES[seed % len(_SCENES)]
    with scratch() as folder:
        return scene(folder, rng, until)


KILLS: Final = Fault("kills", "kills", 10_000, run, "0 acknowledged lost, 0 doubles, 0 gaps")

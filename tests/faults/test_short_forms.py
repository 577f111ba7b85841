"""The short form of the other kinds of fault; `make faults` meets them by the thousand."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.selling import LineRequest, sell
from tests.faults import clones, disk_full, io_errors, simulation_steps, stolen_disk
from tests.faults.__main__ import run_turns
from tests.faults.fault import NEVER, Fault, Tally
from tests.faults.ledger import Failure, Ledger
from tests.faults.places import copy_node, fresh_till, open_node
from tests.faults.register import FAULTS


@pytest.mark.long
def test_an_error_of_the_disk_loses_nothing_that_was_said_to_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(io_errors, "BLOCK", 8)
    assert io_errors.run(1, NEVER).count == 16


@pytest.mark.long
def test_a_disk_that_fills_up_anywhere_sells_nothing_by_halves_and_sells_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk_full, "POINTS", 4)
    tally = disk_full.run(3, NEVER)
    assert tally.facts["of these by the reserve"] > 0


@pytest.mark.long
def test_a_clone_or_an_older_copy_is_found_within_one_contact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clones, "TWINS", 5)
    assert clones.run(1, NEVER).count == 5


@pytest.mark.long
def test_nothing_of_an_encrypted_node_lies_on_its_disk_in_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stolen_disk, "DEATHS", 3)
    assert stolen_disk.run(1, NEVER).facts["deaths"]


def test_the_search_for_canaries_finds_them_on_a_disk_that_is_not_encrypted(tmp_path: Path) -> None:
    directory = copy_node(fresh_till(), tmp_path / "A1")
    with open_node(directory) as node:
        sell(
            node,
            [LineRequest(stolen_disk.WORDS[3], 1000, price_minor=stolen_disk.PRICE_MINOR)],
            operator=stolen_disk.WORDS[0],
        )
    needles = {word: word.encode() for word in stolen_disk.WORDS} | {"the price": b"kanary"}
    found = stolen_disk.search([directory], needles)
    assert {line.partition(" stands")[0] for line in found} == {stolen_disk.WORDS[0], stolen_disk.WORDS[3], "the price"}


def test_simulated_steps_are_counted() -> None:
    assert simulation_steps.run(3, NEVER).count == simulation_steps.STEPS


def test_every_kind_has_a_name_of_its_own_and_a_reach() -> None:
    names = [fault.name for fault in FAULTS]
    assert len(set(names)) == len(names) == 9


# The ledger.


def fault(reach: int = 10, *, is_most: bool = False) -> Fault:
    return Fault("drills", "drills", reach, lambda _seed, _until: Tally(), "nothing lost", is_most)


def test_counts_add_up_over_runs_and_are_met_at_the_reach(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "build" / "faults.json")
    assert [ledger.take_seed(fault()) for _ in range(3)] == [1, 2, 3]
    ledger.passed(fault(), 1, Tally(6), "abc")
    assert not ledger.row(fault()).met
    ledger.passed(fault(), 2, Tally(5), "def")
    row = Ledger(tmp_path / "build" / "faults.json").row(fault())
    assert (row.value, row.met, row.seeds, row.commits) == (11, True, [1, 2], {"abc": 6, "def": 5})
    assert row.sqlite[0].startswith("SQLite 3.")


def test_a_failure_stands_until_its_seed_passes(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "faults.json")
    ledger.passed(fault(), 1, Tally(20), "abc")
    ledger.failed(fault(), Failure(2, "abc", "lost", "make faults ONLY=drills SEED=2"))
    assert not ledger.row(fault()).met
    ledger.replayed(fault(), 2)
    assert ledger.row(fault()).met


def test_a_figure_that_may_be_at_most_so_much_keeps_its_worst(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "faults.json")
    for value in (3, 9, 4):
        ledger.passed(fault(is_most=True), value, Tally(value), "abc")
    assert (ledger.row(fault(is_most=True)).value, ledger.row(fault(is_most=True)).met) == (9, True)
    ledger.passed(fault(is_most=True), 1, Tally(11), "abc")
    assert not ledger.row(fault(is_most=True)).met


# The program.


def drawn(seed: int, _until: float) -> Tally:
    assert seed != 3, "three is lost"
    return Tally(4)


def test_kinds_run_in_turn_until_their_reach_and_a_failure_is_named_with_its_replay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = Ledger(tmp_path / "faults.json")
    sound = Fault("sound", "faults", 8, lambda _seed, _until: Tally(4), "nothing lost")
    broken = Fault("broken", "faults", 100, drawn, "nothing lost")
    assert run_turns(ledger, [sound, broken], 20.0, is_beyond=False)
    assert (ledger.row(sound).value, ledger.row(sound).met) == (8, True)
    row = ledger.row(broken)
    assert (row.value, row.met, [one.seed for one in row.failures]) == (8, False, [3])
    assert "make faults ONLY=broken SEED=3" in capsys.readouterr().err
    assert not run_turns(ledger, [sound], 20.0, is_beyond=False), "a reach that is met is not run again"
    assert ledger.row(sound).value == 8

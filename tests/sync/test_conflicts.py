"""Every conflict code of counts and transfers can happen, and its id outlives the replica that derived it."""

from __future__ import annotations

from sync.conflicts import Conflict, ConflictChanges
from sync.fold import FactSet, explain, fold_set
from sync.fold_digest import MODULUS, conflict_term, figure_term, fold_digest
from sync.key_state import KeyState
from sync.relation import Ground
from sync.stock_facts import (
    ConflictCode,
    Count,
    Fact,
    Key,
    Look,
    Movement,
    Policy,
    Rank,
    Rules,
    Side,
    Status,
    Void,
    parse_target,
)
from tests.sync.fleet import Fleet

KEY = Key("SHOP", "A")


def sale(seq: int, wall: int, quantity: int = -1, writer: str = "n2.0", **vector: int) -> Movement:
    """Return a sale on a till that knows nothing of the counter."""
    return Movement(writer, seq, 0, "SHOP", "A", quantity, "sale", wall, 1000, 0, vector)


def count(quantity: int, moment: int, seq: int = 1, basis: dict[str, int] | None = None) -> Count:
    """Return a count at one moment."""
    look = Look(quantity, moment, moment, basis or {}, basis or {})
    return Count("n1.0", seq, 0, "SHOP", "A", Rank.CLERK, moment, 1000, 0, {"n1.0": seq - 1}, (look,))


def test_every_code_is_produced_by_some_fleet() -> None:
    missing = set(ConflictCode)
    for seed in range(400):
        fleet = Fleet(seed)
        missing -= {one.code for one in fold_set(fleet.run(25), fleet.rules).conflicts}
        if not missing:
            break
    assert not missing


def test_id_is_the_same_for_the_same_question_and_differs_for_another() -> None:
    one = Conflict(ConflictCode.TRANSFER_SHORT, Status.OPEN, "*transit/A", ("T1",), "T1")
    again = Conflict(ConflictCode.TRANSFER_SHORT, Status.INFO, "*transit/A", ("T1", "x"), "T1")
    other = Conflict(ConflictCode.TRANSFER_SHORT, Status.OPEN, "*transit/A", ("T2",), "T2")
    assert one.id == again.id != other.id
    assert len(one.id) == 32


def test_changes_name_each_conflict_once() -> None:
    raised = Conflict(ConflictCode.NEGATIVE_STOCK, Status.OPEN, "SHOP/A")
    doubt = Conflict(ConflictCode.AMBIGUOUS_ORDER, Status.AUTO, "SHOP/A", ("a:1",), "o")
    worse = Conflict(ConflictCode.AMBIGUOUS_ORDER, Status.OPEN, "SHOP/A", ("a:1", "a:2"), "o")
    gone = Conflict(ConflictCode.LATE_ABSORBED, Status.INFO, "SHOP/A", ("a:0",), "o")
    changes = ConflictChanges.none()
    changes.compare([doubt, gone], [worse, raised])
    assert (changes.raised, changes.changed, changes.cleared) == ([raised], [worse], [gone])


def test_digest_sums_figures_and_open_conflicts_alone() -> None:
    open_one = Conflict(ConflictCode.NEGATIVE_STOCK, Status.OPEN, "SHOP/A")
    remark = Conflict(ConflictCode.COUNT_AGREE, Status.INFO, "SHOP/A")
    assert conflict_term(remark) == 0
    total = fold_digest([(KEY, -1, -1, -1)], [open_one, remark])
    assert total == (figure_term(KEY, -1, -1, -1) + conflict_term(open_one)) % MODULUS
    assert fold_digest([], []) == 0


def test_explanation_places_every_movement() -> None:
    facts: list[Fact] = [
        sale(1, 100_000, writer="n1.0"),
        count(7, 200_000, 2, {"n1.0": 1}),
        sale(1, 50_000),
        sale(2, 300_000, -2),
        sale(3, 200_500, -4),
    ]
    held = FactSet(facts, Rules())
    told = explain(held.material(KEY), held.relating)
    assert (told.figure.value, told.figure.lo, told.figure.hi) == (1, 1, 5)
    assert told.giver is not None
    assert told.giver.id == "n1.0:2"
    assert [(one.movement.id, one.verdict.side, one.verdict.ground) for one in told.placed] == [
        ("n1.0:1", Side.BEFORE, Ground.KNOWN),
        ("n2.0:1", Side.BEFORE, Ground.CLOCK),
        ("n2.0:2", Side.AFTER, Ground.CLOCK),
        ("n2.0:3", Side.AMBIGUOUS, Ground.CLOCK),
    ]


def test_void_may_name_one_line_of_an_entry() -> None:
    lines = [Movement("n1.0", 1, line, "SHOP", "A", -(10**line), "sale", 0, 0, 0, {}) for line in range(3)]

    def void(seq: int, target: str) -> Void:
        return Void("hub.0", seq, 0, {"n1.0": 1}, Rank.ADMIN, target)

    def value(*voids: Void) -> int:
        return fold_set([*lines, *voids], Rules()).figures[KEY].value

    assert value() == -111
    assert value(void(1, "n1.0:1#1")) == -101
    assert value(void(1, "n1.0:1#0")) == -110
    assert value(void(1, "n1.0:1")) == 0
    assert value(void(1, "n1.0:1"), void(2, "hub.0:1")) == -111
    assert value(void(1, "n1.0:1"), void(2, "hub.0:1"), void(3, "hub.0:2")) == 0


def test_names_of_entries_and_lines_are_read_strictly() -> None:
    assert parse_target("n1.0:12") == ("n1.0", 12, None)
    assert parse_target("n1.0:12#3") == ("n1.0", 12, 3)
    for text in ("n1", ":1", "n1:", "n1:x", "n1:1#", "n1:1#x", "n1:-1"):
        try:
            parse_target(text)
        except ValueError:
            continue
        raise AssertionError(text)


def test_tolerance_floors_and_average_floors_to_the_step() -> None:
    assert Policy(1, 2000).tolerance(-12_520, 12_480) == 25
    assert Policy(0, 999_999).tolerance(1, 1) == 0


def test_state_survives_its_bytes() -> None:
    state = KeyState(total=-3, declared=("T1",))
    assert KeyState.from_bytes(state.to_bytes()) == state

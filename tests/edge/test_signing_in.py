"""Operators sign in offline; too many wrong PINs lock, whatever is done to the machine or its clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from edge.applying import keep_statements
from edge.doctor import examine
from edge.limits import Act
from edge.node import Node
from edge.signing_in import Approval, approve, operator_name, operators, sign_in, sign_out, unlock
from schema.codec import encode
from schema.errors import RefusalError
from schema.kinds.organisation import OperatorDefined, SettingDefined
from schema.kinds.tills import SignInRecorded
from schema.settings import TillRules, write_setting
from sync.clock import ClockMeasurement, ClockReading, anchored
from tests.edge.people import CASHIER, MANAGER, STAFF, SUPERVISOR, Person, employ, statement, tell
from tests.edge.shops import MINUTE_MS, START_MS, Shops, anchor_clock, exchange, key_of


def refused(act: Callable[[], object]) -> RefusalError:
    with pytest.raises(RefusalError) as raised:
        act()
    return raised.value


def try_wrong(node: Node, times: int, person: Person = CASHIER) -> RefusalError:
    """Type wrong PINs; returns what the last one was told."""
    for _ in range(times - 1):
        refused(lambda: sign_in(node, person.number, "0000"))
    return refused(lambda: sign_in(node, person.number, "0000"))


def recorded(node: Node) -> list[str]:
    rows = node.connection.execute("SELECT outcome FROM sign_in ORDER BY hlc_ms, hlc_counter, writer, seq").fetchall()
    return [row[0] for row in rows]


class SetClock:
    """A machine whose wall clock people set, and which can be switched off and on."""

    def __init__(self) -> None:
        self.wall_ms = START_MS
        self.monotonic_ms = 1_000_000
        self.boot = 1

    def __call__(self) -> ClockReading:
        return ClockReading(self.wall_ms, self.monotonic_ms, f"boot-{self.boot}")

    def pass_minutes(self, minutes: float) -> None:
        self.wall_ms += int(minutes * MINUTE_MS)
        self.monotonic_ms += int(minutes * MINUTE_MS)

    def set_by_minutes(self, minutes: float) -> None:
        self.wall_ms += int(minutes * MINUTE_MS)

    def reboot(self) -> None:
        self.boot, self.monotonic_ms = self.boot + 1, 5_000
        self.wall_ms += 30_000


def test_an_operator_signs_in_by_number_and_pin_without_any_network(shops: Shops) -> None:
    node = shops.make_node()
    employ(shops)
    signed = sign_in(node, "1001", "111111")
    assert (signed.operator, signed.name, signed.role) == ("o1001", "李小梅", "cashier")
    assert not signed.limits.approves
    assert sign_in(node, "９００１", " ９９９９９９ ").limits.approves  # a Chinese input method was on
    sign_out(node, signed.operator)
    assert recorded(node) == ["in", "in", "out"]
    assert [(one.number, one.name) for one in operators(node)] == [
        ("1001", "李小梅"), ("2001", "王主管"), ("9001", "陈店长"),
    ]  # fmt: skip
    assert operator_name(node, "o2001") == "王主管"


def test_a_node_that_never_met_its_hub_has_no_operators_and_says_so(node: Node) -> None:
    assert operators(node) == ()
    error = refused(lambda: sign_in(node, "1001", "111111"))
    assert (error.code, error.facts) == ("sign_in_unknown", {"number": "1001"})


def test_names_and_pins_stand_nowhere_in_the_file_in_clear(shops: Shops) -> None:
    node = shops.make_node()
    employ(shops)
    sign_in(node, "1001", "111111")
    node.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    content = node.store.path.read_bytes()
    assert "李小梅".encode() not in content
    assert b"111111" not in content


def test_a_wrong_pin_says_how_many_tries_are_left_and_the_last_one_locks(shops: Shops) -> None:
    node = shops.make_node()
    employ(shops)
    assert [try_wrong(node, 1).facts["left"] for _ in range(4)] == [4, 3, 2, 1]
    error = try_wrong(node, 1)
    assert (error.code, error.facts) == ("locked_out", {"minutes": 15})
    assert refused(lambda: sign_in(node, "1001", "111111")).code == "locked_out"
    assert sign_in(node, "2001", "222222").name == "王主管"  # the others work on
    assert examine(node).is_healthy


def test_a_right_pin_between_wrong_ones_begins_the_count_anew(shops: Shops) -> None:
    node = shops.make_node()
    employ(shops)
    try_wrong(node, 4)
    sign_in(node, "1001", "111111")
    assert try_wrong(node, 4).facts["left"] == 1


def test_a_lock_ends_by_itself_and_each_further_one_lasts_twice_as_long(shops: Shops) -> None:
    node = shops.make_node()
    employ(shops)
    try_wrong(node, 5)
    shops.pass_minutes(14)
    assert refused(lambda: sign_in(node, "1001", "111111")).facts == {"minutes": 1}
    shops.pass_minutes(1.1)
    assert try_wrong(node, 5).facts == {"minutes": 30}
    shops.pass_minutes(30.1)
    assert sign_in(node, "1001", "111111").number == "1001"
    assert try_wrong(node, 5).facts == {"minutes": 15}


def test_the_shop_sets_how_many_tries_there_are_and_how_long_a_lock_lasts(shops: Shops) -> None:
    node = shops.make_node()
    employ(shops)
    name, value = write_setting(TillRules(wrong_pins_max=2, lockout_minutes=60))
    shops.tell(SettingDefined(name, "A", value))
    assert try_wrong(node, 2).facts == {"minutes": 60}


def test_a_lock_survives_a_restart_of_the_program_and_of_the_machine(shops: Shops) -> None:
    clock = SetClock()
    node = shops.make_node(clock=lambda: clock)  # type: ignore[arg-type,return-value]
    employ(shops)
    try_wrong(node, 5)
    clock.reboot()
    directory = node.directory
    node.close()
    with Node(directory, clock=clock) as again:
        assert refused(lambda: sign_in(again, "1001", "111111")).code == "locked_out"
        clock.pass_minutes(15)
        assert sign_in(again, "1001", "111111").number == "1001"


@pytest.mark.parametrize("minutes", [-60, -10, 60, 60 * 24 * 400])
def test_setting_the_clock_never_shortens_a_lock(shops: Shops, minutes: int) -> None:
    clock = SetClock()
    node = shops.make_node(clock=lambda: clock)  # type: ignore[arg-type,return-value]
    employ(shops)
    try_wrong(node, 5)
    clock.pass_minutes(10)
    clock.set_by_minutes(minutes)
    assert refused(lambda: sign_in(node, "1001", "111111")).facts == {"minutes": 15}
    clock.pass_minutes(14.9)
    assert refused(lambda: sign_in(node, "1001", "111111")).facts == {"minutes": 1}
    clock.pass_minutes(0.2)
    assert sign_in(node, "1001", "111111").number == "1001"
    # Only the first try after the clock was set is recorded: the others lengthen nothing.
    assert recorded(node).count("locked") == 2


def test_a_lock_counts_on_through_a_set_clock_once_the_hub_measured_it(shops: Shops) -> None:
    clock = SetClock()
    node = shops.make_node(clock=lambda: clock)  # type: ignore[arg-type,return-value]
    employ(shops)
    try_wrong(node, 5)
    clock.pass_minutes(16)
    clock.set_by_minutes(60)
    with node.write():
        pass
    measured = anchored(node.state().clock, ClockMeasurement(60 * MINUTE_MS, 500))
    with node.store.transaction() as connection:
        connection.execute("UPDATE node_state SET clock = ?", (encode(measured),))
    assert sign_in(node, "1001", "111111").number == "1001"


def test_wrong_pins_at_all_tills_of_a_shop_add_up(shops: Shops) -> None:
    one, other = shops.make_node("A1"), shops.make_node("A2")
    employ(shops)
    try_wrong(one, 3)
    try_wrong(other, 3)
    exchange(one, other)
    for node in (one, other):
        assert refused(lambda node=node: sign_in(node, "1001", "111111")).facts == {"minutes": 15}  # type: ignore[misc]
        assert examine(node).is_healthy


def test_a_lock_of_another_till_that_is_long_over_locks_nobody_here(shops: Shops) -> None:
    one, other = shops.make_node("A1"), shops.make_node("A2")
    employ(shops)
    try_wrong(one, 5)
    exchange(one, other)
    shops.pass_minutes(60 * 12)
    anchor_clock(other, 100)
    assert sign_in(other, "1001", "111111").number == "1001"


def test_a_supervisor_unlocks_at_once(shops: Shops) -> None:
    node = shops.make_node()
    employ(shops)
    try_wrong(node, 5)
    assert refused(lambda: unlock(node, "1001", "1001", "111111")).code == "locked_out"
    unlock(node, "1001", "2001", "222222")
    assert sign_in(node, "1001", "111111").number == "1001"
    assert refused(lambda: unlock(node, "2001", "1001", "111111")).code == "approver_not_allowed"


def test_a_second_pin_allows_what_its_own_limits_cover(shops: Shops) -> None:
    node = shops.make_node()
    employ(shops)
    assert approve(node, "2001", "222222", Act.UNRECEIPTED_REFUND, 50_000) == Approval(
        "o2001", "2001", "王主管", "supervisor"
    )
    for number, pin, amount in (("2001", "222222", 50_001), ("1001", "111111", 1)):
        error = refused(
            lambda number=number, pin=pin, amount=amount: approve(  # type: ignore[misc]
                node, number, pin, Act.UNRECEIPTED_REFUND, amount
            )
        )
        assert error.code == "approver_not_allowed"
    assert approve(node, "9001", "999999", Act.UNRECEIPTED_REFUND, 10_000_000).name == "陈店长"
    assert recorded(node) == []  # the approval stands in the entry that it allowed
    assert try_wrong(node, 5, SUPERVISOR).code == "locked_out"
    assert refused(lambda: approve(node, "2001", "222222", Act.DRAWER)).code == "locked_out"


def test_wrong_pins_of_approvals_and_sign_ins_are_one_row(shops: Shops) -> None:
    node = shops.make_node()
    employ(shops)
    for _ in range(4):
        assert refused(lambda: approve(node, "2001", "0000", Act.DRAWER)).code == "pin_wrong"
    assert try_wrong(node, 1, SUPERVISOR).code == "locked_out"


def test_a_new_role_holds_as_soon_as_its_entry_is_here(shops: Shops) -> None:
    node = shops.make_node()
    employ(shops)
    shops.tell(OperatorDefined("o1001", "1001", "supervisor", ("A",), b""))
    signed = sign_in(node, "1001", "111111")
    assert signed.role == "supervisor"
    assert signed.limits.approves
    assert signed.name == "1001"  # sealed under a key that is not here yet: the number stands for it


def test_who_was_removed_or_moved_cannot_sign_in_any_more(shops: Shops) -> None:
    node = shops.make_node()
    employ(shops)
    shops.tell(OperatorDefined("o1001", "1001", "cashier", ("A",), b"", is_active=False))
    shops.tell(OperatorDefined("o2001", "2001", "supervisor", ("B",), b""))
    for person in (CASHIER, SUPERVISOR):
        error = refused(lambda person=person: sign_in(node, person.number, person.pin))  # type: ignore[misc]
        assert error.code == "sign_in_unknown"
    assert [one.number for one in operators(node)] == ["9001"]


def test_an_old_pin_is_refused_once_the_new_one_is_here(shops: Shops) -> None:
    node = shops.make_node()
    employ(shops)
    changed = CASHIER._replace(pin="454545")
    tell(node, changed, MANAGER, as_of_ms=2)
    assert refused(lambda: sign_in(node, "1001", "111111")).code == "pin_wrong"
    assert sign_in(node, "1001", "454545").number == "1001"
    tell(node, *STAFF, as_of_ms=1)  # an older statement sent again brings the old PIN not back
    assert refused(lambda: sign_in(node, "1001", "111111")).code == "pin_wrong"


def test_a_statement_that_the_hub_did_not_sign_or_meant_for_others_changes_nothing(shops: Shops) -> None:
    node = shops.make_node()
    employ(shops)
    intruder = Person("6666", "某某", "owner", "666666")
    forged = statement([intruder], as_of_ms=9, signer=key_of("intruder"))
    elsewhere = statement([intruder], location="B", as_of_ms=9)
    genuine = statement([intruder], as_of_ms=9)
    moved = type(genuine)("members/1/0", genuine.content, genuine.signature, genuine.as_of_ms)
    keep_statements(node, [forged, elsewhere, moved])
    assert [one.number for one in operators(node)] == ["1001", "2001", "9001"]


def test_a_lock_recorded_elsewhere_by_a_till_of_the_shop_is_inert_without_authority(shops: Shops) -> None:
    node = shops.make_node(permissions=("count",))
    employ(shops)
    with node.write() as writing:
        writing.append(SignInRecorded("o1001", "locked"))
    assert recorded(node) == []
    assert examine(node).is_healthy

"""A balance is what the hub told of elsewhere plus what happened here since: never less, never twice."""

from __future__ import annotations

from edge.applying import keep_statements
from edge.balances import balance
from edge.doctor import examine
from edge.node import Node
from schema.codec import encode
from schema.kinds.balances import BalanceMove, BalanceMoved, BalanceOpened, BalancePaid
from schema.kinds.organisation import AuthorityRevoked
from schema.kinds.trading import Tender
from schema.rows import BalanceKind
from sync.elsewhere import BalancesTold, Topic, bucket_of, slot_of
from sync.messages import Statement
from sync.signing import SigningKey, statement_message
from tests.edge.shops import HUB, Shops, carry, exchange, key_of

POINTS, STORED = BalanceKind.MEMBER_POINTS, BalanceKind.MEMBER_BALANCE
MEMBER = "p1"


def move(node: Node, amount: int, kind: BalanceKind = POINTS, subject: str = MEMBER) -> None:
    with node.write() as writing:
        writing.append(BalanceMoved((BalanceMove(kind.value, subject, amount),), "spent", "A1-1-000001"))


def cut_of(*nodes: Node) -> dict[tuple[str, str], int]:
    """Return the cut that includes all that these nodes hold of their scopes."""
    return {
        (scope, writer): head.seq
        for node in nodes
        for scope in ("org", node.config.scope)
        for writer, head in node.replica.log.heads(scope).items()
    }


def told(
    amounts: dict[str, int],
    cut: dict[tuple[str, str], int],
    as_of_ms: int = 1000,
    topic: Topic | None = None,
    signer: SigningKey = HUB,
    kind: BalanceKind = POINTS,
) -> Statement:
    rows = tuple((kind.value, subject, amount) for subject, amount in amounts.items())
    content = encode(BalancesTold(as_of_ms, rows, tuple((s, w, seq) for (s, w), seq in cut.items())))
    name = str(topic or Topic("balances", 0, 1))
    return Statement(name, content, signer.sign(statement_message(name, content)), as_of_ms)


def test_before_any_statement_only_what_is_here_is_known(node: Node) -> None:
    move(node, 30)
    assert balance(node, POINTS, MEMBER) == (30, None, 30)
    assert balance(node, STORED, MEMBER) == (0, None, 0)


def test_own_entries_above_the_cut_are_added_and_those_below_are_not(shops: Shops) -> None:
    node = shops.make_node()
    move(node, 30)
    keep_statements(node, [told({MEMBER: 130}, cut_of(node))])
    assert balance(node, POINTS, MEMBER) == (130, 1000, 0)
    move(node, -50)
    assert balance(node, POINTS, MEMBER) == (80, 1000, -50)
    keep_statements(node, [told({MEMBER: 80}, cut_of(node), 2000)])
    assert balance(node, POINTS, MEMBER) == (80, 2000, 0)
    assert balance(node, POINTS, MEMBER).age_ms(5000) == 3000
    assert balance(node, POINTS, "nobody") == (0, 2000, 0)


def test_entries_of_the_other_till_count_as_soon_as_they_are_here(shops: Shops) -> None:
    one, other = shops.make_node("A1"), shops.make_node("A2")
    keep_statements(one, [told({MEMBER: 100}, cut_of(one))])
    move(other, -70)
    assert balance(one, POINTS, MEMBER).amount == 100
    exchange(one, other)
    exchange(one, other)
    assert balance(one, POINTS, MEMBER) == (30, 1000, -70)


def test_what_the_hub_opened_counts_once_whether_its_statement_came_before_or_after(shops: Shops) -> None:
    node = shops.make_node()
    shops.tell(BalanceOpened(STORED.value, MEMBER, 5000))
    assert balance(node, STORED, MEMBER).amount == 5000
    keep_statements(node, [told({MEMBER: 5000}, cut_of(node), kind=STORED)])
    assert balance(node, STORED, MEMBER) == (5000, 1000, 0)


def test_a_top_up_moves_principal_and_bonus_apart(node: Node) -> None:
    moves = (BalanceMove(STORED.value, MEMBER, 10_000), BalanceMove(BalanceKind.MEMBER_BONUS.value, MEMBER, 1000))
    with node.write() as writing:
        writing.append(
            BalancePaid("A1-1-1", "2026-03-02", "s", "o", "top_up", moves, (Tender("cash", 10_000, 10_000),), 10_000)
        )
    assert balance(node, STORED, MEMBER).amount == 10_000
    assert balance(node, BalanceKind.MEMBER_BONUS, MEMBER).amount == 1000
    assert examine(node).is_healthy


def test_what_lost_its_authority_moves_nothing(shops: Shops) -> None:
    one, other = shops.make_node("A1"), shops.make_node("A2")
    move(other, 70)
    carry(other, one)
    assert balance(one, POINTS, MEMBER).amount == 70
    shops.tell(AuthorityRevoked(other.config.node, ()))
    assert balance(one, POINTS, MEMBER).amount == 0
    assert examine(one).is_healthy


def test_an_older_or_a_forged_statement_changes_nothing(node: Node) -> None:
    keep_statements(node, [told({MEMBER: 5}, {}, 2000)])
    keep_statements(node, [told({MEMBER: 9}, {}, 1000), told({MEMBER: 9}, {}, 3000, signer=key_of("intruder"))])
    assert balance(node, POINTS, MEMBER) == (5, 2000, 0)


def test_a_family_that_is_split_anew_is_read_from_its_newest_statements_throughout(node: Node) -> None:
    subjects = [f"p{number}" for number in range(40)]

    def split(buckets: int, amount: int, as_of_ms: int) -> list[Statement]:
        return [
            told(
                {s: amount for s in subjects if bucket_of(slot_of(s), buckets) == bucket},
                {},
                as_of_ms,
                Topic("balances", bucket, buckets),
            )
            for bucket in range(buckets)
        ]

    keep_statements(node, split(1, 1, 1000))
    first, *rest = split(4, 2, 2000)
    keep_statements(node, [first])
    assert {balance(node, POINTS, s).amount for s in subjects} == {1, 2}
    keep_statements(node, rest)
    assert {balance(node, POINTS, s).amount for s in subjects} == {2}
    keep_statements(node, split(1, 1, 1000))  # what came late, by another way, changes nothing
    assert {balance(node, POINTS, s).amount for s in subjects} == {2}
    topics = {row[0] for row in node.connection.execute("SELECT topic FROM elsewhere").fetchall()}
    assert topics >= {f"balances/4/{bucket}" for bucket in range(4)}

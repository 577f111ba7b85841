"""Members for the screen's tests: as the hub's entries and its signed statements bring them."""

from __future__ import annotations

from edge.applying import keep_statements
from edge.balance_effects import move
from edge.node import Node
from schema.codec import encode
from schema.kinds.balances import BalanceMoved
from schema.kinds.organisation import CustomerDefined
from schema.rows import BalanceKind
from schema.settings import LoyaltyRules
from sync.elsewhere import MEMBERS, OPERATORS_TOPIC, MemberKeys, OperatorSecret, OperatorSecrets, Topic
from sync.messages import Statement
from sync.people import Profile, masked, phone_hash, seal, wrap_key, write_profile
from sync.replica import Moment
from sync.signing import statement_message
from tests.edge.goods import settle
from tests.edge.people import STAFF, quick_verifier
from tests.edge.shops import HUB, HUB_STREAM, START_MS

PHONE, PHONE_KEY, PERSON, NAME = "13800001234", b"p" * 32, "m0001", "林敏秀"


def _told(topic: str, content: bytes, as_of_ms: int) -> Statement:
    return Statement(topic, content, HUB.sign(statement_message(topic, content)), as_of_ms)


def enlist(node: Node, *, points: int = 0, stored_minor: int = 0, tier: str = "") -> None:
    """Have the hub tell a node of one member, who is found by `PHONE`."""
    key = b"k" * 32
    sealed = seal(key, PERSON, write_profile(Profile("M1", NAME, PHONE)), bytes(12))
    with node.write():
        defined = CustomerDefined(PERSON, phone_hash(PHONE_KEY, PHONE), masked(PHONE), sealed, tier)
        node.replica.append(HUB_STREAM, defined, Moment(START_MS, 0, 0))
    secrets = tuple(OperatorSecret(one.operator, quick_verifier(one.pin), one.key) for one in STAFF)
    operators = encode(OperatorSecrets(node.config.location, 2, secrets, PHONE_KEY))
    keys = encode(MemberKeys(2, ((PERSON, wrap_key(PHONE_KEY, PHONE, PERSON, key)),)))
    keep_statements(node, [_told(OPERATORS_TOPIC, operators, 2), _told(str(Topic(MEMBERS, 0, 1)), keys, 2)])
    settle(node, LoyaltyRules(earn_minor=100, point_minor=1, credit_limit_minor=10_000, bonuses=((10_000, 500),)))
    moves = []
    if points:
        moves.append(move(BalanceKind.MEMBER_POINTS, PERSON, points))
    if stored_minor:
        moves.append(move(BalanceKind.MEMBER_BALANCE, PERSON, stored_minor))
    if moves:
        with node.write() as writing:
            writing.append(BalanceMoved(tuple(moves), "earned", "test"))

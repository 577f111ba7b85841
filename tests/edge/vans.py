"""A sales van for a node's tests: its round with customers whom it knows by name, its driver, and the warehouse."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from edge.applying import keep_statements
from edge.node import Node
from schema.codec import encode
from schema.identity import LocationId, Stream, location_scope
from schema.kinds.organisation import CustomerDefined, LocationDefined, SettingDefined
from schema.kinds.rights import RightGranted
from schema.kinds.vans import CreditLimited
from schema.settings import RouteRules, RouteStop, write_setting
from sync.elsewhere import OPERATORS_TOPIC, OperatorSecret, OperatorSecrets
from sync.messages import Statement
from sync.people import Profile, masked, phone_hash, seal, write_profile
from sync.replica import Moment
from sync.signing import statement_message
from tests.edge.people import Person, employ, quick_verifier
from tests.edge.shops import HUB, START_MS, Shops

PHONE_KEY = b"p" * 32
DRIVER = Person("3001", "赵师傅", "driver", "333333", ("V", "V2", "W"))
BOSS = Person("9001", "陈店长", "shop_manager", "999999", ("V", "V2", "W"))


class Customer(NamedTuple):
    person: str
    code: str
    name: str
    phone: str
    tier: str = ""
    address: str = ""

    @property
    def key(self) -> bytes:
        return self.person.encode().rjust(32, b"c")


STORE = Customer("p1", "C001", "王记小卖部", "13800000001", "wholesale", "桥头村 1 号")
INN = Customer("p2", "C002", "山里客栈", "13800000002", "", "山顶")
ROUND = (STORE, INN)


def define_van(shops: Shops, *vans: str, round_of: Iterable[Customer] = ROUND) -> None:
    """Make locations vans (V where none is named), with a round each, before their nodes join."""
    customers = tuple(round_of)
    for one in customers:
        sealed = seal(one.key, one.person, write_profile(Profile(one.code, one.name, one.phone, "", one.address)),
                      bytes(12))  # fmt: skip
        shops.tell(
            CustomerDefined(one.person, phone_hash(PHONE_KEY, one.phone), masked(one.phone), sealed, one.tier)
        )  # fmt: skip
    for van in vans or ("V",):
        shops.tell(LocationDefined(van, f"Van {van}", "van"))
        stops = tuple(RouteStop(one.person, "带空瓶" if place == 0 else "") for place, one in enumerate(customers))
        written = write_setting(RouteRules(stops=stops, warehouse="W"))
        shops.tell(SettingDefined(written.name, van, written.value))


def make_van(shops: Shops, name: str = "V1", location: str = "V", round_of: Iterable[Customer] = ROUND) -> Node:
    """Enrol a van whose driver and customers are known by name."""
    node = shops.make_node(name, location)
    employ(shops, DRIVER, BOSS, as_of_ms=3)
    know_round(node, round_of)
    # It joined through the hub a moment ago: its lease begins there.
    node.store.connection.execute("UPDATE node_state SET last_exchange_ms = ?", (node.now_ms(),))
    return node


def know_round(node: Node, round_of: Iterable[Customer] = ROUND, as_of_ms: int = 5) -> None:
    """Tell a van who drives it and the names of its round."""
    people = tuple(
        OperatorSecret(one.operator, quick_verifier(one.pin), one.key) for one in (DRIVER, BOSS)
    )  # fmt: skip
    told = OperatorSecrets(
        node.config.location, as_of_ms, people, PHONE_KEY, tuple((one.person, one.key) for one in round_of)
    )
    content = encode(told)
    signature = HUB.sign(statement_message(OPERATORS_TOPIC, content))
    keep_statements(node, [Statement(OPERATORS_TOPIC, content, signature, as_of_ms)])


def limit_credit(shops: Shops, person: str, limit_minor: int | None) -> None:
    """Give a customer a limit of their own."""
    shops.tell(CreditLimited(person, limit_minor, "o1"))


def give_credit(node: Node, person: str, amount_minor: int) -> None:
    """Give a node the right to lend a part of it, as the hub does."""
    scope = location_scope(LocationId(node.config.location))
    with node.write() as writing:
        node.replica.append(
            Stream(scope, HUB.node, 1), RightGranted(f"credit:{person}", amount_minor, writing.stream().writer),
            Moment(START_MS, 0, 0),
        )  # fmt: skip

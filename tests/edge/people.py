"""People for a node's tests: operators with PINs, as the hub's entries and its signed statement bring them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from edge.applying import keep_statements
from edge.node import Node
from schema.codec import encode
from schema.kinds.organisation import OperatorDefined
from sync.elsewhere import OPERATORS_TOPIC, OperatorSecret, OperatorSecrets
from sync.messages import Statement
from sync.people import seal
from sync.signing import SigningKey, statement_message
from tests.edge.shops import HUB, Shops


class Person(NamedTuple):
    number: str
    name: str
    role: str
    pin: str
    locations: tuple[str, ...] = ("A",)
    is_active: bool = True

    @property
    def operator(self) -> str:
        return f"o{self.number}"

    @property
    def key(self) -> bytes:
        return self.number.encode().rjust(32, b"k")


CASHIER = Person("1001", "李小梅", "cashier", "111111")
SUPERVISOR = Person("2001", "王主管", "supervisor", "222222")
MANAGER = Person("9001", "陈店长", "shop_manager", "999999")
STAFF = (CASHIER, SUPERVISOR, MANAGER)


def quick_verifier(pin: str) -> str:
    """Make a verifier that costs a test little; tills read its cost from it."""
    return Argon2id(salt=b"s" * 16, length=32, iterations=1, lanes=1, memory_cost=64).derive_phc_encoded(pin.encode())


def statement(
    people: Iterable[Person], location: str = "A", as_of_ms: int = 1, signer: SigningKey = HUB, phone_key: bytes = b""
) -> Statement:
    """Return what the hub tells a location of its operators."""
    secrets = tuple(OperatorSecret(one.operator, quick_verifier(one.pin), one.key) for one in people)
    content = encode(OperatorSecrets(location, as_of_ms, secrets))
    return Statement(
        OPERATORS_TOPIC, content, signer.sign(statement_message(OPERATORS_TOPIC, content)), as_of_ms
    )  # fmt: skip


def employ(shops: Shops, *people: Person, as_of_ms: int = 1) -> None:
    """Let people work at the shops: what the hub records, and what it tells each node."""
    for one in people or STAFF:
        sealed = seal(one.key, one.operator, one.name, bytes(12))
        shops.tell(OperatorDefined(one.operator, one.number, one.role, one.locations, sealed, one.is_active))
    for node in shops.nodes.values():
        tell(node, *(people or STAFF), as_of_ms=as_of_ms)


def tell(node: Node, *people: Person, as_of_ms: int) -> None:
    """Give a node the statement of its location."""
    here = [one for one in people if node.config.location in one.locations and one.is_active]
    keep_statements(node, [statement(here, node.config.location, as_of_ms)])

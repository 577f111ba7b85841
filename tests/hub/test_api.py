"""The JSON API as a program uses it: pages, tags, writes that may be sent twice, and refusals that say what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from hub.accounts import Account, redefine
from hub.api.answers import KEPT_MS, forget_answers
from hub.inbox import InboxFilter, list_inbox
from hub.service import Founded, Hub, open_hub, serving
from hub.tokens import TokenScope, create_token
from schema.identity import ORG
from schema.kinds.desk import ActRecorded
from schema.rules.promotion_terms import Language
from tests.hub.conflicting import Chain
from tests.hub.conftest import Enrol
from tests.hub.desk import make_account
from tests.hub.fleet import sale

COLA = {
    "code": "C-1",
    "category": "drinks",
    "name": "可乐 330ml",
    "barcodes": [{"barcode": "6901234567892", "unit": "pc"}],
}


class Program:
    """Another software with a token."""

    def __init__(self, client: httpx.Client, token: str) -> None:
        self.client = client
        self.headers = {"Authorization": f"Bearer {token}"}
        self.keys = 0

    def get(self, path: str, headers: Mapping[str, str] | None = None, **query: object) -> httpx.Response:
        return self.client.get(
            path, params={k: str(v) for k, v in query.items()}, headers={**self.headers, **(headers or {})}
        )

    def send(self, method: str, path: str, body: object = None, *, key: str = "", match: str = "*") -> httpx.Response:
        self.keys += 1
        headers = {**self.headers, "Idempotency-Key": key or f"key-{self.keys}"}
        if match:
            headers["If-Match"] = match
        if body is not None:
            return self.client.request(method, path, json=body, headers=headers)
        return self.client.request(method, path, headers=headers)

    def all(self, path: str, name: str, limit: int, **query: object) -> Iterator[Any]:
        cursor = ""
        while True:
            page = self.get(path, None, limit=limit, cursor=cursor, **query).json()
            assert len(page[name]) <= limit
            yield from page[name]
            if page["next"] is None:
                return
            cursor = page["next"]


@pytest.fixture
def program(founded: tuple[Path, Founded], client: httpx.Client) -> Program:
    return Program(client, founded[1].token)


def acts(hub: Hub) -> list[str]:
    with hub.store.snapshot() as replica:
        return [
            entry.payload.act
            for row in replica.rows()
            if row.stream.node == hub.identity.node
            for entry in replica.log.entries(row)
            if isinstance(entry.payload, ActRecorded)
        ]


def test_a_listing_is_whole_and_without_repeats_while_sales_come_in(
    hub: Hub, client: httpx.Client, enrol: Enrol, program: Program
) -> None:
    nodes = [enrol("A"), enrol("A"), enrol("B")]
    for number in range(7):
        for node in nodes:
            node.append(sale(f"{node.signer.node}-{number}"))
    for node in nodes:
        node.push(client, node.batch())
    expected = {f"{node.signer.node}-{number}" for node in nodes for number in range(7)}
    seen: list[str] = []
    for count, listed in enumerate(program.all("/v1/sales", "sales", 4)):
        seen.append(listed["receipt_number"])
        if count in {5, 13}:
            for node in nodes:
                node.append(sale(f"late-{node.signer.node}-{count}"))
                node.push(client, node.batch())
    assert len(seen) == len(set(seen))
    assert expected <= set(seen)
    day = next(iter(program.all("/v1/sales", "sales", 1)))["business_date"]
    of_day = [one["receipt_number"] for one in program.all("/v1/sales", "sales", 3, business_date=day, location="A")]
    assert len(of_day) == len(set(of_day)) == 18
    assert list(program.all("/v1/sales", "sales", 3, business_date="1999-01-01")) == []
    one = program.get("/v1/sales", location="B").json()["sales"][0]
    told = program.get(f"/v1/sales/{one['location']}/{one['entry']}").json()
    assert (told["id"], told["receipt_number"], told["total_minor"]) == (
        one["id"], one["receipt_number"], one["total_minor"],
    )  # fmt: skip
    assert sum(line["amount_minor"] for line in told["lines"]) >= 0
    assert program.get(f"/v1/sales/A/{one['entry']}").status_code == 404


def test_what_has_not_changed_is_not_sent_again(program: Program) -> None:
    program.send("POST", "/v1/products", COLA)
    for path in ("/v1/products", "/v1/products/C-1", "/v1/stock", "/v1/prices"):
        first = program.get(path)
        again = program.get(path, {"If-None-Match": first.headers["etag"]})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    tag = program.get("/v1/products/C-1").headers["etag"]
    program.send("PUT", "/v1/products/C-1", {"category": "drinks", "name": "可口可乐"})
    assert program.get("/v1/products/C-1", {"If-None-Match": tag}).json()["name"] == "可口可乐"


def test_a_change_made_from_an_old_state_is_refused_and_changes_nothing(program: Program) -> None:
    made = program.send("POST", "/v1/products", COLA)
    assert (made.status_code, made.headers["location"]) == (201, "/v1/products/C-1")
    changed = {"category": "drinks", "name": "可乐", "brand": "北冰洋"}
    assert program.send("PUT", "/v1/products/C-1", changed, match="").json()["code"] == "etag_missing"
    first = program.send("PUT", "/v1/products/C-1", changed, match=made.headers["etag"])
    assert (first.status_code, first.json()["brand"], first.json()["barcodes"]) == (200, "北冰洋", [])
    assert first.headers["etag"] == program.get("/v1/products/C-1").headers["etag"]
    stale = program.send("PUT", "/v1/products/C-1", {**changed, "brand": "其他"}, match=made.headers["etag"])
    assert (stale.status_code, stale.json()["code"]) == (412, "etag_stale")
    assert stale.headers["content-type"] == "application/problem+json"
    assert program.get("/v1/products/C-1").json()["brand"] == "北冰洋"


def test_a_deposit_is_told_and_set_and_a_change_that_leaves_it_out_takes_it_away(program: Program) -> None:
    bottle = {"code": "E-1", "category": "empties", "name": "空瓶"}
    assert program.send("POST", "/v1/products", bottle).json()["is_deposit"] is False
    made = program.send("POST", "/v1/products", {**COLA, "deposits": [{"product": "E-1", "quantity_milli": 2000}]})
    assert made.json()["deposits"] == [{"product": "E-1", "quantity_milli": 2000, "unit": ""}]
    assert program.get("/v1/products/E-1").json()["is_deposit"] is True
    wrong = program.send("PUT", "/v1/products/C-1", {"category": "drinks", "name": "可乐",
                                                     "deposits": [{"product": "E-9"}]})  # fmt: skip
    assert (wrong.status_code, wrong.json()["code"]) == (422, "deposit_article")
    bare = program.send("PUT", "/v1/products/C-1", {"category": "drinks", "name": "可乐"})
    assert bare.json()["deposits"] == []


def test_a_write_that_is_sent_again_is_done_once_and_answered_alike(hub: Hub, program: Program) -> None:
    first = program.send("POST", "/v1/products", COLA, key="order-17")
    before = acts(hub)
    again = program.send("POST", "/v1/products", COLA, key="order-17")
    assert (again.status_code, again.content, again.headers["location"]) == (
        201, first.content, first.headers["location"],
    )  # fmt: skip
    assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")
    assert acts(hub) == before == ["product.add"]
    other = program.send("POST", "/v1/products", {**COLA, "code": "C-2", "barcodes": []}, key="order-17")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    missing = program.client.post("/v1/products", json=COLA, headers=program.headers)
    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency_key_missing")
    # What was refused was not done, so the same key may bring it once it can be.
    refused = program.send("POST", "/v1/products", {**COLA, "code": "C-3"}, key="order-18")
    assert (refused.status_code, refused.json()["code"]) == (409, "barcode_taken")
    program.send("PUT", "/v1/products/C-1", {"category": "drinks", "name": "可乐"})
    assert program.send("POST", "/v1/products", {**COLA, "code": "C-3"}, key="order-18").status_code == 201
    with hub.store.transaction(None) as replica:
        forget_answers(replica.connection, hub.now_ms() + KEPT_MS + 1)
    late = program.send("POST", "/v1/products", COLA, key="order-17")
    assert late.json()["code"] == "product_exists"


def test_two_processes_that_get_one_write_at_once_do_it_once(
    founded: tuple[Path, Founded], hub: Hub, client: httpx.Client, program: Program
) -> None:
    other = open_hub(founded[0])
    try:
        with serving(other) as url, httpx.Client(base_url=url, timeout=30, trust_env=False) as beside:
            programs = [program, Program(beside, founded[1].token)]
            for number in range(6):
                body = {**COLA, "code": f"D-{number}", "barcodes": []}
                with ThreadPoolExecutor(4) as pool:
                    asked = [
                        pool.submit(one.send, "POST", "/v1/products", body, key=f"both-{number}")
                        for one in programs
                        for _ in range(2)
                    ]
                answers = [one.result() for one in asked]
                assert {answer.status_code for answer in answers} == {201}, [one.text for one in answers]
                assert len({answer.content for answer in answers}) == 1
                assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
            key = programs[1].send("POST", "/v1/products", COLA, key="here")
            assert program.send("POST", "/v1/products", COLA, key="here").content == key.content
    finally:
        other.close()
    assert acts(hub) == ["product.add"] * 7


def test_prices_are_set_scheduled_and_taken_back(hub: Hub, program: Program) -> None:
    program.send("POST", "/v1/products", COLA)
    start_ms = hub.now_ms() + 3_600_000
    assert program.send("POST", "/v1/products/C-1/prices", {"price_minor": 300}).status_code == 201
    told = program.send("POST", "/v1/products/C-1/prices", {"price_minor": 350, "from_ms": start_ms}).json()
    assert [(one["price_minor"], one["list"], one["unit"]) for one in told["prices"]] == [
        (300, "standard", "pc"), (350, "standard", "pc"),
    ]  # fmt: skip
    past = program.send("POST", "/v1/products/C-1/prices", {"price_minor": 350, "from_ms": start_ms - 7_200_000})
    assert (past.status_code, past.json()["code"]) == (422, "price_past")
    path = f"/v1/products/C-1/prices?unit=pc&from_ms={start_ms}"
    assert [one["price_minor"] for one in program.send("DELETE", path).json()["prices"]] == [300]
    assert program.send("DELETE", path).json()["code"] == "price_begun"
    (listed,) = program.get("/v1/prices", list="standard").json()["prices"]
    assert (listed["product"], [one["price_minor"] for one in listed["prices"]]) == ("C-1", [300])
    assert acts(hub) == ["product.add", "price.set", "price.set", "price.withdraw"]


def test_products_are_found_by_words_category_and_barcode(program: Program) -> None:
    for number in range(9):
        program.send("POST", "/v1/products", {"code": f"P-{number}", "category": "food", "name": f"饼干 {number}"})
    program.send("POST", "/v1/products", COLA)
    assert [one["code"] for one in program.all("/v1/products", "products", 4, category="food")] == [
        f"P-{number}" for number in range(9)
    ]
    assert [one["code"] for one in program.all("/v1/products", "products", 2, search="kl")] == ["C-1"]
    assert [one["code"] for one in program.all("/v1/products", "products", 2, barcode="6901234567892")] == ["C-1"]
    assert program.get("/v1/products", barcode="4006381333931").json()["products"] == []
    assert program.get("/v1/products/nothing").status_code == 404


def test_what_is_wrong_is_told_as_a_problem_with_a_code(program: Program) -> None:
    bad: list[tuple[httpx.Response, int, str]] = [
        (program.get("/v1/sales", limit=0), 400, "parameter_invalid"),
        (program.get("/v1/sales", limit=100_000), 400, "parameter_invalid"),
        (program.get("/v1/sales", colour="red"), 400, "parameter_unknown"),
        (program.client.get("/v1/sales?limit=1&limit=2", headers=program.headers), 400, "parameter_twice"),
        (program.get("/v1/stock", product="a\0b"), 400, "parameter_invalid"),
        (program.get("/v1/stock", cursor="kw"), 400, "cursor_invalid"),
        (program.get("/v1/nothing"), 404, "path_unknown"),
        (program.client.delete("/v1/sales", headers=program.headers), 405, "method_unknown"),
        (program.send("POST", "/v1/products", {**COLA, "tax_class": "17"}), 422, "tax_class_unknown"),
        (program.send("POST", "/v1/products", {**COLA, "colour": "red"}), 400, "body_invalid"),
        (program.send("POST", "/v1/products", {**COLA, "name": "a\0"}), 400, "body_invalid"),
        (program.send("POST", "/v1/products", {**COLA, "barcodes": [{"barcode": "6901234567890", "unit": "pc"}]}),
         422, "barcode_invalid"),
        (program.send("POST", "/v1/products", {**COLA, "name": "x" * 300_000}), 413, "body_too_large"),
        (program.send("PUT", "/v1/products/none", {"category": "x", "name": "x"}), 404, "product_unknown"),
        (program.client.get("/v1/sales"), 401, "token_missing"),
        (program.client.get("/v1/sales", headers={"Authorization": "Bearer no"}), 401, "token_unknown"),
    ]  # fmt: skip
    for answer, status, code in bad:
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (status, code), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert (problem["status"], problem["type"]) == (status, f"urn:edgetill:problem:{code}")
        assert problem["detail"]


def test_a_conflict_is_read_with_its_choices_and_settled_by_one(
    hub: Hub, client: httpx.Client, program: Program
) -> None:
    Chain(hub, client).everything()
    listed = list(program.all("/v1/conflicts", "conflicts", 2, status="open"))
    assert {one["code"] for one in listed} == {
        "COUNT_DISAGREE", "AMBIGUOUS_ORDER", "NEGATIVE_STOCK", "ZONE_RECOUNT", "TRANSFER_SHORT",
    }  # fmt: skip
    assert len(list(program.all("/v1/conflicts", "conflicts", 3))) >= len(listed)
    one = next(one for one in listed if one["code"] == "COUNT_DISAGREE")
    path = f"/v1/conflicts/{one['location']}/{one['id']}"
    shown = program.get(path)
    choice = next(each for each in shown.json()["choices"] if each["act"] == "accept")
    decision = {key: choice[key] for key in ("act", "target", "observation")}
    assert program.send("POST", f"{path}/decisions", decision, match='"old"').json()["code"] == "etag_stale"
    done = program.send("POST", f"{path}/decisions", decision, match=shown.headers["etag"], key="decide")
    assert (done.status_code, done.json()["status"]) == (200, "done"), done.text
    stock = program.get(f"/v1/stock/{one['location']}/{one['product']}").json()
    assert stock["value_milli"] == choice["figure"]["value_milli"]
    assert program.send("POST", f"{path}/decisions", decision, match=shown.headers["etag"], key="decide").json() == (
        done.json()
    )
    assert program.send("POST", f"{path}/decisions", decision).json()["code"] == "conflict_settled"
    assert one["id"] in [each["id"] for each in program.all("/v1/conflicts", "conflicts", 9, status="done")]
    short = next(each for each in listed if each["code"] == "TRANSFER_SHORT")
    path = f"/v1/conflicts/{short['location']}/{short['id']}"
    assert program.send("POST", f"{path}/decisions", {"act": "paper"}).json()["code"] == "quantity_missing"
    papers = program.get(path).json()["papers"]
    wrong = next(each for each in papers if each["act"] == "received")
    sent = next(each for each in papers if each["act"] == "dispatched")
    fixed = {"act": "paper", "target": wrong["id"], "quantity_milli": abs(sent["quantity_milli"])}
    assert program.send("POST", f"{path}/decisions", fixed).json()["status"] == "done"
    assert acts(hub) == ["conflict.accept", "conflict.paper"]
    with hub.store.snapshot() as replica:
        assert {row.conflict.code.value for row in list_inbox(replica, InboxFilter(), 0, 9)} == {
            "AMBIGUOUS_ORDER", "NEGATIVE_STOCK", "ZONE_RECOUNT",
        }  # fmt: skip


def test_a_token_does_what_it_is_for_and_what_its_maker_still_may(hub: Hub, client: httpx.Client) -> None:
    make_account(hub)
    operator = make_account(hub, "wang", "administrator")
    tokens = {}
    with hub.store.transaction(ORG) as replica:
        for name, scopes in (("reader", ["read"]), ("writer", [scope.value for scope in TokenScope])):
            tokens[name] = create_token(replica.connection, name, 0, scopes=scopes, operator=operator)
        tokens["gone"] = create_token(replica.connection, "gone", 0, expires_ms=1)
    reader, writer = Program(client, tokens["reader"]), Program(client, tokens["writer"])
    assert reader.get("/v1/products").status_code == 200
    assert reader.send("POST", "/v1/products", COLA).json()["code"] == "token_forbidden"
    assert writer.send("POST", "/v1/products", COLA).status_code == 201
    assert Program(client, tokens["gone"]).get("/v1/products").json()["code"] == "token_expired"
    lin = hub.accounts.listed()[0]
    with hub.store.transaction(ORG) as replica:
        owner = Account("lin", lin.operator, "lin", "Lin", "owner", None, Language.EN)
        redefine(replica, hub.own_log, owner, operator, role="shop_manager", locations=["B"], is_active=True)
    # A shop manager changes no catalogue, so neither does the token made before.
    assert writer.send("POST", "/v1/products", {**COLA, "code": "C-9"}).json()["code"] == "token_forbidden"
    assert {one["location"] for one in reader.get("/v1/locations").json()["locations"]} == {"B"}
    with hub.store.transaction(ORG) as replica:
        redefine(replica, hub.own_log, owner, operator, role="shop_manager", locations=["B"], is_active=False)
    assert reader.get("/v1/products").json()["code"] == "token_orphaned"


def test_the_description_is_served_to_everybody_and_names_every_route(client: httpx.Client) -> None:
    described = client.get("/v1/openapi.json").json()
    assert described == client.get("/v1/openapi/openapi.json").json()
    assert {"/v1/sales", "/v1/stock", "/v1/products", "/v1/prices", "/v1/conflicts", "/v1/findings"} <= set(
        described["paths"]
    )
    text = json.dumps(described)
    for name in described["components"]["schemas"]:
        assert f"#/components/schemas/{name}" in text
    for path in described["paths"].values():
        for method, operation in path.items():
            names = {one["name"] for one in operation["parameters"]}
            assert operation["summary"]
            assert ("Idempotency-Key" in names) == (method != "get")

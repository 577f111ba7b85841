"""Goods are found as they are typed."""

from __future__ import annotations

import random
import time

import pytest

from edge.catalogue_index import INDEX_RULES, ensure_index, index_catalogue
from edge.node import Node
from edge.search import search
from schema.catalogue import Product
from schema.codec import encode
from schema.identity import ProductId
from schema.rules.pinyin import search_starts
from tests.edge.goods import COLA, MILK, PORK, TEA, teach_goods, teach_products, write_document
from tests.edge.shops import Shops


@pytest.fixture
def node(shops: Shops) -> Node:
    return teach_goods(shops.make_node())


def codes(node: Node, typed: str) -> list[str]:
    return [hit.code for hit in search(node, typed)]


@pytest.mark.parametrize(
    "typed",
    ["可口可乐", "可乐", "口可", "乐", "kkkl", "kk", "kkl", "kl", "KKKL", "ｋｋｋｌ", "kekou", "kekoukele",
     "kele", "C0001", "c0001", "C000", "69288", "6928804011142", "可乐 330", "可乐330", "330 kkkl", " 可乐 "],
)  # fmt: skip
def test_a_product_is_found_by_any_part_of_its_name_its_pinyin_its_code_or_its_barcode(node: Node, typed: str) -> None:
    assert COLA in codes(node, typed)


@pytest.mark.parametrize(
    "typed", ["乐可", "可可", "kkkll", "kelle", "可乐 500", "zzz", "", " ", "***", '"', "NEAR(", "a OR b", "-"]
)
def test_nothing_is_found_where_nothing_fits_and_no_text_breaks_the_search(node: Node, typed: str) -> None:
    assert COLA not in codes(node, typed)


def test_a_hit_has_what_the_list_shows(node: Node) -> None:
    [hit] = search(node, "kkkl")
    assert (hit.name, hit.spec, hit.unit_name, hit.price_minor, hit.barcode) == (
        "可口可乐", "330ml", "罐", 300, "6928804011142",
    )  # fmt: skip
    assert search(node, "123")[0].code == PORK
    assert search(node, "00123")[0].code == PORK


def test_what_begins_with_the_words_comes_first_and_shorter_names_before_longer(node: Node) -> None:
    names = {"G1": "冰红茶", "G2": "茶", "G3": "茶叶蛋", "G4": "茉莉花茶礼盒"}
    teach_products(node, [Product(code=ProductId(c), category="tea", name=n) for c, n in names.items()], {})
    assert codes(node, "茶") == ["G2", "G3", "G1", TEA, "G4"]


def test_the_index_follows_every_change_of_the_catalogue(node: Node) -> None:
    write_document(node, "products/drinks", {(COLA, "name"): "百事可乐"})
    assert codes(node, "kkkl") == []
    assert COLA in codes(node, "bskl")
    write_document(node, "products/drinks", {(COLA, "active"): False})
    assert COLA not in codes(node, "bskl")
    write_document(node, "products/drinks", {(COLA, "active"): True})
    assert COLA in codes(node, "bskl")
    assert MILK in codes(node, "cnn")


def test_an_index_of_older_rules_is_made_anew_when_the_node_starts(node: Node) -> None:
    connection = node.store.connection
    connection.execute("DELETE FROM product_index")
    connection.execute("UPDATE catalogue_state SET index_rules = ?", (INDEX_RULES - 1,))
    assert codes(node, "kkkl") == []
    ensure_index(connection)
    assert codes(node, "kkkl") == [COLA]


def test_starts_are_those_of_every_character() -> None:
    starts = search_starts("可口Cola")
    assert starts.initials == ("kkcola", "kcola", "cola")
    assert starts.full == ("kekoucola", "koucola", "cola")


@pytest.mark.long
def test_each_keystroke_is_answered_at_once_among_many_goods(node: Node) -> None:
    """A tenth of the goods that are measured elsewhere, with a bound that a busy machine keeps."""
    rng = random.Random(5)
    characters = (
        "可口乐百事雪碧农夫山泉矿水纯牛奶酸面包饼干花生瓜子糖巧克力牙膏洗发香皂毛巾纸大米食用油酱醋盐鸡蛋茶咖啡"
    )
    connection = node.store.connection
    with node.store.transaction():
        for start in range(0, 10_000, 500):
            names = ("".join(rng.choices(characters, k=rng.randint(3, 9))) for _ in range(500))
            goods = [
                Product(code=ProductId(f"G{start + n:06d}"), category=f"c{start}", name=name)
                for n, name in enumerate(names)
            ]
            connection.executemany(
                "INSERT INTO record (document, record, fields) VALUES (?, ?, ?)",
                [(f"products/c{start}", g.code, encode(dict(sorted(g.fields().items())))) for g in goods],
            )
            index_catalogue(connection, f"products/c{start}", {g.code: {} for g in goods})
    slow: list[tuple[float, str]] = []
    for word in ["可口可乐", "kkkl", "nfsq", "niunai", "矿泉水", "G00", "8", "mq", "zhi"]:
        for length in range(1, len(word) + 1):
            began = time.perf_counter()
            search(node, word[:length])
            slow.append(((time.perf_counter() - began) * 1000, word[:length]))
    slow.sort()
    assert slow[len(slow) // 2][0] < 30, slow[-5:]

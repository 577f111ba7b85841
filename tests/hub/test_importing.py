"""A file is checked against what the organisation has: its goods, people, promotions and places."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from hub.catalogue import CatalogueDesk, view_product
from hub.importing import append_import, preview, read_existing
from hub.imports import ImportKind, ImportRefusedError
from hub.service import Hub
from schema.catalogue import Deposit, KitPart
from schema.identity import ORG


def imported(hub: Hub, kind: ImportKind, folder: Path, text: str) -> int:
    path = folder / f"{kind}.csv"
    path.write_text(text, "utf-8")
    return append_import(hub, preview(hub, kind, path))


def test_a_member_of_an_earlier_import_may_have_a_balance_and_nobody_else_their_number(
    hub: Hub, tmp_path: Path
) -> None:
    with pytest.raises(ImportRefusedError):
        imported(hub, ImportKind.OPENING_BALANCES, tmp_path, "kind,subject,amount\nmember-points,M0001,1200\n")
    imported(hub, ImportKind.CUSTOMERS, tmp_path, "code,name,phone\nM0001,林洋伟,12000000001\n")
    assert imported(hub, ImportKind.OPENING_BALANCES, tmp_path, "kind,subject,amount\nmember-points,M0001,1200\n") == 1
    with pytest.raises(ImportRefusedError) as refused:
        imported(hub, ImportKind.CUSTOMERS, tmp_path, "code,name,phone\nM0002,杨杰,12000000001\n")
    assert [finding.code for finding in refused.value.findings] == ["phone.duplicate"]


def test_what_was_imported_is_there_for_the_next_file(hub: Hub, tmp_path: Path) -> None:
    imported(hub, ImportKind.PRODUCTS, tmp_path, "code,name,category,unit,price\nX1,水,drinks,pc,2.00\n")
    imported(hub, ImportKind.PROMOTIONS, tmp_path, "code,name,kind,products,value\nP1,特价,special-price,X1,1.50\n")
    imported(hub, ImportKind.OPERATORS, tmp_path, "code,name,role,location,pin\n1012,赵雪,supervisor,A,110012\n")
    with hub.store.snapshot() as replica:
        existing = read_existing(replica)
    assert set(existing.products) == {"X1"}
    assert existing.promotions == {"P1"}
    assert existing.operators == {"1012"}
    assert "A" in existing.locations


def test_no_name_or_number_of_a_person_stands_in_the_log_in_clear(hub: Hub, tmp_path: Path) -> None:
    imported(hub, ImportKind.CUSTOMERS, tmp_path, "code,name,phone\nM0001,林洋伟,12000000001\n")
    with hub.store.snapshot() as replica:
        bodies = b"".join(bytes(b) for (b,) in replica.connection.execute("SELECT body FROM entry").fetchall())
    assert "林洋伟".encode() not in bodies
    assert b"12000000001" not in bodies


def test_deposits_come_from_a_file_and_a_file_that_says_nothing_of_them_leaves_them(hub: Hub, tmp_path: Path) -> None:
    header = "code,name,category,unit,price,units,deposits,is_deposit\n"
    rows = "E1,空瓶,empties,pc,0.50,,,是\nB1,啤酒,drinks,pc,5.00,箱*12,E1*1;E1*12@箱,\n"
    imported(hub, ImportKind.PRODUCTS, tmp_path, header + rows)
    imported(hub, ImportKind.PRODUCTS, tmp_path, "code,name,category,unit,price\nB1,啤酒,drinks,pc,6.00\n")
    with hub.store.snapshot() as replica:
        beer, bottle = (view_product(replica.connection, code).product for code in ("B1", "E1"))
    assert beer.deposits == (Deposit("E1", 1000), Deposit("E1", 12_000, "箱"))
    assert bottle.is_deposit
    imported(hub, ImportKind.PRODUCTS, tmp_path, header + "B1,啤酒,drinks,pc,6.00,箱*12,,\n")
    with hub.store.snapshot() as replica:
        assert view_product(replica.connection, "B1").product.deposits == ()
    for wrong in ("E9*1", "E1*0", "E1*1@桶", "B1*1", "*1"):
        with pytest.raises(ImportRefusedError) as refused:
            imported(hub, ImportKind.PRODUCTS, tmp_path, header + f"B1,啤酒,drinks,pc,6.00,箱*12,{wrong},\n")
        assert refused.value.findings[-1].code in {"deposit.unknown", "deposit.malformed"}, wrong


def test_a_list_of_prices_leaves_a_kit_its_parts(hub: Hub, tmp_path: Path) -> None:
    products = "code,name,category,unit,price\nX1,水,drinks,pc,2.00\nK1,礼包,gifts,pc,9.00\n"
    imported(hub, ImportKind.PRODUCTS, tmp_path, products)
    with hub.store.transaction(ORG) as replica:
        kit = view_product(replica.connection, "K1")
        parts = (KitPart("X1", 2000),)
        desk = CatalogueDesk(replica, hub.own_log)
        desk.change_product(msgspec.structs.replace(kit.product, parts=parts), {}, kit.version)
    imported(hub, ImportKind.PRODUCTS, tmp_path, products.replace("9.00", "8.00"))
    with hub.store.snapshot() as replica:
        assert view_product(replica.connection, "K1").product.parts == parts

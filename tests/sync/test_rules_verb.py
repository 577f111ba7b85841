"""`edgetill rules fold` prints what the rules decide and refuses bad cases in a sentence."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from schema.errors import RefusalError
from sync.commands import commands
from sync.count_cases import fold_case, read_cases

GOLDEN = Path(__file__).parents[1] / "golden" / "count_cases.json"


def run(*arguments: str) -> Any:
    """Run the verb; return typer's result."""
    app = typer.Typer()
    commands(app)
    return CliRunner().invoke(app, ["rules", "fold", *arguments])


def test_verb_prints_one_object_per_case() -> None:
    lines = [json.loads(line) for line in run(str(GOLDEN), "--json").output.splitlines()]
    assert [line["id"] for line in lines] == [case["id"] for case in json.loads(GOLDEN.read_text())["cases"]]
    assert lines[0]["on_hand"] == {"SHOP1/A": {"value": 9, "lo": 9, "hi": 9}}


def test_verb_folds_one_case_under_another_rule() -> None:
    (line,) = run(str(GOLDEN), "--case", "G11", "--policy", "lowest").output.splitlines()
    assert json.loads(line)["conflicts"] == [["COUNT_DISAGREE", "OPEN"]]
    (line,) = run(str(GOLDEN), "--case", "G11", "--tolerance", "2").output.splitlines()
    assert json.loads(line)["conflicts"] == [["COUNT_AGREE", "INFO"]]
    (line,) = run(str(GOLDEN), "--case", "G45", "--ambiguous", "conservative").output.splitlines()
    assert json.loads(line)["on_hand"]["SHOP1/A"]["value"] == 8


@pytest.mark.parametrize("arguments", [["--case", "NONE"], []])
def test_verb_refuses_an_unknown_case_or_file(arguments: list[str], tmp_path: Path) -> None:
    file = GOLDEN if arguments else tmp_path / "absent.json"
    assert isinstance(run(str(file), *arguments).exception, RefusalError)


def test_a_list_and_a_single_case_are_read_too() -> None:
    cases = json.loads(GOLDEN.read_text())["cases"]
    assert len(read_cases(json.dumps(cases[:3]).encode())) == 3
    (case,) = read_cases(json.dumps(cases[5]).encode())
    assert case.id == cases[5]["id"]


def _set(field: str, value: object, entry: int = 0) -> Callable[[dict[str, Any]], object]:
    return lambda case: case["entries"][entry].__setitem__(field, value)


def _drop(field: str, entry: int = 0) -> Callable[[dict[str, Any]], object]:
    return lambda case: case["entries"][entry].pop(field)


@pytest.mark.parametrize(
    "spoil, words",
    [
        (_drop("qty"), ["case G01", "entry n1:1", "'qty'"]),
        (_set("qty", 1.5), ["entry n1:1", "'qty'", "1.5"]),
        (_set("qty", True), ["'qty'", "True"]),
        (_set("qty", "3"), ["'qty'", "'3'"]),
        (_set("qty", 2**53), ["'qty'", "2^53"]),
        (_set("qty", -(10**30)), ["'qty'"]),
        (_set("kind", "TELEPORT"), ["'kind'", "TELEPORT"]),
        (_set("seq", 0), ["'seq'"]),
        (_set("id", "n9:1"), ["'id'"]),
        (_drop("id"), ["entry number 1", "'id'"]),
        (_set("vv", {"n1": -1}), ["'vv'", "n1"]),
        (_set("vv", []), ["'vv'"]),
        (_set("occ", [5, 4]), ["'occ'"]),
        (_set("ce", None), ["'ce'"]),
        (_drop("unc"), ["'unc'"]),
        (_set("lines", [], 2), ["n1:3", "'lines'"]),
        (_set("lines", [3], 2), ["n1:3", "line 1"]),
        (_set("lines", [{"qty": 1}], 2), ["n1:3", "line 1", "'lo'"]),
        (_set("role", "king", 2), ["n1:3", "'role'", "king"]),
        (_set("absorbs", [3], 2), ["n1:3", "'absorbs'"]),
        (lambda case: case["entries"].append({**case["entries"][0], "qty": 3}), ["n1:1", "different"]),
        (lambda case: case["config"]["items"]["A"].__setitem__("policy", "guess"), ["'policy'", "guess"]),
        (lambda case: case["config"]["items"]["A"].__setitem__("tol_abs", 0.5), ["'tol_abs'"]),
        (lambda case: case.pop("entries"), ["case G01", "'entries'"]),
        (lambda case: case.pop("id"), ["case number 1", "'id'"]),
    ],
)
def test_bad_input_is_refused_by_name(spoil: Callable[[dict[str, Any]], object], words: list[str]) -> None:
    case = copy.deepcopy(json.loads(GOLDEN.read_text())["cases"][0])
    spoil(case)
    with pytest.raises(RefusalError) as refused:
        read_cases(json.dumps(case).encode())
    for word in words:
        assert word.lower() in refused.value.message.lower()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"3", b"[3]", b'{"cases": 3}', b"[" * 100_000])
def test_what_is_no_case_is_refused(content: bytes) -> None:
    with pytest.raises(RefusalError):
        read_cases(content)


def test_period_ends_are_inert_and_rights_bear_on_what_may_be_promised_alone() -> None:
    case = copy.deepcopy(json.loads(GOLDEN.read_text())["cases"][0])
    (before,) = read_cases(json.dumps(case).encode())
    stamp = {"pt": 1, "unc": 1, "ce": 0, "vv": {}, "node": "hub"}
    case["entries"].append({**stamp, "id": "hub:1", "seq": 1, "kind": "VALCLOSE"})
    (after,) = read_cases(json.dumps(case).encode())
    assert fold_case(after) == fold_case(before)
    place = {"loc": "SHOP1", "item": "A"}
    case["entries"].append({**stamp, **place, "id": "hub:2", "seq": 2, "kind": "PROMISE", "qty": 1, "doc": "O1"})
    (promised,) = read_cases(json.dumps(case).encode())
    found = fold_case(promised)
    assert found["on_hand"] == fold_case(before)["on_hand"]
    assert found["atp"]
    case["entries"].append(
        {**stamp, **place, "id": "hub:3", "seq": 3, "kind": "GRANT", "qty": 1, "frm": "n1", "to": "x"}
    )
    with pytest.raises(RefusalError) as refused:
        read_cases(json.dumps(case).encode())
    assert "its holder's own log" in refused.value.message

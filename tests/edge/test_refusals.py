"""Whatever a till refuses is said in one sentence of the cashier's language, with its facts filled in."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from schema.errors import RefusalError
from schema.rules.promotion_terms import Language
from schema.texts import Texts

EDGE = Path(__file__).parents[2] / "edge"
MODULES = (
    "account_payments", "allowing", "basket", "giving_back", "keyed", "limits", "lookup", "parking", "receipt_codes",
    "refunding", "returns", "scanning", "selling", "shift_reports", "shifts", "tendering", "training",
    "unknown_tenders",
)  # fmt: skip


def raised() -> Iterator[tuple[str, str, frozenset[str]]]:
    """Yield (module, code, names of facts) of every refusal that these modules raise."""
    for module in MODULES:
        tree = ast.parse((EDGE / f"{module}.py").read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "RefusalError":
                code = node.args[0]
                if isinstance(code, ast.Constant):
                    yield module, str(code.value), frozenset(str(word.arg) for word in node.keywords)


@pytest.mark.parametrize("language", list(Language))
def test_every_refusal_of_the_till_has_a_sentence_and_the_facts_that_it_names(language: Language) -> None:
    texts = Texts("pos_tui", language)
    found = sorted(set(raised()))
    assert len(found) > 60
    for module, code, facts in found:
        assert texts.has(f"refusal.{code}"), f"{module}: {code} has no text in {language}"
        named = set(re.findall(r"\{(\w+)\}", texts(f"refusal.{code}")))
        assert named <= facts, f"{module}: the text of {code} names {named - facts}, which is not told"


def test_a_sentence_is_filled_in() -> None:
    refusal = RefusalError("tenders_short", "not all of it is paid yet", left="1.50")
    assert Texts("pos_tui", Language.ZH).refusal(refusal) == "还差 1.50 元"
    assert Texts("pos_tui", Language.EN).refusal(refusal) == "1.50 is still to be paid"

"""Every page speaks Chinese and English: neither language has a hole, and every text that pages name exists."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

from schema.rules.promotion_terms import Language
from schema.texts import Texts, catalogue

HUB = Path(str(files("hub")))
_NAMED = re.compile(r"""\bt\(\s*["']([a-z0-9_.]+)["']|(?:done|text)=["']([a-z0-9_]+\.[a-z0-9_.]+)["']""")
_RAISED = re.compile(r"""(?:RefusalError|TransientError)\(\s*["']([a-z_0-9]+)["']""")
_WRONG = re.compile(r"""\.wrong\([^,()]+,\s*["']([a-z0-9_.]+)["']""")


def _named_texts() -> set[str]:
    found: set[str] = set()
    for file in [*HUB.rglob("*.html"), *HUB.rglob("*.py")]:
        if file == HUB / "pages" / "__init__.py":  # the how-to names what an example would
            continue
        text = file.read_text("utf-8")
        found |= {one or other for one, other in _NAMED.findall(text)} | set(_WRONG.findall(text))
    return found


def test_every_text_that_a_page_names_exists() -> None:
    texts = Texts("hub", Language.EN)
    named = _named_texts()
    assert "menu.overview" in {*named, *catalogue("hub", Language.EN)}
    # A name that ends in a dot or line is the beginning of several.
    assert [name for name in sorted(named) if not texts.has(name) and not name.endswith((".", "_"))] == []


def test_no_refusal_of_the_desk_is_without_a_sentence() -> None:
    texts = Texts("hub", Language.ZH)
    raised: set[str] = set()
    sources = [HUB / "accounts.py", HUB / "tokens.py", *(HUB / "pages").rglob("*.py")]
    for file in sources:
        raised |= set(
            re.findall(r"""(?:RefusalError|TransientError)\(\s*["']([a-z_0-9]+)["']""", file.read_text("utf-8"))
        )
    raised -= {"token_missing", "token_unknown", "token_expired", "token_forbidden"}  # the API's, which speaks English
    assert [code for code in sorted(raised) if not texts.has(f"refusal.{code}")] == []


def test_everything_that_can_be_wrong_in_a_file_has_words_in_both_languages() -> None:
    codes = {
        code
        for file in HUB.glob("import*.py")
        for code in re.findall(r"""(?:warn|refuse|note)\(\s*"([a-z_]+\.[a-z_]+)\"""", file.read_text("utf-8"))
    }
    assert len(codes) > 60
    for language in Language:
        texts = Texts("hub", language)
        assert [code for code in sorted(codes) if not texts.has(f"dirt.{code}")] == []

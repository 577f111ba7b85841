"""The message catalogues: each id stands once, in both languages, with the same facts."""

from __future__ import annotations

import re
from collections import Counter
from importlib.resources import files

import pytest

from schema.rules.promotion_terms import Language
from schema.texts import catalogue

PACKAGES = ("schema", "hub", "pos_tui")
_ID = re.compile(r'^msgid "(.+)"$', re.MULTILINE)
_FACT = re.compile(r"\{(\w+)\}")


def ids_written(package: str, language: Language) -> list[str]:
    return _ID.findall((files(package) / "locale" / f"{language.value}.po").read_text("utf-8"))


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("package", PACKAGES)
def test_an_id_stands_once_in_a_catalogue(package: str, language: Language) -> None:
    written = ids_written(package, language)
    assert written
    assert [name for name, times in Counter(written).items() if times > 1] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_both_languages_have_every_id_and_fill_in_the_same_facts(package: str) -> None:
    chinese, english = (catalogue(package, language) for language in (Language.ZH, Language.EN))
    assert set(chinese) ^ set(english) == set(), "in one language alone"
    for language in Language:
        assert set(ids_written(package, language)) == set(catalogue(package, language)), "an id has an empty text"
    different = [name for name in chinese if _facts(chinese[name]) != _facts(english[name])]
    assert different == []


def _facts(text: str) -> set[str]:
    return set(_FACT.findall(text))


def test_a_package_says_nothing_again_that_all_share_in_the_same_words() -> None:
    for language in Language:
        shared = catalogue("schema", language)
        for package in ("hub", "pos_tui"):
            own = catalogue(package, language)
            assert [name for name in own if shared.get(name) == own[name]] == []

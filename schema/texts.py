"""Owns the texts that people read, in Chinese and English: message catalogues in gettext's `.po` form, by package.

A catalogue is read as it is written, so there is nothing to compile and nothing to go stale. Message ids are short
names (`sale.total`), and both languages have a text for each: a test holds that neither has a hole.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.resources import files
from typing import Final

from schema.errors import EdgetillError
from schema.rules.promotion_terms import Language

SHARED: Final = "schema"


@lru_cache(maxsize=16)
def catalogue(package: str, language: Language) -> dict[str, str]:
    """Return a package's texts of one language by message id, from its `locale/<language>.po`."""
    from babel.messages.pofile import read_po

    with (files(package) / "locale" / f"{language.value}.po").open("rb") as stream:
        read = read_po(stream, locale=language.value)
    return {str(message.id): str(message.string) for message in read if message.id and message.string}


class Texts:
    """The texts of one language: a package's own, and those that all packages share."""

    def __init__(self, package: str, language: Language) -> None:
        self.package = package
        self.language = language
        self._texts = catalogue(SHARED, language) | catalogue(package, language)

    def __call__(self, name: str, /, **facts: object) -> str:
        """Return a text with its facts filled in (`{name}`); the id itself where there is none."""
        text = self._texts.get(name)
        if text is None:
            return name
        return text.format_map(_Facts(facts)) if facts else text

    def has(self, name: str) -> bool:
        """Tell whether there is a text of this id."""
        return name in self._texts

    def refusal(self, error: EdgetillError) -> str:
        """Return the sentence for an error in this language: by its code, else as it was raised."""
        name = f"refusal.{error.code}"
        return self(name, **error.facts) if self.has(name) else error.message


class _Facts(dict[str, object]):
    def __missing__(self, key: str) -> str:
        return "{" + key + "}"

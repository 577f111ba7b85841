"""Works at a till in a pseudo-terminal as a cashier does: by keys, and by what stands on the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pos_tui.screens.money import money
from pos_tui.widgets.big_figures import big_figures
from schema.rules.promotion_terms import Language
from schema.texts import Texts
from tests.bench.terminal import Lines, Terminal
from tests.edge.people import Person
from tests.processes import command, environment

PEOPLE_GAP_S: Final = 0.09
"""Fingers leave so much between two keys; what is much faster is taken for a scanner."""


class Cashier:
    """A person at the till of a node's directory; the till runs as the command that a shop starts."""

    def __init__(
        self, directory: Path, *options: str, language: Language = Language.ZH, columns: int = 80, rows: int = 24,
        more: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        words = command("till", "--node", str(directory), "--language", language.value, *options)
        variables = environment({"LANG": "C.UTF-8", **(more or {})})
        self.t = Texts("pos_tui", language)
        self.terminal = Terminal(words, variables, columns=columns, rows=rows)

    def __enter__(self) -> Cashier:
        return self

    def __exit__(self, *_: object) -> None:
        self.terminal.close()

    # Seeing

    def sees(self, *names: str, **facts: object) -> int:
        """Wait for texts by their ids, facts filled in; returns when they were painted (ns)."""
        return self.terminal.wait_for(*(self.t(name, **facts) for name in names))

    def sees_total(self, amount_minor: int, *texts: str) -> int:
        """Wait for the big figures of an amount, and for other texts; returns when they were painted (ns)."""

        def is_there(lines: Lines) -> bool:
            whole = "\n".join(lines)
            return shows_big(lines, money(amount_minor)) and all(text in whole for text in texts)

        return self.terminal.wait_until(is_there, f"{money(amount_minor)} in big figures, {', '.join(texts)}")

    # Doing

    def comes(self) -> int:
        """Wait for the sign-in; returns when it was painted (ns)."""
        return self.sees("sign_in.title", "sign_in.number_hint")

    def sign_in(self, person: Person, *, is_quick: bool = False) -> None:
        """Sign in with number and PIN, and see the sale."""
        type_in = self.terminal.type if is_quick else self.types
        self.comes()
        type_in(person.number)
        self.terminal.press("enter")
        self.sees("sign_in.pin")
        type_in(person.pin)
        self.terminal.press("enter")
        self.sees("sale.prompt")

    def types(self, text: str) -> int:
        """Type as fingers do; returns when the last key was about to be pressed (ns)."""
        return self.terminal.type(text, PEOPLE_GAP_S)

    def presses(self, *keys: str) -> int:
        """Press keys one after the other; returns when the last was about to be pressed (ns)."""
        sent_ns = 0
        for place, key in enumerate(keys):
            if place:
                self.terminal.settle(PEOPLE_GAP_S)
            sent_ns = self.terminal.press(key)
        return sent_ns


def shows_big(lines: Sequence[str], figures: str) -> bool:
    """Tell whether a number stands somewhere in big figures: its three rows above each other.

    Columns are counted from the right: hanzi, which are one character on two columns, stand left of figures only.
    """
    top, *rest = (f"  {row}  " for row in big_figures(figures))
    for number, line in enumerate(lines[: -len(rest)]):
        column = line.find(top)
        while column >= 0:
            from_right = column - len(line)
            if all(below[from_right:].startswith(row) for row, below in zip(rest, lines[number + 1 :], strict=False)):
                return True
            column = line.find(top, column + 1)
    return False

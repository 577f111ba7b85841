"""Owns the line in which everything is typed: it takes keys, narrows what an input method widened, and hides PINs."""

from __future__ import annotations

from typing import Final

from edge.wedge import narrowed
from pos_tui.widgets.painting import Line, LineWidget, Span, fit, joined, width_of

LENGTH_MAX: Final = 256


class EntryLine(LineWidget):
    """One line of typed text behind a prompt; the screen hands it the keys that mean nothing else."""

    def __init__(self, *, id: str | None = None, prompt: str = "", is_hidden: bool = False) -> None:
        super().__init__(id=id)
        self.text = ""
        self._prompt = prompt
        self._hint = ""
        self._suffix = ""
        self._is_hidden = is_hidden

    def show(self, prompt: str | None = None, hint: str | None = None, suffix: str | None = None) -> None:
        """Set what stands before the text, what an empty line says, and what stands at the right edge."""
        self._prompt = self._prompt if prompt is None else prompt
        self._hint = self._hint if hint is None else hint
        self._suffix = self._suffix if suffix is None else suffix
        self.update()

    def hide(self, *, is_hidden: bool) -> None:
        """Show dots for what is typed, or the text."""
        self._is_hidden = is_hidden
        self.update()

    def set_text(self, text: str, *, is_painted: bool = True) -> None:
        """Replace the text."""
        self.text = text[:LENGTH_MAX]
        if is_painted:
            self.update()

    def take(self) -> str:
        """Return the text without its margins, and leave the line empty."""
        text = narrowed(self.text).strip()
        self.set_text("")
        return text

    def type(self, key: str, character: str | None, *, is_painted: bool = True) -> bool:
        """Take a key that types or erases; False when it does neither."""
        if character is not None and character.isprintable() and character:
            self.set_text(self.text + narrowed(character), is_painted=is_painted)
            return True
        if key == "backspace" and self.text:
            self.set_text(self.text[:-1])
            return True
        if key in {"delete", "ctrl+u"} and self.text:
            self.set_text("")
            return True
        return False

    def drop_last(self, length: int) -> None:
        """Take the last characters away again: a scanner had typed them."""
        if length:
            self.set_text(self.text[:-length])

    def lines(self, width: int, height: int, /) -> list[Line]:
        """State the prompt, the text with its cursor, and the hint; higher fields keep the text in their middle."""
        shown = "•" * len(self.text) if self._is_hidden else self.text
        prompt = f" {self._prompt} " if self._prompt else " "
        room = width - width_of(prompt) - width_of(self._suffix) - 3
        while width_of(shown) > max(1, room):
            shown = shown[1:]
        text = [Span(prompt, "key"), Span(" " + shown, "field"), Span("█", "field")]
        if not self.text and self._hint:
            text.append(Span(" " + fit(self._hint, max(0, room - 1)).rstrip(), "field-muted"))
        line = joined(text, width, [Span(f"{self._suffix} ", "field-muted")] if self._suffix else (), "field")
        blank = Line((Span(" " * width_of(prompt), "key"),), "field")
        above = (height - 1) // 2
        return [blank] * above + [line] + [blank] * (height - above - 1)

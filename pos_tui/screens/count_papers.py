"""Owns the question what stands on the shelf of deliveries that nobody keyed, and of returns not put back."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.clock_source import local_time
from edge.count_answers import Answer, PaperKind, PendingPaper, answer_papers, is_said_on_shelf
from pos_tui.keys import act
from pos_tui.screens.base import TillScreen
from pos_tui.screens.dialogs import AskScreen
from pos_tui.widgets.listing import Column, Listing, Row
from schema.amounts import format_quantity

if TYPE_CHECKING:
    from collections.abc import Sequence


class CountPapersScreen(TillScreen[bool]):
    """Lists papers with where their goods are; Enter changes that, `+` goes on with what stands."""

    NAME = "count_papers"
    ACTS = (act("finish", "+", "f8"), act("change", "enter", "*"), act("back", "escape", "-", "0"))

    def __init__(self, session: str, papers: Sequence[PendingPaper]) -> None:
        super().__init__()
        self._session = session
        self._papers = tuple(papers)
        self._answers: list[Answer] = []
        self.listing = Listing(id="papers")

    def show(self) -> None:
        """State the papers with their answers."""
        assert self.listing is not None
        self.show_status()
        if not self._answers:
            node = self.till.node
            self._answers = [Answer(one, is_said_on_shelf(node, self._session, one)) for one in self._papers]
        self.frame.border_title = self.t("count_papers.title")
        rows = self.listing.notes(self.t("count_papers.text"), "muted")
        rows.append(Row(note=" "))
        for one in self._answers:
            paper = one.paper
            what = self.t("count_papers.delivery" if paper.kind is PaperKind.DELIVERY else "count_papers.return")
            when = local_time(paper.at_ms, self.till.node.config.time_zone).strftime("%m-%d %H:%M")
            name = self.till.product_name(paper.products[0])
            goods = self.t("count_papers.goods", name=name, number=len(paper.products),
                           quantity=format_quantity(paper.quantity_milli))  # fmt: skip
            label = f"{what} {paper.label}" + (f" ← {paper.origin}" if paper.origin else "")
            rows.append(Row((label, when, self._said(one)), "warn" if self._is_unusual(one) else ""))
            rows += [Row(note=f"  {goods}")]
        columns = (Column(self.t("count_papers.paper")), Column(self.t("recall.time"), 12),
                   Column(self.t("count_papers.where"), 22))  # fmt: skip
        self.listing.show(columns, rows)

    @staticmethod
    def _is_unusual(answer: Answer) -> bool:
        return answer.is_on_shelf is (answer.paper.kind is PaperKind.DELIVERY)

    def _said(self, answer: Answer) -> str:
        if answer.note:
            return self.t("count_papers.part", note=answer.note)
        return self.t("count_papers.on_shelf" if answer.is_on_shelf else "count_papers.not_there")

    def entered(self, _text: str) -> None:
        """Change the selected answer."""
        self.act_change()

    def act_change(self) -> None:
        """Say otherwise of the selected paper; of a delivery that was keyed in part the note of the rest is asked."""
        assert self.listing is not None
        place = max(0, self.listing.selected)
        one = self._answers[place]
        if not one.is_on_shelf and one.paper.is_partly:
            self.converse(self._note(place))
            return
        self._answers[place] = one._replace(is_on_shelf=not one.is_on_shelf, note="")
        self.show()

    async def _note(self, place: int) -> None:
        one = self._answers[place]
        question = AskScreen(
            self.t("count_papers.note_title"), self.t("count_papers.note_text", paper=one.paper.label),
            prompt=self.t("count_papers.note"), takes_scan=True,
        )  # fmt: skip
        note = await self.ask(question)
        if note:
            self._answers[place] = one._replace(is_on_shelf=True, note=note)
            self.show()

    def act_finish(self) -> None:
        """Keep the answers."""
        answer_papers(self.till.node, self._session, self._answers, operator=self.till.operator_id)
        self.dismiss(True)

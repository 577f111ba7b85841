"""What a person, or a program of theirs, decides about one conflict: the desk's page and the API do the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from hub.case import Case
from hub.settling import Settling
from schema.errors import RefusalError
from schema.identity import ORG, LocationId, Scope, location_scope

QUANTITY_ACTS: Final = frozenset({"told_count", "paper", "rest"})
"""Acts that name a quantity."""
_OF_TWO: Final = frozenset({"paper", "rest"})
"""Acts on a transfer's papers, which stand at both locations."""


class Wish(NamedTuple):
    """A decision: `act` is one of the case's choices, or rule, recount, told_count, paper, rest."""

    act: str
    target: str = ""
    observation: str = ""
    quantity_milli: int = 0
    zone: str = ""
    lost_reason: str = ""


def lock_of(act: str, location: str) -> Scope:
    """Return whose lock a decision needs: the organisation's holds those of both locations of a transfer."""
    return ORG if act in _OF_TWO else location_scope(LocationId(location))


def decide(settling: Settling, case: Case, wish: Wish, check_sees: Callable[[str], None]) -> None:
    """Do what was decided, in the caller's transaction; `check_sees` refuses a location that is not the author's.

    Raises RefusalError `choice_unknown` for what the case does not offer, and those of `Settling`.
    """
    location, product, act = case.row.location, case.row.product, wish.act
    if act == "rule":
        settling.accept_rule(location, case)
    elif act == "recount" and product:
        settling.ask_recount(location, product, wish.zone)
    elif act == "told_count" and product:
        settling.record_count(location, product, wish.quantity_milli)
    elif act == "paper":
        _correct_paper(settling, case, wish, check_sees)
    elif act == "rest":
        settling.receive_rest(location, case.row.conflict.subject, product, wish.quantity_milli)
    else:
        wanted = (act, wish.target, wish.observation)
        choice = next((one for one in case.choices if (one.act, one.target, one.observation) == wanted), None)
        if choice is None:
            raise RefusalError("choice_unknown", "this cannot be decided here")
        settling.choose(location, product, choice)


def _correct_paper(settling: Settling, case: Case, wish: Wish, check_sees: Callable[[str], None]) -> None:
    paper = next((one for one in case.papers if one.id == wish.target), None)
    if paper is None:
        raise RefusalError("paper_unknown", "this is no paper of the transfer")
    # The paper itself stands where it was written; here may be only the other side's notice of it.
    check_sees(paper.location)
    own_name = settling.original_of(case.row.location, paper.id) if paper.is_notice else paper.id
    settling.correct_paper(paper.location, own_name, wish.quantity_milli)
    lost = paper.quantity - wish.quantity_milli
    if wish.lost_reason and paper.act == "dispatched" and lost > 0:
        settling.write_off(paper.location, case.row.product, lost, wish.lost_reason, case.row.conflict.subject)

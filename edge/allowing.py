"""Asks whether the person at the till, or one of those who approved, may do an act: the node's own check, at the end.

The screen asks before each act, so that a second person is called at once; here it is asked again of everything that a
sale or refund holds, so that no way around a screen is a way around a limit.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge.limits import Act, check, limits_of, may
from edge.node import Node
from schema.kinds.organisation import OperatorDefined


def role_of(node: Node, operator: str) -> str:
    """Return the role of an operator; empty for someone whom this node does not know, who may do nothing special."""
    node.organisation.refresh(node.connection)
    person = node.organisation.newest(node.connection, OperatorDefined, operator) if operator else None
    return "" if person is None or not person.is_active else person.role


def allow(
    node: Node, operator: str, approvers: Iterable[str], act: Act, amount_minor: int = 0, base_minor: int = 0
) -> str:
    """Return who allows an act: nobody (empty) where the operator may, else the approver.

    Without an operator a script acts, or a till whose people have not come yet: it is not limited. Raises RefusalError
    `approval_needed`.
    """
    if not operator:
        return ""
    role = role_of(node, operator)
    if may(limits_of(node, role), act, amount_minor, base_minor):
        return ""
    for approver in approvers:
        limits = limits_of(node, role_of(node, approver))
        if approver and limits.approves and may(limits, act, amount_minor, base_minor):
            return approver
    check(node, role, act, amount_minor, base_minor)
    return ""

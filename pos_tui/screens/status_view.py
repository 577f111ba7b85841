"""Owns how the state of the till reads: the marks of the top line, and what to do about a trouble."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.device_events import Condition, DeviceState, PeripheralStatus
from pos_tui.screens.money import age
from pos_tui.widgets.painting import Span

if TYPE_CHECKING:
    from edge.till_status import TillStatus
    from schema.texts import Texts

_TONES = {Condition.READY: "bar-good", Condition.ATTENTION: "bar-warn", Condition.FAULT: "bar-bad"}
_MARKS = {Condition.READY: "●", Condition.ATTENTION: "!", Condition.FAULT: "✗", Condition.STARTING: "…"}


def marks(status: TillStatus, devices: PeripheralStatus, clock: str, t: Texts, *, is_training: bool) -> list[Span]:
    """Return the marks of the top line, those that matter most first; each reads without its colour."""
    troubles: list[Span] = []
    calm: list[Span] = []
    if is_training:
        troubles.append(Span(t("status.training"), "bar-warn"))
    if status.is_online:
        calm.append(Span("● " + t("status.online"), "bar-good"))
    else:
        is_new = status.exchange_age_ms is None
        text = t("status.never") if is_new else t("status.offline", age=age(t, status.exchange_age_ms))
        troubles.append(Span("○ " + text, "bar-warn"))
    if status.waiting:
        calm.append(Span(t("status.waiting", number=status.waiting), "bar-muted"))
    if status.prices in {"ageing", "old"}:
        tone = "bar-warn" if status.prices == "ageing" else "bar-bad"
        troubles.append(Span(t(f"status.prices_{status.prices}"), tone))
    if status.shift is None:
        troubles.append(Span(t("status.no_shift"), "bar-warn"))
    for device in devices:
        if device.condition is Condition.UNSET:
            continue
        mark = _MARKS.get(device.condition, "…") + t(f"status.device_{device.role.value}")
        span = Span(mark, _TONES.get(device.condition, "bar-muted"))
        (calm if device.condition in {Condition.READY, Condition.STARTING} else troubles).append(span)
    if status.paper.unknown or status.paper.failed:
        troubles.append(Span(t("status.paper", number=status.paper.unknown + status.paper.failed), "bar-warn"))
    return [Span(clock, "bar-muted"), *troubles, *calm]


def troubles(devices: PeripheralStatus, t: Texts) -> list[DeviceState]:
    """Return the devices that need somebody, gravest first."""
    del t
    found = [one for one in devices if one.condition in {Condition.FAULT, Condition.ATTENTION}]
    return sorted(found, key=lambda one: one.condition is not Condition.FAULT)

"""Owns how the state of the till reads: the marks of the top line, and what to do about a trouble."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.device_events import Condition, DeviceState, PeripheralStatus
from edge.disk_space import DiskRoom
from pos_tui.screens.money import age
from pos_tui.widgets.painting import Span

if TYPE_CHECKING:
    from edge.survival import Survival
    from edge.till_status import TillStatus
    from schema.texts import Texts

_TONES = {Condition.READY: "bar-good", Condition.ATTENTION: "bar-warn", Condition.FAULT: "bar-bad"}
_MARKS = {Condition.READY: "●", Condition.ATTENTION: "!", Condition.FAULT: "✗", Condition.STARTING: "…"}


def marks(
    status: TillStatus, survival: Survival, devices: PeripheralStatus, clock: str, t: Texts, *, is_training: bool
) -> list[Span]:
    """Return the marks of the top line, those that matter most first; each reads without its colour."""
    troubles, calm = _survival_marks(survival, t)
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


def _survival_marks(survival: Survival, t: Texts) -> tuple[list[Span], list[Span]]:
    """Return what is wrong and what is well with how this till would survive its machine."""
    troubles: list[Span] = []
    calm: list[Span] = []
    match survival.disk:
        case DiskRoom.RESERVE:
            troubles.append(Span("✗ " + t("survival.disk_reserve"), "bar-bad"))
        case DiskRoom.LOW | DiskRoom.TIGHT:
            megabytes = survival.free_bytes // 1_000_000
            troubles.append(Span("! " + t("survival.disk_low", megabytes=megabytes), "bar-warn"))
    if missing := sum(one.last_seq - one.first_seq + 1 for one in survival.missing):
        troubles.append(Span("! " + t("survival.missing", number=missing), "bar-warn"))
    if survival.backup.state in {"failing", "old", "never"}:
        tone = "bar-bad" if survival.backup.state == "failing" else "bar-warn"
        troubles.append(Span("! " + t(f"survival.backup_{survival.backup.state}"), tone))
    elif survival.backup.state == "proven":
        calm.append(Span(t("survival.backup_proven"), "bar-muted"))
    if survival.neighbours:
        waiting = survival.own_entries - survival.on_second_till
        text = t("survival.waiting_copy", waiting=waiting) if waiting else "● " + t("survival.on_second_till")
        calm.insert(0, Span(text, "bar-muted" if waiting else "bar-good"))
    return troubles, calm


def troubles(devices: PeripheralStatus, t: Texts) -> list[DeviceState]:
    """Return the devices that need somebody, gravest first."""
    del t
    found = [one for one in devices if one.condition in {Condition.FAULT, Condition.ATTENTION}]
    return sorted(found, key=lambda one: one.condition is not Condition.FAULT)

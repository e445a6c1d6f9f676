"""Pauses: when a tenant was paused and resumed, by whom and why; from the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select

from core.access import Action, Actor
from core.app import App
from core.db.models import AuditEntry


@dataclass(frozen=True, slots=True)
class Pause:
    """`resumed_at` None: it lasts."""

    paused_at: datetime
    reason: str
    by: str
    resumed_at: datetime | None = None


def pauses(app: App, actor: Actor, tenant_id: int, *, since: date) -> list[Pause]:
    """Those that began on or after the day (UTC), oldest first."""
    actor.must(Action.SEE_REPORTS, tenant_id)
    query = (
        select(AuditEntry)
        .where(AuditEntry.tenant_id == tenant_id)
        .where(AuditEntry.action.in_(("pause tenant", "resume tenant")))
        .order_by(AuditEntry.id)
    )
    with app.db.read() as session:
        entries = list(session.scalars(query))
    found: list[Pause] = []
    for entry in entries:
        if entry.action == "pause tenant":
            found.append(Pause(entry.at, str(entry.detail.get("reason", "")), entry.actor))
        elif found and found[-1].resumed_at is None:
            found[-1] = Pause(found[-1].paused_at, found[-1].reason, found[-1].by, entry.at)
    return [pause for pause in found if pause.paused_at.date() >= since]

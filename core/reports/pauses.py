"""Pauses: when a tenant was paused and resumed, by whom and why; from the audit log."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time

from sqlalchemy import Select, select

from core import tenants
from core.access import Action, Actor
from core.app import App
from core.db.models import AuditEntry
from core.tenants.limits import zone_of

PAUSED, RESUMED = "pause tenant", "resume tenant"


@dataclass(frozen=True, slots=True)
class Pause:
    """`resumed_at` None: it lasts. The rest is None where a person paused: what was judged, over which mail
    (`scope`), how many bad messages among how many."""

    paused_at: datetime
    reason: str
    by: str
    resumed_at: datetime | None = None
    signal: str | None = None
    scope: str | None = None
    bad: int | None = None
    outcomes: int | None = None


def pauses(app: App, actor: Actor, tenant_id: int, *, since: date) -> list[Pause]:
    """Those that began on or after the day of the tenant's time zone, oldest first."""
    actor.must(Action.SEE_REPORTS, tenant_id)
    with app.db.read() as session:
        tenant = tenants.get_tenant(session, tenant_id)
        entries = session.scalars(_entries(tenant_id, _midnight(since, tenant.timezone))).all()
    found: list[Pause] = []
    for entry in entries:
        if entry.action == PAUSED:
            found.append(_pause(entry))
        elif found and found[-1].resumed_at is None:
            found[-1] = replace(found[-1], resumed_at=entry.at)
    return found


def _entries(tenant_id: int, since: datetime) -> Select[AuditEntry]:
    return (
        select(AuditEntry)
        .where(AuditEntry.tenant_id == tenant_id, AuditEntry.at >= since)
        .where(AuditEntry.action.in_((PAUSED, RESUMED)))
        .order_by(AuditEntry.id)
    )


def _midnight(day: date, zone: str) -> datetime:
    return datetime.combine(day, time.min, tzinfo=zone_of(zone))


def _pause(entry: AuditEntry) -> Pause:
    detail = entry.detail
    return Pause(
        paused_at=entry.at,
        reason=str(detail.get("reason", "")),
        by=entry.actor,
        signal=detail.get("signal"),
        scope=detail.get("scope"),
        bad=detail.get("bad"),
        outcomes=detail.get("outcomes"),
    )

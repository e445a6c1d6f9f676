"""Judging: each day that is over leads a warm-up one step on, back, or nowhere.

What was used and what became of it are both by the day of the tenant's time zone that the mail was sent on.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import alerts, audit, tenants
from core.access import SYSTEM
from core.app import App
from core.db.models import DailyCount, Tenant, WarmUp
from core.reputation import Evidence, Signal
from core.warm_ups.decisions import Day, Decision, Move, decide
from core.warm_ups.walking import DEMOTED, alert_cause, end, local_day, lock, plan_of, sent_by_day

# Outcomes of a day's last mail are awaited so long after it; then it is judged by those that came.
OUTCOMES_AWAITED = timedelta(hours=6)
# Of days that nobody judged because no scheduler ran, as many are looked at.
LOOK_BACK = timedelta(days=30)
_OUTCOMES = (
    DailyCount.permanent_bounces,
    DailyCount.complaints,
    DailyCount.delivered,
    DailyCount.transient_bounces,
)


def judge_due(app: App) -> str:
    """Job: judge every day of a warm-up that is over in the tenant's time zone, once."""
    with app.db.read() as session:
        under_way = session.execute(
            select(WarmUp.tenant_id, WarmUp.step_since, Tenant)
            .join(Tenant, Tenant.id == WarmUp.tenant_id)
            .where(WarmUp.finished_at.is_(None))
            .order_by(WarmUp.tenant_id)
        ).all()
    due = [tenant_id for tenant_id, since, tenant in under_way if since != local_day(app.now(), tenant)]
    judged = sum(_judge(app, tenant_id) for tenant_id in due)
    return f"Judged {judged} days of {len(under_way)} warm-ups under way."


def _judge(app: App, tenant_id: int) -> int:
    """How many days were judged. Whoever comes second finds them judged."""
    with app.db.begin() as session:
        warm_up = lock(session, tenant_id)
        if warm_up is None:
            return 0
        tenant = tenants.get_tenant(session, tenant_id)
        today = local_day(app.now(), tenant)
        if warm_up.step_since > today + timedelta(days=1):  # written while a clock was wrong
            warm_up.step_since = today
        warm_up.step_since = max(warm_up.step_since, today - LOOK_BACK)
        judged = 0
        while warm_up.finished_at is None and warm_up.step_since < today:
            day = _day(session, tenant, warm_up, app.now())
            decision = decide(day)
            if decision is None:
                break
            _follow(session, tenant, warm_up, day, decision, app.now())
            judged += 1
    return judged


def _day(session: Session, tenant: Tenant, warm_up: WarmUp, now: datetime) -> Day:
    on, zone = warm_up.step_since, ZoneInfo(tenant.timezone)
    ends = _midnight(on + timedelta(days=1), zone)
    before = local_day(warm_up.started_at, tenant) - timedelta(days=1)
    sent = sent_by_day(session, tenant, before)
    last_sent = max((day for day in sent if day <= on), default=before)
    return Day(
        on=on,
        allowance=plan_of(warm_up).allowance(warm_up.step) or 0,
        used=sent.get(on, 0),
        silent_days=(on - max(last_sent, before)).days,
        evidence=_evidence(session, tenant.id, on),
        is_final=now >= ends + OUTCOMES_AWAITED,
    )


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return tenants.slot_of("day", datetime.combine(day, time(12), tzinfo=zone), zone)


def _evidence(session: Session, tenant_id: int, day: date) -> Evidence:
    sums = session.execute(
        select(*map(func.sum, _OUTCOMES)).where(DailyCount.tenant_id == tenant_id, DailyCount.day == day)
    ).one()
    return Evidence("the day's mail", *(int(value or 0) for value in sums))


def _follow(
    session: Session, tenant: Tenant, warm_up: WarmUp, day: Day, decision: Decision, at: datetime
) -> None:
    """Take the step, and say why."""
    before, plan = warm_up.step, plan_of(warm_up)
    warm_up.step = max(0, before + {Move.PROMOTE: 1, Move.KEEP: 0, Move.DEMOTE: -1}[decision.move])
    warm_up.step_since = day.on + timedelta(days=1)
    allowed = plan.allowance(warm_up.step)
    note = f"{day.figures} {decision.because} {_consequence(before, warm_up.step, allowed)}"
    warm_up.note = note
    if allowed is None:
        end(session, warm_up, note, at)
        _record(session, "finish warm-up", tenant, day, note, at)
    elif decision.move == Move.PROMOTE:
        alerts.clear(session, kind=DEMOTED, cause=alert_cause(tenant.id), at=at)
        _record(session, "promote warm-up", tenant, day, note, at)
    elif warm_up.step < before:
        _raise_alert(session, tenant, note, at)
        _record(session, "demote warm-up", tenant, day, note, at)
    elif decision.move == Move.DEMOTE and day.used:  # bad mail on the first day's few
        _raise_alert(session, tenant, note, at)


def _consequence(before: int, step: int, allowed: int | None) -> str:
    if allowed is None:
        return "The plan has been walked to its end: no limit any more."
    number = f"day {step + 1}, {allowed:,} recipients"
    if step > before:
        return f"On to {number}."
    return f"Back to {number}." if step < before else f"It stays on {number}."


def _raise_alert(session: Session, tenant: Tenant, note: str, at: datetime) -> None:
    alerts.raise_once(
        session,
        kind=DEMOTED,
        cause=alert_cause(tenant.id),
        sentence=f"The warm-up of {tenant.name} does not go well. {note}",
        tenant_id=tenant.id,
        at=at,
    )


def _record(session: Session, action: str, tenant: Tenant, day: Day, note: str, at: datetime) -> None:
    bounces, outcomes = day.evidence.of(Signal.BOUNCE)
    complaints, delivered = day.evidence.of(Signal.COMPLAINT)
    audit.record(
        session, SYSTEM, action, tenant.slug, at=at, tenant_id=tenant.id, day=day.on.isoformat(),
        used=day.used, allowance=day.allowance, bounces=bounces, outcomes=outcomes,
        complaints=complaints, delivered=delivered, note=note,
    )  # fmt: skip

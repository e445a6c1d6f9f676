"""Walking: people start and stop a warm-up, and see what is left of its day and of its plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import alerts, audit, tenants
from core.access import Action, Actor
from core.app import App
from core.db.conflicts import one_wins
from core.db.models import Tenant, TenantUsage, WarmUp
from core.errors import Conflict, NotFound
from core.warm_ups.plan import Plan

DEMOTED = "warm-up goes badly"  # the kind of alert


@dataclass(frozen=True, slots=True)
class PlannedDay:
    """`number` counts from 1. `on`: the day it is expected on if all goes well; None for those behind us."""

    number: int
    allowance: int
    on: date | None
    is_today: bool


@dataclass(frozen=True, slots=True)
class WarmUpView:
    """`allowance`, `left_today` and `ends_on` (the first day without a limit if all goes well) are None once
    it is over. `sent`: by day of the tenant's time zone, since the start. `note`: the last decision, with its
    figures."""

    plan: Plan
    rows: tuple[PlannedDay, ...]
    step: int
    allowance: int | None
    used_today: int
    left_today: int | None
    ends_on: date | None
    note: str
    sent: Mapping[date, int]
    started_on: date
    started_at: datetime
    started_by: str
    finished_at: datetime | None


def start(app: App, actor: Actor, tenant_id: int, *, first_day: int, last_day: int, days: int) -> WarmUp:
    """From now on no more than the plan's first day allows; what went out today counts. InputError for a plan
    that grows too fast, Conflict when a warm-up is under way."""
    actor.must(Action.WARM_UP, tenant_id)
    plan = Plan(first_day, last_day, days)
    plan.check()
    with one_wins("the warm-up"), app.db.begin() as session:
        tenant = tenants.lock_tenant(session, tenant_id)
        warm_up = lock(session, tenant_id)
        if warm_up is None:
            warm_up = WarmUp(tenant_id=tenant_id)
            session.add(warm_up)
        elif warm_up.finished_at is None:
            raise Conflict(f"{tenant.name} is being warmed up already. Stop that first, then start anew.")
        warm_up.first_day, warm_up.last_day, warm_up.days = first_day, last_day, days
        warm_up.step, warm_up.step_since = 0, local_day(app.now(), tenant)
        warm_up.started_at, warm_up.started_by, warm_up.finished_at = app.now(), actor.username, None
        warm_up.note = f"Started by {actor.username}: {plan.summary}."
        audit.record(
            session, actor, "start warm-up", tenant.slug,
            at=app.now(), tenant_id=tenant_id, first_day=first_day, last_day=last_day, days=days,
        )  # fmt: skip
    return warm_up


def stop(app: App, actor: Actor, tenant_id: int) -> WarmUp:
    """Its limit is gone at once; the tenant's own limits stay."""
    actor.must(Action.WARM_UP, tenant_id)
    with one_wins("the warm-up"), app.db.begin() as session:
        tenant = tenants.lock_tenant(session, tenant_id)
        warm_up = lock(session, tenant_id)
        if warm_up is None or warm_up.finished_at is not None:
            raise NotFound(f"No warm-up of {tenant.name} is under way.")
        at_day = f"day {warm_up.step + 1} of {warm_up.days}"
        end(session, warm_up, f"Stopped by {actor.username} on {at_day}: no limit any more.", app.now())
        audit.record(
            session, actor, "stop warm-up", tenant.slug, at=app.now(), tenant_id=tenant_id, at_day=at_day
        )
    return warm_up


def view(app: App, actor: Actor, tenant_id: int) -> WarmUpView | None:
    """The warm-up under way, or the last one; None when there was none."""
    actor.must(Action.SEE_TENANT, tenant_id)
    with app.db.read() as session:
        tenant = tenants.get_tenant(session, tenant_id)
        warm_up = session.get(WarmUp, tenant_id)
        if warm_up is None:
            return None
        started_on = warm_up.started_at.astimezone(ZoneInfo(tenant.timezone)).date()
        sent = sent_by_day(session, tenant, started_on)
    return _view(warm_up, sent, started_on, local_day(app.now(), tenant))


def lock(session: Session, tenant_id: int) -> WarmUp | None:
    """Held until the transaction ends, and as it is now."""
    return session.get(WarmUp, tenant_id, with_for_update=True, populate_existing=True)


def end(session: Session, warm_up: WarmUp, note: str, at: datetime) -> None:
    warm_up.finished_at, warm_up.note = at, note
    alerts.clear(session, kind=DEMOTED, cause=alert_cause(warm_up.tenant_id), at=at)


def alert_cause(tenant_id: int) -> str:
    return f"tenant {tenant_id}"


def plan_of(warm_up: WarmUp) -> Plan:
    return Plan(warm_up.first_day, warm_up.last_day, warm_up.days)


def local_day(at: datetime, tenant: Tenant) -> date:
    return at.astimezone(ZoneInfo(tenant.timezone)).date()


def sent_by_day(session: Session, tenant: Tenant, since: date) -> dict[date, int]:
    """Recipients that the tenant's calls were granted, by day of its time zone."""
    query = (
        select(TenantUsage.slot_at, TenantUsage.recipients)
        .where(TenantUsage.tenant_id == tenant.id, TenantUsage.span == "day", TenantUsage.recipients > 0)
        .order_by(TenantUsage.slot_at)
    )
    found = {local_day(slot_at, tenant): recipients for slot_at, recipients in session.execute(query)}
    return {day: recipients for day, recipients in found.items() if day >= since}


def _view(warm_up: WarmUp, sent: Mapping[date, int], started_on: date, today: date) -> WarmUpView:
    plan = plan_of(warm_up)
    used, allowance, ends_on = sent.get(today, 0), None, None
    step_on = max(warm_up.step_since, today)  # the day whose outcomes lead to the next step
    if warm_up.finished_at is None:
        allowance = plan.allowance(warm_up.step)
        ends_on = step_on + timedelta(days=warm_up.days - warm_up.step)
    return WarmUpView(
        plan=plan,
        rows=tuple(_planned(plan, warm_up, step, step_on, today) for step in range(plan.days)),
        step=warm_up.step,
        allowance=allowance,
        used_today=used,
        left_today=None if allowance is None else max(0, allowance - used),
        ends_on=ends_on,
        note=warm_up.note,
        sent=sent,
        started_on=started_on,
        started_at=warm_up.started_at,
        started_by=warm_up.started_by,
        finished_at=warm_up.finished_at,
    )


def _planned(plan: Plan, warm_up: WarmUp, step: int, step_on: date, today: date) -> PlannedDay:
    is_now = warm_up.finished_at is None and step == warm_up.step
    on = None
    if warm_up.finished_at is None and step >= warm_up.step:
        on = today if is_now else step_on + timedelta(days=step - warm_up.step)
    return PlannedDay(step + 1, plan.allowance(step) or 0, on, is_now)

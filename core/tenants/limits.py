"""Limits of one tenant: recipients a minute, an hour and a day, and what a warm-up allows today.

What its calls are granted is counted in slots: 5 seconds of a minute, a minute of an hour, and one slot per
calendar day of the tenant's time zone. A slot counts until all of it is a minute (an hour) old: no minute and
no hour, wherever it starts, sees more than its limit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import BindParameter, and_, bindparam, case, delete, or_, select, update
from sqlalchemy.orm import Session

from core import audit
from core.access import Action, Actor
from core.app import App
from core.db.conflicts import one_wins
from core.db.models import Tenant, TenantUsage
from core.db.states import FallbackPolicy
from core.db.upsert import insert
from core.errors import Conflict, InputError
from core.settings import PREFIX, Settings
from core.tenants.allowances import allowance_today
from core.tenants.directory import get_tenant, lock_tenant

SPANS = ("minute", "hour", "day")
LENGTH = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1)}
SLOT = {"minute": timedelta(seconds=5), "hour": timedelta(minutes=1)}
LARGEST_LIMIT = 1_000_000_000
# A slot that is further ahead was written while a clock was wrong.
CLOCKS_DIFFER = timedelta(minutes=5)
# SES's own 24 hours are told from the hours' slots; the days' are the history of a warm-up, 90 days or more.
KEPT = {"minute": timedelta(hours=1), "hour": timedelta(days=2), "day": timedelta(days=120)}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Slots = Sequence[tuple[datetime, int]]  # slot_at, recipients; oldest first


@dataclass(frozen=True, slots=True)
class Used:
    """`frees_at`: when more may go; None while some may go now."""

    used: int
    limit: int | None
    frees_at: datetime | None


@dataclass(frozen=True, slots=True)
class Usage:
    """Recipients of a tenant's calls in the last minute, the last hour, and today in its time zone."""

    minute: Used
    hour: Used
    day: Used


@dataclass(frozen=True, slots=True)
class _Cap:
    span: str
    recipients: int
    is_warm_up: bool = False

    def sentence(self, tenant: Tenant, frees_at: datetime) -> str:
        if self.is_warm_up:
            spent = (
                f"{tenant.name}'s warm-up allows {self.recipients:,} recipients today, and they are used up"
            )
        else:
            per = "an hour" if self.span == "hour" else f"a {self.span}"
            spent = f"{tenant.name}'s limit of {self.recipients:,} recipients {per} is used up"
        return f"{spent}; more may go from {_moment(self.span, frees_at, tenant.timezone)}."


def set_limits(
    app: App,
    actor: Actor,
    tenant_id: int,
    *,
    per_minute: int | None,
    per_hour: int | None,
    per_day: int | None,
    version: int | None = None,
) -> Tenant:
    """None: no such limit. What has been sent already counts at once. `version`: of the tenant as it was
    shown; Conflict when it is another by now."""
    actor.must(Action.SET_LIMITS, tenant_id)
    wanted = {"per_minute": per_minute, "per_hour": per_hour, "per_day": per_day}
    _check_limits(wanted)
    with one_wins("the tenant"), app.db.begin() as session:
        tenant = lock_tenant(session, tenant_id)
        if version not in (None, tenant.version):
            raise Conflict(f"Somebody else changed {tenant.name} just now. Look again.")
        before = {name: getattr(tenant, name) for name in wanted}
        if before == wanted:
            return tenant
        for name, limit in wanted.items():
            setattr(tenant, name, limit)
        audit.record(
            session, actor, "set limits", tenant.slug,
            at=app.now(), tenant_id=tenant_id, before=before, after=wanted,
        )  # fmt: skip
    return tenant


def set_fallback_policy(app: App, actor: Actor, tenant_id: int, policy: str) -> Tenant:
    """When the tenant's mail may go through the second provider; InputError where there is none."""
    actor.must(Action.SET_FALLBACK, tenant_id)
    policy = _checked_policy(policy, app.settings)
    with one_wins("the tenant"), app.db.begin() as session:
        tenant = lock_tenant(session, tenant_id)
        before = tenant.fallback_policy
        if before == policy:
            return tenant
        tenant.fallback_policy = policy
        audit.record(
            session, actor, "set fallback policy", tenant.slug,
            at=app.now(), tenant_id=tenant_id, before=before, after=policy,
        )  # fmt: skip
    return tenant


def missing_for_fallback(settings: Settings) -> list[str]:
    """The settings without which there is no second provider."""
    wanting = []
    if settings.resend_api_key is None:
        wanting.append(f"{PREFIX}RESEND_API_KEY")
    if not settings.resend_from:
        wanting.append(f"{PREFIX}RESEND_FROM")
    return wanting


def usage(app: App, actor: Actor, tenant_id: int) -> Usage:
    actor.must(Action.SEE_TENANT, tenant_id)
    now = app.now()
    with app.db.read() as session:
        tenant = get_tenant(session, tenant_id)
        zone = zone_of(tenant.timezone)
        slots = _counted(session, tenant_id, SPANS, now, zone)
    minute, hour, day = (
        _used(span, slots[span], getattr(tenant, f"per_{span}"), now, zone) for span in SPANS
    )
    return Usage(minute, hour, day)


def left(session: Session, tenant: Tenant, now: datetime) -> tuple[int, float, str] | None:
    """Recipients that the tightest of the limits lets go now; if 0, the seconds until some may go, and a
    sentence that says so. None: the tenant has no limit."""
    caps = _caps(session, tenant)
    if not caps:
        return None
    zone = zone_of(tenant.timezone)
    slots = _counted(session, tenant.id, sorted({cap.span for cap in caps}), now, zone)
    most, closed = LARGEST_LIMIT, []
    for cap in caps:
        used = _used(cap.span, slots[cap.span], cap.recipients, now, zone)
        most = min(most, max(0, cap.recipients - used.used))
        if used.frees_at is not None:
            closed.append((used.frees_at, cap))
    if not closed:
        return most, 0.0, ""
    frees_at, cap = max(closed, key=lambda each: each[0])
    return 0, (frees_at - now).total_seconds(), cap.sentence(tenant, frees_at)


def count(session: Session, tenant: Tenant, recipients: int, now: datetime) -> None:
    """Add to the slots of `now`. Negative gives back: `now` is then the moment at which they were granted."""
    zone = zone_of(tenant.timezone)
    rows = [
        {"tenant_id": tenant.id, "span": span, "slot_at": slot_of(span, now, zone)} for span in sorted(SPANS)
    ]
    if recipients > 0:
        _add(session, [{**row, "recipients": recipients} for row in rows])
    elif recipients < 0:
        _take_off(session, [{**{f"of_{k}": v for k, v in row.items()}, "less": -recipients} for row in rows])


def forget_old(app: App) -> str:
    """Job: drop what counts for nothing any more, and what was written while a clock was wrong."""
    now = app.now()
    too_old = (
        and_(TenantUsage.span == span, TenantUsage.slot_at < now - kept) for span, kept in KEPT.items()
    )
    with app.db.begin() as session:
        dropped = session.execute(
            delete(TenantUsage)
            .where(or_(*too_old, TenantUsage.slot_at > now + KEPT["hour"]))
            .returning(TenantUsage.span)
        ).all()
    return f"Dropped {len(dropped)} counts of what tenants sent."


def slot_of(span: str, now: datetime, zone: ZoneInfo) -> datetime:
    """The beginning, in UTC, of the slot that `now` is counted in."""
    if span == "day":
        return _midnight(now, zone)
    since = now - _EPOCH
    return now.astimezone(UTC) - since % SLOT[span]


def zone_of(name: str) -> ZoneInfo:
    """UTC for one that this machine does not know (any more): a tenant's mail must not stop everybody's."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("UTC")


def first_slot(span: str, now: datetime, zone: ZoneInfo) -> datetime:
    """The oldest slot that still counts."""
    return slot_of(span, now if span == "day" else now - LENGTH[span], zone)


def counts_until(span: str, slot_at: datetime, zone: ZoneInfo) -> datetime:
    """When the slot counts no more: for a day, the next midnight there, 23 to 25 hours on."""
    if span == "day":
        return _midnight(slot_at, zone, days_later=1)
    return slot_at + SLOT[span] + LENGTH[span]


def _midnight(now: datetime, zone: ZoneInfo, days_later: int = 0) -> datetime:
    """A midnight that clocks skip is the moment at which they skip it: fold 0 is the offset before."""
    day = now.astimezone(zone).date() + timedelta(days=days_later)
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def _caps(session: Session, tenant: Tenant) -> list[_Cap]:
    limits = {"minute": tenant.per_minute, "hour": tenant.per_hour, "day": tenant.per_day}
    caps = [_Cap(span, limit) for span, limit in limits.items() if limit is not None]
    if (allowed := allowance_today(session, tenant.id)) is not None:
        caps.append(_Cap("day", allowed, is_warm_up=True))
    return caps


def _counted(
    session: Session, tenant_id: int, spans: Iterable[str], now: datetime, zone: ZoneInfo
) -> dict[str, list[tuple[datetime, int]]]:
    counting = {span: first_slot(span, now, zone) for span in spans}
    query = (
        select(TenantUsage.span, TenantUsage.slot_at, TenantUsage.recipients)
        .where(TenantUsage.tenant_id == tenant_id, TenantUsage.slot_at <= now + CLOCKS_DIFFER)
        .where(or_(*(and_(TenantUsage.span == k, TenantUsage.slot_at >= v) for k, v in counting.items())))
        .order_by(TenantUsage.slot_at)
    )
    slots: dict[str, list[tuple[datetime, int]]] = {span: [] for span in counting}
    for span, slot_at, recipients in session.execute(query):
        slots[span].append((slot_at, recipients))
    return slots


def _used(span: str, slots: _Slots, limit: int | None, now: datetime, zone: ZoneInfo) -> Used:
    used = sum(recipients for _, recipients in slots)
    if limit is None or used < limit:
        return Used(used, limit, None)
    remaining, frees_at = used, counts_until(span, now, zone)
    for slot_at, recipients in slots:
        remaining, frees_at = remaining - recipients, counts_until(span, slot_at, zone)
        if remaining < limit:
            break
    return Used(used, limit, frees_at)


def _add(session: Session, rows: list[dict[str, object]]) -> None:
    statement = insert(session, TenantUsage)
    session.connection().execute(
        statement.on_conflict_do_update(
            index_elements=["tenant_id", "span", "slot_at"],
            set_={"recipients": TenantUsage.recipients + statement.excluded["recipients"]},
        ),
        rows,
    )


def _take_off(session: Session, rows: list[dict[str, object]]) -> None:
    less: BindParameter[int] = bindparam("less")
    session.connection().execute(
        update(TenantUsage)
        .where(
            TenantUsage.tenant_id == bindparam("of_tenant_id"),
            TenantUsage.span == bindparam("of_span"),
            TenantUsage.slot_at == bindparam("of_slot_at"),
        )
        .values(recipients=case((TenantUsage.recipients > less, TenantUsage.recipients - less), else_=0)),
        rows,
    )


def _moment(span: str, at: datetime, zone: str) -> str:
    there = at.astimezone(zone_of(zone))
    if span == "minute":
        return f"{there:%H:%M:%S} ({zone})"
    on = f" on {there.day} {there:%b}" if span == "day" else ""
    return f"{there:%H:%M}{on} ({zone})"


def _check_limits(wanted: Mapping[str, int | None]) -> None:
    for name, limit in wanted.items():
        if limit is not None and not 1 <= limit <= LARGEST_LIMIT:
            raise InputError(
                f"A limit is a number of recipients from 1 to {LARGEST_LIMIT:,}, or none; to send nothing, "
                "pause the tenant.",
                field=name,
            )
    given = [(name, limit) for name, limit in wanted.items() if limit is not None]
    for (shorter, less), (longer, more) in pairwise(given):
        if less > more:
            raise InputError(
                f"The limit {_words(shorter)} ({less:,}) is above the one {_words(longer)} ({more:,}), which "
                "would always come first. Lower it, or leave it out.",
                field=shorter,
            )


def _words(name: str) -> str:
    return name.replace("_", " ")


def _checked_policy(policy: str, settings: Settings) -> str:
    policy = policy.strip().lower()
    if policy not in set(FallbackPolicy):
        raise InputError(
            "A fallback policy is none, no_verified_domain (only while none of the tenant's domains is "
            "verified) or unmatched_sender (for each sender whose own domain is not verified).",
            field="policy",
        )
    if policy != FallbackPolicy.NONE and (wanting := missing_for_fallback(settings)):
        raise InputError(
            f"This installation has no second provider. Set {' and '.join(wanting)}, then restart Postyard.",
            field="policy",
        )
    return policy

"""Brake: what all tenants of an AWS account do to the rates that AWS judges the account by.

Each tenant may be within its own limits while the sum of them is not. The newest of those who raise it are
stopped, one after the other, until the rest is below; who is below the account's level lowers it, and is
spared. Counted are the last two days of each tenant's time zone; of one that was resumed, the days after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import alerts, audit, tenants
from core.access import SYSTEM, Action, Actor
from core.app import App
from core.db.models import Account, Campaign, DailyCount, Tenant
from core.db.states import SendingStatus
from core.reputation.evidence import Evidence
from core.reputation.rule import Z_95, Level, Signal
from core.tenants import PAUSED_BY_REPUTATION
from core.tenants.limits import zone_of

BRAKE = "account brake"  # the kind of alert
DAYS = 2
# From so many bad messages on, and where the rate is above the level that warns with a confidence of 95 %.
STOP = {
    Signal.BOUNCE: Level(rate=0.04, z=Z_95, lower_bound=0.03, evidence=20),
    Signal.COMPLAINT: Level(rate=0.0008, z=Z_95, lower_bound=0.0005, evidence=20),
}
# Half of that evidence, above half of the level.
WARN = {
    Signal.BOUNCE: Level(rate=0.03, z=Z_95, lower_bound=0.015, evidence=10),
    Signal.COMPLAINT: Level(rate=0.0005, z=Z_95, lower_bound=0.00025, evidence=10),
}
RAISES_IT = 3  # bad messages from which on a tenant above the level is one that raises the account's rate
CAMPAIGNS_NAMED = 5


@dataclass(frozen=True, slots=True)
class Share:
    """What one tenant's mail adds."""

    tenant: Any  # id, slug, name, created_at, timezone, resumed_at
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Standing:
    """An account, over the mail of its tenants that may send."""

    account_id: int
    shares: list[Share]

    def of(self, signal: Signal) -> tuple[int, int]:
        """Bad messages, and those they are measured against."""
        return _sum(self.shares, signal)

    def rate(self, signal: Signal) -> float:
        bad, among = self.of(signal)
        return bad / among if among else 0.0


def standings(app: App, actor: Actor) -> list[tuple[Account, Standing]]:
    """Every AWS account, by name, with what its tenants that may send do to its rates now."""
    actor.must(Action.SEE_HEALTH)
    with app.db.read() as session:
        accounts = list(session.scalars(select(Account).order_by(Account.name)))
        return [(account, standing(session, account.id, app.now())) for account in accounts]


def apply(session: Session, account_id: int, at: datetime) -> tuple[int, ...]:
    """Warn about the account, or stop those who raise its rates; the ids of those who were stopped. A tenant
    that somebody else holds is left for the next time, and what holds no more is cleared by the job."""
    seen = standing(session, account_id, at)
    stopped: list[int] = []
    for signal in Signal:
        for share in to_stop(seen.shares, signal):
            if _stop(session, seen, share, signal, at):
                stopped.append(share.tenant.id)
                seen = Standing(account_id, [other for other in seen.shares if other is not share])
        if WARN[signal].is_reached(*seen.of(signal)):
            _warn(session, seen, signal, at)
    return tuple(stopped)


def apply_due(app: App) -> str:
    """Job: the same where no bad news came, and what was told of an account is cleared when it is well."""
    with app.db.read() as session:
        account_ids = list(session.scalars(select(Account.id).order_by(Account.id)))
    stopped = 0
    for account_id in account_ids:
        with app.db.begin() as session:
            stopped += len(apply(session, account_id, app.now()))
            _clear(session, account_id, app.now())
    return f"Stopped {stopped} tenants for the sake of {len(account_ids)} AWS accounts."


def standing(session: Session, account_id: int, at: datetime) -> Standing:
    rows: Iterable[Any] = session.execute(
        select(
            Tenant.id, Tenant.slug, Tenant.name, Tenant.created_at, Tenant.timezone, Tenant.resumed_at,
            DailyCount.day,
            func.sum(DailyCount.permanent_bounces).label("permanent_bounces"),
            func.sum(DailyCount.transient_bounces).label("transient_bounces"),
            func.sum(DailyCount.delivered).label("delivered"),
            func.sum(DailyCount.complaints).label("complaints"),
        )
        .join(DailyCount, DailyCount.tenant_id == Tenant.id)
        .where(Tenant.account_id == account_id, Tenant.sending_status != SendingStatus.DISABLED)
        # A day more, for zones behind UTC.
        .where(DailyCount.day >= at.date() - timedelta(days=DAYS))
        .group_by(Tenant.id, DailyCount.day)
        .order_by(Tenant.id)
    )  # fmt: skip
    days: dict[int, list[Any]] = {}
    for row in rows:
        if row.day >= _first_day(row, at):
            days.setdefault(row.id, []).append(row)
    return Standing(account_id, [Share(found[0], _evidence(found)) for found in days.values()])


def to_stop(shares: Sequence[Share], signal: Signal) -> Iterator[Share]:
    """The newest first, until the rest is below the level; none that is itself below it. Pure."""
    level, rest = STOP[signal], list(shares)
    for share in sorted(shares, key=lambda each: (each.tenant.created_at, each.tenant.id), reverse=True):
        if not level.is_reached(*_sum(rest, signal)):
            return
        bad, among = share.evidence.of(signal)
        if bad >= RAISES_IT and bad >= level.rate * among:
            rest.remove(share)
            yield share


def _sum(shares: Sequence[Share], signal: Signal) -> tuple[int, int]:
    bad, among = 0, 0
    for share in shares:
        of_one = share.evidence.of(signal)
        bad, among = bad + of_one[0], among + of_one[1]
    return bad, among


def _first_day(tenant: Any, at: datetime) -> date:
    zone = zone_of(tenant.timezone)
    first = at.astimezone(zone).date() - timedelta(days=DAYS - 1)
    resumed_at: datetime | None = tenant.resumed_at
    if resumed_at is None:
        return first
    return max(first, resumed_at.astimezone(zone).date() + timedelta(days=1))


def _evidence(days: Sequence[Any]) -> Evidence:
    return Evidence(
        "the last two days",
        permanent_bounces=sum(int(day.permanent_bounces) for day in days),
        complaints=sum(int(day.complaints) for day in days),
        delivered=sum(int(day.delivered) for day in days),
        transient_bounces=sum(int(day.transient_bounces) for day in days),
    )


def _stop(session: Session, seen: Standing, share: Share, signal: Signal, at: datetime) -> bool:
    tenant = share.tenant
    # Whoever stores its events holds it and may wait for one of ours: nobody waits here.
    mine = select(Tenant.id).where(Tenant.id == tenant.id).with_for_update(key_share=True, skip_locked=True)
    if session.scalar(mine) is None:
        return False
    bad, among = share.evidence.of(signal)
    # What the others send is nobody's business: their numbers stand in the account's alert, for staff.
    reason = (
        "Its AWS account as a whole is near what AWS stops it for, and this tenant has "
        f"{_at(signal, bad, among)} in the last two days; "
        f"the account's limit is {STOP[signal].rate * 100:g} %."
    )
    if not tenants.disable(session, tenant.id, reason=reason, by=SYSTEM.username, at=at):
        return False
    audit.record(
        session, SYSTEM, "pause tenant", tenant.slug, at=at, tenant_id=tenant.id, reason=reason,
        signal=signal.value, bad=bad, outcomes=among, scope="the AWS account in the last two days",
        account_bad=seen.of(signal)[0], account_outcomes=seen.of(signal)[1],
        campaigns=_campaigns(session, tenant, signal, at),
    )  # fmt: skip
    alerts.raise_once(
        session, kind=PAUSED_BY_REPUTATION, cause=f"tenant {tenant.id}", tenant_id=tenant.id, at=at,
        sentence=f"{tenant.name} was paused. {reason} Find out why, then resume it.",
    )  # fmt: skip
    alerts.raise_once(
        session, kind=BRAKE, cause=_cause(seen.account_id, signal, "stop"), tenant_id=None, at=at,
        sentence=f"The tenants of AWS account {_name(session, seen.account_id)} together have "
        f"{_at(signal, *seen.of(signal))}: those who raise that are stopped, the newest first.",
    )  # fmt: skip
    return True


def _warn(session: Session, seen: Standing, signal: Signal, at: datetime) -> None:
    """Of what is left."""
    alerts.raise_once(
        session, kind=BRAKE, cause=_cause(seen.account_id, signal, "warning"), tenant_id=None, at=at,
        sentence=f"The tenants of AWS account {_name(session, seen.account_id)} together have "
        f"{_at(signal, *seen.of(signal))}; from {STOP[signal].rate * 100:g} % on those who raise that are "
        "stopped, the newest first.",
    )  # fmt: skip


def _clear(session: Session, account_id: int, at: datetime) -> None:
    seen = standing(session, account_id, at)
    for signal in Signal:
        if not WARN[signal].is_reached(*seen.of(signal)):
            for what in ("warning", "stop"):
                alerts.clear(session, kind=BRAKE, cause=_cause(account_id, signal, what), at=at)


def _campaigns(session: Session, tenant: Any, signal: Signal, at: datetime) -> list[dict[str, Any]]:
    """Those of its campaigns that add most to it."""
    bad = DailyCount.permanent_bounces if signal is Signal.BOUNCE else DailyCount.complaints
    outcomes = DailyCount.delivered + DailyCount.permanent_bounces + DailyCount.transient_bounces
    query = (
        select(Campaign.id, Campaign.name, func.sum(bad).label("bad"), func.sum(outcomes).label("outcomes"))
        .join(DailyCount, DailyCount.campaign_id == Campaign.id)
        .where(DailyCount.tenant_id == tenant.id, Campaign.tenant_id == tenant.id)
        .where(DailyCount.day >= _first_day(tenant, at))
        .group_by(Campaign.id, Campaign.name)
        .having(func.sum(bad) > 0)
        .order_by(func.sum(bad).desc(), Campaign.id)
        .limit(CAMPAIGNS_NAMED)
    )
    return [
        {"id": row.id, "name": row.name, "bad": int(row.bad), "outcomes": int(row.outcomes)}
        for row in session.execute(query)
    ]


def _cause(account_id: int, signal: Signal, what: str) -> str:
    return f"account {account_id} {signal.value} {what}"


def _name(session: Session, account_id: int) -> str:
    return session.get_one(Account, account_id).name


def _at(signal: Signal, bad: int, among: int) -> str:
    rate = bad / among * 100 if among else 0.0
    if signal is Signal.BOUNCE:
        return f"a bounce rate of {rate:.1f} % ({bad:,} of {among:,} messages with an outcome)"
    return f"a complaint rate of {rate:.2f} % ({bad:,} of {among:,} delivered messages)"

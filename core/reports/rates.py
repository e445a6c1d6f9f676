"""Rates over time, per campaign, per recipient domain and per mailbox provider."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import reduce
from operator import add
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from core.access import Action, Actor
from core.app import App
from core.db.models import Campaign, DailyCount, DomainCount, DomainTotal
from core.reports import mailboxes
from core.reports.counts import Counts, DayRates, counts_of, every_day, totals

TRANSACTIONAL = 0  # the campaign_id of mail without one


@dataclass(frozen=True, slots=True)
class CampaignRates:
    campaign_id: int  # 0: transactional mail
    name: str
    counts: Counts


@dataclass(frozen=True, slots=True)
class DomainRates:
    domain: str
    counts: Counts


@dataclass(frozen=True, slots=True)
class ProviderRates:
    provider: str  # mailboxes.OTHER: everybody who is not large
    counts: Counts


def rates(app: App, actor: Actor, tenant_id: int, *, since: date, until: date) -> list[DayRates]:
    """One entry per day of the tenant's time zone, both ends included, oldest first."""
    actor.must(Action.SEE_REPORTS, tenant_id)
    query = _sums(DailyCount.day, tenant_id, since, until)
    with app.db.read() as session:
        found = {row.day: counts_of(row) for row in session.execute(query)}
    return list(every_day(found, since, until))


def by_campaign(
    app: App, actor: Actor, tenant_id: int, *, since: date, until: date, limit: int = 50
) -> list[CampaignRates]:
    """The newest campaigns with mail sent in the range, newest first; transactional mail last."""
    actor.must(Action.SEE_REPORTS, tenant_id)
    campaign_id = DailyCount.campaign_id
    newest = _sums(campaign_id, tenant_id, since, until).order_by(campaign_id.desc()).limit(limit)
    transactional = _sums(campaign_id, tenant_id, since, until).where(campaign_id == TRANSACTIONAL)
    with app.db.read() as session:
        rows = [
            *session.execute(newest.where(campaign_id != TRANSACTIONAL)),
            *session.execute(transactional),
        ]
        names = campaign_names(session, tenant_id, [row.campaign_id for row in rows])
    return [
        CampaignRates(row.campaign_id, names.get(row.campaign_id, "Transactional mail"), counts_of(row))
        for row in rows
    ]


def by_domain(
    app: App, actor: Actor, tenant_id: int, *, since: date, until: date, limit: int = 50
) -> list[DomainRates]:
    """The tenant's largest recipient domains, by how much mail they were sent in the range."""
    actor.must(Action.SEE_REPORTS, tenant_id)
    largest = (
        select(DomainTotal.domain)
        .where(DomainTotal.tenant_id == tenant_id)
        .order_by(DomainTotal.sent.desc(), DomainTotal.domain)
        .limit(limit)
    )
    query = (
        select(DomainCount.domain, *totals(DomainCount))
        .where(DomainCount.tenant_id == tenant_id, DomainCount.domain.in_(largest))
        .where(DomainCount.day >= since, DomainCount.day <= until)
        .group_by(DomainCount.domain)
        .order_by(func.sum(DomainCount.sent).desc(), DomainCount.domain)
    )
    with app.db.read() as session:
        return [DomainRates(domain=row.domain, counts=counts_of(row)) for row in session.execute(query)]


def by_provider(app: App, actor: Actor, tenant_id: int, *, since: date, until: date) -> list[ProviderRates]:
    """Whose mailboxes the mail went to, the largest first and all others last; none without mail."""
    actor.must(Action.SEE_REPORTS, tenant_id)
    days = (DomainCount.day >= since, DomainCount.day <= until)
    known = (
        select(DomainCount.domain, *totals(DomainCount))
        .where(DomainCount.tenant_id == tenant_id, DomainCount.domain.in_(mailboxes.PROVIDERS), *days)
        .group_by(DomainCount.domain)
    )
    everything = select(*totals()).where(DailyCount.tenant_id == tenant_id, *_between(since, until))
    found: defaultdict[str, Counts] = defaultdict(Counts)
    with app.db.read() as session:
        for row in session.execute(known):
            found[mailboxes.provider_of(row.domain)] += counts_of(row)
        total = counts_of(session.execute(everything).one())
    rest = total.without(reduce(add, found.values(), Counts()))
    large = sorted(found.items(), key=lambda each: (-each[1].sent, each[0]))
    rows = [*large, (mailboxes.OTHER, rest)]
    return [ProviderRates(provider, counts) for provider, counts in rows if counts != Counts()]


def campaign_names(session: Session, tenant_id: int, campaign_ids: Iterable[int]) -> dict[int, str]:
    query = select(Campaign.id, Campaign.name).where(
        Campaign.tenant_id == tenant_id, Campaign.id.in_(list(campaign_ids))
    )
    return {row.id: row.name for row in session.execute(query)}


def _sums(key: Any, tenant_id: int, since: date, until: date) -> Select[Any]:
    return (
        select(key, *totals()).where(DailyCount.tenant_id == tenant_id, *_between(since, until)).group_by(key)
    )


def _between(since: date, until: date) -> tuple[ColumnElement[bool], ...]:
    return DailyCount.day >= since, DailyCount.day <= until

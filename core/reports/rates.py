"""Rates over time, per campaign and per recipient domain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from core.access import Action, Actor
from core.app import App
from core.db.models import Campaign, DailyCount, DomainCount, DomainTotal
from core.reports.counts import Counts, DayRates, counts_of, every_day, totals


@dataclass(frozen=True, slots=True)
class CampaignRates:
    campaign_id: int  # 0: transactional mail
    name: str
    counts: Counts


@dataclass(frozen=True, slots=True)
class DomainRates:
    domain: str
    counts: Counts


def rates(app: App, actor: Actor, tenant_id: int, *, since: date, until: date) -> list[DayRates]:
    """One entry per day of the tenant's time zone, both ends included, oldest first."""
    actor.must(Action.SEE_REPORTS, tenant_id)
    query = _sums(DailyCount.day, tenant_id, since, until)
    with app.db.read() as session:
        found = {row.day: counts_of(row) for row in session.execute(query)}
    return list(every_day(found, since, until))


def by_campaign(app: App, actor: Actor, tenant_id: int, *, since: date, until: date) -> list[CampaignRates]:
    """Campaigns with mail sent in the range, newest first; transactional mail last."""
    actor.must(Action.SEE_REPORTS, tenant_id)
    query = _sums(DailyCount.campaign_id, tenant_id, since, until)
    with app.db.read() as session:
        found = {row.campaign_id: counts_of(row) for row in session.execute(query)}
        names = campaign_names(session, tenant_id, found)
    return [
        CampaignRates(campaign_id=key, name=names.get(key, "Transactional mail"), counts=found[key])
        for key in sorted(found, reverse=True)
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


def campaign_names(session: Session, tenant_id: int, campaign_ids: Iterable[int]) -> dict[int, str]:
    query = select(Campaign.id, Campaign.name).where(
        Campaign.tenant_id == tenant_id, Campaign.id.in_(list(campaign_ids))
    )
    return {row.id: row.name for row in session.execute(query)}


def _sums(key: Any, tenant_id: int, since: date, until: date) -> Select[Any]:
    return (
        select(key, *totals())
        .where(DailyCount.tenant_id == tenant_id, DailyCount.day >= since, DailyCount.day <= until)
        .group_by(key)
    )

"""Overview: how every tenant does today, and what needs a hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, func, select
from sqlalchemy.orm import Session

from core import drift
from core.access import Action, Actor
from core.app import App
from core.db.models import (
    Account,
    Alert,
    Campaign,
    DailyCount,
    Identity,
    Message,
    Tenant,
    TenantResource,
)
from core.db.states import CampaignStatus, MessageStatus, ResourceState, SendingStatus
from core.identities.rows import never_begun
from core.reports.counts import Counts, DayRates, counts_of, every_day, totals
from core.tenants import AMAZON, PAUSED_BY_AWS, held_by_aws
from core.tenants.limits import zone_of
from core.unknown import ALERT as UNKNOWN
from core.unknown import SILENT_AFTER

PREVIOUS_DAYS = 24
ACCOUNT_PAUSED = (
    "Amazon SES has paused sending for the whole AWS account: see the SES console. "
    "Mail waits, and goes on by itself when SES allows it."
)
_UNFINISHED = (
    CampaignStatus.SCHEDULED,
    CampaignStatus.SENDING,
    CampaignStatus.HOLDING,
    CampaignStatus.PAUSED,
    CampaignStatus.BLOCKED,
)


@dataclass(frozen=True, slots=True)
class TenantToday:
    tenant: Tenant
    today: Counts
    days: tuple[DayRates, ...]  # the 24 days before today, oldest first, none left out
    queued: int  # messages waiting to be sent
    unknown: int  # messages nobody knows the fate of
    what_needs_a_hand: list[str]  # sentences; empty: all is well
    differences: list[
        TenantResource
    ]  # of what it needs in AWS, as last seen: not as it should be, or unknown


def overview(app: App, actor: Actor) -> list[TenantToday]:
    """Every tenant the actor sees, by name; each by the days of its own time zone."""
    actor.must(Action.SEE_REPORTS)
    with app.db.read() as session:
        tenants = list(session.scalars(_visible(actor)))
        ids = [tenant.id for tenant in tenants]
        today = {tenant.id: app.now().astimezone(zone_of(tenant.timezone)).date() for tenant in tenants}
        earliest = min(today.values(), default=date.max) - timedelta(days=PREVIOUS_DAYS)
        days = _days_by_tenant(session, ids, earliest)
        queued = count_messages(session, ids, MessageStatus.PENDING, _UNFINISHED)
        unknown = count_messages(session, ids, MessageStatus.UNKNOWN)
        differences = _grouped(session.scalars(_differences(ids)))
        worries = _worries(session, tenants, differences, app.now())
    return [
        TenantToday(
            tenant=tenant,
            today=days[tenant.id].get(today[tenant.id], Counts()),
            days=_days_before(today[tenant.id], days[tenant.id]),
            queued=queued[tenant.id],
            unknown=unknown[tenant.id],
            what_needs_a_hand=worries[tenant.id],
            differences=differences[tenant.id],
        )
        for tenant in tenants
    ]


def _days_before(today: date, found: dict[date, Counts]) -> tuple[DayRates, ...]:
    return every_day(found, today - timedelta(days=PREVIOUS_DAYS), today - timedelta(days=1))


def _visible(actor: Actor) -> Select[Tenant]:
    query = select(Tenant).order_by(Tenant.name, Tenant.id)
    return query if actor.tenant_ids is None else query.where(Tenant.id.in_(actor.tenant_ids))


def _days_by_tenant(
    session: Session, tenant_ids: Sequence[int], since: date
) -> defaultdict[int, dict[date, Counts]]:
    query = (
        select(DailyCount.tenant_id, DailyCount.day, *totals())
        .where(DailyCount.tenant_id.in_(tenant_ids), DailyCount.day >= since)
        .group_by(DailyCount.tenant_id, DailyCount.day)
    )
    found: defaultdict[int, dict[date, Counts]] = defaultdict(dict)
    for row in session.execute(query):
        found[row.tenant_id][row.day] = counts_of(row)
    return found


def count_messages(
    session: Session,
    tenant_ids: Sequence[int] | None,
    status: MessageStatus,
    campaign_statuses: Sequence[CampaignStatus] | None = None,
) -> defaultdict[int, int]:
    """Messages in one status by tenant, campaigns' and transactional ones, each through its index."""
    of_campaigns = (
        select(Campaign.tenant_id, func.count())
        .join(Message, Message.campaign_id == Campaign.id)
        .where(Message.status == status)
        .group_by(Campaign.tenant_id)
    )
    transactional = (
        select(Message.tenant_id, func.count())
        .where(Message.campaign_id.is_(None), Message.status == status)
        .group_by(Message.tenant_id)
    )
    if campaign_statuses is not None:
        of_campaigns = of_campaigns.where(Campaign.status.in_(campaign_statuses))
    if tenant_ids is not None:
        of_campaigns = of_campaigns.where(Campaign.tenant_id.in_(tenant_ids))
        transactional = transactional.where(Message.tenant_id.in_(tenant_ids))
    found: defaultdict[int, int] = defaultdict(int)
    for query in (of_campaigns, transactional):
        for tenant_id, count in session.execute(query):
            found[tenant_id] += count
    return found


def _worries(
    session: Session,
    tenants: Sequence[Tenant],
    differences: Mapping[int, Sequence[TenantResource]],
    now: datetime,
) -> dict[int, list[str]]:
    ids = [tenant.id for tenant in tenants]
    identities = _grouped(
        session.scalars(
            select(Identity).where(Identity.tenant_id.in_(ids), Identity.removed_at.is_(None), ~never_begun())
        )
    )
    blocked = _grouped(
        session.scalars(
            select(Campaign).where(Campaign.tenant_id.in_(ids), Campaign.status == CampaignStatus.BLOCKED)
        )
    )
    alerts = _grouped(session.scalars(_open_alerts(ids)))
    told = {id_ for id_ in ids if any(alert.kind == UNKNOWN for alert in alerts[id_])}
    unknown = _unknown(session, ids, told, now)
    paused = set(session.scalars(select(Account.id).where(~Account.sending_enabled)))
    return {
        t.id: [
            *([ACCOUNT_PAUSED] if t.account_id in paused else []),
            *_worries_about_sending(t),
            *_worries_about_setup(t, differences[t.id], {alert.kind for alert in alerts[t.id]}),
            *_worries_about_identities(identities[t.id], _told(alerts[t.id], differences[t.id])),
            *(alert.sentence for alert in alerts[t.id] if alert.kind != PAUSED_BY_AWS),
            *_worries_about_mail(blocked[t.id], unknown[t.id]),
        ]
        for t in tenants
    }


def _differences(tenant_ids: Sequence[int]) -> Select[TenantResource]:
    return (
        select(TenantResource)
        .where(TenantResource.tenant_id.in_(tenant_ids), TenantResource.state != ResourceState.DONE)
        .order_by(TenantResource.position, TenantResource.key)
    )


def _open_alerts(tenant_ids: Sequence[int]) -> Select[Alert]:
    return (
        select(Alert)
        .where(Alert.tenant_id.in_(tenant_ids), Alert.cleared_at.is_(None))
        .order_by(Alert.raised_at, Alert.id)
    )


def _unknown(
    session: Session, tenant_ids: Sequence[int], told: Collection[int], now: datetime
) -> defaultdict[int, int]:
    """Messages nobody knows the fate of, without those that a person left so. `told`: tenants with alerts
    about campaigns with some that are for a person to decide."""
    of_alerts = and_(Message.campaign_id.is_not(None), Message.armed_at <= now - SILENT_AFTER)
    query = (
        select(Message.tenant_id, func.count())
        .where(Message.tenant_id.in_(tenant_ids), Message.status == MessageStatus.UNKNOWN.value)
        .where(Message.left_by.is_(None), ~and_(Message.tenant_id.in_(told), of_alerts))
        .group_by(Message.tenant_id)
    )
    found: defaultdict[int, int] = defaultdict(int)
    for tenant_id, count in session.execute(query):
        found[tenant_id] = count
    return found


def _grouped(rows: Iterable[Any]) -> defaultdict[int, list[Any]]:
    grouped: defaultdict[int, list[Any]] = defaultdict(list)
    for row in rows:
        grouped[row.tenant_id].append(row)
    return grouped


def _worries_about_sending(tenant: Tenant) -> Iterator[str]:
    is_paused = tenant.sending_status == SendingStatus.DISABLED
    by_aws, held = is_paused and tenant.paused_by == AMAZON.username, held_by_aws(tenant)
    if is_paused and not (by_aws and held):
        yield f"Sending is paused by {tenant.paused_by}: {tenant.paused_reason}"
    if held:
        yield held
    elif by_aws:
        yield "Amazon SES has lifted its pause; here it stays paused until somebody resumes it."
    if not tenant.ses_status_synced:
        yield "SES has not been told of the pause or resume yet; Postyard tries again each minute."


def _worries_about_setup(
    tenant: Tenant, differences: Sequence[TenantResource], told: Collection[str]
) -> Iterator[str]:
    """`told`: the kinds of what an alert is open about. Several things of a domain fail for one reason."""
    if tenant.provisioned_at is None:
        yield "Setting it up in SES was not finished: open the tenant and repair it."
    if drift.ALERT in told:
        return
    failed = [each for each in differences if each.state == ResourceState.FAILED]
    for reason in dict.fromkeys(each.detail for each in failed):
        names = " and ".join(each.key for each in failed if each.detail == reason)
        yield f"Its {names} could not be made in AWS: {reason}"


def _told(alerts: Sequence[Alert], differences: Sequence[TenantResource]) -> set[str]:
    """Their causes, and what AWS has not where that is one of them."""
    drifted = (
        {each.key for each in differences} if any(alert.kind == drift.ALERT for alert in alerts) else set()
    )
    return drifted | {alert.cause for alert in alerts}


def _worries_about_identities(identities: Sequence[Identity], told: Collection[str]) -> Iterator[str]:
    """`told`: what an alert is open about, by the identity's number or name."""
    if not identities:
        yield "It has no sender yet: add one."
    for identity in identities:
        names = {f"identity {identity.id}", f"identity {identity.name}"}
        if not identity.verified_for_sending and not names & set(told):
            yield f"{identity.name} is not verified: publish its DNS records, then verify it."


def _worries_about_mail(blocked: Sequence[Campaign], unknown: int) -> Iterator[str]:
    for campaign in blocked:
        yield f"Campaign '{campaign.name}' is blocked: {campaign.status_reason}"
    if unknown:
        yield (
            f"Nobody knows yet whether {unknown:,} of its messages arrived. "
            "The Campaigns and Messages pages say why."
        )

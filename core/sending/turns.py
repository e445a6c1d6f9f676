"""Turns: whose mail a lane takes next.

Deficit round robin between tenants, in recipients: a tenant keeps its turn until it has used its quantum up
or has nothing more that may go, whichever worker claims. What it could not use is not owed to it later.
Campaigns and transactional mail take turns while both wait.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, bindparam, exists, not_, null, or_, select
from sqlalchemy.orm import Session

from core import routes
from core.db.models import Account, Campaign, Identity, Lane, Message, Sender, Tenant
from core.db.states import CampaignStatus, FallbackPolicy, MessageStatus, ProviderName, SendingStatus
from core.lanes import lane_of
from core.routes import Route, route

MAY_SEND = (SendingStatus.ENABLED, SendingStatus.REINSTATED)

Work = Row[*tuple[Any, ...]]  # a campaign, or a tenant with transactional mail: see the queries below


@dataclass(frozen=True, slots=True)
class Candidate:
    """Mail of one tenant that may go by the lane: of a campaign, or its transactional mail (no campaign)."""

    tenant_id: int
    campaign: Work | None
    route: Route | None  # of the campaign


@dataclass(frozen=True, slots=True)
class LaneWithWork:
    name: str
    account_id: int | None  # None: the second provider
    region: str


def lanes_with_work(session: Session, fallback_from: str) -> list[LaneWithWork]:
    """The lanes by which something may be waiting to go."""
    campaigns = select(Tenant.account_id).join(Campaign, Campaign.tenant_id == Tenant.id)
    campaigns = campaigns.where(Campaign.status == CampaignStatus.SENDING)
    single = select(Tenant.account_id).where(_has_transactional())
    query = select(Account.id, Account.region).where(or_(Account.id.in_(campaigns), Account.id.in_(single)))
    rows = session.execute(query.order_by(Account.id)).all()
    lanes = [LaneWithWork(lane_of(row.id), row.id, row.region) for row in rows]
    if rows and fallback_from:
        lanes.append(LaneWithWork(ProviderName.RESEND, None, ""))
    return lanes


def candidates(
    session: Session,
    lane: Lane,
    account_id: int | None,
    fallback_from: str,
    *,
    resting: Sequence[int],
    now: datetime,
) -> tuple[list[Candidate], list[tuple[Work, str]]]:
    """Those whose mail may go, in the order of their turns, and campaigns that can go by no way, with why."""
    campaigns, stuck = _campaigns(session, lane, account_id, fallback_from, resting, now)
    single = _transactional(session, lane, account_id, resting)
    first, second = (campaigns, single) if lane.was_transactional else (single, campaigns)
    return [*first, *second], stuck


def take_turn(lane: Lane, candidate: Candidate, quantum: int) -> int:
    """Recipients that the candidate may take of its turn now; `used` says how many it did."""
    if candidate.campaign is None:
        return quantum
    if lane.turn_tenant_id != candidate.tenant_id or lane.turn_left <= 0:
        lane.turn_tenant_id, lane.turn_left = candidate.tenant_id, quantum
    return lane.turn_left


def used(lane: Lane, candidate: Candidate, recipients: int, call_size: int) -> None:
    """After a claim. A tenant that has used its turn up is followed by the next; what is left of it and fills
    no call is not worth a claim."""
    lane.was_transactional = candidate.campaign is None
    if candidate.campaign is None:
        lane.transactional_tenant_id = candidate.tenant_id
    else:
        left = lane.turn_left - recipients
        lane.turn_left = left if left >= call_size else 0


def why_stuck(session: Session, work: Work, fallback_from: str) -> str | None:
    """The campaign's own obstacle, read again; None when it can go now, or waits no more."""
    query = _campaign_query().where(Campaign.id == work.campaign_id, Tenant.account_id == work.account_id)
    again = session.execute(query).first()
    if again is None:
        return None
    way = route(again, fallback_from, campaign=True)
    return way if isinstance(way, str) else None


def _campaigns(
    session: Session,
    lane: Lane,
    account_id: int | None,
    fallback_from: str,
    resting: Sequence[int],
    now: datetime,
) -> tuple[list[Candidate], list[tuple[Work, str]]]:
    query = _OF_LANE if account_id is not None else _OF_SECOND_PROVIDER
    found: dict[int, list[Candidate]] = {}
    stuck = []
    for work in session.execute(query, {"account_id": account_id, "now": now}):
        if work.tenant_id in resting:
            continue
        way = route(work, fallback_from, campaign=True)
        if isinstance(way, str):
            stuck.append((work, way))
        elif (way.provider == ProviderName.RESEND) == (account_id is None):
            found.setdefault(work.tenant_id, []).append(Candidate(work.tenant_id, work, way))
    return list(_in_turn(found, lane)), stuck if account_id is not None else []


def _in_turn(found: dict[int, list[Candidate]], lane: Lane) -> Iterator[Candidate]:
    """Whose turn is under way, then the tenants that follow it; of a tenant its oldest campaign first."""
    current = lane.turn_tenant_id
    for tenant_id in sorted(found, key=lambda id_: (id_ < current + (lane.turn_left <= 0), id_)):
        yield from found[tenant_id]


def _transactional(
    session: Session, lane: Lane, account_id: int | None, resting: Sequence[int]
) -> list[Candidate]:
    """Tenants with mail that may go by the lane: what can go no way keeps nobody waiting for it."""
    way = routes.own_way(campaign=False) if account_id is not None else routes.second_way(campaign=False)
    query = select(Tenant.id).where(Tenant.sending_status.in_(MAY_SEND), _has_transactional(way))
    if account_id is not None:
        query = query.where(Tenant.account_id == account_id)
    ids = [id_ for id_ in session.scalars(query.order_by(Tenant.id)) if id_ not in resting]
    ids.sort(key=lambda id_: (id_ <= lane.transactional_tenant_id, id_))
    return [Candidate(id_, None, None) for id_ in ids]


def _has_transactional(way: ColumnElement[bool] | None = None) -> ColumnElement[bool]:
    """`way`: only what goes this way."""
    waiting = select(Message.id).where(
        Message.tenant_id == Tenant.id,
        Message.campaign_id.is_(None),
        Message.status == MessageStatus.PENDING.value,
    )
    if way is not None:
        waiting = waiting.join(Sender, Sender.id == Message.sender_id)
        waiting = waiting.join(Identity, Identity.id == Sender.identity_id).where(way)
    return exists(waiting).correlate(Tenant)


WHERE_IT_COMES_FROM = (
    Tenant.id.label("tenant_id"),
    Tenant.account_id,
    Tenant.slug,
    Tenant.configuration_set,
    Identity.id.label("identity_id"),
    *routes.COLUMNS,
)


def _campaign_query() -> Select[*tuple[Any, ...]]:
    return (
        select(
            Campaign.id.label("campaign_id"),
            Campaign.content_id,
            Campaign.created_by,
            Campaign.rate_per_second,
            Campaign.next_at,
            Campaign.provider,
            *WHERE_IT_COMES_FROM,
        )
        .join(Tenant, Tenant.id == Campaign.tenant_id)
        .join(Sender, Sender.id == Campaign.sender_id)
        .join(Identity, Identity.id == Sender.identity_id)
        .where(Campaign.status == CampaignStatus.SENDING.value, Tenant.sending_status.in_(MAY_SEND))
    )


def _due_campaigns() -> Select[*tuple[Any, ...]]:
    may_still = or_(
        Campaign.send_until.is_(None), Campaign.send_until > bindparam("now", type_=Campaign.send_until.type)
    )
    return _campaign_query().where(may_still).order_by(Tenant.id, Campaign.id)


_OF_LANE = _due_campaigns().where(Tenant.account_id == bindparam("account_id"))
_OF_SECOND_PROVIDER = _due_campaigns().where(
    Tenant.fallback_policy != FallbackPolicy.NONE.value, not_(routes.own_way(campaign=True))
)


def transactional_query(provider: ProviderName) -> Select[*tuple[Any, ...]]:
    """A tenant's waiting transactional mail that does not go another way, oldest first, with where each comes
    from."""
    own_way = routes.own_way(campaign=False)
    return (
        select(
            null().label("campaign_id"),
            Message.id.label("message_id"),
            Message.content_id,
            Message.created_by,
            *WHERE_IT_COMES_FROM,
        )
        .join(Tenant, Tenant.id == Message.tenant_id)
        .join(Sender, Sender.id == Message.sender_id)
        .join(Identity, Identity.id == Sender.identity_id)
        .where(
            Message.campaign_id.is_(None),
            Message.status == MessageStatus.PENDING.value,
            Message.tenant_id == bindparam("tenant_id"),
            own_way if provider == ProviderName.SES else not_(own_way),
        )
        .order_by(Message.id)
    )

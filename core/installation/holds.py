"""Holds: nothing leaves until a person, who has seen what waits, lets it go."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, exists, func, select
from sqlalchemy.orm import Session

from core import alerts, audit
from core.access import Action, Actor
from core.app import App
from core.db.models import Campaign, Installation, Message, Tenant
from core.db.states import CampaignStatus, MessageStatus, SendingStatus
from core.db.upsert import insert
from core.errors import Conflict

ALERT = {"kind": "sending held", "cause": "installation"}
MARKS = 20  # how often a person may let mail go while a host is off that still knows the name from before

# What leaves now, and what a copy may have sent already and would send again by itself.
LEAVES = (CampaignStatus.SENDING,)
GOES_ON_BY_ITSELF = (
    CampaignStatus.SENDING,
    CampaignStatus.SCHEDULED,
    CampaignStatus.HOLDING,
    CampaignStatus.BLOCKED,
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A campaign that goes on by itself once mail is let go."""

    campaign_id: int
    name: str
    status: str
    tenant_id: int
    tenant_slug: str
    tenant_name: str
    is_tenant_paused: bool
    started_at: datetime | None
    pending: int


@dataclass(frozen=True, slots=True)
class InstallationState:
    held_at: datetime | None
    reason: str | None
    waiting: list[Waiting]
    transactional: int

    @property
    def recipients(self) -> int:
        return self.transactional + sum(campaign.pending for campaign in self.waiting)


@dataclass(frozen=True, slots=True)
class Hold:
    """`reason` is None for those who see only that there is one."""

    held_at: datetime
    reason: str | None


def held_reason(session: Session) -> str | None:
    """Why nothing may leave; None when it may."""
    return session.scalar(
        select(Installation.held_reason).where(Installation.id == 1, Installation.held_at.is_not(None))
    )


def hold(session: Session, reason: str, at: datetime) -> bool:
    """False when sending is held already: its first reason stays."""
    row = locked(session)
    if row.held_at is not None:
        return False
    hold_row(session, row, reason, at)
    return True


def find_hold(app: App, actor: Actor) -> Hold | None:
    """For everybody's pages: one row by its key."""
    actor.must(Action.SEE_TENANT)
    with app.db.read() as session:
        row = session.get(Installation, 1)
    if row is None or row.held_at is None:
        return None
    return Hold(row.held_at, row.held_reason if actor.may(Action.SEE_HEALTH) else None)


def state(app: App, actor: Actor) -> InstallationState:
    """What waits, or would wait: every campaign that goes on by itself, the oldest start first."""
    actor.must(Action.SEE_HEALTH)
    with app.db.read() as session:
        row = session.get(Installation, 1)
        return InstallationState(
            held_at=row.held_at if row else None,
            reason=row.held_reason if row and row.held_at else None,
            waiting=_waiting(session),
            transactional=session.scalar(select(func.count(Message.id)).where(*_PENDING_SINGLE)) or 0,
        )


def let_go(app: App, actor: Actor, *, reason: str | None = None) -> None:
    """Let mail leave again. `reason`: the one that the person has read. Raises Conflict when nothing is held
    (somebody was first), or when it is held for another reason by now."""
    actor.must(Action.RELEASE_HOLD)
    now = app.now()
    with app.db.begin() as session:
        row = locked(session)
        if row.held_at is None:
            raise Conflict("Sending is not held; somebody may have let it go just now. Look again.")
        if reason is not None and reason != row.held_reason:
            raise Conflict("Sending is held for another reason by now. Read it, then decide again.")
        audit.record(
            session, actor, "let mail go", "installation", at=now,
            held_since=row.held_at.isoformat(), reason=row.held_reason,
        )  # fmt: skip
        row.name = succeeding(row.name)
        row.beat_at = now  # somebody has looked now: a scheduler that starts within minutes may go on
        row.held_at = row.held_reason = None
        alerts.clear(session, **ALERT, at=now)


def locked(session: Session) -> Installation:
    """The row, made when there is none; whoever has it is alone with it until the transaction ends."""
    query = select(Installation).where(Installation.id == 1).with_for_update()
    found = session.scalar(query)
    if found is None:
        row = insert(session, Installation).values(id=1, name=secrets.token_hex(4), beat=0)
        session.execute(row.on_conflict_do_nothing())
        found = session.scalars(query).one()
    return found


def hold_row(session: Session, row: Installation, reason: str, at: datetime) -> None:
    row.held_at, row.held_reason = at, reason
    alerts.raise_once(session, **ALERT, sentence=f"Sending is held. {reason}", tenant_id=None, at=at)


_PENDING_SINGLE = (Message.campaign_id.is_(None), Message.status == MessageStatus.PENDING)
_OF_CAMPAIGN = and_(Message.campaign_id == Campaign.id, Message.status == MessageStatus.PENDING)


def waits(session: Session, statuses: tuple[CampaignStatus, ...]) -> bool:
    campaign = select(Campaign.id).where(Campaign.status.in_(statuses), exists().where(_OF_CAMPAIGN)).limit(1)
    single = select(Message.id).where(*_PENDING_SINGLE).limit(1)
    return session.scalar(campaign) is not None or session.scalar(single) is not None


def _waiting(session: Session) -> list[Waiting]:
    rows = session.execute(
        select(Campaign, Tenant, func.count(Message.id))
        .join(Tenant, Tenant.id == Campaign.tenant_id)
        .join(Message, _OF_CAMPAIGN)
        .where(Campaign.status.in_(GOES_ON_BY_ITSELF))
        .group_by(Campaign.id, Tenant.id)
        .order_by(Campaign.started_at, Campaign.id)
    )
    return [
        Waiting(
            campaign_id=campaign.id,
            name=campaign.name,
            status=campaign.status,
            tenant_id=tenant.id,
            tenant_slug=tenant.slug,
            tenant_name=tenant.name,
            is_tenant_paused=tenant.sending_status == SendingStatus.DISABLED,
            started_at=campaign.started_at,
            pending=pending,
        )
        for campaign, tenant, pending in rows
    ]


def succeeding(name: str) -> str:
    """A new mark before those it had: who knows any of them knows that a person, or nothing that waited, has
    been between."""
    return ".".join([secrets.token_hex(4), *name.split(".")][:MARKS])

"""Moves: from one state of a campaign to the next, by a person or by itself."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, case, exists, literal, null, select, update
from sqlalchemy.orm import Session

from core import audit, routes
from core.access import SYSTEM, Action, Actor
from core.app import App
from core.campaigns.directory import get_campaign, status
from core.campaigns.views import CampaignView
from core.db.engine import AWAY
from core.db.models import AuditEntry, Campaign, Message, Sender, Tenant
from core.db.states import CampaignStatus, MessageStatus, ProviderName, SendingStatus
from core.errors import Conflict, InputError, SendingPaused
from core.identities import get_identity
from core.routes import Route
from core.tenants import get_tenant

logger = logging.getLogger(__name__)

ROWS_PER_TRANSACTION = 5_000
CANCEL = "cancel campaign"  # in the audit log
# Who may follow whom; every change of state goes through `move`.
MOVES: dict[CampaignStatus, frozenset[CampaignStatus]] = {
    CampaignStatus.DRAFT: frozenset({CampaignStatus.SENDING, CampaignStatus.CANCELLED}),
    CampaignStatus.SCHEDULED: frozenset({CampaignStatus.SENDING, CampaignStatus.CANCELLED}),
    CampaignStatus.SENDING: frozenset({CampaignStatus.PAUSED, CampaignStatus.SENT, CampaignStatus.CANCELLED}),
    CampaignStatus.HOLDING: frozenset(
        {CampaignStatus.SENDING, CampaignStatus.PAUSED, CampaignStatus.SENT, CampaignStatus.CANCELLED}
    ),
    CampaignStatus.PAUSED: frozenset({CampaignStatus.SENDING, CampaignStatus.SENT, CampaignStatus.CANCELLED}),
    CampaignStatus.BLOCKED: frozenset(
        {CampaignStatus.SENDING, CampaignStatus.PAUSED, CampaignStatus.SENT, CampaignStatus.CANCELLED}
    ),
    # A person has those sent again whose fate nobody knows: core/unknown.py.
    CampaignStatus.SENT: frozenset({CampaignStatus.SENDING}),
    CampaignStatus.CANCELLED: frozenset(),
}
PAUSABLE = frozenset(state for state, after in MOVES.items() if CampaignStatus.PAUSED in after)
UNDER_WAY = frozenset(state for state, after in MOVES.items() if CampaignStatus.SENT in after)
ENDED = frozenset({CampaignStatus.SENT, CampaignStatus.CANCELLED})


def start(
    app: App, actor: Actor, tenant_id: int, campaign_id: int, *, announced: Route | None = None
) -> CampaignView:
    """Let the scheduler send it. `announced`: the way that the person was told of (`way_of`); Conflict when
    it is another by now. Raises InputError (mail of its sender may not go), SendingPaused, Conflict."""
    with app.db.begin() as session:
        campaign = _owned(session, actor, tenant_id, campaign_id)
        route = route_of(app, session, campaign)
        if campaign.status not in (CampaignStatus.DRAFT, CampaignStatus.SCHEDULED):
            raise Conflict(_not_possible(campaign, "started"))
        refuse_too_late(session, campaign, app.now())
        if announced is not None and announced != route:
            raise Conflict(
                "Its mail would go another way now than it did a moment ago. "
                f"{route.warning or f'It goes from {route.from_address}.'} Look again."
            )
        told = route.warning or None
        move(session, actor, campaign, CampaignStatus.SENDING, "start campaign", app.now(), reason=told)
        campaign.started_at, campaign.provider = app.now(), route.provider
    return status(app, actor, tenant_id, campaign_id)


def pause(app: App, actor: Actor, tenant_id: int, campaign_id: int, reason: str = "") -> CampaignView:
    """Nothing more of it leaves; what is in flight ends within seconds. A blocked one no longer goes on by
    itself."""
    with app.db.begin() as session:
        campaign = _owned(session, actor, tenant_id, campaign_id)
        if campaign.status not in PAUSABLE:
            raise Conflict(_not_possible(campaign, "paused"))
        by = f"Paused by {actor.username}" + (f": {reason}" if reason else "")
        move(session, actor, campaign, CampaignStatus.PAUSED, "pause campaign", app.now(), reason=by)
    return status(app, actor, tenant_id, campaign_id)


def resume(app: App, actor: Actor, tenant_id: int, campaign_id: int) -> CampaignView:
    """Go on with those who were not written to yet; nobody is written to twice."""
    with app.db.begin() as session:
        campaign = _owned(session, actor, tenant_id, campaign_id)
        if campaign.status not in (CampaignStatus.PAUSED, CampaignStatus.BLOCKED, CampaignStatus.HOLDING):
            raise Conflict(_not_possible(campaign, "resumed"))
        told = route_of(app, session, campaign).warning or None
        refuse_too_late(session, campaign, app.now())
        move(session, actor, campaign, CampaignStatus.SENDING, "resume campaign", app.now(), reason=told)
    return status(app, actor, tenant_id, campaign_id)


def cancel(app: App, actor: Actor, tenant_id: int, campaign_id: int) -> CampaignView:
    """End it: those not written to yet become cancelled. Cannot be undone. It is cancelled at once; its list
    follows in blocks, and should that be cut short `finish_cancelled_due` goes on."""
    now = app.now()
    with app.db.begin() as session:
        campaign = _owned(session, actor, tenant_id, campaign_id)
        if CampaignStatus.CANCELLED not in MOVES[CampaignStatus(campaign.status)]:
            raise Conflict(_not_possible(campaign, "cancelled"))
        move(session, actor, campaign, CampaignStatus.CANCELLED, CANCEL, now)
        campaign.finished_at = now
    try:
        _cancel_waiting(app, campaign_id, actor.username)
    except AWAY:
        logger.warning("campaign %d is cancelled; a job cancels the rest of its list", campaign_id)
    return status(app, actor, tenant_id, campaign_id)


def finish_cancelled_due(app: App) -> str:
    """Job: nobody waits in a cancelled campaign, also when who cancelled it did not get to its list's end."""
    waiting = exists().where(Message.campaign_id == Campaign.id, Message.status == MessageStatus.PENDING)
    query = select(Campaign).where(Campaign.status == CampaignStatus.CANCELLED, waiting).order_by(Campaign.id)
    with app.db.read() as session:
        unfinished = {campaign.id: _who_cancelled(session, campaign) for campaign in session.scalars(query)}
    cancelled = sum(_cancel_waiting(app, campaign_id, by) for campaign_id, by in unfinished.items())
    return f"{cancelled} messages cancelled"


def way_of(app: App, actor: Actor, tenant_id: int, campaign_id: int) -> Route | str:
    """Which way its mail goes now; a str says why it may not, and what to do."""
    actor.must(Action.SEE_TENANT, tenant_id)
    with app.db.read() as session:
        campaign = get_campaign(session, tenant_id, campaign_id)
        return _way(app, session, campaign)


def route_of(app: App, session: Session, campaign: Campaign, *, hold: bool = True) -> Route:
    """Of a campaign that is about to send. `hold`: nobody removes its sender until the transaction ends.

    Raises SendingPaused, InputError."""
    tenant = get_tenant(session, campaign.tenant_id)
    if tenant.sending_status == SendingStatus.DISABLED:
        raise SendingPaused(f"{tenant.name} is paused: {tenant.paused_reason} Resume the tenant first.")
    if hold:
        sender = select(Sender.id).where(Sender.id == campaign.sender_id, Sender.tenant_id == tenant.id)
        session.execute(sender.with_for_update(read=True))
    way = _way(app, session, campaign)
    if isinstance(way, str):
        raise InputError(way, field="sender")
    return way


def never_sent(status: MessageStatus, reason: str | ColumnElement[str], by: str) -> dict[str, Any]:
    """Values for those who wait no more, or were refused. One that was to be sent again is as unknown as it
    was: its first attempt may have arrived."""
    is_again = Message.resent_by.is_not(None)
    again = literal("Its first attempt was never reported, and it was not sent again: ") + reason
    return {
        "status": case((is_again, MessageStatus.UNKNOWN.value), else_=status.value),
        "reason": case((is_again, again), else_=reason),
        "left_by": case((is_again, by), else_=null()),
    }


def block_waiting(session: Session, campaign_id: int, after: int) -> list[int]:
    """Those beyond `after` who wait, as many as one transaction writes, held in the order in which everybody
    locks them."""
    query = (
        select(Message.id)
        .where(Message.campaign_id == campaign_id, Message.status == MessageStatus.PENDING)
        .where(Message.id > after)
        .order_by(Message.id)
        .limit(ROWS_PER_TRANSACTION)
        .with_for_update()
    )
    return list(session.scalars(query))


def refuse_too_late(session: Session, campaign: Campaign, now: datetime) -> None:
    """Conflict when its last moment has passed."""
    if campaign.send_until is None or campaign.send_until > now:
        return
    until = last_moment(session, campaign)
    remedy = "" if campaign.status in ENDED else " Give it a later moment first (change its pace)."
    raise Conflict(f"“{campaign.name}” was not to be sent after {until}, and that has passed.{remedy}")


def last_moment(session: Session, campaign: Campaign) -> str:
    """In words, in the tenant's time zone."""
    zone = session.get_one(Tenant, campaign.tenant_id).timezone
    if campaign.send_until is None:
        return "no moment"
    there = campaign.send_until.astimezone(ZoneInfo(zone))
    return f"{there.day} {there:%b %Y, %H:%M} ({zone})"


def move(
    session: Session,
    actor: Actor,
    campaign: Campaign,
    to: CampaignStatus,
    action: str,
    at: datetime,
    reason: str | None = None,
    **detail: int,
) -> None:
    """Change the state, once: a second person who pressed at the same moment is told (Conflict)."""
    if to not in MOVES[CampaignStatus(campaign.status)]:
        raise Conflict(_not_possible(campaign, action))
    changed = session.execute(
        update(Campaign)
        .where(Campaign.id == campaign.id, Campaign.status == campaign.status)
        .values(status=to, status_reason=reason, version=Campaign.version + 1)
    )
    if changed.rowcount != 1:  # type: ignore[attr-defined]  # an UPDATE's result has it
        raise Conflict(f"Somebody else changed “{campaign.name}” just now. Look again.")
    session.refresh(campaign)
    audit.record(
        session,
        actor,
        action,
        f"campaign {campaign.id}",
        at=at,
        tenant_id=campaign.tenant_id,
        name=campaign.name,
        **detail,
    )


def _cancel_waiting(app: App, campaign_id: int, by: str) -> int:
    """Of a campaign that is cancelled already: neither it nor its lane is held meanwhile. Whoever comes back
    to it behind this one is cancelled by the one who puts it back: core/sending/record.py."""
    cancelled = after = 0
    reason = f"The campaign was cancelled by {by}."
    while True:
        with app.db.begin() as session:
            ids = block_waiting(session, campaign_id, after)
            if not ids:
                return cancelled
            session.execute(
                update(Message)
                .where(Message.id.in_(ids), Message.status == MessageStatus.PENDING)
                .values(never_sent(MessageStatus.CANCELLED, reason, by))
            )
        cancelled += len(ids)
        after = ids[-1]


def _who_cancelled(session: Session, campaign: Campaign) -> str:
    query = select(AuditEntry.actor).where(
        AuditEntry.tenant_id == campaign.tenant_id,
        AuditEntry.action == CANCEL,
        AuditEntry.subject == f"campaign {campaign.id}",
    )
    return session.scalar(query.limit(1)) or SYSTEM.username


def _owned(session: Session, actor: Actor, tenant_id: int, campaign_id: int) -> Campaign:
    actor.must(Action.RUN_CAMPAIGN, tenant_id)
    return get_campaign(session, tenant_id, campaign_id)


def _way(app: App, session: Session, campaign: Campaign) -> Route | str:
    """`routes` says why a campaign that was sending stops; before the start there is something to do."""
    tenant = get_tenant(session, campaign.tenant_id)
    fallback = routes.fallback_address(app)
    way = routes.of_sender(session, tenant.id, campaign.sender_id, fallback, campaign=True)
    if isinstance(way, Route):
        if way.provider == ProviderName.SES and tenant.provisioned_at is None:
            return f"{tenant.name} is not set up in Amazon SES yet. Repair it on the Tenants page."
        return way
    sender = session.get_one(Sender, campaign.sender_id)
    if sender.deleted_at is not None:
        return f"{way} Restore it on the Senders page, or make the campaign anew with another sender."
    identity = get_identity(session, tenant.id, sender.identity_id)
    if not identity.verified_for_sending:
        return (
            f"The sender {sender.address} is not verified. Publish the DNS records of {identity.name} "
            "(Senders page, or: postyard senders records), verify it, then start."
        )
    return (
        f"DKIM of {identity.name} is not verified, and receivers refuse campaigns without it. Publish "
        "its three CNAME records (Senders page, or: postyard senders records), verify it, then start."
    )


def _not_possible(campaign: Campaign, verb: str) -> str:
    return f"“{campaign.name}” is {campaign.status}, so it cannot be {verb}. Reload to see its present state."

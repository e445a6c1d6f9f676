"""Pace: how fast a campaign is sent at most, and the moment after which nobody is written to any more."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import exists, func, select, update
from sqlalchemy.orm import Session

from core import audit
from core.access import SYSTEM, Action, Actor
from core.app import App
from core.campaigns.directory import get_campaign, status
from core.campaigns.moves import ENDED, UNDER_WAY, block_waiting, last_moment, move, never_sent
from core.campaigns.views import CampaignView
from core.db.conflicts import one_wins
from core.db.models import Campaign, Message
from core.db.states import CampaignStatus, MessageStatus
from core.errors import Conflict, InputError

FASTEST = 10_000.0
WAITING = (MessageStatus.PENDING, MessageStatus.SENDING)


def refuse_impossible(rate_per_second: float | None, send_until: datetime | None, now: datetime) -> None:
    """InputError for a pace that nothing could be sent at."""
    if rate_per_second is not None and not 0 < rate_per_second <= FASTEST:
        raise InputError(
            f"A campaign's rate is more than 0 and at most {FASTEST:,.0f} a second. "
            "Leave it empty for as fast as the account allows.",
            field="rate_per_second",
        )
    if send_until is not None and send_until <= now:
        raise InputError(
            "The moment after which nothing is sent has passed already. Choose a later one, or none.",
            field="send_until",
        )


def set_pace(
    app: App,
    actor: Actor,
    tenant_id: int,
    campaign_id: int,
    *,
    rate_per_second: float | None,
    send_until: datetime | None,
) -> CampaignView:
    """Both as given, None for no such limit; also while it is being sent. Raises InputError, Conflict (it has
    ended, or is changed at the same moment)."""
    actor.must(Action.RUN_CAMPAIGN, tenant_id)
    refuse_impossible(rate_per_second, send_until, app.now())
    with one_wins("the campaign"), app.db.begin() as session:
        campaign = get_campaign(session, tenant_id, campaign_id, lock=True)
        if campaign.status in ENDED:
            raise Conflict(f"“{campaign.name}” has ended, so its pace means nothing any more.")
        if rate_per_second != campaign.rate_per_second:
            campaign.next_at = None  # of the old rate
        campaign.rate_per_second, campaign.send_until = rate_per_second, send_until
        audit.record(
            session,
            actor,
            "set pace of campaign",
            f"campaign {campaign.id}",
            at=app.now(),
            tenant_id=tenant_id,
            rate_per_second=rate_per_second,
            send_until=send_until.isoformat() if send_until else None,
        )
    return status(app, actor, tenant_id, campaign_id)


def expire_due(app: App) -> str:
    """Whoever still waits in a campaign whose last moment has passed becomes expired, and the campaign ends
    once nothing of it is in flight. One that never started keeps its list: it cannot start as it is."""
    due = (
        select(Campaign.tenant_id, Campaign.id)
        .where(Campaign.send_until <= app.now(), Campaign.status.in_(UNDER_WAY))
        .order_by(Campaign.id)
    )
    with app.db.read() as session:
        campaigns = session.execute(due).all()
    expired = sum(_expire(app, tenant_id, campaign_id) for tenant_id, campaign_id in campaigns)
    return f"{expired} messages expired"


def _expire(app: App, tenant_id: int, campaign_id: int) -> int:
    expired = after = 0
    while True:
        with one_wins("the campaign"), app.db.begin() as session:
            campaign = get_campaign(session, tenant_id, campaign_id, lock=True)
            if not _is_over(campaign, app.now()):  # it was given more time, or ended otherwise
                return expired
            ids = block_waiting(session, campaign.id, after)
            if not ids:
                _end(session, campaign, app.now())
                return expired
            session.execute(
                update(Message)
                .where(Message.id.in_(ids), Message.status == MessageStatus.PENDING)
                .values(
                    never_sent(
                        MessageStatus.EXPIRED,
                        f"The campaign was not to be sent after {last_moment(session, campaign)}.",
                        SYSTEM.username,
                    )
                )
            )
        expired += len(ids)
        after = ids[-1]


def _is_over(campaign: Campaign, now: datetime) -> bool:
    return campaign.status in UNDER_WAY and campaign.send_until is not None and campaign.send_until <= now


def _end(session: Session, campaign: Campaign, now: datetime) -> None:
    """What is in flight may still come back; then the next run ends it."""
    if session.scalar(
        select(exists().where(Message.campaign_id == campaign.id, Message.status.in_(WAITING)))
    ):
        return
    expired = session.scalar(
        select(func.count()).where(
            Message.campaign_id == campaign.id, Message.status == MessageStatus.EXPIRED
        )
    )
    reason = None
    if expired:
        people = "1 recipient was" if expired == 1 else f"{expired:,} recipients were"
        reason = f"{people} not written to: it was not to be sent after {last_moment(session, campaign)}."
    move(
        session, SYSTEM, campaign, CampaignStatus.SENT, "end campaign at its last moment", now, reason,
        expired=expired or 0,
    )  # fmt: skip
    campaign.finished_at = now

"""Views: campaigns as people see them, with the eleven counts of their messages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import installation, limits
from core.db.models import Account, Campaign, Identity, Message, Sender, Tenant
from core.db.states import CampaignStatus, MessageStatus, ProviderName, SendingStatus
from core.lanes import find_lane, is_closed, lane_of
from core.tenants import limits as tenant_limits


@dataclass(frozen=True, slots=True)
class CampaignView:
    """A campaign as people see it. `counts` has all eleven message states and sums to the recipients.

    `held_reason`: why a campaign that is SENDING does not move: tenant paused, account closed."""

    campaign: Campaign
    sender: Sender
    identity: Identity
    counts: dict[str, int]
    held_reason: str | None
    account_rate: float  # recipients per second that its account allows

    @property
    def recipients(self) -> int:
        return sum(self.counts.values())

    @property
    def adds_up(self) -> bool:
        """Everybody of the list is in one of the states: nobody was lost, nobody came in twice."""
        return self.recipients == self.campaign.recipients

    @property
    def done(self) -> int:
        """Recipients for whom nothing more will be tried."""
        return self.recipients - self.counts["pending"] - self.counts["sending"]


def views_of(
    session: Session, now: datetime, tenant_id: int, campaign_id: int | None = None
) -> list[CampaignView]:
    query = select(Campaign, Sender, Identity, Tenant, Account)
    query = query.join(Sender, Sender.id == Campaign.sender_id)
    query = query.join(Identity, Identity.id == Sender.identity_id)
    query = query.join(Tenant, Tenant.id == Campaign.tenant_id).join(Account, Account.id == Tenant.account_id)
    query = query.where(Campaign.tenant_id == tenant_id)
    query = query.order_by(Campaign.created_at.desc(), Campaign.id.desc())
    counts = select(Message.campaign_id, Message.status, func.count()).group_by(
        Message.campaign_id, Message.status
    )
    if campaign_id is None:
        counts = counts.where(
            Message.campaign_id.in_(select(Campaign.id).where(Campaign.tenant_id == tenant_id))
        )
    else:
        query = query.where(Campaign.id == campaign_id)
        counts = counts.where(Message.campaign_id == campaign_id)
    by_campaign: dict[int | None, dict[str, int]] = {}
    for of_campaign, state, count in session.execute(counts):
        by_campaign.setdefault(of_campaign, {})[state] = count
    return [
        CampaignView(
            campaign,
            sender,
            identity,
            {state.value: by_campaign.get(campaign.id, {}).get(state, 0) for state in MessageStatus},
            _held(session, campaign, tenant, account, now),
            account.max_send_rate,
        )
        for campaign, sender, identity, tenant, account in session.execute(query)
    ]


def _held(
    session: Session, campaign: Campaign, tenant: Tenant, account: Account, now: datetime
) -> str | None:
    if campaign.status != CampaignStatus.SENDING:
        return None
    if tenant.sending_status == SendingStatus.DISABLED:
        return f"{tenant.name} is paused: {tenant.paused_reason}"
    if installation.held_reason(session) is not None:
        return "All sending is held; an operator looks at it."
    by_ses = campaign.provider == ProviderName.SES
    if by_ses and not account.sending_enabled:
        return "Amazon SES has paused sending for this account."
    lane = find_lane(session, lane_of(account.id) if by_ses else ProviderName.RESEND)
    if lane is not None and is_closed(lane, now):
        again = (lane.closed_until or now).astimezone(ZoneInfo(tenant.timezone))
        reason = (lane.closed_reason or "Sending is closed for a while").removesuffix(".")
        return f"{reason}. Looked at again at {again:%H:%M} ({tenant.timezone})."
    spent = tenant_limits.left(session, tenant, now)
    if spent is not None and spent[2]:
        return spent[2]
    if not by_ses or lane is None:
        return None
    return limits.of_24_hours(session, account, lane, transactional=False, now=now).reason or None

"""Directory: campaigns and their messages, looked up."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.access import Action, Actor
from core.app import App
from core.campaigns.views import CampaignView, views_of
from core.db.models import Campaign, Message
from core.errors import NotFound

LARGEST_ID = 2**31 - 1  # of a PostgreSQL integer


def status(app: App, actor: Actor, tenant_id: int, campaign_id: int) -> CampaignView:
    """The campaign with its eleven counts. Raises NotFound."""
    actor.must(Action.SEE_TENANT, tenant_id)
    with app.db.read() as session:
        get_campaign(session, tenant_id, campaign_id)
        return views_of(session, app.now(), tenant_id, campaign_id)[0]


def list_campaigns(app: App, actor: Actor, tenant_id: int) -> list[CampaignView]:
    """Newest first."""
    actor.must(Action.SEE_TENANT, tenant_id)
    with app.db.read() as session:
        return views_of(session, app.now(), tenant_id)


def list_messages(
    app: App,
    actor: Actor,
    tenant_id: int,
    campaign_id: int,
    *,
    status: str | None = None,
    after_id: int = 0,
    limit: int = 100,
) -> list[Message]:
    """Its recipients in the order of the list; `after_id` continues below a message."""
    actor.must(Action.SEE_ADDRESSES, tenant_id)
    query = select(Message).where(Message.campaign_id == campaign_id, Message.tenant_id == tenant_id)
    if status is not None:
        query = query.where(Message.status == status)
    with app.db.read() as session:
        get_campaign(session, tenant_id, campaign_id)
        return list(session.scalars(query.where(Message.id > after_id).order_by(Message.id).limit(limit)))


def find_tenant_of(app: App, actor: Actor, campaign_id: int) -> int:
    """The tenant of a campaign known by its number alone. Raises NotFound, also for another tenant's."""
    if not 0 < campaign_id <= LARGEST_ID:
        raise NotFound(_no_campaign(campaign_id))
    with app.db.read() as session:
        tenant_id = session.scalar(select(Campaign.tenant_id).where(Campaign.id == campaign_id))
    if tenant_id is None or not actor.sees(tenant_id):
        raise NotFound(_no_campaign(campaign_id))
    return tenant_id


def get_campaign(session: Session, tenant_id: int, campaign_id: int, *, lock: bool = False) -> Campaign:
    """`lock`: nobody changes it until the transaction ends. Locked before its messages, as a claim does."""
    query = select(Campaign).where(Campaign.id == campaign_id, Campaign.tenant_id == tenant_id)
    if lock:
        query = query.with_for_update(key_share=True).execution_options(populate_existing=True)
    campaign = session.scalar(query)
    if campaign is None:
        raise NotFound(_no_campaign(campaign_id))
    return campaign


def _no_campaign(campaign_id: int) -> str:
    return f"There is no campaign {campaign_id}. The Campaigns page lists them."

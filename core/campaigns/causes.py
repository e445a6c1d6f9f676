"""Causes: the campaigns that a tenant was paused for, as the audit log names them with its pause."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from core.access import Action, Actor
from core.app import App
from core.campaigns.moves import ENDED
from core.db.models import AuditEntry, Campaign
from core.db.states import SendingStatus
from core.tenants import get_tenant

PAUSED = "pause tenant"  # in the audit log


@dataclass(frozen=True, slots=True)
class Cause:
    """A campaign that goes on when its tenant is resumed; `bad` of `outcomes` when that was paused.
    `is_alone`: it was paused for this campaign, and no other."""

    campaign: Campaign
    bad: int
    outcomes: int
    is_alone: bool


def causes_of_pause(app: App, actor: Actor, tenant_id: int) -> list[Cause]:
    """Of a tenant that is paused, those that are not over; the worst first. None where a person paused."""
    actor.must(Action.SEE_TENANT, tenant_id)
    with app.db.read() as session:
        if get_tenant(session, tenant_id).sending_status != SendingStatus.DISABLED:
            return []
        query = select(AuditEntry.detail).where(
            AuditEntry.tenant_id == tenant_id, AuditEntry.action == PAUSED
        )
        detail: dict[str, Any] = session.scalar(query.order_by(AuditEntry.id.desc()).limit(1)) or {}
        named: dict[int, Any] = {each["id"]: each for each in detail.get("campaigns", ())}
        campaigns = session.scalars(
            select(Campaign)
            .where(Campaign.tenant_id == tenant_id, Campaign.id.in_(named))
            .where(Campaign.status.not_in(ENDED))
        )
        going_on = {campaign.id: campaign for campaign in campaigns}
    is_alone = len(named) == 1 and str(detail.get("scope", "")).startswith("campaign ")
    return [
        Cause(going_on[id_], each["bad"], each["outcomes"], is_alone)
        for id_, each in named.items()
        if id_ in going_on
    ]

"""Routes: which way mail of a sender goes now: through SES, through the second provider, or not at all.

The second provider sends from the installation's own address, because the sender's domain is not verified
there either; replies go to the sender.
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import formataddr, parseaddr
from typing import Protocol

from sqlalchemy import and_, exists, not_, or_, select
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement

from core.app import App
from core.db.models import Identity, Sender, Tenant
from core.db.states import FallbackPolicy, ProviderName, VerificationStatus
from core.errors import NotFound
from core.identities import DOMAIN, why_no_campaign
from core.senders.rows import NO_SENDER
from core.tenants import get_tenant


class Standing(Protocol):
    """What decides: a row with these columns, see COLUMNS."""

    fallback_policy: str
    tenant_name: str
    address: str
    display_name: str
    is_removed: bool
    identity_name: str
    identity_type: str
    verified_for_sending: bool
    dkim_status: str
    has_verified_domain: bool


@dataclass(frozen=True, slots=True)
class Route:
    """`warning`: what people must know before the start, empty when mail goes as they expect."""

    provider: ProviderName
    from_address: str  # "Name <address>" or the bare address
    reply_to: str = ""
    warning: str = ""


def _has_verified_domain() -> ColumnElement[bool]:
    other = Identity.__table__.alias("any_identity")
    return exists(
        select(other.c.id).where(
            other.c.tenant_id == Tenant.id,
            other.c.type == DOMAIN,
            other.c.verified_for_sending,
            other.c.dkim_status == VerificationStatus.SUCCESS,
        )
    ).correlate(Tenant)


# Of a query that joins Tenant, Sender and Identity.
COLUMNS = (
    Tenant.fallback_policy,
    Tenant.name.label("tenant_name"),
    Sender.address,
    Sender.display_name,
    Sender.deleted_at.is_not(None).label("is_removed"),
    Identity.name.label("identity_name"),
    Identity.type.label("identity_type"),
    Identity.verified_for_sending,
    Identity.dkim_status,
    _has_verified_domain().label("has_verified_domain"),
)


def own_way(*, campaign: bool) -> ColumnElement[bool]:
    """SQL for what `route` sends through SES."""
    verified = and_(Sender.deleted_at.is_(None), Identity.verified_for_sending)
    if not campaign:
        return verified
    return and_(verified, or_(Identity.type != DOMAIN, Identity.dkim_status == VerificationStatus.SUCCESS))


def second_way(*, campaign: bool) -> ColumnElement[bool]:
    """SQL for what `route` sends through the second provider, where there is one."""
    fallen_back = or_(
        Tenant.fallback_policy == FallbackPolicy.UNMATCHED_SENDER.value,
        and_(Tenant.fallback_policy == FallbackPolicy.NO_VERIFIED_DOMAIN.value, not_(_has_verified_domain())),
    )
    return and_(not_(own_way(campaign=campaign)), fallen_back)


def route(standing: Standing, fallback_from: str, *, campaign: bool) -> Route | str:
    """`fallback_from`: see `fallback_address`. A str says why nothing may go, and what to do."""
    obstacle = _obstacle(standing, campaign=campaign)
    if obstacle is None:
        return Route(ProviderName.SES, formataddr((standing.display_name, standing.address)))
    if not fallback_from or not _may_fall_back(standing):
        return obstacle
    address = parseaddr(fallback_from)[1]
    return Route(
        ProviderName.RESEND,
        formataddr((standing.display_name or standing.tenant_name, address)),
        reply_to=standing.address,
        warning=f"{_why(standing)} Its mail goes through Resend, from {address}; replies go to "
        f"{standing.address}.",
    )


def of_sender(
    session: Session, tenant_id: int, sender_id: int, fallback_from: str, *, campaign: bool
) -> Route | str:
    """The way of a sender's mail now; a removed sender's too. Raises NotFound."""
    get_tenant(session, tenant_id)
    query = (
        select(*COLUMNS)
        .select_from(Sender)
        .join(Tenant, Tenant.id == Sender.tenant_id)
        .join(Identity, Identity.id == Sender.identity_id)
        .where(Sender.id == sender_id, Sender.tenant_id == tenant_id)
    )
    standing = session.execute(query).first()
    if standing is None:
        raise NotFound(NO_SENDER)
    return route(standing, fallback_from, campaign=campaign)


def fallback_address(app: App) -> str:
    """Empty: this installation has no second provider."""
    return app.settings.resend_from if app.settings.resend_api_key is not None else ""


def _obstacle(standing: Standing, *, campaign: bool) -> str | None:
    if standing.is_removed:
        return f"The sender {standing.address} was removed."
    if campaign:
        return why_no_campaign(
            standing.identity_name,
            standing.identity_type,
            standing.verified_for_sending,
            standing.dkim_status,
        )
    if not standing.verified_for_sending:
        return f"{standing.address} is not verified. Publish its DNS records, then verify it."
    return None


def _may_fall_back(standing: Standing) -> bool:
    if standing.fallback_policy == FallbackPolicy.UNMATCHED_SENDER:
        return True
    return standing.fallback_policy == FallbackPolicy.NO_VERIFIED_DOMAIN and not standing.has_verified_domain


def _why(standing: Standing) -> str:
    if standing.is_removed:
        return f"The sender {standing.address} was removed."
    if not standing.has_verified_domain:
        return f"{standing.tenant_name} has no verified domain."
    return f"{standing.identity_name} is not verified."

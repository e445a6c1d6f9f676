"""Directory: what is on a tenant's list, and how each entry came there and went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.access import Action, Actor
from core.app import App
from core.db.models import Campaign, Event, Suppression
from core.errors import NotFound
from core.suppressions.domains import domain_entry_of
from core.suppressions.entries import active
from core.tenants import get_tenant

MOST_EARLIER = 50


@dataclass(frozen=True, slots=True)
class Story:
    """An entry with what said so, and the earlier entries of the same address, newest first. `domain`: the
    entry in force that covers everybody at its domain as well."""

    entry: Suppression
    event: Event | None
    campaign_name: str | None
    earlier: list[Suppression]
    domain: Suppression | None


def list_suppressions(
    app: App,
    actor: Actor,
    tenant_id: int,
    *,
    search: str = "",
    reason: str | None = None,
    before_id: int | None = None,
    limit: int = 100,
) -> list[Suppression]:
    """What is suppressed now, newest first; `search`: part of an address, `before_id`: continue below one."""
    actor.must(Action.SEE_SUPPRESSIONS, tenant_id)
    query = select(Suppression).where(*wanted(tenant_id, search, reason))
    if before_id is not None:
        query = query.where(Suppression.id < before_id)
    with app.db.read() as session:
        get_tenant(session, tenant_id)
        return list(session.scalars(query.order_by(Suppression.id.desc()).limit(limit)))


def count(app: App, actor: Actor, tenant_id: int, *, search: str = "", reason: str | None = None) -> int:
    actor.must(Action.SEE_SUPPRESSIONS, tenant_id)
    with app.db.read() as session:
        get_tenant(session, tenant_id)
        return count_wanted(session, tenant_id, search, reason)


def story(app: App, actor: Actor, tenant_id: int, suppression_id: int) -> Story:
    """Raises NotFound."""
    actor.must(Action.SEE_SUPPRESSIONS, tenant_id)
    with app.db.read() as session:
        get_tenant(session, tenant_id)
        query = select(Suppression).where(
            Suppression.tenant_id == tenant_id, Suppression.id == suppression_id
        )
        entry = session.scalars(query).one_or_none()
        if entry is None:
            raise NotFound("There is no such entry on the suppression list.")
        return Story(
            entry=entry,
            event=_event_of(session, entry),
            campaign_name=_campaign_name(session, entry),
            earlier=_earlier(session, entry),
            domain=_domain_of(session, entry),
        )


def wanted(tenant_id: int, search: str, reason: str | None) -> list[Any]:
    """Conditions of the entries in force that a search and a reason leave."""
    conditions: list[Any] = [*active(tenant_id)]
    if search.strip():
        conditions.append(Suppression.address.contains(search.strip().lower(), autoescape=True))
    if reason is not None:
        conditions.append(Suppression.reason == reason)
    return conditions


def count_wanted(session: Session, tenant_id: int, search: str = "", reason: str | None = None) -> int:
    query = select(func.count()).select_from(Suppression).where(*wanted(tenant_id, search, reason))
    return session.scalar(query) or 0


def _event_of(session: Session, entry: Suppression) -> Event | None:
    query = select(Event).where(Event.id == entry.event_id, Event.tenant_id == entry.tenant_id)
    return session.scalars(query).one_or_none()


def _campaign_name(session: Session, entry: Suppression) -> str | None:
    query = select(Campaign.name).where(
        Campaign.id == entry.campaign_id, Campaign.tenant_id == entry.tenant_id
    )
    return session.scalar(query)


def _earlier(session: Session, entry: Suppression) -> list[Suppression]:
    query = select(Suppression).where(
        Suppression.tenant_id == entry.tenant_id,
        Suppression.address == entry.address,
        Suppression.released_at.is_not(None),
        Suppression.id != entry.id,
    )
    return list(session.scalars(query.order_by(Suppression.id.desc()).limit(MOST_EARLIER)))


def _domain_of(session: Session, entry: Suppression) -> Suppression | None:
    query = select(Suppression).where(
        *active(entry.tenant_id),
        Suppression.address == domain_entry_of(entry.address),
        Suppression.id != entry.id,
    )
    return session.scalars(query).one_or_none()

"""Directory: which tenants there are, and who sees them."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.access import Action, Actor
from core.app import App
from core.db.models import Tenant
from core.errors import NotFound


def list_tenants(app: App, actor: Actor) -> list[Tenant]:
    """Those the actor sees, by name."""
    actor.must(Action.SEE_TENANT)
    query = select(Tenant).order_by(Tenant.name, Tenant.id)
    if actor.tenant_ids is not None:
        query = query.where(Tenant.id.in_(actor.tenant_ids))
    with app.db.read() as session:
        return list(session.scalars(query))


def get_by_slug(app: App, actor: Actor, slug: str) -> Tenant:
    actor.must(Action.SEE_TENANT)
    with app.db.read() as session:
        tenant = find_by_slug(session, slug)
    if tenant is None or not actor.sees(tenant.id):
        raise NotFound(f"There is no tenant '{slug}'. postyard tenants list shows them.")
    return tenant


def get_tenant(session: Session, tenant_id: int) -> Tenant:
    if tenant := session.get(Tenant, tenant_id):
        return tenant
    raise NotFound("There is no such tenant.")


def lock_tenant(session: Session, tenant_id: int) -> Tenant:
    """Held until the transaction ends, but not against rows that refer to it: whoever raises an alert may
    hold what this transaction asks for next."""
    if tenant := session.get(Tenant, tenant_id, with_for_update={"key_share": True}):
        return tenant
    raise NotFound("There is no such tenant.")


def find_by_slug(session: Session, slug: str) -> Tenant | None:
    return session.scalar(select(Tenant).where(Tenant.slug == slug))

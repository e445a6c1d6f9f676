"""Resources: what was last seen of the things a tenant needs in AWS, one row each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.db.models import TenantResource
from core.db.upsert import insert
from core.tenants.plan import Seen


def keep(session: Session, tenant_id: int, position: int, seen: Seen, at: datetime) -> None:
    said = {
        "position": position,
        "name": seen.name,
        "state": seen.found.state,
        "detail": seen.found.detail,
        "checked_at": at,
    }
    session.execute(
        insert(session, TenantResource)
        .values(tenant_id=tenant_id, key=seen.key, **said)
        .on_conflict_do_update(index_elements=["tenant_id", "key"], set_=said)
    )


def keep_all(session: Session, tenant_id: int, seen: Sequence[Seen], at: datetime) -> None:
    """These and no others: what the tenant needs no longer goes."""
    keys = [each.key for each in seen]
    session.execute(
        delete(TenantResource).where(TenantResource.tenant_id == tenant_id, TenantResource.key.not_in(keys))
    )
    for position, each in enumerate(seen):
        keep(session, tenant_id, position, each, at)


def list_resources(session: Session, tenant_id: int) -> list[TenantResource]:
    """In the order of the plan; those of identities after it."""
    query = select(TenantResource).where(TenantResource.tenant_id == tenant_id)
    return list(session.scalars(query.order_by(TenantResource.position, TenantResource.key)))

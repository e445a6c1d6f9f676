"""Resources: what was last seen of the things a tenant needs in AWS, one row each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.db.models import TenantResource
from core.db.states import ResourceState
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
    if seen.found.state != ResourceState.UNKNOWN:
        said["last_known"] = seen.found.state
    session.execute(
        insert(session, TenantResource)
        .values(tenant_id=tenant_id, key=seen.key, **said)
        .on_conflict_do_update(index_elements=["tenant_id", "key"], set_=said)
    )


def keep_all(
    session: Session, tenant_id: int, seen: Sequence[Seen], at: datetime, *, keys: Sequence[str]
) -> None:
    """`keys`: all that the tenant needs, in order; the rest goes, and what was not seen of them stays."""
    session.execute(
        delete(TenantResource).where(TenantResource.tenant_id == tenant_id, TenantResource.key.not_in(keys))
    )
    for each in seen:
        keep(session, tenant_id, keys.index(each.key), each, at)


def when_checked(session: Session, tenant_id: int) -> dict[str, datetime]:
    query = select(TenantResource.key, TenantResource.checked_at)
    return {
        row.key: row.checked_at for row in session.execute(query.where(TenantResource.tenant_id == tenant_id))
    }


def list_resources(session: Session, tenant_id: int) -> list[TenantResource]:
    """In the order of the plan; those of identities after it."""
    query = select(TenantResource).where(TenantResource.tenant_id == tenant_id)
    return list(session.scalars(query.order_by(TenantResource.position, TenantResource.key)))

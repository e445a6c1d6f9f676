"""Drift: what AWS has of a tenant compared with what it should have, kept, told once, and mended on demand.

To look at a tenant with n identities costs 4 + n of SES's control operations, of which it answers about one
a second; to mend it as many again, and one to three for each thing that differs. What else is associated
with the SES tenant is shown and left alone: nobody here knows who needs it.

looking.py asks AWS, keeping.py stores what it said and tells of it, mending.py mends the identities.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Select, exists, func, or_, select

from core import tenants
from core.access import Action, Actor
from core.app import App
from core.db.models import Tenant, TenantResource
from core.db.states import ResourceState
from core.drift.keeping import ALERT, keep
from core.drift.looking import look_at_tenant
from core.drift.mending import mend_identities, with_failures

__all__ = ["ALERT", "check", "check_due", "differences", "repair", "resources"]

CHECK_EVERY = timedelta(days=1)
TRY_AGAIN_AFTER = timedelta(hours=1)
CLOCKS_DIFFER = timedelta(minutes=5)
DUE_AT_ONCE = 5
SILENT_IN_A_ROW = 3  # then AWS is away, and not only for one tenant


def resources(app: App, actor: Actor, tenant_id: int) -> list[TenantResource]:
    """What was last seen of everything the tenant needs in AWS; asks nobody."""
    actor.must(Action.SEE_TENANT, tenant_id)
    with app.db.read() as session:
        tenants.get_tenant(session, tenant_id)
        return tenants.list_resources(session, tenant_id)


def differences(app: App, actor: Actor, tenant_id: int) -> list[TenantResource]:
    """Those of them that are not as they should be, or of which nothing is known."""
    return [row for row in resources(app, actor, tenant_id) if row.state != ResourceState.DONE]


def check(app: App, actor: Actor, tenant_id: int) -> list[TenantResource]:
    """Ask AWS about everything and keep what it says. Where it does not answer things are unknown."""
    actor.must(Action.REPAIR_TENANT, tenant_id)
    return keep(app, look_at_tenant(app, tenant_id))


def repair(app: App, actor: Actor, tenant_id: int) -> list[TenantResource]:
    """Look, make or mend what is not as it should be, and look again. ProviderError where the tenant itself
    cannot be mended; an identity that cannot is failed in the answer, and the others go on."""
    actor.must(Action.REPAIR_TENANT, tenant_id)
    look = look_at_tenant(app, tenant_id)
    found = {each.key: each.found for each in look.seen}
    mended = tenants.make(app, tenant_id, found)
    tenants.complete(app, tenant_id, "repair tenant", by=actor, mended=mended)
    failed = mend_identities(app, tenants.place_of(app, tenant_id), found, by=actor)
    if all(each.state == ResourceState.DONE for each in found.values()):
        return keep(app, look)
    look = look_at_tenant(app, tenant_id)
    return keep(app, replace(look, seen=with_failures(look.seen, failed)))


def check_due(app: App) -> str:
    """Job: look at each tenant once a day, a few in a run. One that AWS does not answer for is tried again
    later, after the others; the run ends early when several in a row are such."""
    with app.db.read() as session:
        due = list(session.scalars(_due(app.now())))
    checked = silent = 0
    for tenant_id in due:
        look = look_at_tenant(app, tenant_id)
        keep(app, look)
        checked += look.answered
        silent = 0 if look.answered else silent + 1
        if silent == SILENT_IN_A_ROW:
            break
    return f"Compared {checked} of {len(due)} tenants with what AWS has."


def _due(at: datetime) -> Select[int]:
    last = func.coalesce(Tenant.drift_checked_at, Tenant.provisioned_at)
    tried = exists().where(
        TenantResource.tenant_id == Tenant.id,
        TenantResource.checked_at.between(at - TRY_AGAIN_AFTER, at),
    )
    return (
        select(Tenant.id)
        .where(Tenant.provisioned_at.is_not(None), ~tried)
        .where(or_(last < at - CHECK_EVERY, last > at + CLOCKS_DIFFER))  # written while a clock was wrong
        .order_by(last, Tenant.id)
        .limit(DUE_AT_ONCE)
    )

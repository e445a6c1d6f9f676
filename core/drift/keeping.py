"""Keeping: what was seen is stored, but for what changed meanwhile, and told as long as it differs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from sqlalchemy import update
from sqlalchemy.orm import Session

from core import alerts, tenants
from core.app import App
from core.db.models import Identity, Tenant, TenantResource
from core.db.states import ResourceState
from core.drift.looking import ASSOCIATION_OF, Look, is_begun, keys_of, live, strangers
from core.tenants import Seen

ALERT = "drift"
SHOWN = 3  # in an alert; the tenant's set-up has them all
PLAN_KEYS = tuple(step.key for step in tenants.PLAN)
DIFFERENCES = (ResourceState.MISSING, ResourceState.DIFFERENT, ResourceState.FAILED)


def keep(app: App, look: Look) -> list[TenantResource]:
    """Store what was seen, but for what somebody made, changed or removed while we looked."""
    tenant_id = look.place.tenant.id
    with app.db.begin() as session:
        tenant = tenants.lock_tenant(session, tenant_id)
        identities = {each.name: each for each in live(session, tenant_id) if is_begun(each)}
        checked = tenants.when_checked(session, tenant_id)
        seen = [*look.seen, *strangers(session, look)]
        seen = [each for each in seen if _still_holds(each, look, tenant, identities, checked, app.now())]
        keys = [*PLAN_KEYS, *(key for each in identities.values() for key in keys_of(each))]
        others = _foreign(checked) if look.associations is None else []
        others += [each.key for each in seen if each.key not in keys]
        tenants.keep_all(session, tenant_id, seen, look.at, keys=[*keys, *dict.fromkeys(others)])
        if look.answered:
            session.execute(
                update(Tenant)
                .where(Tenant.id == tenant_id)
                .values(drift_checked_at=app.now(), reputation_due=True)
            )
        rows = tenants.list_resources(session, tenant_id)
        _tell(session, tenant, rows, app.now())
        return rows


def _still_holds(
    each: Seen,
    look: Look,
    tenant: Tenant,
    identities: Mapping[str, Identity],
    checked: Mapping[str, datetime],
    now: datetime,
) -> bool:
    if _made_for(tenant) != _made_for(look.place.tenant):
        return False
    if look.at < checked.get(each.key, look.at) <= now:
        return False  # somebody looked later, or made it meanwhile
    if (before := look.about.get(each.key)) is None:
        return True
    after = identities.get(before.name)
    if after is None or after.id != before.id:
        return False
    # Whoever changes one at SES says so here only afterwards; that it began shows in the version.
    return each.found.state == ResourceState.DONE or after.version == before.version


def _made_for(tenant: Tenant) -> tuple[str | None, ...]:
    return tenant.ses_tenant_arn, tenant.configuration_set, tenant.topic_arn


def _foreign(keys: Collection[str]) -> list[str]:
    """Of those that are stored: the associations of strangers."""
    return [
        key
        for key in keys
        if key.startswith(ASSOCIATION_OF) and f"identity {key.removeprefix(ASSOCIATION_OF)}" not in keys
    ]


def _tell(session: Session, tenant: Tenant, rows: Sequence[TenantResource], at: datetime) -> None:
    """One alert as long as something differs. What is unknown now counts as what it was when last known, so
    that silence neither raises an alert nor clears one, and what can never be known keeps none open."""
    wrong = [row.key for row in rows if _last_known(row) in DIFFERENCES]
    cause = f"tenant {tenant.id}"
    if not wrong:
        alerts.clear(session, kind=ALERT, cause=cause, at=at)
    if not wrong or tenant.provisioned_at is None:
        return
    unknown = [row.key for row in rows if row.state == ResourceState.UNKNOWN]
    besides = f" Of {_few(unknown)} nothing is known now." if unknown else ""
    alerts.raise_once(
        session,
        kind=ALERT,
        cause=cause,
        sentence=(
            f"AWS does not have what {tenant.name} needs: {_few(wrong)}.{besides} "
            "Open its set-up and repair it."
        ),
        tenant_id=tenant.id,
        at=at,
    )


def _last_known(row: TenantResource) -> str | None:
    return row.last_known if row.state == ResourceState.UNKNOWN else row.state


def _few(keys: Sequence[str]) -> str:
    more = f" and {len(keys) - SHOWN} more" if len(keys) > SHOWN else ""
    return ", ".join(keys[:SHOWN]) + more

"""Drift: what AWS has of a tenant compared with what it should have, kept, told once, and mended on demand.

To look at a tenant with n identities costs 4 + n of SES's control operations, of which it answers about one
a second; to mend it as many again, and one to three for each thing that differs. What else is associated
with the SES tenant is shown and left alone: nobody here knows who needs it.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from core import alerts, audit, tenants
from core.access import Action, Actor
from core.app import App
from core.db.models import Identity, Tenant, TenantResource
from core.db.states import ResourceState, VerificationStatus
from core.errors import Conflict, NotFound, ProviderError
from core.identities import at_ses
from core.identities.breaks import Standing, follow
from core.identities.checks import note
from core.identities.removal import undo_if_removed
from core.identities.rows import lock_identity
from core.providers.base import IdentityState
from core.tenants import DONE, Found, Place, Seen, Thing, different, missing

ALERT = "drift"
CHECK_EVERY = timedelta(days=1)
DUE_AT_ONCE = 5
SHOWN = 3  # in an alert; the tenant's set-up has them all
DIFFERENCES = (ResourceState.MISSING, ResourceState.DIFFERENT, ResourceState.FAILED)

logger = logging.getLogger(__name__)


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
    place = tenants.place_of(app, tenant_id)
    return _keep(app, place, _look(place))


def repair(app: App, actor: Actor, tenant_id: int) -> list[TenantResource]:
    """Look, make or mend what is not as it should be, and look again. ProviderError where the tenant itself
    cannot be mended; an identity that cannot is failed in the answer, and the others go on."""
    actor.must(Action.REPAIR_TENANT, tenant_id)
    place = tenants.place_of(app, tenant_id)
    seen = _look(place)
    found = {each.key: each.found for each in seen}
    mended = tenants.make(app, tenant_id, found)
    tenants.complete(app, tenant_id, "repair tenant", by=actor, mended=mended)
    failed = _mend_identities(app, actor, tenants.place_of(app, tenant_id), found)
    if all(each.state == ResourceState.DONE for each in found.values()):
        return _keep(app, place, seen)
    place = tenants.place_of(app, tenant_id)
    return _keep(app, place, _with_failures(_look(place), failed))


def check_due(app: App) -> str:
    """Job: look at each tenant once a day, a few in a run. Ends early when AWS does not answer."""
    with app.db.read() as session:
        last = func.coalesce(Tenant.drift_checked_at, Tenant.provisioned_at)
        query = select(Tenant.id).where(Tenant.provisioned_at.is_not(None), last < app.now() - CHECK_EVERY)
        due = list(session.scalars(query.order_by(last, Tenant.id).limit(DUE_AT_ONCE)))
    checked = 0
    for tenant_id in due:
        place = tenants.place_of(app, tenant_id)
        seen = _look(place)
        _keep(app, place, seen)
        if not all(each.answered for each in seen):
            break
        checked += 1
    return f"Compared {checked} of {len(due)} tenants with what AWS has."


def _look(place: Place) -> list[Seen]:
    with place.app.db.read() as session:
        identities = _live(session, place.tenant.id)
    things = [thing for identity in identities for thing in _things(place, identity)]
    seen = tenants.look_at([*tenants.things_of(place), *things])
    if any(each.key == "association" and each.found.state == ResourceState.UNKNOWN for each in seen):
        return seen
    return [*seen, *_strangers(place, identities)]


def _live(session: Session, tenant_id: int) -> list[Identity]:
    query = select(Identity).where(Identity.tenant_id == tenant_id, Identity.removed_at.is_(None))
    return list(session.scalars(query.order_by(Identity.name)))


def _things(place: Place, identity: Identity) -> list[Thing]:
    name = identity.name
    at_ses = cache(lambda: place.email.find_identity(name))
    things = [
        Thing(f"identity {name}", name, lambda: _look_at_identity(identity, at_ses())),
        Thing(f"association of {name}", name, lambda: _look_at_association(place, name)),
        Thing(f"configuration set of {name}", name, lambda: _look_at_default(place, name, at_ses())),
    ]
    if wanted := identity.mail_from_domain:
        things.append(Thing(f"MAIL FROM of {name}", wanted, lambda: _look_at_mail_from(identity, at_ses())))
    return things


def _look_at_identity(identity: Identity, there: IdentityState | None) -> Found:
    if there is None:
        return missing(f"SES has no identity {identity.name}: nothing can be sent from it.")
    if list(there.dkim_tokens) != list(identity.dkim_tokens):
        return different(f"{identity.name} was made anew in SES: its DKIM records are others now.")
    return DONE


def _look_at_association(place: Place, name: str) -> Found:
    if place.email.identity_arn(name) in place.associations:
        return DONE
    return missing(f"SES tenant {place.tenant.slug} may not send from {name}.")


def _look_at_default(place: Place, name: str, there: IdentityState | None) -> Found:
    if there is None:
        return missing(f"SES has no identity {name}.")
    wanted, found = place.configuration_set, there.configuration_set
    if found == wanted:
        return DONE
    what = f"configuration set {found}" if found else "no configuration set"
    return different(
        f"Mail from {name} that names none uses {what} instead of {wanted}: its events are lost."
    )


def _look_at_mail_from(identity: Identity, there: IdentityState | None) -> Found:
    wanted, found = identity.mail_from_domain, there and there.mail_from_domain
    if found == wanted:
        return DONE
    if not found:
        return missing(f"SES has no MAIL FROM domain for {identity.name} instead of {wanted}.")
    return different(f"SES has {found} as the MAIL FROM domain of {identity.name} instead of {wanted}.")


def _strangers(place: Place, identities: Sequence[Identity]) -> list[Seen]:
    """What else is associated with the SES tenant."""
    known = {place.email.identity_arn(identity.name) for identity in identities}
    known.add(place.email.configuration_set_arn(place.configuration_set))
    slug = place.tenant.slug
    strangers = sorted(place.associations - known)
    names = [arn.rpartition(":")[2].removeprefix("identity/") for arn in strangers]
    return [
        Seen(
            f"association of {name}",
            name,
            different(
                f"SES lets {slug} use {name}, which nobody arranged here. If nobody needs it, "
                "take the association away in the SES console; repairing leaves it alone."
            ),
        )
        for name in names
    ]


def _keep(app: App, place: Place, seen: Sequence[Seen]) -> list[TenantResource]:
    """Store what was seen, but for identities that were removed while we looked."""
    tenant = place.tenant
    with app.db.begin() as session:
        looked_at = {each.key.removeprefix("identity ") for each in seen if each.key.startswith("identity ")}
        gone = looked_at - {identity.name for identity in _live(session, tenant.id)}
        seen = [each for each in seen if each.key.rpartition(" ")[2] not in gone]
        tenants.keep_all(session, tenant.id, seen, app.now())
        if all(each.answered for each in seen):
            session.execute(
                update(Tenant)
                .where(Tenant.id == tenant.id)
                .values(drift_checked_at=app.now(), reputation_due=True)
            )
        _tell(session, tenant, seen, app.now())
        return tenants.list_resources(session, tenant.id)


def _tell(session: Session, tenant: Tenant, seen: Sequence[Seen], at: datetime) -> None:
    """One alert as long as something differs; what is unknown neither raises nor clears it."""
    wrong = [each.key for each in seen if each.found.state in DIFFERENCES]
    cause = f"tenant {tenant.id}"
    if not wrong and all(each.found.state == ResourceState.DONE for each in seen):
        alerts.clear(session, kind=ALERT, cause=cause, at=at)
    if not wrong or tenant.provisioned_at is None:
        return
    few = ", ".join(wrong[:SHOWN]) + (f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else "")
    alerts.raise_once(
        session,
        kind=ALERT,
        cause=cause,
        sentence=f"AWS does not have what {tenant.name} needs: {few}. Open its set-up and repair it.",
        tenant_id=tenant.id,
        at=at,
    )


def _with_failures(seen: Sequence[Seen], failed: Mapping[str, str]) -> list[Seen]:
    """What is still not as it should be because AWS refused to mend it."""
    return [
        replace(each, found=Found(ResourceState.FAILED, failed[each.key]))
        if each.key in failed and each.found.state in DIFFERENCES
        else each
        for each in seen
    ]


def _mend_identities(app: App, actor: Actor, place: Place, found: Mapping[str, Found]) -> dict[str, str]:
    """Why what could not be mended was refused, by key."""
    with app.db.read() as session:
        identities = _live(session, place.tenant.id)
    failed: dict[str, str] = {}
    for identity in identities:
        states = {key: found.get(key, DONE).state for key in _keys(identity.name)}
        wrong = {key: state for key, state in states.items() if state != ResourceState.DONE}
        if not wrong or identity.verification_status == VerificationStatus.NOT_STARTED:
            continue  # the latter is being made or removed
        try:
            _mend(app, actor, place, identity, wrong)
        except (Conflict, ProviderError) as e:
            failed |= dict.fromkeys(wrong, str(e))
    return failed


def _keys(name: str) -> tuple[str, str, str, str]:
    return (
        f"identity {name}",
        f"association of {name}",
        f"configuration set of {name}",
        f"MAIL FROM of {name}",
    )


def _mend(
    app: App, actor: Actor, place: Place, identity: Identity, wrong: Mapping[str, ResourceState]
) -> None:
    mail_from = _keys(identity.name)[-1]
    email, state, wanted = place.email, _made(app, place, identity, wrong), identity.mail_from_domain
    if wanted and (mail_from in wrong or (state and state.mail_from_domain != wanted)):
        email.set_mail_from(identity.name, wanted)
        if state:
            pending = VerificationStatus.PENDING
            state = replace(state, mail_from_domain=wanted, mail_from_status=pending)
    try:
        _keep_identity(app, actor, identity, state, wrong)
    except NotFound:
        logger.info("identity %s was removed while it was mended", identity.name)
        undo_if_removed(app, place.tenant, place.account.region, identity)


def _made(
    app: App, place: Place, identity: Identity, wrong: Mapping[str, ResourceState]
) -> IdentityState | None:
    """None where nothing was wrong with the identity itself. What SES has for somebody else is left alone."""
    itself, association, default, _ = _keys(identity.name)
    tenant, region = place.tenant, place.account.region
    if wrong.get(itself) == ResourceState.MISSING:
        return at_ses.create(app, tenant, region, identity.name)[0]
    if itself in wrong or default in wrong:
        return at_ses.joined(app, tenant, region, identity.name)
    if association in wrong:
        place.email.associate(tenant.slug, place.email.identity_arn(identity.name))
    return None


def _keep_identity(
    app: App, actor: Actor, mended: Identity, state: IdentityState | None, wrong: Collection[str]
) -> None:
    with app.db.begin() as session:
        identity = lock_identity(session, mended.tenant_id, mended.id)
        if state is not None:
            before = Standing.of(identity)
            note(identity, state, app.now())
            follow(session, identity, before, [], app.now())
        audit.record(
            session,
            actor,
            "repair identity",
            identity.name,
            at=app.now(),
            tenant_id=identity.tenant_id,
            mended=sorted(wrong),
        )

"""Mending: a tenant's identities in SES as they should be, and none that was removed meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from core import audit
from core.access import Actor
from core.app import App
from core.db.models import Identity
from core.db.states import ResourceState, VerificationStatus
from core.drift.keeping import DIFFERENCES
from core.drift.looking import all_keys, is_begun, live
from core.errors import Conflict, NotFound, ProviderError
from core.identities import at_ses
from core.identities.breaks import Standing, follow
from core.identities.checks import note
from core.identities.removal import undo_if_removed
from core.identities.rows import lock_identity
from core.providers.base import IdentityState
from core.tenants import DONE, Found, Place, Seen

logger = logging.getLogger(__name__)


def mend_identities(app: App, place: Place, found: Mapping[str, Found], *, by: Actor) -> dict[str, str]:
    """Why what could not be mended was refused, by key."""
    with app.db.read() as session:
        identities = live(session, place.tenant.id)
    failed: dict[str, str] = {}
    for identity in identities:
        states = {key: found.get(key, DONE).state for key in all_keys(identity.name)}
        wrong = {key: state for key, state in states.items() if state != ResourceState.DONE}
        if not wrong or not _is_still_there(app, identity):
            continue
        try:
            _mend(app, by, place, identity, wrong)
        except (Conflict, ProviderError) as e:
            failed |= dict.fromkeys(wrong, str(e))
    return failed


def _is_still_there(app: App, identity: Identity) -> bool:
    """Minutes may have passed, and nobody makes again what is being removed."""
    with app.db.read() as session:
        return identity.id in {each.id for each in live(session, identity.tenant_id) if is_begun(each)}


def with_failures(seen: Sequence[Seen], failed: Mapping[str, str]) -> list[Seen]:
    """What is still not as it should be because AWS refused to mend it."""
    return [
        replace(each, found=Found(ResourceState.FAILED, failed[each.key]))
        if each.key in failed and each.found.state in DIFFERENCES
        else each
        for each in seen
    ]


def _mend(
    app: App, actor: Actor, place: Place, identity: Identity, wrong: Mapping[str, ResourceState]
) -> None:
    mail_from = all_keys(identity.name)[-1]
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
    itself, association, default, _ = all_keys(identity.name)
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
        if not is_begun(identity):
            raise NotFound("Somebody takes it out of SES just now.")
        if state is not None:
            before = Standing.of(identity)
            note(identity, state, app.now())
            fallback_from = app.settings.resend_from
            follow(session, identity, before, [], app.now(), fallback_from=fallback_from)
        audit.record(
            session,
            actor,
            "repair identity",
            identity.name,
            at=app.now(),
            tenant_id=identity.tenant_id,
            mended=sorted(wrong),
        )

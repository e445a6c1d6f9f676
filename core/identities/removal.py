"""Removal: an identity out of SES, and its name free for whoever adds it next."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import ColumnElement, case, exists, or_, select, update
from sqlalchemy.orm import Session

from core import accounts, audit, tenants
from core.access import SYSTEM, Action, Actor
from core.app import App
from core.db.conflicts import one_wins
from core.db.models import Identity, Sender, Tenant
from core.db.states import VerificationStatus
from core.errors import Conflict, PostyardError, ProviderError
from core.identities import breaks, ownership
from core.identities.rows import (
    CLOCKS_DIFFER,
    GRACE,
    last_check,
    live,
    live_senders,
    lock_identity,
    refuse_while_used,
    wanted,
)

AT_ONCE = 10  # SES answers about one such request a second, and each removal takes two

logger = logging.getLogger(__name__)


def remove_unused(app: App, actor: Actor, tenant_id: int, identity_id: int) -> bool:
    """Out of SES and out of here, when no sender needs it, not even a deleted one in its grace; False when
    one does or it is gone already. Where SES fails, the same call again goes on."""
    actor.must(Action.REMOVE_SENDER, tenant_id)
    with app.db.read() as session:
        query = live().where(Identity.tenant_id == tenant_id, Identity.id == identity_id)
        if session.scalar(query.where(_unused(app.now()))) is None:
            return False
    withdraw(app, tenant_id, identity_id)
    with one_wins("the identity"), app.db.begin() as session:
        return mark_removed(session, actor, tenant_id, identity_id, app.now())


def remove_unused_due(app: App) -> str:
    """Job: identities whose last sender is gone for good, and those that never had one for as long."""
    now = app.now()
    with app.db.begin() as session:
        session.execute(
            update(Identity)
            .where(Identity.removed_at.is_(None), Identity.created_at > now + CLOCKS_DIFFER)
            .values(created_at=now)
        )
        had_one = exists().where(Sender.identity_id == Identity.id)
        query = live().where(_unused(now), or_(had_one, Identity.created_at < now - GRACE))
        # What failed the last time is tried after the others.
        ahead = Identity.checked_at > now + CLOCKS_DIFFER
        last_try = case((ahead, Identity.created_at), else_=last_check())
        unused = list(session.scalars(query.order_by(last_try, Identity.id).limit(AT_ONCE)))
    removed = sum(_try_to_remove(app, identity) for identity in unused)
    return f"Removed {removed} of {len(unused)} unused domains from SES."


def withdraw(app: App, tenant_id: int, identity_id: int) -> None:
    """Nothing is sent from it any more, here first and then in SES, so that `mark_removed` may follow. Where
    SES fails it stays, as if it had never been begun: adding a sender begins it anew. Conflict while a sender
    needs it."""
    with one_wins("the identity"), app.db.begin() as session:
        identity = lock_identity(session, tenant_id, identity_id)
        if senders := _in_the_way(session, tenant_id, identity_id, app.now()):
            listed = ", ".join(sender.address for sender in senders)
            raise Conflict(f"{identity.name} has senders: {listed}. Delete them first.")
        refuse_while_used(session, tenant_id, identity.name, Sender.identity_id == identity_id)
        was_made = identity.verification_status != VerificationStatus.NOT_STARTED
        _begin_anew(session, identity, app.now())
        tenant = tenants.get_tenant(session, tenant_id)
        region = accounts.get_account(session, tenant.account_id).region
    if was_made:
        app.providers.email(region).delete_identity(identity.name, tenant.slug)
    else:
        _delete_ours(app, tenant, region, identity.name)


def mark_removed(session: Session, actor: Actor, tenant_id: int, identity_id: int, at: datetime) -> bool:
    """Give the name free. False, and it is kept, when somebody began it anew meanwhile, or added a sender:
    their check makes it anew in SES."""
    identity = lock_identity(session, tenant_id, identity_id)
    if identity.verification_status != VerificationStatus.NOT_STARTED:
        return False
    if live_senders(session, tenant_id, identity_id):
        return False
    identity.removed_at = at
    audit.record(session, actor, "remove identity", identity.name, at=at, tenant_id=tenant_id)
    return True


def give_back(app: App, identity: Identity) -> None:
    """A name that was reserved and that SES does not let the tenant have: anybody may add it."""
    query = live().where(
        Identity.id == identity.id,
        Identity.tenant_id == identity.tenant_id,
        Identity.verification_status == VerificationStatus.NOT_STARTED,
        _unused(app.now()),
    )
    with app.db.begin() as session:
        if row := session.scalar(query.with_for_update()):
            row.removed_at = app.now()


@contextmanager
def undone_if_removed(app: App, tenant: Tenant, region: str, identity: Identity) -> Iterator[None]:
    """Around keeping what was just made in SES."""
    try:
        yield
    except PostyardError:
        undo_if_removed(app, tenant, region, identity)
        raise


def undo_if_removed(app: App, tenant: Tenant, region: str, identity: Identity) -> bool:
    """What was made in SES while its row was removed here goes again, unless somebody has added it since: or
    the next who adds the name would find it there, verified. False when it stays."""
    with app.db.read() as session:
        row = session.scalar(live().where(Identity.name == identity.name))
        if row is not None and (row.id != identity.id or _stays(session, row)):
            return False
    try:
        _delete_ours(app, tenant, region, identity.name)
    except ProviderError as e:
        logger.warning("identity %s of removed %s is left in SES: %s", identity.id, identity.name, e)
    return True


def _stays(session: Session, identity: Identity) -> bool:
    begun = identity.verification_status != VerificationStatus.NOT_STARTED
    return begun or bool(live_senders(session, identity.tenant_id, identity.id))


def _delete_ours(app: App, tenant: Tenant, region: str, name: str) -> None:
    """Where nothing here says that it was made: another application's of that name is left alone."""
    provider = app.providers.email(region)
    state = provider.find_identity(name)
    if state is not None and ownership.is_ours(provider, tenant, name, state):
        provider.delete_identity(name, tenant.slug)


def _in_the_way(session: Session, tenant_id: int, identity_id: int, at: datetime) -> list[Sender]:
    query = select(Sender).where(Sender.tenant_id == tenant_id, Sender.identity_id == identity_id)
    return list(session.scalars(query.where(wanted(at)).order_by(Sender.address)))


def _unused(at: datetime) -> ColumnElement[bool]:
    return ~exists().where(Sender.identity_id == Identity.id, wanted(at))


def _begin_anew(session: Session, identity: Identity, at: datetime) -> None:
    breaks.forget(session, identity, at)
    identity.verification_status = identity.dkim_status = VerificationStatus.NOT_STARTED
    identity.verified_for_sending = False
    identity.dkim_tokens, identity.dns_findings = [], []
    identity.verification_token = identity.mail_from_domain = identity.mail_from_status = None
    identity.error_type = identity.error_detail = identity.checked_at = None
    identity.verification_info = {}


def _try_to_remove(app: App, identity: Identity) -> bool:
    try:
        return remove_unused(app, SYSTEM, identity.tenant_id, identity.id)
    except PostyardError as e:
        logger.warning("identity %s was not removed and will be tried again: %s", identity.name, e)
        with app.db.begin() as session:
            session.execute(update(Identity).where(Identity.id == identity.id).values(checked_at=app.now()))
        return False

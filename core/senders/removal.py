"""Removal: senders deleted, restored within their grace, and gone for good after it."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core import accounts, audit, identities, tenants
from core.access import Action, Actor
from core.app import App
from core.db.conflicts import one_wins
from core.db.models import Identity, Sender
from core.dns import DnsRecord
from core.errors import Conflict, NotFound, ProviderError
from core.identities.breaks import go_on
from core.identities.rows import CLOCKS_DIFFER
from core.senders.rows import (
    NO_SENDER,
    SenderView,
    get_as_seen,
    lock_tenant,
    refuse_known,
    refuse_sixth_pending,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Removed:
    """`records`: what may be taken out of DNS at `gone_at`; none while another sender needs the domain."""

    address: str
    records: list[DnsRecord]
    gone_at: datetime
    was_default: bool


def remove(
    app: App,
    actor: Actor,
    tenant_id: int,
    sender_id: int,
    *,
    at_once: bool = False,
    deleted: bool = False,
    version: int | None = None,
) -> Removed:
    """Out of the list; its mail stays. It can be restored for GRACE; then, or `at_once`, the last sender of
    an identity takes it out of SES. `deleted`: one that is deleted already is meant, now `at_once`. Conflict
    when that one was restored meanwhile, while a campaign that goes on uses it, and when it is no longer
    the `version` that was seen. ProviderError: it is deleted all the same; SES is asked again by itself."""
    actor.must(Action.REMOVE_SENDER, tenant_id)
    with one_wins("the sender"), app.db.begin() as session:
        sender = _to_remove(session, tenant_id, sender_id, version, at_once=at_once)
        if deleted and sender.deleted_at is None:
            raise Conflict(f"{sender.address} was restored meanwhile. Look again.")
        removed = _delete(session, actor, sender, app.now(), at_once=at_once)
    if at_once:
        _out_of_ses(app, actor, sender)
    return removed


def restore(app: App, actor: Actor, tenant_id: int, sender_id: int) -> Sender:
    """As it was, but not the default. Conflict when its grace is over or the address was added anew."""
    actor.must(Action.REMOVE_SENDER, tenant_id)
    with one_wins("the sender"), app.db.begin() as session:
        lock_tenant(session, tenant_id)
        sender = get_as_seen(session, tenant_id, sender_id, None)
        if sender.deleted_at is None:
            raise Conflict(f"{sender.address} is not deleted. It is among the senders.")
        undelete(session, actor, sender, app.now())
    return sender


def undelete(session: Session, actor: Actor, sender: Sender, at: datetime) -> None:
    """Of a deleted one; the tenant's row is locked by the caller."""
    if sender.deleted_at is None or sender.removed_at is not None or _grace_ends(sender.deleted_at, at) <= at:
        raise Conflict(f"{sender.address} can no longer be restored. Add it again.")
    refuse_known(session, sender.tenant_id, sender.address)
    try:
        identity = identities.lock_identity(session, sender.tenant_id, sender.identity_id)
    except NotFound as e:
        raise Conflict(f"The domain of {sender.address} was removed meanwhile. Add it again.") from e
    refuse_sixth_pending(session, sender.tenant_id, identity)
    sender.deleted_at, sender.deleted_by = None, None
    session.flush()
    go_on(session, identity, at)  # its domain may have healed meanwhile
    audit.record(session, actor, "restore sender", sender.address, at=at, tenant_id=sender.tenant_id)


def list_deleted(app: App, actor: Actor, tenant_id: int) -> list[SenderView]:
    """Those that can be restored, the last deleted first."""
    actor.must(Action.SEE_TENANT, tenant_id)
    now = app.now()
    query = (
        select(Sender, Identity)
        .join(Identity, Sender.identity_id == Identity.id)
        .where(Sender.tenant_id == tenant_id, identities.restorable(now))
        .where(Identity.removed_at.is_(None))
        .order_by(Sender.deleted_at.desc(), Sender.id.desc())
    )
    with app.db.read() as session:
        return [
            SenderView(sender, identity, sender.deleted_at and _grace_ends(sender.deleted_at, now))
            for sender, identity in session.execute(query)
        ]


def purge_due(app: App) -> str:
    """Job: what was deleted seven days ago goes for good, then the identities nobody needs any more."""
    now = app.now()
    with app.db.begin() as session:
        session.execute(
            update(Sender)
            .where(Sender.removed_at.is_(None), Sender.deleted_at > now + CLOCKS_DIFFER)
            .values(deleted_at=now)
        )
        gone = session.execute(
            update(Sender)
            .where(Sender.removed_at.is_(None), Sender.deleted_at <= now - identities.GRACE)
            .values(removed_at=now, version=Sender.version + 1)
            .returning(Sender.id)
        ).all()
    return f"{len(gone)} deleted senders are gone for good. {identities.remove_unused_due(app)}"


def _to_remove(
    session: Session, tenant_id: int, sender_id: int, version: int | None, *, at_once: bool
) -> Sender:
    """A live one that nothing uses; `at_once` also one that is deleted and could still be restored."""
    sender = get_as_seen(session, tenant_id, sender_id, version, lock=True)
    if sender.deleted_at is not None and not at_once:
        raise NotFound(NO_SENDER)
    identities.refuse_while_used(session, tenant_id, sender.address, Sender.id == sender_id)
    return sender


def _delete(session: Session, actor: Actor, sender: Sender, at: datetime, *, at_once: bool) -> Removed:
    was_default, deleted_at = sender.is_default, sender.deleted_at or at
    if sender.deleted_at is None:
        sender.deleted_at, sender.deleted_by, sender.is_default = at, actor.username, False
    if at_once:
        sender.removed_at = at
    session.flush()
    audit.record(
        session, actor, "remove sender", sender.address, at=at, tenant_id=sender.tenant_id, at_once=at_once
    )
    return Removed(
        sender.address,
        _left_behind(session, sender, at),
        at if at_once else _grace_ends(deleted_at, at),
        was_default,
    )


def _left_behind(session: Session, sender: Sender, at: datetime) -> list[DnsRecord]:
    others = select(Sender.id).where(
        Sender.tenant_id == sender.tenant_id,
        Sender.identity_id == sender.identity_id,
        Sender.id != sender.id,
        identities.wanted(at),
    )
    if session.scalar(others.limit(1)) is not None:
        return []
    identity = identities.get_identity(session, sender.tenant_id, sender.identity_id)
    account_id = tenants.get_tenant(session, sender.tenant_id).account_id
    return identities.left_behind(identity, accounts.get_account(session, account_id).region)


def _out_of_ses(app: App, actor: Actor, sender: Sender) -> None:
    try:
        identities.remove_unused(app, actor, sender.tenant_id, sender.identity_id)
    except ProviderError as e:
        raise ProviderError(
            f"{sender.address} is deleted, but Amazon SES still has its domain: {e} "
            "Nothing more is to be done: it is tried again within the hour.",
            permanent=e.permanent,
            code=e.code,
        ) from e
    except Conflict as e:
        logger.info("the domain of a deleted sender stays: %s", e)


def _grace_ends(deleted_at: datetime, now: datetime) -> datetime:
    """A clock that was wrong makes no grace longer."""
    return min(deleted_at, now) + identities.GRACE

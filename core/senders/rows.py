"""Rows: senders and what holds between them, within somebody's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import identities
from core.db.models import Identity, Sender, Tenant
from core.errors import Conflict, InputError, NotFound

MAX_PENDING = 5
NO_SENDER = "There is no such sender."


@dataclass(frozen=True, slots=True)
class SenderView:
    """`restorable_until`: of a deleted one."""

    sender: Sender
    identity: Identity
    restorable_until: datetime | None = None


def get_sender(session: Session, tenant_id: int, sender_id: int, *, hold: bool = False) -> Sender:
    """`hold`: nobody deletes it until the transaction ends, for whoever leaves mail to be sent from it. Locks
    are taken in one order everywhere: tenant, identity, sender, then what refers to them."""
    query = select(Sender).where(
        Sender.tenant_id == tenant_id, Sender.id == sender_id, Sender.deleted_at.is_(None)
    )
    if hold:
        query = query.with_for_update(read=True).execution_options(populate_existing=True)
    if sender := session.scalar(query):
        return sender
    raise NotFound(NO_SENDER)


def get_as_seen(
    session: Session, tenant_id: int, sender_id: int, version: int | None, *, lock: bool = False
) -> Sender:
    """A sender, deleted or not, or Conflict when it is no longer as somebody saw it; `version` None: they did
    not look. `lock`: nobody leaves mail to be sent from it until the transaction ends."""
    query = select(Sender).where(Sender.tenant_id == tenant_id, Sender.id == sender_id)
    sender = session.scalar(query.with_for_update(key_share=True) if lock else query)
    if sender is not None and version not in (None, sender.version):
        raise Conflict(f"{sender.address} was changed by somebody else meanwhile. Look again.")
    if sender is None or sender.removed_at is not None:
        raise NotFound(NO_SENDER)
    return sender


def find_by_address(session: Session, tenant_id: int, address: str) -> Sender | None:
    query = select(Sender).where(
        Sender.tenant_id == tenant_id,
        Sender.address == address.strip().lower(),
        Sender.deleted_at.is_(None),
    )
    return session.scalar(query)


def find_deleted(session: Session, tenant_id: int, address: str, at: datetime) -> Sender | None:
    """The one that was deleted last and can be restored."""
    query = select(Sender).where(
        Sender.tenant_id == tenant_id, Sender.address == address, identities.restorable(at)
    )
    return session.scalar(query.order_by(Sender.deleted_at.desc(), Sender.id.desc()).limit(1))


def lock_tenant(session: Session, tenant_id: int) -> None:
    """Its senders are counted and added by one transaction at a time. Not held against rows that refer to
    the tenant: a check that raises an alert may hold an identity this transaction asks for next."""
    session.execute(select(Tenant.id).where(Tenant.id == tenant_id).with_for_update(key_share=True))


def refuse_known(session: Session, tenant_id: int, address: str) -> None:
    if find_by_address(session, tenant_id, address):
        raise InputError(f"Sender already exists: {address}", field="address")


def refuse_sixth_pending(session: Session, tenant_id: int, identity: Identity | None) -> None:
    """`identity`: of the sender that is to come, where it exists. One more on a domain that others wait for
    adds nothing to verify."""
    if identity is not None and identity.verified_for_sending:
        return
    pending = (
        select(Sender.identity_id)
        .join(Identity, Identity.id == Sender.identity_id)
        .where(Sender.tenant_id == tenant_id, Sender.deleted_at.is_(None))
        .where(~Identity.verified_for_sending, Identity.broken_at.is_(None))
    )
    waiting = session.scalars(pending).all()
    if len(waiting) >= MAX_PENDING and (identity is None or identity.id not in waiting):
        raise InputError(
            f"{MAX_PENDING} senders wait to be verified already. Verify one of them, or delete it first.",
            field="address",
        )

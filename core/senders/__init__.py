"""Senders: the From addresses of a tenant, each on an identity.

rows.py the rows and what holds between them, removal.py delete, restore and purge."""

from __future__ import annotations

from sqlalchemy import select, update

from core import accounts, audit, identities, tenants
from core.access import Action, Actor
from core.app import App
from core.db.conflicts import one_wins
from core.db.models import Identity, Sender
from core.dns import DnsRecord, Finding
from core.errors import InputError, NotFound
from core.plain import CONTROL
from core.senders.removal import Removed, list_deleted, purge_due, remove, restore, undelete
from core.senders.rows import (
    MAX_PENDING,
    NO_SENDER,
    SenderView,
    find_by_address,
    find_deleted,
    get_as_seen,
    get_sender,
    lock_tenant,
    refuse_known,
    refuse_sixth_pending,
)

__all__ = [
    "MAX_PENDING",
    "Removed",
    "SenderView",
    "add",
    "by_address",
    "find_by_address",
    "findings",
    "get_sender",
    "list_deleted",
    "list_senders",
    "lock_tenant",
    "purge_due",
    "records",
    "remove",
    "restore",
    "set_default",
    "verify_now",
]

MAX_DISPLAY_NAME = 100


def add(
    app: App,
    actor: Actor,
    tenant_id: int,
    address: str,
    display_name: str = "",
    *,
    own_identity: bool = False,
) -> Sender:
    """The sender, on the tenant's identity of its domain, which is made in SES if it is not there yet; or,
    with `own_identity`, on one of this single address, which SES verifies by a mail (for development). One
    that was deleted and can be restored comes back."""
    actor.must(Action.MANAGE_SENDERS, tenant_id)
    address, display_name = _checked_address(address), _checked_display_name(display_name)
    domain = address.rpartition("@")[2]
    with app.db.read() as session:
        refuse_known(session, tenant_id, address)
        own = identities.find_by_name(session, tenant_id, address)
        refuse_sixth_pending(session, tenant_id, own or identities.find_by_name(session, tenant_id, domain))
    identity = own or identities.add(app, actor, tenant_id, address if own_identity else domain)
    with one_wins(address), app.db.begin() as session:
        lock_tenant(session, tenant_id)
        refuse_known(session, tenant_id, address)
        if sender := find_deleted(session, tenant_id, address, app.now()):
            undelete(session, actor, sender, app.now())
            sender.display_name = display_name or sender.display_name
            return sender
        identity = identities.lock_identity(session, tenant_id, identity.id)
        refuse_sixth_pending(session, tenant_id, identity)
        sender = Sender(
            tenant_id=tenant_id,
            identity_id=identity.id,
            address=address,
            display_name=display_name,
            created_at=app.now(),
        )
        session.add(sender)
        audit.record(session, actor, "add sender", address, at=app.now(), tenant_id=tenant_id)
    return sender


def list_senders(app: App, actor: Actor, tenant_id: int) -> list[SenderView]:
    actor.must(Action.SEE_TENANT, tenant_id)
    query = (
        select(Sender, Identity)
        .join(Identity, Sender.identity_id == Identity.id)
        .where(Sender.tenant_id == tenant_id, Sender.deleted_at.is_(None))
        .order_by(Sender.address)
    )
    with app.db.read() as session:
        return [SenderView(sender, identity) for sender, identity in session.execute(query)]


def by_address(app: App, actor: Actor, tenant_id: int, address: str, *, deleted: bool = False) -> Sender:
    """`deleted`: also one that can be restored."""
    actor.must(Action.SEE_TENANT, tenant_id)
    with app.db.read() as session:
        sender = find_by_address(session, tenant_id, address)
        if sender is None and deleted:
            sender = find_deleted(session, tenant_id, address.strip().lower(), app.now())
    if sender is None:
        raise NotFound(f"There is no sender '{address.strip()}' here. postyard senders list shows them.")
    return sender


def records(app: App, actor: Actor, tenant_id: int, sender_id: int) -> list[DnsRecord]:
    """What the DNS of the sender's domain should hold."""
    return identities.records(*_identity_of(app, actor, tenant_id, sender_id))


def findings(app: App, actor: Actor, tenant_id: int, sender_id: int) -> list[Finding]:
    """The same, with what the last check found of it."""
    return identities.findings(*_identity_of(app, actor, tenant_id, sender_id))


def verify_now(app: App, actor: Actor, tenant_id: int, sender_id: int) -> Identity:
    """The sender's identity, asked about at SES and in DNS: see identities.verify_now."""
    actor.must(Action.MANAGE_SENDERS, tenant_id)
    with app.db.read() as session:
        identity_id = get_sender(session, tenant_id, sender_id).identity_id
    return identities.verify_now(app, actor, tenant_id, identity_id)


def set_default(
    app: App, actor: Actor, tenant_id: int, sender_id: int, *, version: int | None = None
) -> Sender:
    """The one a new mail comes from unless somebody chooses; the former one is no longer. Conflict when the
    sender is no longer the `version` that was seen."""
    actor.must(Action.MANAGE_SENDERS, tenant_id)
    with one_wins("the default sender"), app.db.begin() as session:
        sender = get_as_seen(session, tenant_id, sender_id, version)
        if sender.deleted_at is not None:
            raise NotFound(NO_SENDER)
        identity = identities.get_identity(session, tenant_id, sender.identity_id)
        if not identity.verified_for_sending:
            raise InputError(
                f"Domain must be verified first: {identity.name}. Publish its DNS records, then verify it.",
                field="sender",
            )
        # Unset before set: only one may hold it at any moment.
        session.execute(
            update(Sender)
            .where(Sender.tenant_id == tenant_id, Sender.is_default, Sender.id != sender_id)
            .values(is_default=False, version=Sender.version + 1)
        )
        sender.is_default = True
        audit.record(session, actor, "set default sender", sender.address, at=app.now(), tenant_id=tenant_id)
    return sender


def _identity_of(app: App, actor: Actor, tenant_id: int, sender_id: int) -> tuple[Identity, str]:
    """And the region it is in."""
    actor.must(Action.SEE_TENANT, tenant_id)
    with app.db.read() as session:
        sender = get_sender(session, tenant_id, sender_id)
        identity = identities.get_identity(session, tenant_id, sender.identity_id)
        account_id = tenants.get_tenant(session, tenant_id).account_id
        return identity, accounts.get_account(session, account_id).region


def _checked_address(address: str) -> str:
    if "@" not in address:
        raise InputError(
            f"'{address.strip()[:100]}' is no e-mail address. Write one such as news@your-domain.com.",
            field="address",
        )
    return identities.checked_name(address)


def _checked_display_name(name: str) -> str:
    name = name.strip()
    if CONTROL.search(name) or len(name) > MAX_DISPLAY_NAME:
        raise InputError(
            f"A display name has up to {MAX_DISPLAY_NAME} characters, no line break or control character.",
            field="display_name",
        )
    return name

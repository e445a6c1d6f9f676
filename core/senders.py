"""Senders: the From addresses of a tenant, each on an identity."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core import accounts, audit, identities, tenants
from core.access import Action, Actor
from core.app import App
from core.db.conflicts import one_wins
from core.db.models import Identity, Sender
from core.dns import DnsRecord
from core.errors import InputError, NotFound

MAX_DISPLAY_NAME = 100
CONTROL_CHARACTER = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class SenderView:
    sender: Sender
    identity: Identity


def add(app: App, actor: Actor, tenant_id: int, address: str, display_name: str = "") -> Sender:
    """The sender, on the tenant's identity of its domain, which is made in SES if it is not there yet."""
    actor.must(Action.MANAGE_SENDERS, tenant_id)
    address, display_name = _checked_address(address), _checked_display_name(display_name)
    with app.db.read() as session:
        _refuse_known(session, tenant_id, address)
        own = identities.find_by_name(session, tenant_id, address)
    identity = own or identities.add(app, actor, tenant_id, address.rpartition("@")[2])
    with one_wins(address), app.db.begin() as session:
        _refuse_known(session, tenant_id, address)
        sender = Sender(
            tenant_id=tenant_id,
            identity_id=identities.get_identity(session, tenant_id, identity.id).id,
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


def get_sender(session: Session, tenant_id: int, sender_id: int) -> Sender:
    query = select(Sender).where(
        Sender.tenant_id == tenant_id, Sender.id == sender_id, Sender.deleted_at.is_(None)
    )
    if sender := session.scalar(query):
        return sender
    raise NotFound("There is no such sender.")


def find_by_address(session: Session, tenant_id: int, address: str) -> Sender | None:
    query = select(Sender).where(
        Sender.tenant_id == tenant_id,
        Sender.address == address.strip().lower(),
        Sender.deleted_at.is_(None),
    )
    return session.scalar(query)


def by_address(app: App, actor: Actor, tenant_id: int, address: str) -> Sender:
    actor.must(Action.SEE_TENANT, tenant_id)
    with app.db.read() as session:
        sender = find_by_address(session, tenant_id, address)
    if sender is None:
        raise NotFound(f"There is no sender '{address.strip()}' here. postyard senders list shows them.")
    return sender


def records(app: App, actor: Actor, tenant_id: int, sender_id: int) -> list[DnsRecord]:
    """What the DNS of the sender's domain should hold."""
    actor.must(Action.SEE_TENANT, tenant_id)
    with app.db.read() as session:
        sender = get_sender(session, tenant_id, sender_id)
        identity = identities.get_identity(session, tenant_id, sender.identity_id)
        account_id = tenants.get_tenant(session, tenant_id).account_id
        region = accounts.get_account(session, account_id).region
    return identities.records(identity, region)


def verify_now(app: App, actor: Actor, tenant_id: int, sender_id: int) -> Identity:
    """The sender's identity, asked about at SES and in DNS: see identities.verify_now."""
    actor.must(Action.MANAGE_SENDERS, tenant_id)
    with app.db.read() as session:
        identity_id = get_sender(session, tenant_id, sender_id).identity_id
    return identities.verify_now(app, actor, tenant_id, identity_id)


def set_default(app: App, actor: Actor, tenant_id: int, sender_id: int) -> Sender:
    """The one a new mail comes from unless somebody chooses; the former one is no longer."""
    actor.must(Action.MANAGE_SENDERS, tenant_id)
    with one_wins("the default sender"), app.db.begin() as session:
        sender = get_sender(session, tenant_id, sender_id)
        identity = identities.get_identity(session, tenant_id, sender.identity_id)
        if not identity.verified_for_sending:
            raise InputError(f"Domain must be verified first: {identity.name}", field="sender")
        # Unset before set: only one may hold it at any moment.
        session.execute(
            update(Sender)
            .where(Sender.tenant_id == tenant_id, Sender.is_default, Sender.id != sender_id)
            .values(is_default=False, version=Sender.version + 1)
        )
        sender.is_default = True
        audit.record(session, actor, "set default sender", sender.address, at=app.now(), tenant_id=tenant_id)
    return sender


def remove(app: App, actor: Actor, tenant_id: int, sender_id: int) -> None:
    """Out of the list; its mail stays. The last sender of an identity takes it out of SES as well. Conflict
    while a campaign that goes on uses it; where SES fails the sender stays and it can be tried again."""
    actor.must(Action.REMOVE_SENDER, tenant_id)
    with app.db.read() as session:
        sender = get_sender(session, tenant_id, sender_id)
        identities.refuse_while_used(session, tenant_id, sender.address, Sender.id == sender_id)
        others = identities.live_senders(session, tenant_id, sender.identity_id)
    is_last = [other.id for other in others] == [sender_id]
    if is_last:
        identities.withdraw(app, tenant_id, sender.identity_id)
    with one_wins(sender.address), app.db.begin() as session:
        sender = get_sender(session, tenant_id, sender_id)
        identities.refuse_while_used(session, tenant_id, sender.address, Sender.id == sender_id)
        sender.deleted_at = app.now()
        sender.is_default = False
        if is_last:
            identities.mark_removed(session, tenant_id, sender.identity_id, app.now())
        audit.record(session, actor, "remove sender", sender.address, at=app.now(), tenant_id=tenant_id)


def _checked_address(address: str) -> str:
    if "@" not in address:
        raise InputError(
            f"'{address.strip()[:100]}' is no e-mail address. Write one such as news@your-domain.com.",
            field="address",
        )
    return identities.checked_name(address)


def _checked_display_name(name: str) -> str:
    name = name.strip()
    if CONTROL_CHARACTER.search(name) or len(name) > MAX_DISPLAY_NAME:
        raise InputError(
            f"A display name has up to {MAX_DISPLAY_NAME} characters and no line break.", field="display_name"
        )
    return name


def _refuse_known(session: Session, tenant_id: int, address: str) -> None:
    if find_by_address(session, tenant_id, address):
        raise InputError(f"Sender already exists: {address}", field="address")

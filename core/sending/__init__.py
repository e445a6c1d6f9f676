"""Sending: turns.py says whose mail is next, claim.py and arming.py arm it, worker.py and flight.py call the
provider once per armed call, record.py and answers.py write what came of it."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from core import routes
from core.access import Action, Actor
from core.app import App
from core.audit import record as record_audit
from core.content import compile_content, field_name
from core.db.models import Message, Sender, Tenant
from core.db.states import MessageStatus, SendingStatus
from core.errors import InputError, SendingPaused
from core.recipients import valid_address
from core.reputation import SIMULATOR_DOMAIN
from core.senders import get_sender
from core.sending.worker import reap_dead, work
from core.suppressions import is_domain, suppressed_among
from core.templates import store
from core.tenants import get_tenant

__all__ = ["Mail", "checked", "queue", "reap_dead", "send", "sender_for", "work"]


class Mail(NamedTuple):
    """One transactional mail that can be sent."""

    address: str
    subject: str
    html: str
    text: str
    fields: dict[str, str]


def send(
    app: App,
    actor: Actor,
    tenant_id: int,
    *,
    sender_id: int,
    to: str,
    subject: str,
    html: str,
    text: str = "",
    fields: dict[str, str] | None = None,
) -> int:
    """Queue one transactional mail; the scheduler sends it. Returns the message's id.

    Raises InputError (address, content, suppressed, unverified sender), SendingPaused."""
    actor.must(Action.SEND_MESSAGE, tenant_id)
    mail = checked(to, subject, html, text, fields)
    with app.db.begin() as session:
        return queue(session, actor, tenant_id, sender_id, mail, app.now(), routes.fallback_address(app))


def checked(to: str, subject: str, html: str, text: str = "", fields: dict[str, str] | None = None) -> Mail:
    """InputError for an address or content that nobody can be sent."""
    address = valid_address(to)
    values = {field_name(name): value for name, value in (fields or {}).items()}
    compile_content(subject, html, text, {}).values(address, values)
    return Mail(address, subject, html, text, values)


def queue(
    session: Session,
    actor: Actor,
    tenant_id: int,
    sender_id: int,
    mail: Mail,
    at: datetime,
    fallback_from: str = "",
) -> int:
    """For whoever has more to decide in the same transaction; raises what `send` does. `fallback_from`: the
    second provider's address, for mail that may go that way."""
    sender = sender_for(session, tenant_id, sender_id, mail.address, fallback_from)
    content = store(session, tenant_id, mail.subject, mail.html, mail.text, {}, at)
    message = Message(
        tenant_id=tenant_id,
        campaign_id=None,
        sender_id=sender.id,
        content_id=content.id,
        address=mail.address,
        address_key=mail.address.lower(),
        fields=mail.fields,
        status=MessageStatus.PENDING,
        created_by=actor.username,
        created_at=at,
        counts_in_rates=not mail.address.lower().endswith(SIMULATOR_DOMAIN),
    )
    session.add(message)
    session.flush()
    record_audit(session, actor, "send message", f"message {message.id}", at=at, tenant_id=tenant_id)
    return message.id


def sender_for(session: Session, tenant_id: int, sender_id: int, address: str, fallback_from: str) -> Sender:
    """The sender, when mail from it may go to the address now; InputError or SendingPaused says why not.
    Nobody deletes it until the transaction ends."""
    tenant = get_tenant(session, tenant_id)
    if tenant.sending_status == SendingStatus.DISABLED:
        raise SendingPaused(f"{tenant.name} is paused: {tenant.paused_reason} Resume it first.")
    sender = get_sender(session, tenant_id, sender_id, hold=True)
    way = routes.of_sender(session, tenant_id, sender_id, fallback_from, campaign=False)
    if isinstance(way, str):
        raise InputError(way)
    if listed := suppressed_among(session, tenant_id, [address.lower()]).get(address.lower()):
        raise InputError(_kept_back(address, listed, tenant))
    return sender


def _kept_back(address: str, listed: str, tenant: Tenant) -> str:
    if is_domain(listed):
        return (
            f"{tenant.name} writes to nobody at {listed[1:]}: {listed} is on its suppression list. "
            "Release that there first."
        )
    return f"{address} is on the suppression list of {tenant.name}. Release it there first."

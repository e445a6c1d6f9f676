"""Identities: domains (and single addresses) in SES that a tenant may send from once they are verified.

names.py what may be one, rows.py the rows, records.py their DNS, at_ses.py calls out, ownership.py
says whose what is there already is, adding.py makes them, checks.py verifies, breaks.py what a lost
verification means, removal.py takes them out again."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import accounts, audit, dns, tenants
from core.access import Action, Actor
from core.app import App
from core.db.conflicts import one_wins
from core.db.models import Identity, Sender
from core.db.states import VerificationStatus
from core.errors import InputError
from core.identities import at_ses
from core.identities.adding import add
from core.identities.breaks import why_no_campaign, why_not_now
from core.identities.checks import (
    COOLDOWN_SECONDS,
    refresh_due,
    seconds_until_check,
    verify_now,
)
from core.identities.names import checked_name, domain_of
from core.identities.records import DOMAIN, findings, left_behind, records
from core.identities.removal import remove_unused, remove_unused_due
from core.identities.rows import (
    GRACE,
    find_by_name,
    get_identity,
    live_senders,
    lock_identity,
    refuse_while_used,
    restorable,
    wanted,
)

__all__ = [
    "COOLDOWN_SECONDS",
    "DOMAIN",
    "GRACE",
    "add",
    "checked_name",
    "find_by_name",
    "findings",
    "get_identity",
    "left_behind",
    "live_senders",
    "lock_identity",
    "records",
    "refresh_due",
    "refuse_while_used",
    "remove_unused",
    "remove_unused_due",
    "restorable",
    "seconds_until_check",
    "set_mail_from",
    "verify_now",
    "wanted",
    "why_no_campaign",
    "why_not_now",
]


def set_mail_from(app: App, actor: Actor, tenant_id: int, identity_id: int, domain: str | None) -> Identity:
    """The subdomain that bounces come back to; None: amazonses.com, as SES does without one. InputError with
    what is in the way of it."""
    actor.must(Action.MANAGE_SENDERS, tenant_id)
    with app.db.read() as session:
        before = get_identity(session, tenant_id, identity_id)
        domain = None if domain is None else _checked_mail_from(session, before, domain)
        account_id = tenants.get_tenant(session, tenant_id).account_id
        region = accounts.get_account(session, account_id).region
    if domain and (why := dns.mail_from_taken(domain, dns.Resolver(app.settings.dns_servers))):
        raise InputError(why, field="mail_from")
    app.providers.email(region).set_mail_from(before.name, domain)
    with one_wins(before.name), app.db.begin() as session:
        identity = session.merge(before)
        identity.mail_from_domain = domain
        identity.mail_from_status = VerificationStatus.PENDING if domain else at_ses.MAIL_FROM_OFF
        audit.record(
            session,
            actor,
            "set mail from",
            before.name,
            at=app.now(),
            tenant_id=tenant_id,
            mail_from=domain or "amazonses.com",
        )
    return identity


def _checked_mail_from(session: Session, identity: Identity, domain: str) -> str:
    """A subdomain that no mail is sent from: SES's own conditions (PutEmailIdentityMailFromAttributes)."""
    domain = domain.strip().lower().rstrip(".")
    if identity.type != DOMAIN:
        raise InputError(
            f"{identity.name} is one address: MAIL FROM needs a verified domain.", field="mail_from"
        )
    if "@" in domain or not domain.endswith(f".{identity.name}"):
        raise InputError(
            f"A MAIL FROM domain lies below {identity.name}: write for example bounce.{identity.name}.",
            field="mail_from",
        )
    domain = checked_name(domain)
    if _is_sent_from(session, identity.tenant_id, domain):
        raise InputError(
            f"Mail is sent from {domain}, so bounces cannot come back there. Choose a name that is used for "
            f"nothing else, such as bounce.{identity.name}.",
            field="mail_from",
        )
    return domain


def _is_sent_from(session: Session, tenant_id: int, domain: str) -> bool:
    if find_by_name(session, tenant_id, domain) is not None:
        return True
    senders = select(Sender.address).where(Sender.tenant_id == tenant_id, Sender.deleted_at.is_(None))
    return any(domain_of(address) == domain for address in session.scalars(senders))

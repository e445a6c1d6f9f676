"""Identities: domains (and single addresses) in SES that a tenant may send from once they are verified."""

from __future__ import annotations

import ipaddress
import logging
import math
from datetime import datetime, timedelta

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import Session

from core import accounts, audit, dns, tenants
from core.access import SYSTEM, Action, Actor
from core.app import App
from core.db.conflicts import one_wins
from core.db.models import Campaign, Identity, Message, Sender, Tenant
from core.db.states import CampaignStatus, MessageStatus, VerificationStatus
from core.dns import DnsRecord as DnsRecord
from core.errors import Conflict, InputError, NotFound, PostyardError, ProviderError
from core.providers.base import IdentityState

COOLDOWN_SECONDS = 30
VERIFIED_EVERY = timedelta(days=1)
DUE_AT_ONCE = 10
ACTIVE_CAMPAIGNS = (
    CampaignStatus.SENDING,
    CampaignStatus.SCHEDULED,
    CampaignStatus.PAUSED,
    CampaignStatus.HOLDING,
)
DOMAIN = "DOMAIN"
RESERVED_DOMAINS = {"example.com", "example.net", "example.org", "test.com"}  # RFC 2606, and a usual mistake
RESERVED_ENDINGS = (".test", ".invalid", ".localhost", *(f".{domain}" for domain in sorted(RESERVED_DOMAINS)))

logger = logging.getLogger(__name__)


def get_identity(session: Session, tenant_id: int, identity_id: int) -> Identity:
    query = _live().where(Identity.tenant_id == tenant_id, Identity.id == identity_id)
    if identity := session.scalar(query):
        return identity
    raise NotFound("There is no such identity.")


def find_by_name(session: Session, tenant_id: int, name: str) -> Identity | None:
    return session.scalar(_live().where(Identity.tenant_id == tenant_id, Identity.name == name))


def add(app: App, actor: Actor, tenant_id: int, name: str) -> Identity:
    """The tenant's identity in SES, made if need be: a domain, or one address (for development). Conflict
    when another tenant has the domain or one above it, without a word about who."""
    actor.must(Action.MANAGE_SENDERS, tenant_id)
    name = checked_name(name)
    with app.db.read() as session:
        tenant = tenants.get_tenant(session, tenant_id)
        region = accounts.get_account(session, tenant.account_id).region
        is_new = find_by_name(session, tenant_id, name) is None
    if is_new:
        app.providers.email(region).caller_account_id()  # without AWS nothing is begun
    identity = _reserve(app, tenant_id, name)
    if identity.dkim_tokens or identity.verification_status != VerificationStatus.NOT_STARTED:
        return identity
    state = _create_in_ses(app, tenant, region, name)
    with one_wins(name), app.db.begin() as session:
        identity = get_identity(session, tenant_id, identity.id)
        _note(identity, state, app.now())
        audit.record(session, actor, "add identity", name, at=app.now(), tenant_id=tenant_id)
    return identity


def verify_now(app: App, actor: Actor, tenant_id: int, identity_id: int) -> Identity:
    """Ask SES and the domain's DNS and keep what they say: the one function behind button, job and command
    line. Conflict within COOLDOWN_SECONDS of the last time, whoever asked then."""
    actor.must(Action.MANAGE_SENDERS, tenant_id)
    resolver = dns.Resolver(app.settings.dns_servers)
    identity, tenant, region = _begin_check(app, tenant_id, identity_id)
    try:
        state = _ask_ses(app, tenant, region, identity.name)
    except ProviderError as e:
        _store_failure(app, tenant_id, identity_id, str(e))
        raise
    wanted = (
        _records(identity.name, state.dkim_tokens, state.signing_hosted_zone)
        if identity.type == DOMAIN
        else []
    )
    findings = dns.judge(wanted, resolver)
    with one_wins(identity.name), app.db.begin() as session:
        identity = get_identity(session, tenant_id, identity_id)
        before = identity.verification_status
        _note(identity, state, app.now())
        identity.dns_findings = {finding.record.name: finding.as_json() for finding in findings}
        audit.record(
            session,
            actor,
            "verify identity",
            identity.name,
            at=app.now(),
            tenant_id=tenant_id,
            before=before,
            after=identity.verification_status,
        )
    return identity


def refresh_due(app: App) -> str:
    """Job: verify what is pending each verify_every_hours, what is verified each day; ten at a time, because
    SES answers about one such question a second."""
    pending_every = timedelta(hours=app.settings.verify_every_hours)
    with app.db.read() as session:
        due = _due(session, app.now(), pending_every)
    checked = sum(_refresh(app, identity) for identity in due)
    return f"Checked {checked} of {len(due)} identities."


def remove(app: App, actor: Actor, tenant_id: int, identity_id: int) -> None:
    """Out of SES and out of here. Conflict while a sender or a campaign that goes on uses it."""
    actor.must(Action.REMOVE_SENDER, tenant_id)
    with app.db.read() as session:
        name = get_identity(session, tenant_id, identity_id).name
        if senders := live_senders(session, tenant_id, identity_id):
            raise Conflict(f"{name} has senders: {', '.join(s.address for s in senders)}. Remove them first.")
    withdraw(app, tenant_id, identity_id)
    with one_wins(name), app.db.begin() as session:
        mark_removed(session, tenant_id, identity_id, app.now())
        audit.record(session, actor, "remove identity", name, at=app.now(), tenant_id=tenant_id)


def withdraw(app: App, tenant_id: int, identity_id: int) -> None:
    """Stop sending from the identity and remove it in SES, so that `mark_removed` may follow. Where SES fails
    it stays, unverified: the same call again goes on, `verify_now` brings it back."""
    with one_wins("the identity"), app.db.begin() as session:
        identity = get_identity(session, tenant_id, identity_id)
        refuse_while_used(session, tenant_id, identity.name, Sender.identity_id == identity_id)
        identity.verified_for_sending = False
        tenant = tenants.get_tenant(session, tenant_id)
        region = accounts.get_account(session, tenant.account_id).region
    app.providers.email(region).delete_identity(identity.name, tenant.slug)


def mark_removed(session: Session, tenant_id: int, identity_id: int, at: datetime) -> None:
    """Give the name free; kept when somebody added a sender meanwhile, whose check makes it anew in SES."""
    if not live_senders(session, tenant_id, identity_id):
        get_identity(session, tenant_id, identity_id).removed_at = at


def refuse_while_used(session: Session, tenant_id: int, what: str, of: ColumnElement[bool]) -> None:
    """Conflict while a campaign that goes on, or may go on, sends from one of the senders `of` selects, or a
    single message of theirs still waits."""
    name = session.scalar(
        select(Campaign.name)
        .join(Sender, Campaign.sender_id == Sender.id)
        .where(Campaign.tenant_id == tenant_id, Campaign.status.in_(ACTIVE_CAMPAIGNS), of)
        .limit(1)
    )
    if name is not None:
        raise Conflict(f'Campaign "{name}" uses {what}. Cancel it or wait until it is sent.')
    waiting = (
        select(Message.id)
        .join(Sender, Message.sender_id == Sender.id)
        .where(Message.campaign_id.is_(None), Message.status == MessageStatus.PENDING)
        .where(Message.tenant_id == tenant_id, of)
        .limit(1)
    )
    if session.scalar(waiting) is not None:
        raise Conflict(f"A message from {what} still waits to be sent. Remove it after that.")


def live_senders(session: Session, tenant_id: int, identity_id: int) -> list[Sender]:
    query = select(Sender).where(
        Sender.tenant_id == tenant_id, Sender.identity_id == identity_id, Sender.deleted_at.is_(None)
    )
    return list(session.scalars(query.order_by(Sender.address)))


def records(identity: Identity, region: str) -> list[DnsRecord]:
    """What the domain's DNS should hold; an e-mail address identity needs nothing."""
    if identity.type != DOMAIN:
        return []
    return _records(identity.name, tuple(identity.dkim_tokens), identity.signing_hosted_zone)


def checked_name(name: str) -> str:
    """A domain, or an address, as SES knows it: lower case, IDNA. InputError for one nobody can own."""
    local, at, domain = name.strip().lower().rpartition("@")
    domain = domain.rstrip(".")
    _refuse_impossible(domain)
    try:
        checked = validate_email(
            f"{local if at else 'postmaster'}@{domain}",
            strict=True,
            check_deliverability=False,
            test_environment=True,
        )
    except EmailNotValidError as e:
        raise InputError(f"'{name.strip()[:100]}' cannot be used: {e}", field="address") from e
    if at and checked.ascii_email is None:
        raise InputError("SES cannot send from an address with such letters before the @.", field="address")
    return f"{checked.ascii_local_part}@{checked.ascii_domain}" if at else str(checked.ascii_domain)


def _refuse_impossible(domain: str) -> None:
    if _is_ip_address(domain.strip("[]").removeprefix("ipv6:")):
        raise InputError("Mail cannot come from an IP address. Use a domain you own.", field="address")
    if "." not in domain:
        raise InputError(f"'{domain[:100]}' is no domain on the internet. Use one you own.", field="address")
    if domain in RESERVED_DOMAINS or domain.endswith(RESERVED_ENDINGS):
        raise InputError(
            f"{domain[:100]} is reserved: nobody can own it. Use your own domain.", field="address"
        )


def _is_ip_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _reserve(app: App, tenant_id: int, name: str) -> Identity:
    """The row first: two tenants that add one domain at once cannot both get as far as SES."""
    with one_wins(name), app.db.begin() as session:
        if identity := find_by_name(session, tenant_id, name):
            return identity
        if _is_anothers(session, tenant_id, name):
            raise Conflict(f"{name} cannot be added: the domain is in use here already.")
        kind = "EMAIL_ADDRESS" if "@" in name else DOMAIN
        identity = Identity(tenant_id=tenant_id, name=name, type=kind, created_at=app.now())
        session.add(identity)
        session.flush()
        return identity


def _is_anothers(session: Session, tenant_id: int, name: str) -> bool:
    """SES lets a verified domain send for everything below it, so a verified domain above counts as well; one
    that is only asked for does not, or whoever asks for co.uk would keep everybody in the country out."""
    labels = name.rpartition("@")[2].split(".")
    above = [".".join(labels[start:]) for start in range(1, len(labels) - 1)]
    taken = or_(
        Identity.name.in_([name, ".".join(labels)]),
        and_(Identity.name.in_(above), Identity.verified_for_sending),
    )
    query = _live().where(Identity.tenant_id != tenant_id, taken)
    return session.scalar(query.limit(1)) is not None


def _create_in_ses(app: App, tenant: Tenant, region: str, name: str) -> IdentityState:
    if tenant.configuration_set is None:
        raise Conflict(f"{tenant.name} is not complete in SES. Repair the tenant first.")
    provider = app.providers.email(region)
    state = provider.create_identity(name, tenant.configuration_set)
    provider.associate(tenant.slug, provider.identity_arn(name))
    return state


def _ask_ses(app: App, tenant: Tenant, region: str, name: str) -> IdentityState:
    """An identity or association that somebody removed in SES is made again: it is still wanted here."""
    provider = app.providers.email(region)
    try:
        state = provider.get_identity(name)
    except ProviderError as e:
        if e.code != "NotFoundException":
            raise
        return _create_in_ses(app, tenant, region, name)
    provider.associate(tenant.slug, provider.identity_arn(name))
    return state


def _begin_check(app: App, tenant_id: int, identity_id: int) -> tuple[Identity, Tenant, str]:
    with one_wins("the identity"), app.db.begin() as session:
        identity = get_identity(session, tenant_id, identity_id)
        since = COOLDOWN_SECONDS if identity.checked_at is None else _seconds_since(identity.checked_at, app)
        if since < COOLDOWN_SECONDS:
            wait = math.ceil(COOLDOWN_SECONDS - since)
            raise Conflict(f"{identity.name} was checked a moment ago. Try again in {wait} seconds.")
        identity.checked_at = app.now()
        tenant = tenants.get_tenant(session, tenant_id)
        return identity, tenant, accounts.get_account(session, tenant.account_id).region


def _seconds_since(at: datetime, app: App) -> float:
    # A clock that was set back must not lock the button for as long.
    return abs((app.now() - at).total_seconds())


def _store_failure(app: App, tenant_id: int, identity_id: int, why: str) -> None:
    with app.db.begin() as session:
        get_identity(session, tenant_id, identity_id).error_detail = why


def _note(identity: Identity, state: IdentityState, at: datetime) -> None:
    if state.verified_for_sending and not identity.verified_for_sending:
        identity.verified_at = at
    identity.verification_status = state.verification_status
    identity.verified_for_sending = state.verified_for_sending
    identity.dkim_status = state.dkim_status
    identity.dkim_tokens = list(state.dkim_tokens)
    identity.signing_hosted_zone = state.signing_hosted_zone
    identity.mail_from_domain = state.mail_from_domain
    identity.mail_from_status = state.mail_from_status
    identity.error_type = state.error_type
    identity.error_detail = None


def _records(name: str, tokens: tuple[str, ...], zone: str) -> list[DnsRecord]:
    dkim = [
        DnsRecord(
            type="CNAME",
            name=f"{token}._domainkey.{name}",
            value=f"{token}.{zone}",
            purpose="DKIM: lets SES sign the mail and verifies the domain",
            required=True,
        )
        for token in tokens
    ]
    spf = DnsRecord(
        type="TXT",
        name=name,
        value="v=spf1 include:amazonses.com ~all",
        purpose="SPF: says that SES may send for the domain",
        required=False,
    )
    dmarc = DnsRecord(
        type="TXT",
        name=f"_dmarc.{name}",
        value="v=DMARC1; p=none;",
        purpose="DMARC: asked for by Gmail, Yahoo and Microsoft",
        required=False,
    )
    return [*dkim, spf, dmarc]


def _due(session: Session, at: datetime, pending_every: timedelta) -> list[Identity]:
    last = func.coalesce(Identity.checked_at, Identity.created_at)
    query = _live().where(
        Identity.verification_status != VerificationStatus.NOT_STARTED,
        or_(
            and_(~Identity.verified_for_sending, last < at - pending_every),
            and_(Identity.verified_for_sending, last < at - VERIFIED_EVERY),
        ),
    )
    return list(session.scalars(query.order_by(last).limit(DUE_AT_ONCE)))


def _refresh(app: App, due: Identity) -> bool:
    try:
        verify_now(app, SYSTEM, due.tenant_id, due.id)
    except PostyardError as e:
        logger.warning("identity %s was not checked: %s", due.name, e)
        return False
    return True


def _live() -> Select[Identity]:
    return select(Identity).where(Identity.removed_at.is_(None))

"""Onboarding links: a read-only page about one domain for whoever manages its DNS, who has no log-in here.

The link holds a random token, the database its SHA-256. Whoever has the link sees that domain's records and
may have them checked again; nothing else of the tenant can be reached with it.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Row, select, update
from sqlalchemy.orm import Session

from core import audit, identities
from core.access import Action, Actor, Role
from core.app import App
from core.db.models import Account, Identity, OnboardingLink, Tenant
from core.db.states import VerificationStatus
from core.dns import Finding
from core.errors import InputError, NotFound
from core.plain import CONTROL

DAYS = 14
MAX_DAYS = 90
MAX_NOTE = 200
OPENED_EVERY = timedelta(minutes=1)  # how exactly `opened_at` is kept: reading must not become writing


@dataclass(frozen=True, slots=True)
class LinkView:
    link: OnboardingLink
    domain: str
    state: str  # open, expired, revoked, domain removed


@dataclass(frozen=True, slots=True)
class Page:
    """All that somebody with the link may see."""

    domain: str
    status: str  # SES's word: VerificationStatus
    verified: bool  # for sending, with DKIM
    checked_at: datetime | None
    seconds_until_check: int  # 0: may be checked now
    records: list[Finding]
    expires_at: datetime
    shown_at: datetime


def create_link(
    app: App, actor: Actor, tenant_id: int, identity_id: int, *, days: int = DAYS, note: str = ""
) -> tuple[OnboardingLink, str]:
    """The link and its address, which is shown this once: a path only, while public_url is not set."""
    actor.must(Action.SHARE_ONBOARDING, tenant_id)
    note = _checked_note(note)
    if not 1 <= days <= MAX_DAYS:
        raise InputError(f"A link can be valid for 1 to {MAX_DAYS} days.", field="days")
    token, now = secrets.token_urlsafe(32), app.now()
    with app.db.begin() as session:
        identity = identities.get_identity(session, tenant_id, identity_id)
        if identity.type != identities.DOMAIN:
            raise InputError(f"{identity.name} is a single address: it needs no DNS records.")
        link = OnboardingLink(
            tenant_id=tenant_id,
            identity_id=identity.id,
            token_hash=_hash(token),
            note=note,
            created_by=actor.username,
            created_at=now,
            expires_at=now + timedelta(days=days),
        )
        session.add(link)
        session.flush()
        audit.record(
            session, actor, "share onboarding page", identity.name, at=now, tenant_id=tenant_id,
            link=link.id, days=days, note=note,
        )  # fmt: skip
    return link, f"{app.settings.public_url.rstrip('/')}/onboarding/{token}"


def list_links(app: App, actor: Actor, tenant_id: int, *, limit: int = 100) -> list[LinkView]:
    """Newest first, also those that do not open any more."""
    actor.must(Action.SHARE_ONBOARDING, tenant_id)
    query = (
        select(OnboardingLink, Identity.name, Identity.removed_at)
        .join(Identity, Identity.id == OnboardingLink.identity_id)
        .where(OnboardingLink.tenant_id == tenant_id)
        .order_by(OnboardingLink.id.desc())
        .limit(limit)
    )
    with app.db.read() as session:
        rows = session.execute(query).all()
    return [LinkView(link, domain, _state(link, removed_at, app.now())) for link, domain, removed_at in rows]


def revoke_link(app: App, actor: Actor, tenant_id: int, link_id: int) -> OnboardingLink:
    """The page is gone at once; twice is the same as once."""
    actor.must(Action.SHARE_ONBOARDING, tenant_id)
    with app.db.begin() as session:
        query = select(OnboardingLink).where(
            OnboardingLink.tenant_id == tenant_id, OnboardingLink.id == link_id
        )
        link = session.scalar(query.with_for_update())
        if link is None:
            raise NotFound("There is no such link.")
        if link.revoked_at is None:
            link.revoked_at, link.revoked_by = app.now(), actor.username
            domain = session.get_one(Identity, link.identity_id).name
            audit.record(
                session, actor, "revoke onboarding page", domain, at=app.now(), tenant_id=tenant_id,
                link=link.id,
            )  # fmt: skip
        return link


def open_page(app: App, token: str) -> Page:
    """What the link shows; changes nothing but when it was last opened. NotFound, always in the same words,
    for a token that is unknown, expired or revoked and when the domain was removed."""
    now = app.now()
    with app.db.read() as session:
        opened = _opened(session, token, now)
    _note_opening(app, opened.OnboardingLink, now)
    identity: Identity = opened.Identity
    return Page(
        domain=identity.name,
        status=identity.verification_status,
        verified=identity.verified_for_sending and identity.dkim_status == VerificationStatus.SUCCESS,
        checked_at=identity.checked_at,
        seconds_until_check=identities.seconds_until_check(identity.checked_at, now),
        records=identities.findings(identity, opened.region),
        expires_at=opened.OnboardingLink.expires_at,
        shown_at=now,
    )


def check_again(app: App, token: str) -> None:
    """Ask SES and DNS now, as `identities.verify_now` does for everybody else: TooSoon within its cooldown.
    NotFound as `open_page`. Nothing is made in SES by it: whoever has a link may not bring back a domain that
    is being removed."""
    with app.db.read() as session:
        link: OnboardingLink = _opened(session, token, app.now()).OnboardingLink
    whoever = Actor(
        username=f"onboarding link {link.id}",
        role=Role.ACCOUNT_MANAGER,
        tenant_ids=frozenset({link.tenant_id}),
    )
    identities.verify_now(app, whoever, link.tenant_id, link.identity_id, mends=False)


def _opened(session: Session, token: str, at: datetime) -> Row[OnboardingLink, Identity, str]:
    """One look-up whatever is wrong with the token, so that no answer comes sooner than another."""
    query = (
        select(OnboardingLink, Identity, Account.region)
        .join(Identity, Identity.id == OnboardingLink.identity_id)
        .join(Tenant, Tenant.id == OnboardingLink.tenant_id)
        .join(Account, Account.id == Tenant.account_id)
        .where(
            OnboardingLink.token_hash == _hash(token),
            OnboardingLink.revoked_at.is_(None),
            OnboardingLink.expires_at > at,
            Identity.tenant_id == OnboardingLink.tenant_id,
            Identity.removed_at.is_(None),
        )
    )
    if opened := session.execute(query).one_or_none():
        return opened
    raise NotFound("This link is not valid, or not any more. Ask whoever sent it for a new one.")


def _note_opening(app: App, link: OnboardingLink, at: datetime) -> None:
    if link.opened_at is not None and abs(at - link.opened_at) < OPENED_EVERY:
        return
    with app.db.begin() as session:
        session.execute(update(OnboardingLink).where(OnboardingLink.id == link.id).values(opened_at=at))


def _state(link: OnboardingLink, domain_removed_at: datetime | None, now: datetime) -> str:
    if link.revoked_at is not None:
        return "revoked"
    if domain_removed_at is not None:
        return "domain removed"
    return "open" if link.expires_at > now else "expired"


def _checked_note(note: str) -> str:
    note = note.strip()
    if CONTROL.search(note) or len(note) > MAX_NOTE:
        raise InputError(
            f"A note has up to {MAX_NOTE} characters, no line break or control character.", field="note"
        )
    return note


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()

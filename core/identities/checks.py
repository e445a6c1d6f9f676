"""Checks: SES and DNS asked about an identity, by a person or by the clock, through one function."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, exists, or_, select, update
from sqlalchemy.orm import Session

from core import accounts, audit, dns, pacing, tenants
from core.access import SYSTEM, Action, Actor
from core.app import App
from core.db.conflicts import one_wins
from core.db.models import Identity, Sender, Tenant
from core.db.states import VerificationStatus
from core.dns import Finding
from core.errors import Conflict, PostyardError, ProviderError, TooSoon
from core.identities import at_ses
from core.identities.breaks import Standing, follow
from core.identities.records import DOMAIN, records
from core.identities.removal import undo_if_removed
from core.identities.rows import get_identity, last_check, live, refuse_unneeded
from core.providers.base import IdentityState

COOLDOWN_SECONDS = 30
VERIFIED_EVERY = timedelta(days=1)
AFTER_A_FAILURE = timedelta(minutes=15)  # SES did not answer, or refused: nothing was learned
DNS_SECONDS = 10.0
LEAST_DNS_SECONDS = 2.0
# SES answers about one question a second: what is due is taken in batches, and the rest in a later run.
BATCH = 10
BATCHES_A_RUN = 5
BETWEEN_BATCHES_SECONDS = 2.0
NO_NEW_BATCH_AFTER_SECONDS = 90.0

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Check:
    """An identity as it was when the check began, and whom to ask about it. `mends`: what SES lacks of it is
    made again."""

    identity: Identity  # a copy: what is learned goes here first
    before: Standing
    status_before: str
    tenant: Tenant
    region: str
    is_first_today: bool
    mends: bool
    has_made: bool = False


def verify_now(app: App, actor: Actor, tenant_id: int, identity_id: int, *, mends: bool = True) -> Identity:
    """Ask SES and the domain's DNS and keep what they say: the one function behind button, job, command line
    and onboarding page. TooSoon within COOLDOWN_SECONDS of the last time, whoever asked then. What SES does
    not have (any more) is made again; Conflict instead when no sender needs it, or without `mends`."""
    actor.must(Action.MANAGE_SENDERS, tenant_id)
    check = _begin(app, tenant_id, identity_id, mends=mends)
    try:
        findings = _look(app, check)
        return _keep(app, actor, check, findings)
    except PostyardError as e:
        if isinstance(e, ProviderError):
            _keep_failure(app, check, str(e))
        if check.has_made:
            undo_if_removed(app, check.tenant, check.region, check.identity)
        raise


def refresh_due(app: App) -> str:
    """Job: check what is pending or broken each verify_every_hours, and what is verified each day."""
    started = app.clock.monotonic()
    with app.db.read() as session:
        due = _due(session, app.now(), timedelta(hours=app.settings.verify_every_hours))
    checked = 0

    def refresh(identity: Identity) -> bool:
        return _refresh(app, identity)

    for number, batch in enumerate(_batches(due)):
        if app.clock.monotonic() - started > NO_NEW_BATCH_AFTER_SECONDS:
            break
        if number:
            app.clock.sleep(BETWEEN_BATCHES_SECONDS)
        with ThreadPoolExecutor(BATCH) as pool:
            checked += sum(pool.map(pacing.carried(refresh), batch))
    return f"Checked {checked} of {len(due)} identities."


def seconds_until_check(checked_at: datetime | None, now: datetime) -> int:
    """0: may be checked now. A clock that was set back must not lock the button for as long."""
    if checked_at is None:
        return 0
    since = abs((now - checked_at).total_seconds())
    return max(0, math.ceil(COOLDOWN_SECONDS - since))


def note(identity: Identity, state: IdentityState, at: datetime) -> None:
    """What SES said of it."""
    if state.verified_for_sending and not identity.verified_for_sending:
        identity.verified_at = at
    identity.verification_status = state.verification_status
    identity.verified_for_sending = state.verified_for_sending
    identity.dkim_status = state.dkim_status
    identity.dkim_tokens = list(state.dkim_tokens)
    identity.signing_hosted_zone = state.signing_hosted_zone
    _note_mail_from(identity, state)
    identity.error_type = state.error_type
    identity.verification_info = dict(state.verification_info)
    identity.error_detail = None


def _note_mail_from(identity: Identity, state: IdentityState) -> None:
    """What is wanted here stays so, whatever somebody has set in SES: core/drift tells and mends that."""
    wanted = identity.mail_from_domain
    if wanted is None and identity.mail_from_status != at_ses.MAIL_FROM_OFF:
        identity.mail_from_domain, identity.mail_from_status = state.mail_from_domain, state.mail_from_status
    elif wanted is not None:
        is_used = state.mail_from_domain == wanted
        identity.mail_from_status = state.mail_from_status if is_used else VerificationStatus.NOT_STARTED


def _begin(app: App, tenant_id: int, identity_id: int, *, mends: bool) -> Check:
    """Of several at once one gets past here."""
    now = app.now()
    cooldown = timedelta(seconds=COOLDOWN_SECONDS)
    with app.db.begin() as session:
        last = session.scalar(select(last_check()).where(Identity.id == identity_id))
        begun = session.execute(
            update(Identity)
            .where(Identity.id == identity_id, Identity.tenant_id == tenant_id)
            .where(
                or_(
                    Identity.checked_at.is_(None),
                    Identity.checked_at <= now - cooldown,
                    Identity.checked_at >= now + cooldown,  # written while a clock was wrong
                )
            )
            .values(checked_at=now, version=Identity.version + 1)
            .returning(Identity.id)
        ).first()
        identity = get_identity(session, tenant_id, identity_id)
        if begun is None:
            raise TooSoon(_too_soon(identity, now))
        tenant = tenants.get_tenant(session, tenant_id)
        region = accounts.get_account(session, tenant.account_id).region
        is_first_today = last is None or last.date() != now.date()
        return Check(
            identity,
            Standing.of(identity),
            identity.verification_status,
            tenant,
            region,
            is_first_today=is_first_today,
            mends=mends,
        )


def _too_soon(identity: Identity, now: datetime) -> str:
    wait = max(1, seconds_until_check(identity.checked_at, now))
    return f"{identity.name} was checked a moment ago. Try again in {wait} seconds."


def _look(app: App, check: Check) -> list[Finding]:
    """Everything SES and DNS say now, noted in the check's copy of the identity."""
    identity, region = check.identity, check.region
    state = _found(app, check) or _made_again(app, check)
    if check.mends:  # asking for one makes the domain where SES does not have it
        _note_token(app, check, state)
    began = app.clock.monotonic()
    state = at_ses.with_mail_from(app, region, identity, state)
    note(identity, state, app.now())
    wanted = records(identity, region)
    if not wanted:
        return []
    left = max(LEAST_DNS_SECONDS, DNS_SECONDS - (app.clock.monotonic() - began))
    resolver = dns.Resolver(app.settings.dns_servers)
    findings = dns.diagnose(identity.name, wanted, resolver, within_seconds=left)
    note(identity, at_ses.begun_again(app, region, identity.name, state, findings), app.now())
    return findings


def _note_token(app: App, check: Check, state: IdentityState) -> None:
    """Credentials that could not ask for it may do so by now: tried once a day while it is of use."""
    identity = check.identity
    if identity.verification_token == at_ses.NO_TOKEN and not state.verified_for_sending:
        identity.verification_token = None if check.is_first_today else at_ses.NO_TOKEN
    identity.verification_token = at_ses.token(app, check.region, identity)


def _found(app: App, check: Check) -> IdentityState | None:
    """None too for one whose removal stopped half-way: SES may still have it, but for no tenant."""
    if check.status_before == VerificationStatus.NOT_STARTED:
        return None
    return app.providers.email(check.region).find_identity(check.identity.name)


def _made_again(app: App, check: Check) -> IdentityState:
    """Somebody removed it in SES, and it is still wanted here: not when that somebody was Postyard."""
    name = check.identity.name
    if not check.mends:
        raise Conflict(f"{name} is not in Amazon SES now. Check it on the Senders page.")
    with app.db.read() as session:
        now = get_identity(session, check.identity.tenant_id, check.identity.id)
        if now.version != check.identity.version:
            raise Conflict(f"Somebody else changed {name} just now. Look again.")
        refuse_unneeded(session, now)
    check.has_made = True
    state, _ = at_ses.create(app, check.tenant, check.region, name)
    if undo_if_removed(app, check.tenant, check.region, check.identity):
        raise Conflict(f"{name} was removed just now.")
    return state


def _keep(app: App, actor: Actor, check: Check, findings: list[Finding]) -> Identity:
    with one_wins(check.identity.name), app.db.begin() as session:
        # Where it was changed since the check began (removed, another MAIL FROM), its version tells.
        identity = session.merge(check.identity)
        identity.dns_findings = [finding.as_json() for finding in findings]
        fallback_from = app.settings.resend_from
        follow(session, identity, check.before, findings, app.now(), fallback_from=fallback_from)
        _record(session, actor, check, identity, app.now())
    return identity


def _record(session: Session, actor: Actor, check: Check, identity: Identity, at: datetime) -> None:
    before, after = check.status_before, identity.verification_status
    logger.info("identity %s of %s: %s -> %s", identity.name, check.tenant.slug, before, after)
    if actor is SYSTEM and Standing.of(identity) == check.before and before == after:
        return  # the clock looked and nothing had changed
    audit.record(
        session,
        actor,
        "verify identity",
        identity.name,
        at=at,
        tenant_id=identity.tenant_id,
        before=before,
        after=after,
    )


def _keep_failure(app: App, check: Check, why: str) -> None:
    with app.db.begin() as session:
        session.execute(update(Identity).where(Identity.id == check.identity.id).values(error_detail=why))


def _due(session: Session, at: datetime, pending_every: timedelta) -> list[Identity]:
    last = last_check()
    unfinished = or_(
        ~Identity.verified_for_sending,
        Identity.broken_at.is_not(None),
        and_(Identity.type == DOMAIN, Identity.dkim_status != VerificationStatus.SUCCESS),
    )
    # Its removal had begun when somebody added a sender: the check makes it anew.
    has_sender = exists().where(Sender.identity_id == Identity.id, Sender.deleted_at.is_(None))
    to_be_made = and_(Identity.verification_status == VerificationStatus.NOT_STARTED, has_sender)
    query = live().where(
        or_(Identity.verification_status != VerificationStatus.NOT_STARTED, to_be_made),
        or_(
            last < at - VERIFIED_EVERY,
            and_(unfinished, last < at - pending_every),
            and_(Identity.error_detail.is_not(None), last < at - AFTER_A_FAILURE),
            and_(to_be_made, Identity.checked_at.is_(None)),
            last > at + timedelta(seconds=COOLDOWN_SECONDS),  # written while a clock was wrong
        ),
    )
    return list(session.scalars(query.order_by(last, Identity.id).limit(BATCH * BATCHES_A_RUN)))


def _batches(due: list[Identity]) -> Iterator[list[Identity]]:
    for first in range(0, len(due), BATCH):
        yield due[first : first + BATCH]


def _refresh(app: App, due: Identity) -> bool:
    try:
        verify_now(app, SYSTEM, due.tenant_id, due.id)
    except PostyardError as e:
        logger.warning("identity %s was not checked: %s", due.name, e)
        return False
    except Exception:  # of a loop over everybody's: what is wrong with one is only this one's
        logger.exception("identity %s was not checked", due.name)
        return False
    return True

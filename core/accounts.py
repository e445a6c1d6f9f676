"""Accounts: the AWS account we send through, what it allows, and the queue its events arrive in."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from email_validator import EmailNotValidError, validate_email
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core import alerts, audit, lanes
from core.access import SYSTEM, Action, Actor
from core.app import App
from core.db.conflicts import one_wins
from core.db.models import Account, Tenant
from core.errors import Conflict, InputError, NotFound, ProviderError
from core.providers.base import AccessRequest, AccountState, Plumbing

PLATFORM = "platform"
IN_REVIEW = "PENDING"
MAIL_TYPES = ("MARKETING", "TRANSACTIONAL")
LANGUAGES = ("EN", "JA")
# PutAccountDetails: up to 5,000 characters and 4 further addresses. Reviewers refuse a use case in one line.
SHORTEST_USE_CASE, LONGEST_USE_CASE = 50, 5000
LONGEST_WEBSITE = 1000
MOST_CONTACTS = 4

logger = logging.getLogger(__name__)


def ensure_platform_account(app: App) -> Account:
    """The account every tenant sends through, made on first use; calls nobody once it is there. Its queue is
    part of every tenant's plan."""
    return find_platform_account(app) or _register(app)


def find_platform_account(app: App) -> Account | None:
    with app.db.read() as session:
        return session.scalar(select(Account).where(Account.name == PLATFORM))


def refresh_due(app: App) -> str:
    """Job: what SES allows each account now, and how AWS's review of it stands. An account that does not
    answer keeps its last figures."""
    with app.db.read() as session:
        accounts = list(session.scalars(select(Account).order_by(Account.id)))
    refreshed = sum(_is_refreshed(app, account) for account in accounts)
    return f"Read the quota of {refreshed} of {len(accounts)} accounts."


def refresh_now(app: App, actor: Actor, account_id: int) -> Account:
    """Ask SES at once. Raises ProviderError when it does not answer; the last figures stay."""
    actor.must(Action.SEE_HEALTH)
    with app.db.read() as session:
        account = get_account(session, account_id)
    return _refresh(app, account)


def list_accounts(app: App, actor: Actor) -> list[Account]:
    actor.must(Action.SEE_HEALTH)
    with app.db.read() as session:
        return list(session.scalars(select(Account).order_by(Account.name)))


def sandboxed(app: App, actor: Actor, tenant_id: int | None = None) -> list[Account]:
    """Accounts in SES's sandbox that the tenant, or any tenant the actor sees, sends through: 200 mails a
    day, one a second, to verified addresses only."""
    actor.must(Action.SEE_TENANT, tenant_id)
    using = select(Tenant.account_id)
    if tenant_id is not None:
        using = using.where(Tenant.id == tenant_id)
    elif actor.tenant_ids is not None:
        using = using.where(Tenant.id.in_(actor.tenant_ids))
    query = select(Account).where(~Account.production_access, Account.checked_at.is_not(None))
    with app.db.read() as session:
        return list(session.scalars(query.where(Account.id.in_(using)).order_by(Account.name)))


def request_production_access(
    app: App,
    actor: Actor,
    account_id: int,
    *,
    mail_type: str,
    website_url: str,
    use_case: str,
    contact_language: str = "EN",
    contacts: Sequence[str] = (),
) -> Account:
    """Ask AWS to let the account out of the sandbox. Conflict while AWS reviews an earlier request, and for
    an account that is out already; how the review stands arrives with `refresh_due`."""
    actor.must(Action.MANAGE_ACCOUNTS)
    request = checked_request(
        mail_type=mail_type,
        website_url=website_url,
        use_case=use_case,
        contact_language=contact_language,
        contacts=contacts,
    )
    with app.db.read() as session:
        account = get_account(session, account_id)
    _refuse_needless(account)
    try:
        app.providers.email(account.region).request_production_access(request)
    except Conflict:
        _is_refreshed(app, account)  # whoever asked: what AWS reviews is shown at once
        raise
    with app.db.begin() as session:
        account = get_account(session, account_id)
        account.review_status = IN_REVIEW
        account.access_request = request.as_json()
        account.access_requested_at, account.access_requested_by = app.now(), actor.username
        audit.record(
            session, actor, "request production access", account.name, at=app.now(), **request.as_json()
        )
    return account


def checked_request(
    *,
    mail_type: str,
    website_url: str,
    use_case: str,
    contact_language: str = "EN",
    contacts: Sequence[str] = (),
) -> AccessRequest:
    """As AWS takes it; InputError names the first field that is not."""
    return AccessRequest(
        mail_type=_one_of(mail_type, MAIL_TYPES, "mail_type", "kind of mail"),
        website_url=_checked_website(website_url),
        use_case=_checked_use_case(use_case),
        contact_language=_one_of(contact_language, LANGUAGES, "contact_language", "language"),
        contacts=_checked_contacts(contacts),
    )


def get_account(session: Session, account_id: int) -> Account:
    if account := session.get(Account, account_id):
        return account
    raise NotFound("There is no such AWS account.")


def queue_name(app: App, account: Account) -> str:
    """What is there keeps its name, whatever the settings say later."""
    return (account.queue_url or "").rpartition("/")[2] or f"{app.settings.resource_prefix}-events"


def rule_name(app: App, account: Account) -> str:
    """Begins as the queue's: its policy lets no other rule write to it."""
    return f"{queue_name(app, account).rpartition('-')[0]}-status"


def plumbing_of(account: Account) -> Plumbing:
    return Plumbing(
        queue_url=account.queue_url or "",
        queue_arn=account.queue_arn or "",
        dead_letter_queue_url=account.dead_letter_queue_url or "",
    )


def make_event_queue(app: App, account: Account) -> None:
    """Make or mend the queue that all events of the account arrive in. Twice is the same."""
    plumbing = app.providers.queue(account.region).create_event_queue(queue_name(app, account))
    _store(
        app,
        account,
        queue_url=plumbing.queue_url,
        queue_arn=plumbing.queue_arn,
        dead_letter_queue_url=plumbing.dead_letter_queue_url,
    )


def make_status_rule(app: App, account: Account) -> None:
    """Make or mend the rule that brings SES's own notices about tenants there. Twice is the same."""
    queue = app.providers.queue(account.region)
    arn = queue.create_status_rule(rule_name(app, account), plumbing_of(account))
    _store(app, account, status_rule_arn=arn)


def _register(app: App) -> Account:
    provider = app.providers.email(app.settings.region)
    aws_account_id = provider.caller_account_id()
    state = provider.get_account()
    try:
        with one_wins("the AWS account"), app.db.begin() as session:
            account = Account(name=PLATFORM, region=app.settings.region, created_at=app.now())
            account.aws_account_id = aws_account_id
            _note(account, state, app.now())
            session.add(account)
            audit.record(session, SYSTEM, "add account", PLATFORM, at=app.now(), region=account.region)
    except Conflict:
        # Another process made the row in the same moment, from the same answers.
        if found := find_platform_account(app):
            return found
        raise
    return account


def _store(app: App, account: Account, **columns: Any) -> None:
    with app.db.begin() as session:
        session.execute(update(Account).where(Account.id == account.id).values(**columns))


def _is_refreshed(app: App, known: Account) -> bool:
    try:
        _refresh(app, known)
    except ProviderError as e:
        logger.warning("account %s was not refreshed: %s", known.name, e)
        return False
    return True


def _refresh(app: App, known: Account) -> Account:
    with app.db.read() as session:
        granted = lanes.granted_and_answered(session, known.id)
    state = app.providers.email(known.region).get_account()
    with app.db.begin() as session:
        lanes.note_checked(session, known.id, granted)
        alerts.clear(session, kind=lanes.CREDENTIALS_REFUSED, cause=lanes.lane_of(known.id), at=app.now())
        account = get_account(session, known.id)
        before = account.review_status, account.production_access
        _note(account, state, app.now())
        after = account.review_status, account.production_access
        if after != before:
            audit.record(
                session,
                SYSTEM,
                "review production access",
                account.name,
                at=app.now(),
                before=_shown(*before),
                after=_shown(*after),
                case=account.review_case_id,
            )
    return account


def _shown(review_status: str | None, production_access: bool) -> str:
    access = "production access" if production_access else "sandbox"
    return f"{access}, review {review_status}" if review_status else access


def _note(account: Account, state: AccountState, at: datetime) -> None:
    account.max_send_rate = state.max_send_rate
    account.max_24_hour_send = state.max_24_hour_send
    account.sent_last_24_hours = state.sent_last_24_hours
    account.production_access = state.production_access
    account.sending_enabled = state.sending_enabled
    account.enforcement_status = state.enforcement_status
    account.review_status = state.review_status
    account.review_case_id = state.review_case_id
    if state.access_request:
        account.access_request = state.access_request
    account.checked_at = at


def _refuse_needless(account: Account) -> None:
    if account.production_access:
        raise Conflict(f"The account in {account.region} is out of the sandbox already: nothing to ask for.")
    if account.review_status == IN_REVIEW:
        raise Conflict("AWS is still reviewing the last request. Wait for its answer, usually within a day.")


def _one_of(value: str, known: tuple[str, ...], field: str, what: str) -> str:
    value = value.strip().upper()
    if value not in known:
        raise InputError(f"Choose a {what}: {' or '.join(known)}.", field=field)
    return value


def _checked_website(url: str) -> str:
    url = url.strip()
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and "." in (parts.hostname or "").strip(".")
    except ValueError:
        known = False
    if not known or len(url) > LONGEST_WEBSITE or " " in url or not url.isprintable():
        raise InputError(
            "AWS wants to see a website: write its whole address, such as https://www.acme-mail.io.",
            field="website_url",
        )
    return url


def _checked_use_case(text: str) -> str:
    text = text.replace("\0", "").strip()
    if len(text) > LONGEST_USE_CASE:
        raise InputError(
            f"AWS reads up to {LONGEST_USE_CASE:,} characters; these are {len(text):,}. Shorten it.",
            field="use_case",
        )
    if len(text) < SHORTEST_USE_CASE:
        raise InputError(
            "Tell the reviewer what you send, to whom, how they signed up, and how you treat bounces, "
            f"complaints and unsubscribes: {SHORTEST_USE_CASE} characters or more.",
            field="use_case",
        )
    return text


def _checked_contacts(contacts: Sequence[str]) -> tuple[str, ...]:
    wanted = tuple(dict.fromkeys(contact.strip() for contact in contacts if contact.strip()))
    if len(wanted) > MOST_CONTACTS:
        raise InputError(f"AWS takes up to {MOST_CONTACTS} further addresses.", field="contacts")
    for contact in wanted:
        try:
            validate_email(contact, check_deliverability=False, test_environment=True)
        except EmailNotValidError as e:
            raise InputError(f"'{contact[:100]}' is no e-mail address: {e}", field="contacts") from e
    return wanted

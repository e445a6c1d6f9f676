"""Accounts: the AWS account we send through, what it allows, and the queue its events arrive in."""

from __future__ import annotations

import logging
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit
from core.access import SYSTEM, Action, Actor
from core.app import App
from core.db.conflicts import one_wins
from core.db.models import Account
from core.errors import Conflict, NotFound, ProviderError
from core.providers.base import AccountState

PLATFORM = "platform"

logger = logging.getLogger(__name__)


def ensure_platform_account(app: App) -> Account:
    """The account every tenant sends through, made on first use; calls nobody once it is there."""
    return find_platform_account(app) or plumb(app)


def find_platform_account(app: App) -> Account | None:
    with app.db.read() as session:
        return session.scalar(select(Account).where(Account.name == PLATFORM))


def plumb(app: App) -> Account:
    """Make or mend the platform account's queue and read its quota. Twice is the same."""
    known = find_platform_account(app)
    region = known.region if known else app.settings.region
    provider, queue = app.providers.email(region), app.providers.queue(region)
    aws_account_id = provider.caller_account_id()
    state = provider.get_account()
    plumbing = queue.create_event_queue(f"{app.settings.resource_prefix}-events")
    try:
        with one_wins("the AWS account"), app.db.begin() as session:
            account = _platform_row(session, region, app.now())
            account.aws_account_id = aws_account_id
            account.queue_url = plumbing.queue_url
            account.queue_arn = plumbing.queue_arn
            account.dead_letter_queue_url = plumbing.dead_letter_queue_url
            _note(account, state, app.now())
    except Conflict:
        # Another process made the row in the same moment, from the same answers.
        if found := find_platform_account(app):
            return found
        raise
    return account


def refresh_due(app: App) -> str:
    """Job: what SES allows each account now. An account that does not answer keeps its last figures."""
    with app.db.read() as session:
        accounts = list(session.scalars(select(Account).order_by(Account.id)))
    refreshed = sum(_refresh(app, account) for account in accounts)
    return f"Read the quota of {refreshed} of {len(accounts)} accounts."


def list_accounts(app: App, actor: Actor) -> list[Account]:
    actor.must(Action.SEE_HEALTH)
    with app.db.read() as session:
        return list(session.scalars(select(Account).order_by(Account.name)))


def get_account(session: Session, account_id: int) -> Account:
    if account := session.get(Account, account_id):
        return account
    raise NotFound("There is no such AWS account.")


def _platform_row(session: Session, region: str, at: datetime) -> Account:
    query = select(Account).where(Account.name == PLATFORM).with_for_update()
    if account := session.scalar(query):
        return account
    account = Account(name=PLATFORM, region=region, created_at=at)
    session.add(account)
    audit.record(session, SYSTEM, "add account", PLATFORM, at=at, region=region)
    return account


def _refresh(app: App, known: Account) -> bool:
    try:
        state = app.providers.email(known.region).get_account()
    except ProviderError as e:
        logger.warning("account %s was not refreshed: %s", known.name, e)
        return False
    with app.db.begin() as session:
        _note(get_account(session, known.id), state, app.now())
    return True


def _note(account: Account, state: AccountState, at: datetime) -> None:
    account.max_send_rate = state.max_send_rate
    account.max_24_hour_send = state.max_24_hour_send
    account.sent_last_24_hours = state.sent_last_24_hours
    account.production_access = state.production_access
    account.sending_enabled = state.sending_enabled
    account.enforcement_status = state.enforcement_status
    account.checked_at = at

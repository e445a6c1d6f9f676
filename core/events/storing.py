"""Storing: what one message of a queue says, and a block of them ingested without those that nobody can
store."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from core.app import App
from core.db.engine import AWAY
from core.db.models import Account
from core.events.ingest import Ingested, ingest
from core.providers.base import ProviderEvent, QueueMessage
from core.providers.ses_events import UnreadableEvent, noticed_tenant, parse

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """One SQS message; `events` None: nobody can read it. `tenant_arn`: a notice about that SES tenant."""

    account: Account
    message: QueueMessage
    events: list[ProviderEvent] | None
    tenant_arn: str | None = None


def read(account: Account, message: QueueMessage) -> Received:
    try:
        return Received(account, message, parse(message.body), noticed_tenant(message.body))
    except UnreadableEvent as e:
        logger.warning("a message in the event queue is not readable: %s", e)
        return Received(account, message, None)


def store(
    app: App, account: Account, block: list[Received], *, is_away: bool = True
) -> tuple[Ingested, list[Received]]:
    """Ingest the block; returns those that cannot be stored as well, found by halves: one of 500 costs a
    dozen transactions. Raises the database's errors that mean "again" while `is_away`; when it answers, they
    are the events' own (PostgreSQL says so of a text that is too long for an index)."""
    try:
        return _ingest(app, account, block), []
    except Exception as e:
        if is_away and isinstance(e, AWAY):
            raise
        _log(e, len(block))
        if len(block) == 1:
            return Ingested(), block
    half = len(block) // 2
    first, left = store(app, account, block[:half], is_away=is_away)
    second, left_too = store(app, account, block[half:], is_away=is_away)
    return first + second, left + left_too


def _ingest(app: App, account: Account, block: list[Received]) -> Ingested:
    events = [event for received in block for event in received.events or ()]
    unreadable = [received.message.body for received in block if received.events is None]
    noticed = {received.tenant_arn for received in block if received.tenant_arn}
    return ingest(app, account, events, unreadable, noticed)


def _log(error: Exception, size: int) -> None:
    """PostgreSQL tells the whole row in what follows the first line: addresses are for no log."""
    what = "one event" if size == 1 else f"a block of {size} events"
    level = logging.ERROR if size == 1 else logging.WARNING
    is_bug = size == 1 and not isinstance(error, SQLAlchemyError)
    logger.log(level, "%s cannot be stored: %s", what, str(error).partition("\n")[0], exc_info=is_bug)

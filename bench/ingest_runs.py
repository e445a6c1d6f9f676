"""What a measured process does with events: all the product does, the same without a database, one by one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from bench import events as told
from bench import fill
from core.app import App
from core.db.models import Account, DailyCount, Event, Message, Suppression
from core.db.states import EventType, MessageStatus, SuppressionReason
from core.providers.base import ProviderEvent
from core.providers.ses_events import parse

Work = Callable[[threading.Event], int]
BLOCK = 500
_MOVES = {
    EventType.SEND: MessageStatus.SENT,
    EventType.DELIVERY: MessageStatus.DELIVERED,
    EventType.BOUNCE: MessageStatus.BOUNCED,
}

_COUNTS = {
    EventType.SEND: "sent",
    EventType.DELIVERY: "delivered",
    EventType.BOUNCE: "permanent_bounces",
}


def poll(app: App, options: dict[str, Any]) -> Work:
    """The product's own loop, until it is told that the queue is empty."""
    from core import events

    return lambda stop: int(events.poll_apart(app, stop).split()[1])


def receive(app: App, options: dict[str, Any]) -> Work:
    """Receive, parse, delete, with the product's own client and parser: one thread is the fastest where
    answers come at once."""
    queue = app.providers.queue(fill.REGION)
    url = _account(app).queue_url

    def work(_stop: threading.Event) -> int:
        done = 0
        while messages := queue.receive(str(url), wait_seconds=0):
            done += sum(len(parse(message.body)) for message in messages)
            queue.delete(str(url), [message.receipt for message in messages])
        return done

    return work


def blocks(app: App, options: dict[str, Any]) -> Work:
    """Storing alone, as the product does it."""
    from core import events

    account, said = _account(app), _said(options["messages"])

    def work(_stop: threading.Event) -> int:
        for start in range(0, len(said), BLOCK):
            events.ingest(app, account, said[start : start + BLOCK])
        return len(said)

    return work


def one_by_one(app: App, options: dict[str, Any]) -> Work:
    """Storing alone, as a small application does it that counts and suppresses, too: objects, a commit for
    each event."""
    said = _said(options["messages"])[: options["events"]]

    def work(_stop: threading.Event) -> int:
        for event in said:
            try:
                with app.db.begin() as session:
                    _store(session, event)
            except IntegrityError:
                continue  # it came before
        return len(said)

    return work


def _store(session: Session, event: ProviderEvent) -> None:
    found = select(Message).where(Message.id == int(str(event.msg_uid).partition("-")[0]))
    message = session.scalars(found).one()
    session.add(
        Event(
            uid=event.uid,
            tenant_id=message.tenant_id,
            message_id=message.id,
            type=event.type,
            recipient=event.recipient,
            occurred_at=event.occurred_at,
            received_at=datetime.now(UTC),
            bounce_type=event.bounce_type,
            bounce_subtype=event.bounce_subtype,
            diagnostic=event.diagnostic,
            raw=event.raw,
        )
    )
    message.status = _MOVES[event.type]
    count = session.get(DailyCount, (message.tenant_id, event.occurred_at.date(), message.campaign_id))
    if count is None:
        count = DailyCount(
            tenant_id=message.tenant_id, day=event.occurred_at.date(), campaign_id=message.campaign_id
        )
        session.add(count)
        session.flush()
    name = _COUNTS[event.type]
    setattr(count, name, getattr(count, name) + 1)
    if event.type == EventType.BOUNCE:
        session.add(
            Suppression(
                tenant_id=message.tenant_id,
                address=message.address_key,
                reason=SuppressionReason.BOUNCE,
                source="event",
                created_by="bench",
                created_at=datetime.now(UTC),
            )
        )


def _said(messages: int) -> list[ProviderEvent]:
    return [event for body in told.bodies(messages) for event in parse(body)]


def _account(app: App) -> Account:
    with app.db.read() as session:
        return session.scalars(select(Account)).one()

"""Recounting: when the rules of machines.py change, opens and clicks are counted again, while ingest goes on.

A message's row says as what it is counted. So a block of messages, held as ingest holds them, moves the
rollups from that to what the rules say now: stopped anywhere, begun again or done twice, they are right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, bindparam, func, select, update
from sqlalchemy.orm import Session

from core.app import App
from core.db.models import Event, Installation, Message, Tenant
from core.db.states import EventType
from core.events import counting
from core.events.machines import RULES, made_by

LOOK_BACK = timedelta(days=90)
EVENTS_AT_ONCE = 2_000  # looked at in one transaction; most of them are no opens or clicks
RUN_SECONDS = 20.0
_MESSAGE: tuple[Any, ...] = (
    Message.id,
    Message.tenant_id,
    Message.campaign_id,
    Message.address_key,
    Message.armed_at,
    Message.created_at,
    Message.counts_in_rates,
    Message.opened_by,
    Message.clicked_by,
    Tenant.timezone,
)


def recount_due(app: App) -> str:
    """Job: go on counting by the newest rules, for some seconds at a time."""
    with app.db.begin() as session:
        if not _is_due(session):
            return "Opens and clicks are counted by the newest rules."
    looked = moved = 0
    until = app.clock.monotonic() + RUN_SECONDS
    while app.clock.monotonic() < until:
        with app.db.begin() as session:
            last = session.scalars(select(Installation.recounted_event)).one()
            if last is None or last >= _newest(session):
                session.execute(update(Installation).values(recounted_event=None))
                return f"Counted opens and clicks again to the end: {moved:,} of {looked:,} messages moved."
            block = _block(session, last, app.now() - LOOK_BACK)
            looked, moved = looked + len(block), moved + _recount(session, block)
            session.execute(update(Installation).values(recounted_event=last + EVENTS_AT_ONCE))
    return f"Counting opens and clicks again: {moved:,} of {looked:,} messages moved so far."


def _is_due(session: Session) -> bool:
    """Begins anew when the rules are others than those by which was counted, to the end or not."""
    row = session.execute(select(Installation.counting_rules, Installation.recounted_event)).one_or_none()
    if row is None:
        return False  # no scheduler has put its mark here yet
    if row.counting_rules != RULES:
        session.execute(update(Installation).values(counting_rules=RULES, recounted_event=0))
        return True
    return row.recounted_event is not None


def _newest(session: Session) -> int:
    return session.scalar(select(func.max(Event.id))) or 0


def _block(session: Session, after: int, since: datetime) -> list[int]:
    """The messages that the next events tell opens and clicks of."""
    query = (
        select(Event.message_id)
        .where(Event.id > after, Event.id <= after + EVENTS_AT_ONCE)
        .where(Event.type.in_((EventType.OPEN, EventType.CLICK)), Event.received_at >= since)
        .distinct()
    )
    return list(session.scalars(query))


def _recount(session: Session, message_ids: Collection[int]) -> int:
    """How many of them are counted otherwise now."""
    if not message_ids:
        return 0
    messages = session.execute(
        select(*_MESSAGE)
        .join(Tenant, Tenant.id == Message.tenant_id)
        .where(Message.id.in_(message_ids))
        .order_by(Message.id)
        .with_for_update(of=Message)
    ).all()
    events = _events(session, message_ids)
    changes, rows = counting.Changes(), []
    for message in messages:
        told = events[message.id]
        made = made_by(told)
        if made == (message.opened_by, message.clicked_by):
            continue
        before, after = counting.tally(told, message), counting.tally(told, made)
        changes.move(message, message.timezone, before, after)
        rows.append({"of_id": message.id, "opened_by": made.opened_by, "clicked_by": made.clicked_by})
    if rows:
        values: dict[str, Any] = {name: bindparam(name) for name in ("opened_by", "clicked_by")}
        statement = update(Message).where(Message.id == bindparam("of_id")).values(values)
        session.connection().execute(statement, rows)
        counting.write(session, changes)
    return len(rows)


def _events(session: Session, message_ids: Collection[int]) -> defaultdict[int, Sequence[Row[Any]]]:
    found: defaultdict[int, Any] = defaultdict(list)
    query = select(Event.message_id, *counting.EVENT).where(Event.message_id.in_(message_ids))
    for row in session.execute(query):
        found[row.message_id].append(row)
    return found

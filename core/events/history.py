"""History: a tenant's outcomes as they were stored, block by block, whatever their number."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from types import SimpleNamespace
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from core.db.many import is_among
from core.db.models import Event, Message
from core.db.states import EventType
from core.events import counting
from core.events.counting import Outcome

PAGE = 4_000  # events
_TYPES = (EventType.DELIVERY.value, EventType.BOUNCE.value, EventType.COMPLAINT.value)
_EVENT: tuple[Any, ...] = (
    Event.id,
    Event.message_id,
    Event.type,
    Event.bounce_type,
    Event.bounce_subtype,
    Event.feedback_type,
    Event.counts_in_rates,
)
_MESSAGE: tuple[Any, ...] = (
    Message.tenant_id,
    Message.campaign_id,
    Message.address_key,
    Message.armed_at,
    Message.created_at,
)
_NOBODY = SimpleNamespace(opened_by=None, clicked_by=None)


@dataclass(frozen=True, slots=True)
class Block:
    """What one transaction stored."""

    at: datetime
    outcomes: list[Outcome]


@dataclass(frozen=True, slots=True)
class Page:
    """`last_id`: of its newest event, after which the next page begins; None: there is none."""

    blocks: list[Block]
    events: int
    last_id: int | None


def begin_at(session: Session, tenant_id: int, since: datetime) -> int:
    """An id after which the events are that were received from then on: they come in the order of their ids,
    so a few looks at the index find it."""
    mine = Event.tenant_id == tenant_id
    low = session.scalar(select(func.min(Event.id)).where(mine)) or 0
    high = (session.scalar(select(func.max(Event.id)).where(mine)) or 0) + 1
    while low < high:
        middle = (low + high) // 2
        query = select(Event.id, Event.received_at).where(mine, Event.id >= middle).order_by(Event.id)
        found = session.execute(query.limit(1)).first()
        if found is None or found.received_at >= since:
            high = middle
        else:
            low = found.id + 1
    return low - 1


def read_page(
    session: Session, tenant_id: int, after_id: int, since: datetime, until: datetime, most: int = PAGE
) -> Page:
    """The outcomes received in that time, of mail that counts in rates; of so many events at most."""
    query = (
        select(*_EVENT, Event.received_at, *_MESSAGE)
        .join(Message, Message.id == Event.message_id)
        .where(Event.tenant_id == tenant_id, Event.id > after_id, Event.type.in_(_TYPES))
        .where(Message.counts_in_rates, Event.received_at >= since, Event.received_at < until)
        .order_by(Event.id)
        .limit(most)
    )
    rows: Sequence[Any] = session.execute(query).all()
    if not rows:
        return Page([], 0, None)
    whole = _whole_blocks(rows, most)
    before = _earlier(session, [row.message_id for row in whole], whole[0].id)
    blocks = [
        Block(at, list(_outcomes(list(fresh), before)))
        for at, fresh in groupby(whole, key=lambda row: row.received_at)
    ]
    return Page(blocks, len(whole), whole[-1].id if len(rows) == most else None)


def _whole_blocks(rows: Sequence[Any], most: int) -> Sequence[Any]:
    """Without the last block of a full page: more of it may follow."""
    if len(rows) < most or rows[0].received_at == rows[-1].received_at:
        return rows
    return [row for row in rows if row.received_at != rows[-1].received_at]


def _earlier(session: Session, message_ids: Sequence[int], first_id: int) -> defaultdict[int, list[Any]]:
    """The events of these messages that were stored before, by message."""
    among: ColumnElement[bool] = is_among(session, Event.message_id, sorted(set(message_ids)))
    query = select(*_EVENT).where(among, Event.id < first_id, Event.type.in_(_TYPES)).order_by(Event.id)
    found: defaultdict[int, list[Any]] = defaultdict(list)
    for row in session.execute(query):
        found[row.message_id].append(row)
    return found


def _outcomes(fresh: Sequence[Any], before: defaultdict[int, list[Any]]) -> Iterator[Outcome]:
    """The steps of one block, in the order in which ingest took its messages; they are added to `before`."""
    by_message: defaultdict[int, list[Any]] = defaultdict(list)
    for row in fresh:
        by_message[row.message_id].append(row)
    for message_id, rows in by_message.items():
        known = before[message_id]
        then = counting.tally(known, _NOBODY)
        known.extend(rows)
        moved = [a - b for a, b in zip(counting.tally(known, _NOBODY), then, strict=True)]
        if outcome := counting.outcome_of(rows[0], moved):
            yield outcome

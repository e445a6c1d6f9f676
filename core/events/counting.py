"""Counting: the daily rollups, moved by what each message's events newly amount to.

A message is counted once per column, on the UTC day it was armed, whatever day its events come. The columns
delivered, permanent_bounces and transient_bounces are shares of one whole: a message is in one of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db.models import DailyCount, Event, Message
from core.db.upsert import insert
from core.events.fold import Kind, kind_of

COLUMNS = (
    "sent",
    "delivered",
    "permanent_bounces",
    "transient_bounces",
    "complaints",
    "opened",
    "clicked",
    "rejected",
)
Tally = tuple[int, ...]
NOTHING: Tally = (0,) * len(COLUMNS)


class Key(NamedTuple):
    """Of one row of the rollups."""

    tenant_id: int
    day: date
    campaign_id: int
    recipient_domain: str


def key_of(message: Any) -> Key:
    return Key(
        message.tenant_id,
        (message.armed_at or message.created_at).date(),
        message.campaign_id or 0,
        message.address_key.rpartition("@")[2],
    )


def tally(events: Iterable[Any]) -> Tally:
    """What one message's events add to COLUMNS: 0 or 1 each."""
    kinds = {kind_of(event) for event in events if event.counts_in_rates}
    bounced = Kind.PERMANENT in kinds
    delivered = Kind.DELIVERED in kinds and not bounced
    return (
        int(Kind.SENT in kinds),
        int(delivered),
        int(bounced),
        int(Kind.TRANSIENT in kinds and not bounced and not delivered),
        int(Kind.COMPLAINT in kinds),
        int(Kind.OPENED in kinds),
        int(Kind.CLICKED in kinds),
        int(Kind.REJECTED in kinds or Kind.UNRENDERED in kinds),
    )


@dataclass(slots=True)
class Changes:
    """What one transaction adds to the rollups."""

    by_key: defaultdict[Key, list[int]] = field(default_factory=lambda: defaultdict(lambda: [*NOTHING]))
    judged: defaultdict[int, set[int]] = field(default_factory=lambda: defaultdict(set))

    def add(self, message: Any, before: Tally, after: Tally) -> None:
        if before == after or not message.counts_in_rates:
            return
        key = key_of(message)
        row = self.by_key[key]
        for n in range(len(COLUMNS)):
            row[n] += after[n] - before[n]
        if (after[2], after[4]) > (before[2], before[4]):
            self.judged[key.tenant_id].add(key.campaign_id)


def write(session: Session, changes: Mapping[Key, list[int]]) -> None:
    """Add the changes, in one order everywhere, so that two writers never wait for each other in a circle."""
    rows = [
        {**key._asdict(), **dict(zip(COLUMNS, counts, strict=True))}
        for key, counts in sorted(changes.items())
        if any(counts)
    ]
    if not rows:
        return
    statement = insert(session, DailyCount)
    added = {name: getattr(DailyCount, name) + statement.excluded[name] for name in COLUMNS}
    session.connection().execute(
        statement.on_conflict_do_update(index_elements=list(Key._fields), set_=added), rows
    )


def recount(session: Session, tenant_id: int) -> dict[Key, Tally]:
    """The rollups as the events say they must be, without rows of zeros: the check of what `write` kept."""
    query = (
        select(
            Message.id,
            Message.tenant_id,
            Message.campaign_id,
            Message.address_key,
            Message.armed_at,
            Message.created_at,
            Event.type,
            Event.bounce_type,
            Event.bounce_subtype,
            Event.feedback_type,
            Event.counts_in_rates,
        )
        .join(Message, Message.id == Event.message_id)
        .where(Event.tenant_id == tenant_id, Message.counts_in_rates)
    )
    events = defaultdict(list)
    for row in session.execute(query):
        events[row.id].append(row)
    counted: defaultdict[Key, list[int]] = defaultdict(lambda: [*NOTHING])
    for rows in events.values():
        total = counted[key_of(rows[0])]
        for n, count in enumerate(tally(rows)):
            total[n] += count
    return {key: tuple(counts) for key, counts in counted.items() if any(counts)}

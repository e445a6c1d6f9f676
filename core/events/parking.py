"""Parking: events that nobody could match, believe or read are kept, tried again for a day, and shown."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core.db.models import Account, ParkedEvent
from core.db.states import BounceType, EventType
from core.db.upsert import insert
from core.events.matching import Doubt, Parked
from core.providers.base import ProviderEvent

RETRY_FOR = timedelta(hours=24)
FIRST_RETRY = timedelta(minutes=1)
LONGEST_WAIT = timedelta(hours=1)
MATCHED, READ = "matched", "read"


def park(session: Session, account: Account | None, parked: Iterable[Parked], at: datetime) -> None:
    """Keep them; one that is parked already stays as it is."""
    rows = [
        {
            "uid": entry.event.uid,
            "account_id": account.id if account else None,
            "tenant_id": entry.tenant_id,
            "reason": entry.doubt.value,
            "body": orjson.dumps(entry.event).decode(),
            "received_at": at,
            "tries": 0,
            "retry_at": at + FIRST_RETRY if entry.doubt is Doubt.UNMATCHED else None,
        }
        for entry in parked
    ]
    _insert(session, rows)


def park_unreadable(session: Session, account: Account | None, bodies: Iterable[str], at: datetime) -> None:
    rows = [
        {
            "uid": _uid(body),
            "account_id": account.id if account else None,
            "tenant_id": None,
            "reason": Doubt.UNREADABLE.value,
            "body": body.replace("\x00", "\N{REPLACEMENT CHARACTER}"),
            "received_at": at,
            "tries": 0,
            "retry_at": None,
        }
        for body in bodies
    ]
    _insert(session, rows)


def resolve_bodies(session: Session, bodies: Iterable[str], at: datetime, by: str, resolution: str) -> None:
    """Of those that `park_unreadable` kept and somebody has dealt with elsewhere."""
    session.execute(
        update(ParkedEvent)
        .where(ParkedEvent.uid.in_([_uid(body) for body in bodies]), ParkedEvent.resolved_at.is_(None))
        .values(resolved_at=at, resolved_by=by, resolution=resolution)
    )


def _uid(body: str) -> str:
    return "unreadable-" + hashlib.sha256(body.encode(errors="replace")).hexdigest()


def _insert(session: Session, rows: list[dict[str, Any]]) -> None:
    if rows:
        statement = insert(session, ParkedEvent).on_conflict_do_nothing(index_elements=["uid"])
        session.connection().execute(statement, sorted(rows, key=lambda row: str(row["uid"])))


def due(session: Session, account: Account | None, at: datetime, limit: int) -> Sequence[ParkedEvent]:
    """The oldest of the account's (None: the second provider's) parked events whose turn it is, held until
    the transaction ends."""
    query = (
        select(ParkedEvent)
        .where(ParkedEvent.account_id == (account.id if account else None))
        .where(ParkedEvent.retry_at <= at, ParkedEvent.resolved_at.is_(None))
        .order_by(ParkedEvent.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    return session.scalars(query).all()


def settle(
    rows: Iterable[ParkedEvent], still_parked: Iterable[Parked], at: datetime, by: str | None = None
) -> int:
    """Mark what was matched now, and set the next try of the others; returns how many were matched. `by`:
    who asked for the try; None: its turn had come."""
    doubts = {entry.event.uid: entry.doubt for entry in still_parked}
    matched = 0
    for row in rows:
        row.tries += 1
        if row.uid not in doubts:
            row.resolved_at, row.retry_at, row.resolved_by, row.resolution = at, None, by, MATCHED
            matched += 1
            continue
        row.reason = doubts[row.uid].value
        again = row.reason == Doubt.UNMATCHED and at < row.received_at + RETRY_FOR
        row.retry_at = at + min(FIRST_RETRY * 2 ** min(row.tries, 10), LONGEST_WAIT) if again else None
    return matched


def event_of(row: ParkedEvent) -> ProviderEvent:
    """The event that `park` wrote."""
    stored = orjson.loads(row.body)
    stored["type"] = EventType(stored["type"])
    stored["occurred_at"] = datetime.fromisoformat(stored["occurred_at"])
    if stored["bounce_type"] is not None:
        stored["bounce_type"] = BounceType(stored["bounce_type"])
    return ProviderEvent(**stored)

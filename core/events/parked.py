"""Parked: what a person sees of the events that nobody could match, believe or read, and does about them.

A try is the same as an ingest: the message is found by its tag and the tenant's topic is checked again, so
that what was quarantined as another tenant's can never be replayed into it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, update
from sqlalchemy.orm import Session

from core import audit, tenants
from core.access import Action, Actor
from core.app import App
from core.db.models import Account, ParkedEvent
from core.errors import InputError, NotFound
from core.events import parking
from core.events.ingest import BLOCK, apply
from core.events.matching import Doubt
from core.plain import mask_addresses
from core.providers import resend_events
from core.providers.ses_events import UnreadableEvent, noticed_tenant, parse

SECOND_PROVIDER = 0  # where an account's id is asked for
LONGEST_REASON = 200
_LISTED_CHARACTERS = 1000
# The beginning of what parking.park writes.
_SAYS = re.compile(r'\{"uid":"[^"]*","type":"([A-Z_]+)","recipient":"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Which:
    """A choice among the parked events; None leaves a thing open."""

    reason: str | None = None
    tenant_id: int | None = None  # whose topic they came through
    account_id: int | None = None  # SECOND_PROVIDER: those that came from there
    ids: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class ParkedLine:
    """`says`: the event's type and recipient, or how an unreadable body begins; a role that may not see
    addresses gets them masked, in `body`, too. `body` is whole where one is asked for, else empty."""

    id: int
    reason: str
    says: str
    account_id: int | None
    tenant_id: int | None
    received_at: datetime
    tries: int
    retry_at: datetime | None
    resolved_at: datetime | None
    resolved_by: str | None
    resolution: str | None
    body: str = ""


@dataclass(frozen=True, slots=True)
class Tried:
    tried: int
    matched: int


def list_parked(
    app: App,
    actor: Actor,
    which: Which = Which(),
    *,
    resolved: bool = False,
    before_id: int | None = None,
    limit: int = 100,
) -> list[ParkedLine]:
    """Newest first; `before_id` continues below one. `resolved`: those that are parked no more."""
    actor.must(Action.SEE_HEALTH)
    state = ParkedEvent.resolved_at.is_not(None) if resolved else ParkedEvent.resolved_at.is_(None)
    beginning = func.substr(ParkedEvent.body, 1, _LISTED_CHARACTERS).label("beginning")
    query = _chosen(select(*_LISTED, beginning).where(state), which)
    if before_id is not None:
        query = query.where(ParkedEvent.id < before_id)
    with app.db.read() as session:
        rows = session.execute(query.order_by(ParkedEvent.id.desc()).limit(limit)).all()
    return [_line(row, row.beginning, actor) for row in rows]


def get_parked(app: App, actor: Actor, parked_id: int) -> ParkedLine:
    """One of them with its whole body."""
    actor.must(Action.SEE_HEALTH)
    with app.db.read() as session:
        row = session.get(ParkedEvent, parked_id)
    if row is None:
        raise NotFound("There is no such parked event.")
    return _line(row, row.body, actor, whole=True)


def count_parked(app: App, actor: Actor, which: Which = Which()) -> int:
    actor.must(Action.SEE_HEALTH)
    query = select(func.count()).select_from(ParkedEvent).where(ParkedEvent.resolved_at.is_(None))
    with app.db.read() as session:
        return session.scalar(_chosen(query, which)) or 0


def replay_parked(app: App, actor: Actor, which: Which) -> Tried:
    """Try them now, whatever their turn is, also those that are tried no more by themselves."""
    actor.must(Action.REPLAY_EVENTS)
    tried, last = Tried(0, 0), 0
    while True:
        with app.db.begin() as session:
            rows = _held(session, which, last)
            matched = sum(
                _try(session, account_id, group, app.now(), actor)
                for account_id, group in sorted(_by_account(rows).items(), key=lambda each: each[0] or 0)
            )
            if rows:
                _record(
                    session, actor, "replay parked events", which, app.now(), tried=len(rows), matched=matched
                )
        tried = Tried(tried.tried + len(rows), tried.matched + matched)
        if len(rows) < BLOCK:
            break
        last = rows[-1].id
    if which.ids and not tried.tried:
        raise NotFound("There is no such parked event any more. Look again.")
    return tried


def discard_parked(app: App, actor: Actor, which: Which, reason: str) -> int:
    """They stay where they are, as resolved, and are tried no more."""
    actor.must(Action.REPLAY_EVENTS)
    reason = checked_reason(reason)
    open_ones = ParkedEvent.resolved_at.is_(None)
    with app.db.begin() as session:
        count = session.scalar(_chosen(select(func.count()).select_from(ParkedEvent).where(open_ones), which))
        if which.ids and not count:
            raise NotFound("There is no such parked event any more. Look again.")
        session.execute(
            update(ParkedEvent)
            .where(open_ones, *_conditions(which))
            .values(
                resolved_at=app.now(),
                resolved_by=actor.username,
                resolution=f"discarded: {reason}",
                retry_at=None,
            )
        )
        _record(session, actor, "discard parked events", which, app.now(), count=count, reason=reason)
    return count or 0


def checked_reason(reason: str) -> str:
    reason = reason.replace("\0", "").strip()
    if not reason:
        raise InputError("Say in a few words why they are discarded; it is kept in the audit log.", "reason")
    if len(reason) > LONGEST_REASON:
        raise InputError(f"Say why in {LONGEST_REASON} characters or fewer.", "reason")
    return reason


_LISTED: tuple[Any, ...] = (
    ParkedEvent.id,
    ParkedEvent.reason,
    ParkedEvent.account_id,
    ParkedEvent.tenant_id,
    ParkedEvent.received_at,
    ParkedEvent.tries,
    ParkedEvent.retry_at,
    ParkedEvent.resolved_at,
    ParkedEvent.resolved_by,
    ParkedEvent.resolution,
)


def _conditions(which: Which) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if which.reason is not None:
        conditions.append(ParkedEvent.reason == which.reason)
    if which.tenant_id is not None:
        conditions.append(ParkedEvent.tenant_id == which.tenant_id)
    if which.account_id == SECOND_PROVIDER:
        conditions.append(ParkedEvent.account_id.is_(None))
    elif which.account_id is not None:
        conditions.append(ParkedEvent.account_id == which.account_id)
    if which.ids is not None:
        conditions.append(ParkedEvent.id.in_(which.ids))
    return conditions


def _chosen(query: Select[Any], which: Which) -> Select[Any]:
    return query.where(*_conditions(which))


def _line(row: Any, text: str, actor: Actor, *, whole: bool = False) -> ParkedLine:
    said = _SAYS.match(text)
    says = f"{said[1]} {said[2]}" if said else text[:200]
    plain = actor.may(Action.SEE_ADDRESSES)
    return ParkedLine(
        **{column.key: getattr(row, column.key) for column in _LISTED},
        says=says if plain else mask_addresses(says),
        body="" if not whole else text if plain else mask_addresses(text),
    )


def _held(session: Session, which: Which, after_id: int) -> Sequence[ParkedEvent]:
    query = select(ParkedEvent).where(ParkedEvent.resolved_at.is_(None), ParkedEvent.id > after_id)
    query = query.where(*_conditions(which)).order_by(ParkedEvent.id).limit(BLOCK)
    return session.scalars(query.with_for_update(skip_locked=True)).all()


def _by_account(rows: Collection[ParkedEvent]) -> dict[int | None, list[ParkedEvent]]:
    groups: defaultdict[int | None, list[ParkedEvent]] = defaultdict(list)
    for row in rows:
        groups[row.account_id].append(row)
    return groups


def _try(
    session: Session, account_id: int | None, rows: Sequence[ParkedEvent], at: datetime, actor: Actor
) -> int:
    """How many are parked no more."""
    account = session.get_one(Account, account_id) if account_id is not None else None
    readable = [row for row in rows if row.reason != Doubt.UNREADABLE.value]
    _, still_parked = apply(session, account, [parking.event_of(row) for row in readable], at)
    matched = parking.settle(readable, still_parked, at, actor.username)
    unreadable = (row for row in rows if row.reason == Doubt.UNREADABLE.value)
    return matched + sum(_read_again(session, account, row, at, actor) for row in unreadable)


def _read_again(
    session: Session, account: Account | None, row: ParkedEvent, at: datetime, actor: Actor
) -> bool:
    """A later version may read what an earlier one could not."""
    row.tries += 1
    try:
        # The id that the second provider's webhook had is not kept; the row's is as good.
        events = parse(row.body) if account else resend_events.parse(row.body, row.uid)
    except UnreadableEvent:
        return False
    noticed = noticed_tenant(row.body) if account else None
    _, parked = apply(session, account, events, at)
    parking.park(session, account, parked, at)
    if noticed:
        tenants.mark_reputation_due(session, [noticed])
    row.resolved_at, row.resolved_by, row.resolution = at, actor.username, parking.READ
    return True


def _record(session: Session, actor: Actor, action: str, which: Which, at: datetime, **detail: Any) -> None:
    one = which.ids[0] if which.ids is not None and len(which.ids) == 1 else None
    chosen = {"of_reason": which.reason, "account_id": which.account_id} if which.ids is None else {}
    audit.record(
        session,
        actor,
        action,
        f"parked event {one}" if one is not None else "parked events",
        at=at,
        tenant_id=which.tenant_id,
        **{name: value for name, value in chosen.items() if value is not None},
        **detail,
    )

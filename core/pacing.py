"""Pacing: when the next call of a kind may be made, agreed between all processes through the database."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import select, update

from core.db.engine import Database
from core.db.models import CallTurn
from core.db.upsert import insert
from core.errors import Throttled

LONGEST_WAIT = timedelta(minutes=1)
MARGIN = 1.05  # a turn is taken here and arrives there a little later, now more, now less


class Clock(Protocol):
    def now(self) -> datetime: ...

    def sleep(self, seconds: float) -> None: ...


def pacer(db: Database, clock: Clock, name: str, per_second: float) -> Callable[[], None]:
    """A function that returns when the caller's turn has come: no two turns of `name` are closer together
    than 1 / `per_second`, in any number of processes. It raises Throttled when the turn is a minute away."""
    gap = timedelta(seconds=MARGIN / per_second)

    def wait_for_turn() -> None:
        ahead = _take(db, name, gap, clock.now()) - clock.now()
        if ahead > timedelta(0):
            clock.sleep(ahead.total_seconds())

    return wait_for_turn


def _take(db: Database, name: str, gap: timedelta, now: datetime) -> datetime:
    with db.begin() as session:
        session.execute(insert(session, CallTurn).values(name=name, next_at=now).on_conflict_do_nothing())
        next_at: datetime = session.scalars(
            select(CallTurn.next_at).where(CallTurn.name == name).with_for_update()
        ).one()
        turn = max(next_at, now)
        if turn > now + 10 * LONGEST_WAIT:
            turn = now  # written while a clock was wrong
        elif turn > now + LONGEST_WAIT:
            raise Throttled("SES's control operations are busy for the next minute. Try again after it.")
        session.execute(update(CallTurn).where(CallTurn.name == name).values(next_at=turn + gap))
    return turn

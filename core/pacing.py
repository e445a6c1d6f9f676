"""Pacing: when the next call of a kind may be made, agreed between all processes through the database.

Their machines' clocks must agree to a fraction of a second, as NTP sees to; one that is ahead makes the
others wait.
"""

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
# Turns are further apart than asked for: a call arrives after its turn, now a little more, now less.
MARGIN = 1.15
# Who wakes up so much of the gap after the turn lets it go: the next one is near. Below 2 ms nobody can tell.
LATE = 0.05
LEAST_LATE = timedelta(milliseconds=2)
MOST_TURNS = 3  # a machine so busy that it is always late calls nevertheless


class Clock(Protocol):
    def now(self) -> datetime: ...

    def sleep(self, seconds: float) -> None: ...


def pacer(db: Database, clock: Clock, name: str, per_second: float) -> Callable[[], None]:
    """A function that returns when the caller's turn has come: no two turns of `name` are closer together
    than 1 / `per_second`, in any number of processes. It raises Throttled when the turn is a minute away."""
    gap = timedelta(seconds=MARGIN / per_second)
    late = max(gap * LATE, LEAST_LATE)

    def wait_for_turn() -> None:
        for _ in range(MOST_TURNS):
            turn = _take(db, clock, name, gap)
            ahead = turn - clock.now()
            if ahead > timedelta(0):
                clock.sleep(ahead.total_seconds())
            if clock.now() - turn <= late:
                return

    return wait_for_turn


def _take(db: Database, clock: Clock, name: str, gap: timedelta) -> datetime:
    with db.begin() as session:
        session.execute(
            insert(session, CallTurn).values(name=name, next_at=clock.now()).on_conflict_do_nothing()
        )
        next_at: datetime = session.scalars(
            select(CallTurn.next_at).where(CallTurn.name == name).with_for_update()
        ).one()
        now = clock.now()  # not before the row is ours: waiting for it takes time
        turn = max(next_at, now)
        if turn > now + 10 * LONGEST_WAIT:
            turn = now  # written while a clock was wrong
        elif turn > now + LONGEST_WAIT:
            raise Throttled(
                "SES's control operations are busy for the next minute. Try again after it.",
                retry_after_seconds=LONGEST_WAIT.total_seconds(),
            )
        session.execute(update(CallTurn).where(CallTurn.name == name).values(next_at=turn + gap))
    return turn

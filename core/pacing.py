"""Pacing: when the next call of a kind may be made, agreed between all processes through the database.

Their machines' clocks must agree to a fraction of a second, as NTP sees to; one that is ahead makes the
others wait. People go first: whatever runs in the background holds one turn at a time in each process, so
that nobody at a page waits for all that a job still has to ask.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from datetime import datetime, timedelta
from typing import ParamSpec, Protocol, TypeVar

from sqlalchemy import select, update

from core.db.engine import Database
from core.db.models import CallTurn
from core.db.upsert import insert
from core.errors import Throttled

LONGEST_WAIT = timedelta(minutes=1)
CLOCKS_DIFFER = timedelta(seconds=1)
# Turns are further apart than asked for: a call arrives after its turn, now a little more, now less.
MARGIN = 1.15
# Who wakes up so much of the gap after the turn lets it go: the next one is near. Below 2 ms nobody can tell.
LATE = 0.05
LEAST_LATE = timedelta(milliseconds=2)
MOST_TURNS = 3  # a machine so busy that it is always late calls nevertheless

_background: ContextVar[bool] = ContextVar("background", default=False)
P = ParamSpec("P")
R = TypeVar("R")


class Clock(Protocol):
    def now(self) -> datetime: ...

    def sleep(self, seconds: float) -> None: ...


def pacer(db: Database, clock: Clock, name: str, per_second: float) -> Callable[[], None]:
    """A function that returns when the caller's turn has come: no two turns of `name` are closer together
    than 1 / `per_second`, in any number of processes. It raises Throttled when the turn is a minute away."""
    gap = timedelta(seconds=MARGIN / per_second)
    late = max(gap * LATE, LEAST_LATE)
    one_at_a_time = threading.Lock()

    def wait_for_turn() -> None:
        for _ in range(MOST_TURNS):
            turn = _take(db, clock, name, gap)
            ahead = min(turn - clock.now(), LONGEST_WAIT)
            if ahead > timedelta(0):
                clock.sleep(ahead.total_seconds())
            if clock.now() - turn <= late:
                return

    def wait() -> None:
        with one_at_a_time if is_in_background() else contextlib.nullcontext():
            wait_for_turn()

    return wait


@contextmanager
def in_background() -> Iterator[None]:
    """Calls made within, in this thread, let people go first."""
    token = _background.set(True)
    try:
        yield
    finally:
        _background.reset(token)


def is_in_background() -> bool:
    return _background.get()


def carried(function: Callable[P, R]) -> Callable[P, R]:
    """The same function for other threads, which run it in the background if this one is there now."""
    here = copy_context()

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        return here.copy().run(function, *args, **kwargs)

    return run


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
        if turn > now + LONGEST_WAIT + gap + CLOCKS_DIFFER:
            turn = now  # no queue is so long: it was written while a clock was wrong
        elif turn > now + LONGEST_WAIT:
            raise Throttled(
                "SES's control operations are busy for the next minute. Try again after it.",
                retry_after_seconds=LONGEST_WAIT.total_seconds(),
            )
        session.execute(update(CallTurn).where(CallTurn.name == name).values(next_at=turn + gap))
    return turn

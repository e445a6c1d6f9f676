"""Turns taken without waiting for them; another process may do so too, and imports little for it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

from core.db.engine import Database
from core.pacing import pacer

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


class StandingClock:
    """It is always noon: whoever waits notes for how long, and that is the turn it got."""

    def __init__(self) -> None:
        self._own = threading.local()

    def now(self) -> datetime:
        return NOON

    def sleep(self, seconds: float) -> None:
        self._own.waited = seconds

    def turn(self) -> float:
        return float(self._own.__dict__.pop("waited", 0.0))


def turns_of_a_process(database_url: str) -> list[float]:
    db, clock = Database(database_url), StandingClock()
    pace = pacer(db, clock, "ses", 100)
    turns = []
    for _ in range(40):
        pace()
        turns.append(clock.turn())
    db.dispose()
    return turns

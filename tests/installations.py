"""Installations for tests: a clock that is told what happens to it, and a backup that can be put back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select, update

from core import installation
from core.app import App
from core.db.models import Installation
from core.installation.signs import Host
from tests.ledger import Ledger, new_account, new_ledger

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
HERE = Host("mail-1", "a" * 32)


class Clock:
    def __init__(self) -> None:
        self.at = NOON
        self.seconds = 1000.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.passes(seconds=seconds)

    def passes(self, **span: float) -> None:
        """Time, for machines that are awake."""
        self.at += timedelta(**span)
        self.seconds += timedelta(**span).total_seconds()

    def steps(self, **span: float) -> None:
        """The clock alone: it was set, or the machine slept."""
        self.at += timedelta(**span)


def on_a_clock(app: App) -> tuple[App, Clock]:
    clock = Clock()
    return replace(app, clock=clock), clock


def elsewhere(app: App, directory: Path) -> App:
    """The same database, with the data directory of another host."""
    return replace(app, settings=app.settings.model_copy(update={"data_dir": directory}))


def watch(app: App, here: Host = HERE) -> installation.Watch:
    """A scheduler that has just started."""
    return installation.Watch(app, here)


def beats(app: App, watched: installation.Watch, clock: Clock, times: int = 1) -> None:
    for _ in range(times):
        watched.look(app)
        clock.passes(seconds=5)


def row(app: App) -> Installation:
    with app.db.read() as session:
        return session.scalars(select(Installation)).one()


def reason(app: App) -> str | None:
    with app.db.read() as session:
        return installation.held_reason(session)


def waiting(app: App, slug: str = "acme", people: int = 3, **campaign: Any) -> Ledger:
    """A tenant with a campaign under way that some people are still to get."""
    ledger = new_ledger(app, new_account(app, slug), slug).add_campaign(f"May at {slug}", **campaign)
    for number in range(people):
        ledger.add_message(f"p{number}@example.com", status="pending", attempt=None, armed_at=None)
    return ledger


class Backup:
    """A copied file on SQLite; of PostgreSQL the row that tells, which is all that is looked at."""

    def __init__(self, app: App) -> None:
        self._app = app
        if not app.db.is_sqlite:
            kept = row(app)
            self._values = {"name": kept.name, "beat": kept.beat, "beat_at": kept.beat_at}
            return
        self._database = str(app.db.engine.url.database)
        self._copied = f"{self._database}.backup"
        copy_database(self._database, self._copied)

    def restore(self) -> None:
        if self._app.db.is_sqlite:
            copy_database(self._copied, self._database)
            return
        with self._app.db.begin() as session:
            session.execute(update(Installation).values(**self._values, held_at=None, held_reason=None))


def copy_database(source: str, target: str) -> None:
    with closing(sqlite3.connect(source)) as read, closing(sqlite3.connect(target)) as written:
        read.backup(written)

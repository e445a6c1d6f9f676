"""Installation: what simply goes on."""

from __future__ import annotations

import json
import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from core.app import App
from core.installation import watch as watching
from core.installation.signs import Host
from tests.databases import ON_POSTGRESQL, ON_SQLITE
from tests.installations import (
    HERE,
    NOON,
    Backup,
    Clock,
    beats,
    elsewhere,
    reason,
    row,
    waiting,
    watch,
)

AGAIN = "Whoever was written to since then will be written to again, unless the campaign is cancelled"


def kept(app: App) -> dict[str, object]:
    found: dict[str, object] = json.loads((app.settings.data_dir / watching.FILE).read_bytes())
    return found


def told(app: App) -> str:
    """Why it is held; fails when it is not."""
    found = reason(app)
    assert found is not None
    return found


def test_a_first_start_goes_on_whatever_waits(app: App, clock: Clock) -> None:
    waiting(app)
    beats(app, watch(app), clock, 3)
    assert reason(app) is None
    assert (row(app).beat, row(app).beat_at) == (3, NOON.replace(second=10))


def test_a_restart_within_minutes_goes_on_also_as_a_container_of_another_name(app: App, clock: Clock) -> None:
    waiting(app)
    beats(app, watch(app, Host("3f2a", "")), clock, 3)
    clock.passes(minutes=9)
    beats(app, watch(app, Host("77c0", "")), clock, 3)
    beats(app, watch(app, Host("mail-1-renamed", HERE.machine)), clock, 3)
    assert reason(app) is None


def test_what_the_host_knows_is_kept_for_its_user_alone(app: App, clock: Clock) -> None:
    beats(app, watch(app), clock, 2)
    assert kept(app) == {
        "name": row(app).name,
        "beat": 2,
        "at": "2026-05-04T12:00:05+00:00",
        "host": HERE.name,
        "machine": HERE.machine,
    }
    assert (app.settings.data_dir / watching.FILE).stat().st_mode & 0o777 == 0o600
    assert not list(app.settings.data_dir.glob(f".{watching.FILE}*"))


def test_a_database_that_was_away_for_an_hour_is_no_reason_and_three_hours_are(
    app: App, clock: Clock
) -> None:
    waiting(app)
    lives = watch(app)
    beats(app, lives, clock)
    clock.passes(hours=1)
    beats(app, lives, clock)
    assert reason(app) is None
    clock.passes(hours=3)
    beats(app, lives, clock)
    assert "since 4 May 2026, 13:00 UTC, for 3 hours, no scheduler could work" in told(app)


@ON_POSTGRESQL
def test_another_host_without_a_file_works_along(app: App, clock: Clock, tmp_path: Path) -> None:
    waiting(app)
    first = watch(app)
    other = elsewhere(app, tmp_path / "other")
    second = watch(other, Host("mail-2", "b" * 32))
    for _ in range(4):
        beats(app, first, clock)
        beats(other, second, clock)
    assert reason(app) is None
    assert (kept(app)["beat"], kept(other)["beat"]) == (7, 8)


@ON_POSTGRESQL
def test_a_copied_machine_on_the_same_postgresql_is_one_more_scheduler(
    app: App, clock: Clock, tmp_path: Path
) -> None:
    waiting(app)
    first = watch(app)
    beats(app, first, clock, 3)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / watching.FILE).write_bytes((app.settings.data_dir / watching.FILE).read_bytes())
    other = elsewhere(app, tmp_path / "other")
    second = watch(other, Host("mail-2", "b" * 32))
    beats(other, second, clock)
    beats(app, first, clock)
    assert reason(app) is None


@ON_POSTGRESQL
def test_many_at_once_never_take_each_other_for_a_copy(app: App, clock: Clock, tmp_path: Path) -> None:
    """And no file is ever ahead of what was committed."""
    waiting(app)
    ahead: list[object] = []

    def scheduler(number: int) -> None:
        own = elsewhere(app, tmp_path / f"host{number % 2}")  # two and two share a data directory
        mine = watch(own, Host(f"mail-{number}", f"{number}" * 32))
        for _ in range(25):
            mine.look(own)
            known = kept(own)["beat"]
            if known > row(app).beat:  # type: ignore[operator]
                ahead.append(known)

    threads = [threading.Thread(target=scheduler, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (row(app).beat, ahead, reason(app)) == (100, [], None)


@ON_POSTGRESQL
def test_a_standby_that_lacks_the_last_beats_goes_on(
    app: App, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    waiting(app)
    lives = watch(app)
    beats(app, lives, clock, 5)
    backup = Backup(app)
    beats(app, lives, clock, 5)
    backup.restore()
    beats(app, lives, clock)
    beats(app, watch(app), clock)
    assert reason(app) is None
    assert "has lost its last 5 beats" in caplog.text


@ON_SQLITE
def test_what_was_not_committed_is_not_remembered(app: App, clock: Clock) -> None:
    waiting(app)
    lives = watch(app)
    beats(app, lives, clock)

    def fail(_: object) -> None:
        raise OperationalError("COMMIT", None, sqlite3.OperationalError("disk I/O error"))

    event.listen(app.db.engine, "commit", fail)
    with pytest.raises(OperationalError):
        lives.look(app)
    event.remove(app.db.engine, "commit", fail)
    assert (row(app).beat, kept(app)["beat"]) == (1, 1)
    beats(app, lives, clock)
    beats(app, watch(app), clock)
    assert (row(app).beat, reason(app)) == (3, None)


@ON_SQLITE
def test_a_file_that_cannot_be_read_or_kept_stops_nobody(
    app: App, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    path = app.settings.data_dir / watching.FILE
    path.write_text('{"name": 1', encoding="ascii")
    lives = watch(app)
    beats(app, lives, clock)
    assert "cannot read" in caplog.text
    path.unlink()
    path.mkdir()
    beats(app, lives, clock, 3)
    assert caplog.text.count("cannot keep") == 1
    assert (row(app).beat, reason(app)) == (4, None)

"""Installation: what is taken for a copy or a long sleep, and what simply goes on."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import event, func, select, update
from sqlalchemy.exc import OperationalError

from core import installation
from core.app import App, build_app
from core.db.models import Alert, AuditEntry, Campaign, Installation
from core.installation import watch as watching
from core.installation.signs import Host
from core.settings import Settings
from tests.installations import (
    HERE,
    NOON,
    Backup,
    Clock,
    beats,
    elsewhere,
    on_a_clock,
    reason,
    row,
    waiting,
    watch,
)

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
AGAIN = "Whoever was written to since then will be written to again, unless the campaign is cancelled"


@pytest.fixture
def made(settings: Settings) -> Iterator[tuple[App, Clock]]:
    app = build_app(settings)
    yield on_a_clock(app)
    app.db.dispose()


@pytest.fixture
def clock(made: tuple[App, Clock]) -> Clock:
    return made[1]


@pytest.fixture
def app(made: tuple[App, Clock]) -> App:
    """Without a simulator: nothing here reaches SES."""
    return made[0]


def kept(app: App) -> dict[str, object]:
    found: dict[str, object] = json.loads((app.settings.data_dir / watching.FILE).read_bytes())
    return found


def told(app: App) -> str:
    """Why it is held; fails when it is not."""
    found = reason(app)
    assert found is not None
    return found


# What simply goes on


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


@SQLITE
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


@SQLITE
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


# Copies


def test_a_restored_backup_is_held_by_the_process_that_saw_more(app: App, clock: Clock) -> None:
    waiting(app)
    lives = watch(app)
    beats(app, lives, clock, 2)
    backup = Backup(app)
    beats(app, lives, clock, 20)
    backup.restore()
    assert lives.look(app), "what it remembers of rows is worth nothing"
    assert "mail-1 has seen it as of 4 May 2026, 12:01 UTC, and now it is as of 4 May 2026, 12:00" in told(
        app
    )
    assert AGAIN in told(app)
    assert row(app).held_at == clock.now()
    first = told(app)
    assert not lives.look(app)
    beats(app, watch(app), clock, 2)
    assert told(app) == first


def test_one_that_starts_later_reads_it_in_its_file(app: App, clock: Clock) -> None:
    waiting(app)
    beats(app, watch(app), clock, 2)
    backup = Backup(app)
    beats(app, watch(app), clock, 20)
    backup.restore()
    beats(app, watch(app), clock)
    assert "This database is an older copy of itself" in told(app)


@SQLITE
def test_what_a_power_cut_took_from_sqlite_is_asked_about(app: App, clock: Clock) -> None:
    waiting(app)
    beats(app, watch(app), clock, 2)
    backup = Backup(app)
    beats(app, watch(app), clock)
    backup.restore()
    beats(app, watch(app), clock)
    assert "lost its last seconds when the power went" in told(app)


def test_another_database_in_the_same_place_is_held(app: App, clock: Clock) -> None:
    """Also one from before the installation had a name: its row is missing."""
    waiting(app)
    beats(app, watch(app), clock, 2)
    with app.db.begin() as session:
        session.delete(session.get_one(Installation, 1))
    beats(app, watch(app), clock)
    assert "mail-1 sent from another until 4 May 2026, 12:00 UTC" in told(app)


@SQLITE
def test_a_copied_machine_is_held_and_its_original_is_not(app: App, clock: Clock) -> None:
    waiting(app)
    beats(app, watch(app), clock, 2)
    original = Backup(app)
    beats(app, watch(app, Host("mail-1", "b" * 32)), clock)
    assert "until 4 May 2026, 12:00 UTC it sent on mail-1, and now it is on another machine" in told(app)
    assert "end one of them" in told(app)
    original.restore()
    (app.settings.data_dir / watching.FILE).unlink()
    beats(app, watch(app), clock)
    assert reason(app) is None


@SQLITE
@pytest.mark.parametrize("here", [Host("copy", ""), Host("copy", HERE.machine)], ids=["unknown", "kept"])
def test_what_no_machine_id_tells_apart_is_known_by_its_age(app: App, clock: Clock, here: Host) -> None:
    waiting(app)
    beats(app, watch(app), clock, 2)
    clock.passes(minutes=11)
    beats(app, watch(app, here), clock)
    assert "Nothing was sent for long" in told(app)


def test_a_copy_in_which_nothing_waits_goes_on_under_a_new_name(app: App, clock: Clock) -> None:
    ledger = waiting(app, status="PAUSED")
    beats(app, watch(app), clock, 2)
    backup = Backup(app)
    beats(app, watch(app), clock, 20)
    old = row(app).name
    backup.restore()
    beats(app, watch(app), clock, 2)
    assert reason(app) is None
    assert row(app).name.endswith(f".{old}")
    with app.db.begin() as session:
        session.execute(update(Campaign).where(Campaign.id == ledger.campaign.id).values(status="SENDING"))
        [noted] = session.scalars(select(AuditEntry).where(AuditEntry.action == "note copied database"))
    assert noted.actor == "postyard"
    beats(app, watch(app), clock, 2)
    assert reason(app) is None, "it was looked at once"


@pytest.mark.parametrize("status", ["BLOCKED", "HOLDING", "SCHEDULED"])
@SQLITE
def test_in_a_copy_what_would_go_on_by_itself_later_counts_too(app: App, clock: Clock, status: str) -> None:
    waiting(app, status=status)
    beats(app, watch(app), clock)
    clock.passes(minutes=20)
    beats(app, watch(app), clock, 2)
    assert reason(app) is None, "late alone is no reason: it does not leave now"
    backup = Backup(app)
    beats(app, watch(app), clock, 2)
    backup.restore()
    beats(app, watch(app), clock)
    assert "older copy" in told(app)


# Long sleeps and clocks


def test_after_eleven_minutes_without_a_scheduler_a_person_is_asked(app: App, clock: Clock) -> None:
    waiting(app)
    beats(app, watch(app), clock)
    clock.passes(minutes=11)
    beats(app, watch(app), clock)
    assert "since 4 May 2026, 12:00 UTC, for 11 minutes, no scheduler could work" in told(app)
    assert AGAIN in told(app)


@pytest.mark.parametrize("single", [False, True])
def test_a_night_without_anything_that_waits_is_only_noted(
    app: App, clock: Clock, single: bool, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = waiting(app, people=0)
    beats(app, watch(app), clock)
    if single:
        ledger.add_message("ann@example.com", status="pending", campaign_id=None, attempt=None, armed_at=None)
    clock.passes(hours=14)
    beats(app, watch(app), clock, 3)
    assert (reason(app) is not None) is single
    assert caplog.text.count("Nothing was sent for long") == 1


@pytest.mark.parametrize("hours", [8, -1])
def test_a_clock_that_jumps_in_a_living_process_holds(app: App, clock: Clock, hours: int) -> None:
    waiting(app)
    lives = watch(app)
    beats(app, lives, clock, 3)
    clock.steps(hours=hours)
    beats(app, lives, clock)
    way = "forward by 8 hours" if hours > 0 else "back by 60 minutes"
    assert "The clock of mail-1 jumped: from 4 May 2026, 12:00 UTC to" in told(app)
    assert way in told(app)


def test_a_clock_that_is_corrected_a_little_is_no_reason(app: App, clock: Clock) -> None:
    waiting(app)
    lives = watch(app)
    for minutes in (9, -9):
        beats(app, lives, clock)
        clock.steps(minutes=minutes)
    beats(app, lives, clock)
    assert reason(app) is None


def test_a_beat_of_the_future_says_that_clocks_differ(app: App, clock: Clock) -> None:
    waiting(app)
    beats(app, watch(app), clock)
    clock.steps(hours=-2)
    beats(app, watch(app), clock)
    assert "Clocks differ: mail-1 has 4 May 2026, 10:00 UTC, and the last beat" in told(app)


@ON_POSTGRESQL
def test_two_hosts_whose_clocks_differ_are_told_apart_from_a_long_sleep(
    app: App, clock: Clock, tmp_path: Path
) -> None:
    waiting(app)
    first = watch(app)
    beats(app, first, clock)
    other, fast = on_a_clock(elsewhere(app, tmp_path / "other"))
    fast.steps(minutes=9)
    second = watch(other, Host("mail-2", ""))
    beats(other, second, fast)
    assert reason(app) is None
    fast.steps(minutes=9)
    beats(app, first, clock)
    beats(other, second, fast)
    assert "Clocks differ: mail-2 has" in told(app)


# Holds


def test_a_second_sign_adds_what_the_first_did_not_say(app: App, clock: Clock) -> None:
    waiting(app)
    beats(app, watch(app), clock, 2)
    backup = Backup(app)
    beats(app, watch(app), clock, 20)
    lives = watch(app)
    beats(app, lives, clock)
    clock.steps(hours=1)
    beats(app, lives, clock)
    backup.restore()
    with app.db.begin() as session:
        assert installation.hold(session, "The clock jumped.", NOON)
        assert not installation.hold(session, "Another.", NOON)
    beats(app, lives, clock, 3)
    assert told(app).startswith("The clock jumped. This database is an older copy of itself:")
    assert told(app).count("older copy") == 1
    assert row(app).held_at == NOON


def test_it_raises_one_alert(app: App, clock: Clock) -> None:
    waiting(app)
    beats(app, watch(app), clock)
    clock.passes(hours=1)
    beats(app, watch(app), clock, 3)
    with app.db.read() as session:
        [alert] = session.scalars(select(Alert))
        assert session.scalar(select(func.count(AuditEntry.id))) == 0
    assert (alert.kind, alert.tenant_id) == ("sending held", None)
    assert "Sending is held. Nothing was sent for long: since" in alert.sentence

"""Installation: what is taken for a copy or a long sleep."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import func, select, update

from core import installation
from core.app import App
from core.db.models import Alert, AuditEntry, Campaign, Installation
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
    on_a_clock,
    reason,
    row,
    waiting,
    watch,
)

AGAIN = "Whoever was written to since then will be written to again, unless the campaign is cancelled"


def told(app: App) -> str:
    """Why it is held; fails when it is not."""
    found = reason(app)
    assert found is not None
    return found


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


@ON_SQLITE
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


@ON_SQLITE
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


@ON_SQLITE
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
@ON_SQLITE
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

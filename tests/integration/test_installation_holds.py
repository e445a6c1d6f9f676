"""Held mail: what waits is shown, one person lets it go, and then everything leaves once."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from core import alerts, campaigns, installation
from core.access import SYSTEM, Actor, Role
from core.app import App, build_app
from core.cli import main
from core.db.models import Alert, AuditEntry, Installation, Tenant
from core.errors import Conflict, PermissionDenied
from core.installation import watch as watching
from core.settings import Settings
from tests.campaigning import addresses, counts, draft, send_until_idle, started, written_to
from tests.conftest import Cast, verified_sender
from tests.databases import ON_SQLITE
from tests.installations import (
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
from tests.simulators import Simulator

COPY = "This database is an older copy of itself"


@pytest.fixture
def bare(settings: Settings) -> Iterator[App]:
    """Without a simulator."""
    app = build_app(settings)
    yield app
    app.db.dispose()


@pytest.fixture
def made(bare: App) -> tuple[App, Clock]:
    return on_a_clock(bare)


def held(app: App, why: str = "It was restored.") -> None:
    with app.db.begin() as session:
        assert installation.hold(session, why, NOON)


def restored(app: App, clock: Clock) -> None:
    """A backup is put back after some beats; nobody has looked yet."""
    beats(app, watch(app), clock, 2)
    backup = Backup(app)
    beats(app, watch(app), clock, 20)
    backup.restore()


# Letting it go


def test_after_it_was_let_go_every_host_goes_on_also_one_that_was_off(
    made: tuple[App, Clock], tmp_path: Path
) -> None:
    app, clock = made
    waiting(app)
    lives = watch(app)
    beats(app, lives, clock, 2)
    other = elsewhere(app, tmp_path / "other")
    backup = Backup(app)
    beats(app, lives, clock, 20)
    beats(other, watch(other), clock)
    backup.restore()
    beats(app, lives, clock)
    assert reason(app) is not None
    installation.let_go(app, SYSTEM, reason=reason(app))
    beats(app, lives, clock, 2)
    beats(app, watch(app), clock, 2)
    beats(other, watch(other), clock)
    assert reason(app) is None
    with app.db.read() as session:
        [entry] = session.scalars(select(AuditEntry).where(AuditEntry.action == "let mail go"))
        [alert] = session.scalars(select(Alert))
    assert entry.detail["reason"].startswith(COPY)
    assert alert.cleared_at is not None


@ON_SQLITE
def test_putting_the_first_database_back_after_that_is_another_copy(made: tuple[App, Clock]) -> None:
    app, clock = made
    waiting(app)
    restored(app, clock)
    clock.passes(minutes=1)
    forward = Backup(app)
    beats(app, watch(app), clock)
    installation.let_go(app, SYSTEM)
    beats(app, watch(app), clock)
    forward.restore()
    beats(app, watch(app), clock)
    assert "another one: mail-1 sent from another" in (reason(app) or "")


@ON_SQLITE
def test_a_scheduler_that_is_off_may_start_within_minutes_after_it(made: tuple[App, Clock]) -> None:
    app, clock = made
    waiting(app)
    beats(app, watch(app), clock)
    clock.passes(hours=3)
    beats(app, watch(app), clock)
    clock.passes(hours=1)
    installation.let_go(app, SYSTEM)
    clock.passes(minutes=5)
    beats(app, watch(app), clock)
    assert reason(app) is None
    assert row(app).beat == 3


def test_of_two_at_once_one_wins_and_one_is_told(bare: App) -> None:
    waiting(bare)
    held(bare)
    told: list[str] = []

    def press() -> None:
        try:
            installation.let_go(bare, SYSTEM, reason="It was restored.")
            told.append("")
        except Conflict as e:
            told.append(str(e))

    threads = [threading.Thread(target=press) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    again = "Sending is not held; somebody may have let it go just now. Look again."
    assert sorted(told) == ["", again, again]
    with bare.db.read() as session:
        assert len(session.scalars(select(AuditEntry)).all()) == 1


@ON_SQLITE
def test_what_is_held_for_another_reason_by_now_stays(bare: App) -> None:
    held(bare, "The clock jumped.")
    with pytest.raises(Conflict, match="another reason by now"):
        installation.let_go(bare, SYSTEM, reason="It was restored.")
    assert reason(bare) == "The clock jumped."


@ON_SQLITE
def test_only_staff_see_why_and_let_it_go(bare: App) -> None:
    ledger = waiting(bare)
    held(bare)
    bob = Actor("bob", Role.ACCOUNT_MANAGER, tenant_ids=frozenset({ledger.tenant.id}))
    found = installation.find_hold(bare, bob)
    assert found is not None
    assert found.reason is None
    for refused in (installation.state, installation.let_go):
        with pytest.raises(PermissionDenied):
            refused(bare, bob)
    assert alerts.list_open(bare, bob) == []
    assert len(alerts.list_open(bare, SYSTEM)) == 1


def test_the_state_has_everything_that_would_leave(bare: App) -> None:
    ledger = waiting(bare, people=3)
    ledger.add_message("ann@example.com", status="pending", campaign_id=None, attempt=None, armed_at=None)
    ledger.add_message("sent@example.com", status="sent")
    waiting(bare, "globex", people=2, status="BLOCKED", started_at=NOON)
    waiting(bare, "initech", people=2, status="PAUSED")
    with bare.db.begin() as session:
        session.get_one(Tenant, ledger.tenant.id).sending_status = "DISABLED"
    state = installation.state(bare, SYSTEM)
    assert (state.held_at, state.reason, state.transactional, state.recipients) == (None, None, 1, 6)
    assert [(w.tenant_slug, w.name, w.status, w.pending, w.is_tenant_paused) for w in state.waiting] == [
        ("acme", "May at acme", "SENDING", 3, True),
        ("globex", "May at globex", "BLOCKED", 2, False),
    ]
    held(bare)
    assert installation.state(bare, SYSTEM).reason == "It was restored."


# The command line


@pytest.fixture
def on_this_database(bare: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTYARD_DATABASE_URL", bare.settings.database_url.get_secret_value())
    monkeypatch.setenv("POSTYARD_DATA_DIR", str(bare.settings.data_dir))


def postyard(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["sending", *arguments], prog_name="postyard")


@ON_SQLITE
def test_the_command_line_shows_and_continues(bare: App, on_this_database: None) -> None:
    waiting(bare)
    assert "nothing holds it" in postyard("show").output
    held(bare)
    shown = json.loads(postyard("show", "--json").stdout)
    assert (shown["held"], shown["reason"], shown["recipients"]) == (True, "It was restored.", 3)
    assert shown["campaigns"][0]["tenant"] == "acme"
    text = postyard("show").output
    assert "HELD since 2026-05-04 12:00 UTC. It was restored." in text
    assert "May at acme" in text
    asked = postyard("continue")
    assert asked.exit_code == 1
    assert "lets mail to 3 recipients go, of 1 campaigns and 0 single messages" in asked.stderr
    assert reason(bare) is not None
    assert json.loads(postyard("continue", "--yes", "--json").stdout)["held"] is False
    assert reason(bare) is None
    again = postyard("continue", "--yes")
    assert again.exit_code == 1
    assert "Sending is not held" in again.stderr


# The sending itself


@ON_SQLITE
def test_after_a_restore_nothing_leaves_until_a_person_says_so_and_then_all_of_it_once(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    sender = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    app, clock = on_a_clock(app)
    clock.at = build_app(app.settings).now()
    first, second, third = (
        draft(app, cast.acme.id, sender.id, addresses(8, f"{name}.example.com"), name)
        for name in ("first", "second", "third")
    )
    for campaign_id in (first, second):
        campaigns.start(app, alice, cast.acme.id, campaign_id)
    beats(app, watching.Watch(app), clock, 2)
    backup = Backup(app)
    send_until_idle(app)
    assert len(simulator.messages()) == 16, "what leaves after the backup was taken"
    beats(app, watching.Watch(app), clock, 2)
    backup.restore()

    send_until_idle(app)
    assert len(simulator.messages()) == 16
    assert counts(app, cast.acme.id, first) == {"pending": 8}
    assert COPY in (reason(app) or "")
    assert "Whoever was written to since then will be written to again" in (reason(app) or "")
    view = campaigns.status(app, alice, cast.acme.id, first)
    assert view.held_reason == "All sending is held; an operator looks at it."

    campaigns.start(app, alice, cast.acme.id, third)
    campaigns.cancel(app, alice, cast.acme.id, second)
    send_until_idle(app)
    assert len(simulator.messages()) == 16, "what is started after it waits as well"

    installation.let_go(app, alice, reason=reason(app))
    send_until_idle(app)
    send_until_idle(app)
    accepted = written_to(simulator.messages())
    assert {n for address, n in accepted.items() if "first" in address} == {2}, "as it was announced"
    assert {n for address, n in accepted.items() if "second" in address} == {1}, "cancelled in time"
    assert {n for address, n in accepted.items() if "third" in address} == {1}
    assert counts(app, cast.acme.id, third) == {"sent": 8}


def test_a_night_s_sleep_holds_what_is_left_of_a_campaign(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    sender = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    send_until_idle(app)
    campaign_id = started(app, cast.acme.id, sender.id, addresses(5))
    with app.db.begin() as session:
        kept = session.get_one(Installation, 1)
        assert kept.beat_at is not None
        kept.beat_at -= timedelta(hours=9)
    send_until_idle(app)
    assert simulator.messages() == []
    installation.let_go(app, alice)
    send_until_idle(app)
    assert counts(app, cast.acme.id, campaign_id) == {"sent": 5}
    assert len(simulator.messages()) == 5

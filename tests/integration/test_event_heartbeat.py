"""The heartbeat: a mail that goes the way of all mail, comes back as an event and counts for nobody."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from core import alerts, events, reports, tenants
from core.access import SYSTEM, Actor
from core.app import App, build_app
from core.db.models import Account, AuditEntry, Content, Event, Heartbeat, Message, Sender, TenantUsage
from core.db.states import EventType
from core.errors import InputError, NotFound, PermissionDenied
from core.events import heartbeat
from core.events.counting import Counted
from core.settings import Settings
from tests.campaigning import send_until_idle
from tests.conftest import Cast, verified_sender
from tests.integration.test_events import _at as at
from tests.ledger import ARMED_AT, Ledger, new_account, new_ledger
from tests.simulators import Simulator

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    app = build_app(settings)
    yield new_ledger(app, new_account(app), "acme")
    app.db.dispose()


def on(ledger: Ledger, root: Actor, sender_id: int | None = None) -> None:
    heartbeat.set_sender(ledger.app, root, ledger.account.id, sender_id or ledger.sender.id)


def beat(ledger: Ledger, minutes: float) -> str:
    return events.beat_due(after(ledger, minutes))


def after(ledger: Ledger, minutes: float) -> App:
    return at(ledger, ARMED_AT + timedelta(minutes=minutes))


def goes_out(ledger: Ledger, **values: Any) -> Message:
    """As the worker leaves the newest beat's message."""
    message = ledger.messages()[-1]
    change = {"status": "sent", "attempt": "00aa", "provider": "ses", "armed_at": message.created_at} | values
    with ledger.app.db.begin() as session:
        session.execute(update(Message).where(Message.id == message.id).values(**change))
    return ledger.look(message)


def comes_back(ledger: Ledger, minutes: float) -> None:
    delivery = ledger.says(goes_out(ledger), EventType.DELIVERY, counts_in_rates=False)
    events.ingest(after(ledger, minutes), ledger.account, [delivery])


def told(ledger: Ledger) -> list[str]:
    return [alert.sentence for alert in alerts.list_open(ledger.app, SYSTEM)]


def beats(ledger: Ledger) -> list[heartbeat.Beat]:
    [pulse] = heartbeat.pulses(ledger.app, SYSTEM)
    return pulse.beats


def test_nothing_is_sent_until_an_administrator_names_a_sender(ledger: Ledger) -> None:
    assert events.beat_due(ledger.app) == "no account has a heartbeat"
    assert not ledger.messages()
    assert heartbeat.pulses(ledger.app, SYSTEM)[0].sender is None


def test_one_goes_out_every_quarter_of_an_hour_and_comes_back(ledger: Ledger, root: Actor) -> None:
    on(ledger, root)
    assert beat(ledger, 0) == "platform: sent"
    assert beat(ledger, 0.5) == "platform: on its way"
    comes_back(ledger, 1.5)
    assert beat(ledger, 2) == "platform: came back after 90 s"
    assert beat(ledger, 14.9) == "platform: came back after 90 s"
    assert beat(ledger, 15) == "platform: sent"
    assert [each.seconds for each in beats(ledger)] == [None, 90]
    assert not told(ledger)
    first, second = ledger.messages()
    assert first.address == "success@simulator.amazonses.com"
    assert first.content_id == second.content_id
    assert not first.counts_in_rates


def test_it_counts_in_no_report_and_takes_nothing_of_the_tenants_limits(ledger: Ledger, root: Actor) -> None:
    on(ledger, root)
    beat(ledger, 0)
    message = goes_out(ledger)
    with ledger.app.db.begin() as session:
        tenants.limits.count(session, ledger.tenant, 1, message.created_at)
    comes_back(ledger, 1)
    beat(ledger, 2)
    with ledger.app.db.read() as session:
        assert sum(session.scalars(select(TenantUsage.recipients))) == 0
        assert [entry.action for entry in session.scalars(select(AuditEntry))] == ["set heartbeat"]
        assert len(session.scalars(select(Content)).all()) == 2  # the campaign's, and the beat's
        assert len(session.scalars(select(Event)).all()) == 1
    assert ledger.counts() == Counted()
    assert reports.recent_events(ledger.app, SYSTEM, ledger.tenant.id) == []


def test_one_that_is_not_back_in_five_minutes_is_told_of_until_the_next_good_one(
    ledger: Ledger, root: Actor
) -> None:
    on(ledger, root)
    beat(ledger, 0)
    goes_out(ledger)
    assert beat(ledger, 5) == "platform: on its way"
    assert (beat(ledger, 5.1), beat(ledger, 9)) == ("platform: lost", "platform: lost")
    [sentence] = told(ledger)
    assert "was taken by Amazon SES, and no delivery came back within 5 minutes" in sentence
    assert beat(ledger, 15) == "platform: sent"
    assert beat(ledger, 16) == "platform: on its way"
    assert told(ledger) == [sentence]
    comes_back(ledger, 17)
    beat(ledger, 18)
    assert not told(ledger)


@SQLITE
@pytest.mark.parametrize(
    ("fate", "words"),
    [
        ({"status": "pending"}, "was not even sent within 5 minutes"),
        ({"status": "unknown"}, "SES's answer is missing"),
        ({"status": "failed", "reason": "The key is refused."}, "ended as failed: The key is refused."),
    ],
)
def test_how_far_it_got_says_what_to_look_at(
    ledger: Ledger, root: Actor, fate: dict[str, str], words: str
) -> None:
    on(ledger, root)
    beat(ledger, 0)
    goes_out(ledger, **fate)
    beat(ledger, 6)
    assert words in told(ledger)[0]


@SQLITE
def test_one_that_comes_back_late_is_no_good_one(ledger: Ledger, root: Actor) -> None:
    on(ledger, root)
    beat(ledger, 0)
    comes_back(ledger, 8)
    assert beat(ledger, 8.5) == "platform: late"
    assert "took 480 s to come back" in told(ledger)[0]


@SQLITE
def test_what_was_lost_while_no_scheduler_ran_is_no_news(ledger: Ledger, root: Actor) -> None:
    on(ledger, root)
    beat(ledger, 0)
    assert beat(ledger, 600) == "platform: sent"
    assert beat(ledger, 601) == "platform: on its way"
    assert not told(ledger)


def test_a_sender_that_mail_cannot_go_from_is_told_of_and_nothing_is_left_waiting(
    ledger: Ledger, root: Actor
) -> None:
    on(ledger, root)
    tenants.pause(ledger.app, root, ledger.tenant.id, "tired")
    assert beat(ledger, 0).startswith("platform: not sent: Acme is paused")
    assert told(ledger)[0].startswith("No heartbeat leaves platform")
    assert not ledger.messages()
    tenants.resume(ledger.app, root, ledger.tenant.id, "rested")
    beat(ledger, 1)
    comes_back(ledger, 2)
    beat(ledger, 3)
    assert not told(ledger)


@SQLITE
def test_a_deleted_sender_is_named(ledger: Ledger, root: Actor) -> None:
    on(ledger, root)
    with ledger.app.db.begin() as session:
        session.execute(update(Sender).values(deleted_at=ARMED_AT))
    assert "news@acme-mail.io was deleted. Choose another" in beat(ledger, 0)


@SQLITE
def test_switching_it_off_ends_the_alert(ledger: Ledger, root: Actor) -> None:
    on(ledger, root)
    beat(ledger, 0)
    beat(ledger, 6)
    assert told(ledger)
    heartbeat.set_sender(ledger.app, root, ledger.account.id, None)
    heartbeat.set_sender(ledger.app, root, ledger.account.id, None)
    assert not told(ledger)
    assert events.beat_due(ledger.app) == "no account has a heartbeat"
    with ledger.app.db.read() as session:
        details = [entry.detail for entry in session.scalars(select(AuditEntry).order_by(AuditEntry.id))]
    assert details == [{"sender": "news@acme-mail.io"}, {"sender": "none"}]


def test_only_a_sender_of_the_account_can_be_chosen_and_only_by_an_administrator(
    ledger: Ledger, root: Actor, alice: Actor
) -> None:
    other = new_ledger(ledger.app, new_account(ledger.app, "second"), "globex")
    assert [each.address for each in heartbeat.candidates(ledger.app, root, ledger.account.id)] == [
        "news@acme-mail.io"
    ]
    for sender_id in (other.sender.id, 999):
        with pytest.raises(NotFound, match="no such sender in this AWS account"):
            on(ledger, root, sender_id)
    with pytest.raises(PermissionDenied):
        on(ledger, alice)
    with pytest.raises(PermissionDenied):
        heartbeat.candidates(ledger.app, alice, ledger.account.id)
    with ledger.app.db.begin() as session:
        session.execute(update(Sender).where(Sender.id == ledger.sender.id).values(deleted_at=ARMED_AT))
    with pytest.raises(InputError, match="was deleted"):
        on(ledger, root)


@SQLITE
def test_beats_are_kept_for_a_month(ledger: Ledger, root: Actor) -> None:
    on(ledger, root)
    for days in (0, 29, 31):
        beat(ledger, days * 24 * 60)
    assert len(beats(ledger)) == 2


@SQLITE
def test_it_goes_through_ses_and_comes_back_through_the_queue(
    app: App, simulator: Simulator, cast: Cast, root: Actor
) -> None:
    sender = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    heartbeat.set_sender(app, root, cast.acme.account_id, sender.id)
    assert events.beat_due(app) == "platform: sent"
    send_until_idle(app)
    deadline = datetime.now(tz=ARMED_AT.tzinfo) + timedelta(seconds=30)
    said = ""
    while "came back" not in said and datetime.now(tz=ARMED_AT.tzinfo) < deadline:
        events.poll(app, threading.Event(), until_idle=True)
        said = events.beat_due(app)
    assert said.startswith("platform: came back after ")
    with app.db.read() as session:
        assert session.scalars(select(Account.heartbeat_sender_id)).all() == [sender.id]
        assert session.scalars(select(Heartbeat.returned_at)).one() is not None

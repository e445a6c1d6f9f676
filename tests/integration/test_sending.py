"""Sending: each answer leaves each recipient in the one true state, and nobody is written to twice."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.exc import DBAPIError

from core import accounts, campaigns, sending, suppressions, tenants
from core.access import Actor
from core.app import App
from core.db.models import Account, Identity, Lane, Message, Sender, Worker
from core.errors import InputError, NotFound, PermissionDenied, SendingPaused
from core.providers.base import EntryResult, Outcome
from core.sending.record import Finished, record
from core.sending.worker import call
from tests.campaigning import (
    addresses,
    counts,
    ingest_until_idle,
    send_until_idle,
    started,
    view,
    written_to,
)
from tests.conftest import Cast, verified_sender
from tests.engine import Engine, campaign_of, fast_account
from tests.simulators import Simulator


@pytest.fixture
def sender(news_sender: Sender) -> Sender:
    return news_sender


def status_of(app: App, address: str) -> tuple[str, str | None]:
    with app.db.read() as session:
        row = session.execute(
            select(Message.status, Message.reason).where(Message.address_key == address)
        ).one()
    return row.status, row.reason


def reopen(app: App) -> None:
    """As if the time for which the account was closed were over."""
    with app.db.begin() as session:
        session.execute(update(Lane).values(closed_until=None))


def read_the_quota_again(app: App) -> None:
    with app.db.begin() as session:
        session.execute(update(Account).values(checked_at=None))
    accounts.refresh_due(app)


def test_everybody_is_written_to_once_with_their_own_name(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    people = addresses(120)
    campaign_id = started(app, cast.acme.id, sender.id, people)
    send_until_idle(app)

    assert counts(app, cast.acme.id, campaign_id) == {"sent": 120}
    assert view(app, cast.acme.id, campaign_id).campaign.status == "SENT"
    mail = simulator.messages()
    assert written_to(mail) == dict.fromkeys(people, 1)
    by_address = {message["to"]: message for message in mail}
    assert by_address["person00007@example.com"]["subject"] == "News for Name 7"
    assert "Dear Name 7," in by_address["person00007@example.com"]["html"]
    assert {message["tenant"] for message in mail} == {"acme"}
    assert by_address[people[0]]["tags"]["campaign"] == str(campaign_id)


def test_sending_again_sends_nothing(app: App, simulator: Simulator, cast: Cast, sender: Sender) -> None:
    started(app, cast.acme.id, sender.id, addresses(10))
    send_until_idle(app)
    send_until_idle(app)
    assert len(simulator.messages()) == 10


def test_no_second_is_faster_than_the_account_allows(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    simulator.scenario(account={"max_send_rate": 40})
    read_the_quota_again(app)
    started(app, cast.acme.id, sender.id, addresses(130))
    send_until_idle(app)
    times = sorted(datetime.fromisoformat(message["time"]).timestamp() for message in simulator.messages())
    assert len(times) == 130
    for start in times:
        assert sum(start <= t < start + 1 for t in times) <= 40 + 4, "the rate, and one call"


def test_an_address_suppressed_after_the_start_is_not_written_to(
    app: App, simulator: Simulator, cast: Cast, sender: Sender, alice: Actor
) -> None:
    campaign_id = started(app, cast.acme.id, sender.id, addresses(3))
    suppressions.add(app, alice, cast.acme.id, "PERSON00001@example.com")
    send_until_idle(app)
    assert counts(app, cast.acme.id, campaign_id) == {"sent": 2, "suppressed": 1}
    assert "person00001@example.com" not in written_to(simulator.messages())


def test_another_tenants_suppression_changes_nothing(
    app: App, simulator: Simulator, cast: Cast, sender: Sender, alice: Actor
) -> None:
    suppressions.add(app, alice, cast.globex.id, "person00001@example.com")
    campaign_id = started(app, cast.acme.id, sender.id, addresses(3))
    send_until_idle(app)
    assert counts(app, cast.acme.id, campaign_id) == {"sent": 3}


def test_when_suppressions_cannot_be_read_nothing_is_sent(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    started(app, cast.acme.id, sender.id, addresses(3))
    with app.db.begin() as session:
        session.execute(text("ALTER TABLE suppressions RENAME TO gone"))
    stop = threading.Event()
    threading.Timer(1.5, stop.set).start()
    with contextlib.suppress(DBAPIError):  # PostgreSQL's word for it ends the loop, SQLite's is tried again
        sending.work(app, stop)
    assert simulator.messages() == []


def test_a_paused_tenants_mail_waits_and_another_tenants_goes_on(
    app: App, simulator: Simulator, cast: Cast, sender: Sender, alice: Actor
) -> None:
    others = verified_sender(app, simulator, cast.globex.id, "post@globex-post.net")
    held = started(app, cast.acme.id, sender.id, addresses(20))
    free = started(app, cast.globex.id, others.id, addresses(20))
    tenants.pause(app, alice, cast.acme.id, "Their list looks bought.")
    send_until_idle(app)
    assert counts(app, cast.acme.id, held) == {"pending": 20}
    assert counts(app, cast.globex.id, free) == {"sent": 20}
    assert "Their list looks bought." in (view(app, cast.acme.id, held).held_reason or "")

    tenants.resume(app, alice, cast.acme.id, "They cleaned it.")
    send_until_idle(app)
    assert counts(app, cast.acme.id, held) == {"sent": 20}


def test_throttled_recipients_go_back_and_are_written_to_later(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    simulator.faults(
        {"kind": "throttle", "operation": "SendBulkEmail", "entry": True, "rate": 0.3, "times": 0}
    )
    people = addresses(60)
    campaign_id = started(app, cast.acme.id, sender.id, people)
    stop = threading.Event()
    threading.Timer(3, stop.set).start()
    sending.work(app, stop)
    simulator.faults()
    reopen(app)
    send_until_idle(app)
    assert counts(app, cast.acme.id, campaign_id) == {"sent": 60}
    assert written_to(simulator.messages()) == dict.fromkeys(people, 1)


def test_a_reply_that_never_comes_leaves_unknown_and_its_events_settle_it(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    simulator.faults({"kind": "accept_then_time_out", "operation": "SendBulkEmail", "times": 1, "seconds": 0})
    people = addresses(20)
    campaign_id = started(app, cast.acme.id, sender.id, people)
    send_until_idle(app)
    assert counts(app, cast.acme.id, campaign_id) == {"unknown": 20}

    send_until_idle(app)
    assert written_to(simulator.messages()) == dict.fromkeys(people, 1), "nothing is sent blindly again"
    ingest_until_idle(app)
    assert counts(app, cast.acme.id, campaign_id) == {"delivered": 20}


def test_a_server_error_leaves_unknown_with_its_reason(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    simulator.faults({"kind": "error", "operation": "SendBulkEmail", "times": 1, "status": 500})
    campaign_id = started(app, cast.acme.id, sender.id, addresses(5))
    send_until_idle(app)
    assert counts(app, cast.acme.id, campaign_id) == {"unknown": 5}
    assert "Nobody can tell" in (status_of(app, "person00000@example.com")[1] or "")


def test_a_campaign_whose_domain_breaks_is_blocked_and_says_why(
    app: App, simulator: Simulator, cast: Cast, sender: Sender, alice: Actor
) -> None:
    campaign_id = started(app, cast.acme.id, sender.id, addresses(5))
    with app.db.begin() as session:
        session.execute(update(Identity).values(verified_for_sending=False))
    send_until_idle(app)
    blocked = view(app, cast.acme.id, campaign_id)
    assert (blocked.campaign.status, blocked.counts["pending"]) == ("BLOCKED", 5)
    assert "acme-mail.io is not verified any more" in (blocked.campaign.status_reason or "")
    assert simulator.messages() == []

    with app.db.begin() as session:
        session.execute(update(Identity).values(verified_for_sending=True))
    campaigns.resume(app, alice, cast.acme.id, campaign_id)
    send_until_idle(app)
    assert counts(app, cast.acme.id, campaign_id) == {"sent": 5}


def test_what_a_dead_worker_left_becomes_unknown_never_pending(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    campaign_id = started(app, cast.acme.id, sender.id, addresses(4))
    with app.db.begin() as session:
        long_ago = datetime(2026, 1, 1, tzinfo=UTC)
        session.add(Worker(name="gone", host="elsewhere", pid=1, started_at=long_ago, beat_at=long_ago))
        session.execute(update(Message).values(status="sending", worker="gone", attempt="a" * 16))
    assert sending.reap_dead(app) == "4 messages became unknown"
    send_until_idle(app)
    assert counts(app, cast.acme.id, campaign_id) == {"unknown": 4}
    assert simulator.messages() == []


def test_mail_that_waited_too_long_inside_postyard_goes_back_unsent(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    class Leaping:
        """A clock whose every look is 11 seconds later: an armed call is always too old."""

        def __init__(self) -> None:
            self.seconds = 0.0

        def now(self) -> datetime:
            return datetime.now(UTC)

        def monotonic(self) -> float:
            self.seconds += 11
            return self.seconds

        def sleep(self, seconds: float) -> None:
            self.seconds += seconds

    campaign_id = started(app, cast.acme.id, sender.id, addresses(4))
    stop = threading.Event()
    threading.Timer(1, stop.set).start()
    sending.work(dataclasses.replace(app, clock=Leaping()), stop)
    assert counts(app, cast.acme.id, campaign_id) == {"pending": 4}
    assert simulator.messages() == []


def test_pausing_a_campaign_stops_it_and_resuming_writes_to_the_rest_once(
    app: App, simulator: Simulator, cast: Cast, sender: Sender, alice: Actor
) -> None:
    simulator.scenario(account={"max_send_rate": 50})
    read_the_quota_again(app)
    people = addresses(150)
    campaign_id = started(app, cast.acme.id, sender.id, people)
    stop = threading.Event()
    worker = threading.Thread(target=sending.work, args=(app, stop))
    worker.start()
    while not simulator.messages():
        time.sleep(0.05)
    campaigns.pause(app, alice, cast.acme.id, campaign_id, "wrong picture")
    time.sleep(1)
    at_pause = len(simulator.messages())
    time.sleep(1.5)
    assert len(simulator.messages()) == at_pause < 150
    campaigns.resume(app, alice, cast.acme.id, campaign_id)
    stop.set()
    worker.join()
    send_until_idle(app)
    assert written_to(simulator.messages()) == dict.fromkeys(people, 1)


def test_a_single_message_is_sent_by_the_scheduler(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    message_id = sending.send(
        app, cast.bob, cast.acme.id, sender_id=sender.id, to="Anna@example.net",
        subject="Your order {{number}}", html="<p>{{number}} <b>is here</b></p>", fields={"number": "<7>"},
    )  # fmt: skip
    assert simulator.messages() == [], "only the scheduler sends"
    send_until_idle(app)
    [mail] = simulator.messages()
    assert (mail["to"], mail["subject"]) == ("Anna@example.net", "Your order <7>")
    assert "<p>&lt;7&gt; <b>is here</b></p>" in mail["html"]
    assert mail["tags"]["msg_uid"].startswith(f"{message_id}-")
    assert status_of(app, "anna@example.net")[0] == "sent"


def test_a_single_message_is_refused_for_who_may_not(
    app: App, simulator: Simulator, cast: Cast, sender: Sender, alice: Actor
) -> None:
    def send(actor: Actor, to: str = "anna@example.net") -> int:
        return sending.send(
            app, actor, cast.acme.id, sender_id=sender.id, to=to, subject="Hello", html="<p>Hello</p>"
        )

    with pytest.raises(NotFound):
        send(cast.charlie)
    with pytest.raises(PermissionDenied):
        send(cast.carol)
    with pytest.raises(InputError):
        send(alice, to="not-an-address")
    suppressions.add(app, alice, cast.acme.id, "anna@example.net")
    with pytest.raises(InputError, match="suppression list"):
        send(alice)
    tenants.pause(app, alice, cast.acme.id, "Checking their list.")
    with pytest.raises(SendingPaused):
        send(alice, to="ben@example.net")


@pytest.mark.parametrize("word", ["\0", "\ud800"])
def test_an_answer_no_database_keeps_as_it_is_costs_no_other_answer(app: App, word: str) -> None:
    campaign_of(app, fast_account(app), "acme", 3)
    engine = Engine(app)
    [call] = engine.calls()
    results = [
        EntryResult(Outcome.ACCEPTED, provider_message_id="ses-1"),
        EntryResult(Outcome.REFUSED, reason=f"no {word} such domain"),
        EntryResult(Outcome.UNKNOWN, reason=word),
    ]
    record(engine.app, [Finished(call, results, engine.clock.at)])
    with app.db.read() as session:
        rows = session.execute(select(Message.status, Message.reason).order_by(Message.id)).all()
    assert [row.status for row in rows] == ["sent", "failed", "unknown"]
    assert rows[1].reason == f"no {ascii(word)[1:-1]} such domain"


def test_what_was_armed_before_the_machine_slept_is_not_sent_when_it_wakes(
    app: App, simulator: Simulator
) -> None:
    """The monotonic clock does not count that time."""
    campaign_of(app, fast_account(app), "acme", 1)
    engine = Engine(app)
    [armed] = engine.calls()
    engine.clock.sleep(3600)
    awake = dataclasses.replace(armed, armed_at=engine.clock.monotonic(), begin_at=engine.clock.monotonic())
    assert [result.outcome for result in call(engine.app, awake).results] == [Outcome.NOT_SENT]
    assert simulator.messages() == []

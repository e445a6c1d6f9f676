"""The event queue: nothing is deleted that was not stored, nothing unreadable stops the others."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text, update

from core import events
from core.app import App
from core.db.models import Account, Message, Tenant
from core.errors import ProviderError
from core.events import polling
from tests.conftest import Cast
from tests.ledger import ARMED_AT, Ledger, ledger_of

pytestmark = pytest.mark.slow

REFUSE_POISON = {
    "sqlite": [
        "CREATE TRIGGER refuse BEFORE INSERT ON events WHEN NEW.diagnostic = 'poison' "
        "BEGIN SELECT RAISE(ABORT, 'poison'); END"
    ],
    "postgresql": [
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF NEW.diagnostic = 'poison' THEN RAISE EXCEPTION 'poison'; END IF; RETURN NEW; END $$",
        "CREATE TRIGGER refuse BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse()",
    ],
}


@pytest.fixture
def ledger(app: App, cast: Cast) -> Ledger:
    """Acme with its real topic and queue, and mail in flight."""
    with app.db.read() as session:
        tenant = session.get_one(Tenant, cast.acme.id)
        account = session.get_one(Account, tenant.account_id)
    return ledger_of(app, account, tenant)


def test_everything_in_the_queue_is_stored_and_deleted(ledger: Ledger) -> None:
    messages = ledger.add_messages([f"p{n}@example.com" for n in range(45)])
    for message in messages:
        _put(ledger, _body(ledger, message))
    said = events.poll(ledger.app, threading.Event(), until_idle=True)
    assert said == "stored 45 events, 0 came again, 0 unmatched"
    assert {message.status for message in ledger.messages()} == {"delivered"}
    assert _depth(ledger) == 0


def test_what_nobody_can_read_goes_to_the_dead_letter_queue_and_stops_nobody(ledger: Ledger) -> None:
    message = ledger.add_message("ann@example.com")
    for body in ["not json", '{"eventType": "Delivery"}', _body(ledger, message)]:
        _put(ledger, body)
    events.poll(ledger.app, threading.Event(), until_idle=True)
    assert ledger.look(message).status == "delivered"
    assert sorted(row.body for row in ledger.parked()) == ["not json", '{"eventType": "Delivery"}']
    queue = ledger.app.providers.queue(ledger.account.region)
    dead = queue.receive(str(ledger.account.dead_letter_queue_url), wait_seconds=1)
    assert sorted(letter.body for letter in dead) == ["not json", '{"eventType": "Delivery"}']
    assert _depth(ledger) == 0


def test_the_validation_message_of_a_topic_is_deleted_and_parked_nowhere(ledger: Ledger) -> None:
    _put(ledger, "Successfully validated SNS topic for Amazon SES event publishing.")
    events.poll(ledger.app, threading.Event(), until_idle=True)
    assert not ledger.parked()
    assert _depth(ledger) == 0


def test_an_event_that_comes_again_after_a_crash_is_known(ledger: Ledger) -> None:
    message = ledger.add_message("ann@example.com")
    for _ in range(3):
        _put(ledger, _body(ledger, message))
        events.poll(ledger.app, threading.Event(), until_idle=True)
    assert len(ledger.events()) == 1
    assert ledger.total("delivered") == 1


def test_one_event_that_cannot_be_stored_stays_in_the_queue_alone(ledger: Ledger) -> None:
    good, bad = ledger.add_messages(["ann@example.com", "bo@example.com"])
    with ledger.app.db.begin() as session:
        for statement in REFUSE_POISON[ledger.app.db.engine.dialect.name]:
            session.execute(text(statement))
    _put(ledger, _body(ledger, bad, diagnostic="poison"))
    _put(ledger, _body(ledger, good))
    with _polling(ledger.app):
        _wait(lambda: ledger.look(good).status == "delivered")
        _wait(lambda: _depth(ledger) == 1)
    assert ledger.look(bad).status == "sending"
    assert _depth(ledger) == 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_database_that_another_process_locks_for_long_delays_events_and_loses_none(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    message = ledger.add_message("ann@example.com")
    _put(ledger, _body(ledger, message))
    engine = ledger.app.db.engine
    engine.dispose()
    event.listen(engine, "connect", lambda opened, _: opened.execute("PRAGMA busy_timeout = 200"))
    with closing(sqlite3.connect(str(engine.url.database), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with _polling(ledger.app):
            _wait(lambda: "cannot store events yet" in caplog.text)
            assert _depth(ledger) >= 1
            other.execute("ROLLBACK")
            _wait(lambda: ledger.look(message).status == "delivered")
            _wait(lambda: _depth(ledger) == 0)


def test_polling_stops_quickly_and_starts_for_an_account_that_is_added_later(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "ACCOUNTS_REREAD_SECONDS", 0.5)
    message = ledger.add_message("ann@example.com")
    _set_queue(ledger, None)
    _put(ledger, _body(ledger, message))
    with _polling(ledger.app) as poller:
        _set_queue(ledger, ledger.account.queue_url)
        _wait(lambda: ledger.look(message).status == "delivered", seconds=20)
    assert poller.took_to_stop < 6


def test_a_queue_that_does_not_answer_is_said_to_whoever_waits(ledger: Ledger) -> None:
    _set_queue(ledger, f"{ledger.account.queue_url}-gone")
    with pytest.raises(ProviderError):
        events.poll(ledger.app, threading.Event(), until_idle=True)


def _body(ledger: Ledger, message: Message, **delivery: Any) -> str:
    """A delivery, as SNS puts it into the queue."""
    at = (ARMED_AT + timedelta(seconds=2)).isoformat()
    record = {
        "eventType": "Delivery",
        "mail": {
            "timestamp": ARMED_AT.isoformat(),
            "messageId": f"ses-{message.id}",
            "destination": [message.address],
            "tags": {
                "msg_uid": [f"{message.id}-{message.attempt}"],
                "tenant": [ledger.tenant.slug],
            },
        },
        "delivery": {
            "timestamp": at,
            "recipients": [message.address],
            "smtpResponse": delivery.get("diagnostic", "250 ok"),
        },
    }
    return json.dumps(
        {
            "Type": "Notification",
            "MessageId": f"sns-{message.id}",
            "TopicArn": ledger.tenant.topic_arn,
            "Message": json.dumps(record),
        }
    )


def _put(ledger: Ledger, body: str) -> None:
    ledger.app.providers.queue(ledger.account.region).send_to(str(ledger.account.queue_url), body)


def _depth(ledger: Ledger) -> int:
    return ledger.app.providers.queue(ledger.account.region).depth(str(ledger.account.queue_url))


def _set_queue(ledger: Ledger, queue_url: str | None) -> None:
    with ledger.app.db.begin() as session:
        session.execute(update(Account).where(Account.id == ledger.account.id).values(queue_url=queue_url))


def _wait(until: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


class _Poller:
    took_to_stop = 0.0


@contextmanager
def _polling(app: App) -> Iterator[_Poller]:
    """`events.poll` in a thread, as the scheduler runs it."""
    stop, poller = threading.Event(), _Poller()
    thread = threading.Thread(target=events.poll, args=(app, stop))
    thread.start()
    try:
        yield poller
    finally:
        asked_at = time.monotonic()
        stop.set()
        thread.join(timeout=30)
        poller.took_to_stop = time.monotonic() - asked_at
    assert not thread.is_alive()

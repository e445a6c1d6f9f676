"""What may go wrong between SQS and the database: nothing is lost, nothing counts twice, nobody waits for one
event that cannot be stored."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import boto3
import pytest
from sqlalchemy import event, text

from core import events, suppressions
from core.access import SYSTEM
from core.app import App, build_app
from core.db.models import Account, Tenant
from core.db.states import EventType
from core.errors import ProviderError
from core.events import polling
from core.events.storing import read, store
from core.providers.ses_events import parse
from core.settings import Settings
from tests.conftest import Cast
from tests.integration.test_event_queue import REFUSE_POISON, _body, _polling, _wait
from tests.ledger import ARMED_AT, Ledger, ledger_of, new_account, new_ledger
from tests.queues import MemoryQueue, with_queue

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
POSTGRESQL = pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
VALIDATION = "Successfully validated SNS topic for Amazon SES event publishing."
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def queue() -> MemoryQueue:
    return MemoryQueue()


@pytest.fixture
def ledger(settings: Settings, queue: MemoryQueue) -> Iterator[Ledger]:
    app = with_queue(build_app(settings), queue)
    yield new_ledger(app, new_account(app, queue_url="q", dead_letter_queue_url="q-dlq"), "acme")
    app.db.dispose()


def record(ledger: Ledger, message: Any, kind: str, key: str = "eventType", **what: Any) -> dict[str, Any]:
    """As SES says it, in its newer shape or (key "notificationType") the older."""
    return {
        key: kind,
        "mail": {
            "timestamp": ARMED_AT.isoformat(),
            "messageId": f"ses-{message.id}",
            "destination": [message.address],
            "tags": {"msg_uid": [f"{message.id}-{message.attempt}"], "tenant": [ledger.tenant.slug]},
        },
        kind.lower(): {"timestamp": ARMED_AT.isoformat(), **what},
    }


def in_sns(ledger: Ledger, said: Any) -> str:
    text_of = said if isinstance(said, str) else json.dumps(said)
    return json.dumps({"Type": "Notification", "TopicArn": ledger.tenant.topic_arn, "Message": text_of})


def in_eventbridge(said: Any) -> str:
    return json.dumps({"detail-type": "Email Bounced", "source": "aws.ses", "detail": said})


def ingest(ledger: Ledger, *bodies: str) -> events.Ingested:
    said = [each for body in bodies for each in parse(body)]
    return events.ingest(ledger.app, ledger.account, said)


# SQS


def test_what_is_committed_and_not_deleted_comes_again_and_is_known(
    ledger: Ledger, queue: MemoryQueue
) -> None:
    """A crash between the commit and the delete, or SQS that refuses to delete."""
    message = ledger.add_message("ann@example.com")
    queue.send_to("q", _body(ledger, message))
    [received] = queue.receive("q", wait_seconds=0)
    events.ingest(ledger.app, ledger.account, parse(received.body))
    queue.at += 61
    with _polling(ledger.app):
        _wait(lambda: queue.depth("q") == 0)
    assert (len(ledger.events()), ledger.total("delivered")) == (1, 1)


@SQLITE
def test_sqs_that_deletes_nothing_for_a_while_makes_nothing_count_twice(ledger: Ledger) -> None:
    class Stubborn(MemoryQueue):
        refusals = 0

        def delete(self, url: str, receipts: list[str]) -> None:
            if self.refusals < 2:
                self.refusals += 1
                raise ProviderError("SQS does not answer.", permanent=False)
            super().delete(url, receipts)

    queue = Stubborn()
    message = ledger.add_message("ann@example.com")
    queue.send_to("q", _body(ledger, message))
    with _polling(with_queue(ledger.app, queue)):
        for refused in (1, 2):
            _wait(lambda refused=refused: queue.refusals == refused)  # type: ignore[misc]
            queue.at += 61
        _wait(lambda: queue.depth("q") == 0)
    assert (len(ledger.events()), ledger.total("delivered")) == (1, 1)


@SQLITE
def test_while_the_database_is_away_nothing_is_received_again_and_again(
    ledger: Ledger, queue: MemoryQueue, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each receive counts: after the fifth an event would be a dead letter."""
    monkeypatch.setattr(polling, "LONGEST_BACK_OFF_SECONDS", 0.1)
    messages = ledger.add_messages([f"p{n}@example.com" for n in range(30)])
    for message in messages:
        queue.send_to("q", _body(ledger, message))
    engine = ledger.app.db.engine
    engine.dispose()
    event.listen(engine, "connect", lambda opened, _: opened.execute("PRAGMA busy_timeout = 20"))
    with closing(sqlite3.connect(str(engine.url.database), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with _polling(ledger.app):
            _wait(lambda: caplog.text.count("cannot store events yet") > polling.PATIENCE + 2)
            for _ in range(8):
                queue.at += 61
                time.sleep(0.1)
            assert max(queue.receives.values()) <= 2
            assert queue.depth("q") == 30
            other.execute("ROLLBACK")
            _wait(lambda: ledger.total("delivered") == 30)
            queue.at += 61
            _wait(lambda: queue.depth("q") == 0)
    assert len(ledger.events()) == 30


@SQLITE
def test_a_stop_while_the_database_is_away_leaves_all_in_the_queue(
    ledger: Ledger, queue: MemoryQueue, caplog: pytest.LogCaptureFixture
) -> None:
    queue.send_to("q", _body(ledger, ledger.add_message("ann@example.com")))
    engine = ledger.app.db.engine
    engine.dispose()
    event.listen(engine, "connect", lambda opened, _: opened.execute("PRAGMA busy_timeout = 20"))
    with closing(sqlite3.connect(str(engine.url.database), isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with _polling(ledger.app) as poller:
            _wait(lambda: "cannot store events yet" in caplog.text)
        assert poller.took_to_stop < 6
    assert queue.depth("q") == 1


@pytest.mark.slow
@SQLITE
def test_one_that_cannot_be_stored_becomes_a_dead_letter_after_five_receives(app: App, cast: Cast) -> None:
    """SQS's own redrive, at the simulator's SQS with a time-out of a second."""
    with app.db.read() as session:
        tenant = session.get_one(Tenant, cast.acme.id)
        ledger = ledger_of(app, session.get_one(Account, tenant.account_id), tenant)
    with app.db.begin() as session:
        for statement in REFUSE_POISON["sqlite"]:
            session.execute(text(statement))
    account, sqs = ledger.account, app.providers.queue(ledger.account.region)
    boto3.client("sqs", region_name=account.region).set_queue_attributes(
        QueueUrl=str(account.queue_url), Attributes={"VisibilityTimeout": "1"}
    )
    good, bad = ledger.add_messages(["ann@example.com", "bo@example.com"])
    sqs.send_to(str(account.queue_url), _body(ledger, bad, diagnostic="poison"))
    sqs.send_to(str(account.queue_url), _body(ledger, good))
    with _polling(app):
        _wait(lambda: ledger.look(good).status == "delivered")
        _wait(lambda: sqs.depth(str(account.dead_letter_queue_url)) == 1, seconds=40)
    assert ledger.look(bad).status == "sending"
    assert events.watch_due(app).endswith("1 dead letters")


# One that cannot be stored


def test_one_bad_event_among_many_costs_a_few_transactions(ledger: Ledger, queue: MemoryQueue) -> None:
    with ledger.app.db.begin() as session:
        for statement in REFUSE_POISON[ledger.app.db.engine.dialect.name]:
            session.execute(text(statement))
    messages = ledger.add_messages([f"p{n}@example.com" for n in range(300)])
    for message in messages:
        diagnostic = "poison" if message is messages[123] else "250 ok"
        queue.send_to("q", _body(ledger, message, diagnostic=diagnostic))
    received = []
    while batch := queue.receive("q", wait_seconds=0):
        received += [read(ledger.account, each) for each in batch]
    begun: list[object] = []
    event.listen(ledger.app.db.engine, "begin", begun.append)
    done, left = store(ledger.app, ledger.account, received)
    assert (done.stored, len(left)) == (299, 1)
    assert f'"{messages[123].address}"' in left[0].message.body.replace("\\", "")
    assert len(begun) <= 30
    assert ledger.total("delivered") == 299


@POSTGRESQL
def test_a_row_the_database_refuses_as_if_it_were_away_holds_nobody_up(
    ledger: Ledger, queue: MemoryQueue, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """ "Program limit exceeded", as of a text too long for an index, is of the same class of errors."""
    monkeypatch.setattr(polling, "LONGEST_BACK_OFF_SECONDS", 0.05)
    with ledger.app.db.begin() as session:
        for statement in REFUSE_POISON["postgresql"]:
            session.execute(text(statement.replace("'poison';", "'poison' USING ERRCODE = '54000';")))
    good, bad = ledger.add_messages(["ann@example.com", "bo@example.com"])
    queue.send_to("q", _body(ledger, bad, diagnostic="poison"))
    queue.send_to("q", _body(ledger, good))
    with _polling(ledger.app):
        _wait(lambda: ledger.look(good).status == "delivered")
    assert queue.depth("q") == 1
    assert ledger.look(bad).status == "sending"
    assert "bo@example.com" not in caplog.text


# What SES may say


@pytest.mark.parametrize("key", ["eventType", "notificationType"])
def test_a_complaint_suppresses_in_either_shape(ledger: Ledger, key: str) -> None:
    message = ledger.add_message("angry@example.com")
    said = record(ledger, message, "Complaint", key, feedbackId="f1", complaintFeedbackType="abuse",
                  complainedRecipients=[{"emailAddress": "angry@example.com"}])  # fmt: skip
    assert ingest(ledger, in_sns(ledger, said)).suppressed == 1
    assert ledger.look(message).status == "complained"


def test_one_event_by_every_way_there_is_counts_once(ledger: Ledger) -> None:
    message = ledger.add_message("gone@example.com")
    bounce = {"bounceType": "Permanent", "bounceSubType": "General", "feedbackId": "f1"}
    said = record(ledger, message, "Bounce", **bounce)
    older = record(ledger, message, "Bounce", "notificationType", **bounce)
    bodies = [in_sns(ledger, said), in_eventbridge(said), json.dumps(said), in_sns(ledger, older)]
    for body in (*bodies, in_sns(ledger, in_eventbridge(said))):
        ingest(ledger, body)
    assert len(ledger.events()) == 1
    assert ledger.total("permanent_bounces") == 1
    assert not ledger.parked()


def test_a_type_from_the_future_is_kept_acknowledged_and_moves_nothing(
    ledger: Ledger, queue: MemoryQueue
) -> None:
    message = ledger.add_message("ann@example.com")
    future = record(ledger, message, "Teleport", place={"new": ["field"]})
    for body in (in_sns(ledger, future), VALIDATION, in_sns(ledger, VALIDATION)):
        queue.send_to("q", body)
    with _polling(ledger.app):
        _wait(lambda: queue.depth("q") == 0)
    assert [(row.type, json.loads(row.raw)["eventType"]) for row in ledger.events()] == [
        ("OTHER", "Teleport")
    ]
    assert ledger.look(message).status == "sending"
    assert (queue.depth("q-dlq"), ledger.parked()) == (0, [])


@pytest.mark.parametrize(
    ("bounce_type", "subtype", "status", "suppressed", "counted"),
    [
        ("Transient", "MailboxFull", "bounced", False, ("transient_bounces", 1)),
        ("Undetermined", "Undetermined", "bounced", False, ("transient_bounces", 1)),
        ("Permanent", "OnAccountSuppressionList", "suppressed", True, ("permanent_bounces", 0)),
        ("Permanent", "OnTenantSuppressionList", "suppressed", True, ("permanent_bounces", 0)),
        ("Permanent", "Suppressed", "bounced", True, ("permanent_bounces", 1)),
        ("Permanent", "NewInTheYear2030", "bounced", True, ("permanent_bounces", 1)),
    ],
)
def test_what_a_bounce_means_follows_its_type(
    ledger: Ledger, bounce_type: str, subtype: str, status: str, suppressed: bool, counted: tuple[str, int]
) -> None:
    message = ledger.add_message("ann@example.com")
    said = record(ledger, message, "Bounce", bounceType=bounce_type, bounceSubType=subtype, feedbackId="f")
    ingest(ledger, in_sns(ledger, said))
    assert ledger.look(message).status == status
    assert [row.note for row in ledger.suppressions()] == ([subtype] if suppressed else [])
    assert ledger.total(counted[0]) == counted[1]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("first", "second", "status"),
    [
        ("Delivery", "Bounce", "bounced"),
        ("Complaint", "Delivery", "complained"),
        ("Open", "Send", "sent"),
        ("Click", "Delivery", "delivered"),
    ],
)
def test_the_end_is_the_same_in_either_order_and_every_time_is_kept(
    ledger: Ledger, first: str, second: str, status: str, turned: bool
) -> None:
    message = ledger.add_message("ann@example.com")
    more = {"bounceType": "Permanent", "bounceSubType": "General", "feedbackId": "f"}
    bodies = [in_sns(ledger, record(ledger, message, kind, **more)) for kind in (first, second)]
    for body in reversed(bodies) if turned else bodies:
        ingest(ledger, body)
    seen = ledger.look(message)
    assert seen.status == status
    times = {"Delivery": "delivered_at", "Bounce": "bounced_at", "Complaint": "complained_at",
             "Open": "opened_at", "Click": "clicked_at", "Send": "sent_at"}  # fmt: skip
    for kind in (first, second):
        assert getattr(seen, times[kind]) == ARMED_AT


@pytest.mark.slow
def test_one_event_a_thousand_times_in_parallel_is_one_row_and_counts_once(ledger: Ledger) -> None:
    bounce = ledger.bounce(ledger.add_message("gone@example.com"))
    with ThreadPoolExecutor(8) as threads:
        done = threads.map(lambda _: events.ingest(ledger.app, ledger.account, [bounce]), range(1000))
        stored = sum(each.stored for each in done)
    assert (stored, len(ledger.events()), len(ledger.suppressions())) == (1, 1, 1)
    assert ledger.total("permanent_bounces") == 1


def test_a_body_of_a_mebibyte_is_stored_whole_and_what_is_shown_of_it_is_short(ledger: Ledger) -> None:
    message = ledger.add_message("ann@example.com")
    said = record(ledger, message, "Delivery", smtpResponse="x" * (1024 * 1024 - 1200))
    body = in_sns(ledger, said)
    assert 1_040_000 < len(body) <= 1_048_576
    assert ingest(ledger, body).stored == 1
    [row] = ledger.events()
    assert (len(row.raw), len(str(row.diagnostic))) == (len(json.dumps(said)), 2000)


# Hostile text


def test_hostile_text_is_kept_as_text_and_enters_no_sentence_of_ours(ledger: Ledger) -> None:
    message = ledger.add_message("ann@example.com")
    bounced = record(ledger, message, "Bounce", bounceType="Permanent", bounceSubType="General",
                     feedbackId="f", bouncedRecipients=[
                         {"emailAddress": message.address, "diagnosticCode": HOSTILE}])  # fmt: skip
    clicked = record(ledger, message, "Click", link=HOSTILE, userAgent=HOSTILE, ipAddress=HOSTILE)
    ingest(ledger, in_sns(ledger, bounced), in_sns(ledger, clicked))
    by_type = {row.type: row for row in ledger.events()}
    assert by_type[EventType.BOUNCE].diagnostic == HOSTILE
    assert (by_type[EventType.CLICK].link, by_type[EventType.CLICK].user_agent) == (HOSTILE, HOSTILE)
    assert "<" not in str(ledger.look(message).reason)


@SQLITE
def test_what_a_provider_calls_a_bounce_is_no_formula_in_an_export(ledger: Ledger) -> None:
    message = ledger.add_message("ann@example.com")
    formula = '=HYPERLINK("http://evil.example","x")'
    said = record(ledger, message, "Bounce", bounceType="Permanent", bounceSubType=formula, feedbackId="f")
    ingest(ledger, in_sns(ledger, said))
    exported = "".join(_chunks(suppressions.export_csv(ledger.app, SYSTEM, ledger.tenant.id)))
    assert "ann@example.com" in exported
    assert f'"{formula[:10]}' not in exported
    assert f",{formula[:10]}" not in exported


def _chunks(exported: Any) -> Iterator[str]:
    for chunk in exported:
        yield chunk if isinstance(chunk, str) else chunk.decode()

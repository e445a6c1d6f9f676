"""Load: ten thousand bounces within ten seconds are stored in time, and pause their tenant long before."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from sqlalchemy import func, select

from core import events
from core.app import App
from core.db.models import Account, Event, Message, Tenant
from tests.conftest import Cast
from tests.ledger import Ledger, ledger_of

pytestmark = pytest.mark.slow

BOUNCES = 10_000
PUT_WITHIN_SECONDS = 10.0
LAG_SECONDS = 60
PAUSED_WITHIN_SECONDS = 30
NOW = datetime.now(UTC)


@pytest.fixture
def ledger(app: App, cast: Cast) -> Ledger:
    """Acme with its real topic and queue, and mail in flight."""
    with app.db.read() as session:
        tenant = session.get_one(Tenant, cast.acme.id)
        account = session.get_one(Account, tenant.account_id)
    return ledger_of(app, account, tenant)


def test_ten_thousand_bounces_in_ten_seconds_are_stored_and_pause_the_tenant_in_time(ledger: Ledger) -> None:
    addresses = [f"p{n}@example{n % 7}.com" for n in range(BOUNCES)]
    bodies = [_body(ledger, message) for message in ledger.add_messages(addresses, armed_at=NOW)]
    with _polling(ledger.app):
        begun_at = time.monotonic()
        with ThreadPoolExecutor(1) as waiting:
            paused = waiting.submit(_wait, lambda: _is_paused(ledger), begun_at)
            _put_all(ledger, bodies, begun_at)
            put_at = time.monotonic()
            _wait(lambda: _stored(ledger) == BOUNCES, put_at)
            lag = time.monotonic() - put_at
            paused_after = paused.result()
    assert lag < LAG_SECONDS
    assert paused_after < PAUSED_WITHIN_SECONDS  # the deciding bounce was among the first twenty
    assert ledger.total("permanent_bounces") == BOUNCES
    assert len(ledger.suppressions()) == BOUNCES


def _put_all(ledger: Ledger, bodies: list[str], begun_at: float) -> None:
    """Evenly over the time, as SES would; later when this machine cannot."""
    sqs = boto3.client("sqs", region_name=ledger.account.region)
    for start in range(0, BOUNCES, 10):
        time.sleep(max(0.0, begun_at + PUT_WITHIN_SECONDS * start / BOUNCES - time.monotonic()))
        entries: Any = [
            {"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[start : start + 10])
        ]
        answer = sqs.send_message_batch(QueueUrl=str(ledger.account.queue_url), Entries=entries)
        assert not answer.get("Failed")


def _body(ledger: Ledger, message: Message) -> str:
    at = NOW.isoformat()
    record = {
        "eventType": "Bounce",
        "mail": {
            "timestamp": at,
            "messageId": f"ses-{message.id}",
            "destination": [message.address],
            "tags": {"msg_uid": [f"{message.id}-{message.attempt}"], "tenant": [ledger.tenant.slug]},
        },
        "bounce": {
            "bounceType": "Permanent",
            "bounceSubType": "NoEmail",
            "bouncedRecipients": [{"emailAddress": message.address, "diagnosticCode": "550 5.1.1 unknown"}],
            "timestamp": at,
            "feedbackId": f"bounce-{message.id}",
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


def _stored(ledger: Ledger) -> int:
    with ledger.app.db.read() as session:
        return session.scalar(select(func.count()).select_from(Event)) or 0


def _is_paused(ledger: Ledger) -> bool:
    return ledger.tenant_now().sending_status == "DISABLED"


def _wait(until: Any, since: float) -> float:
    """Seconds since then until it was so."""
    while not until():
        assert time.monotonic() < since + 2 * LAG_SECONDS, "it did not happen in time"
        time.sleep(0.2)
    return time.monotonic() - since


@contextmanager
def _polling(app: App) -> Iterator[None]:
    """`events.poll` in a thread, as the scheduler runs it."""
    stop = threading.Event()
    thread = threading.Thread(target=events.poll, args=(app, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=30)
    assert not thread.is_alive()

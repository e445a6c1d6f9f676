"""The commands about events, as a script uses them."""

from __future__ import annotations

import pytest

from core import events
from core.access import SYSTEM
from core.app import App
from core.db.models import Account, Tenant
from core.events import parked
from tests.conftest import Cast
from tests.integration.test_cli import Call, Run, call, database_url, environment, refused, run
from tests.integration.test_event_queue import _body as body_of
from tests.ledger import Ledger, ledger_of

__all__ = ["call", "database_url", "environment", "run"]


@pytest.fixture
def ledger(app: App, cast: Cast) -> Ledger:
    with app.db.read() as session:
        tenant = session.get_one(Tenant, cast.acme.id)
        return ledger_of(app, session.get_one(Account, tenant.account_id), tenant)


def test_lag_is_shown_by_account(call: Call, run: Run, ledger: Ledger) -> None:
    assert call("events", "lag")["accounts"][0]["seconds"] is None
    assert "never measured" in run("events", "lag").stdout
    events.watch_due(ledger.app)
    [account] = call("events", "lag")["accounts"]
    assert (account["waiting"], account["dead_letters"]) == (2, 0)  # the topics were validated


def test_parked_events_are_listed_read_replayed_and_discarded(call: Call, run: Run, ledger: Ledger) -> None:
    message = ledger.add_message("ann@example.com", status="pending")
    events.ingest(ledger.app, ledger.account, [ledger.bounce(message)], ["not \x1b[31mjson"])
    lines = call("events", "parked", "--account", "platform")
    assert [(line["reason"], line["says"]) for line in lines] == [
        ("unreadable", "not \x1b[31mjson"),
        ("unmatched", "BOUNCE ann@example.com"),
    ]
    number = lines[0]["id"]
    assert "\x1b" not in run("events", "parked").stdout
    assert call("events", "parked", "--id", number)["body"] == "not \x1b[31mjson"
    assert call("events", "parked", "--reason", "wrong tenant") == []
    assert call("events", "parked", "--account", "resend") == []
    assert len(call("events", "parked", "--tenant", "acme")) == 1
    assert call("events", "replay", "--all", "--reason", "unmatched") == {"tried": 1, "matched": 0}
    assert call("events", "discard", number, "--because", "noise") == {"discarded": 1}
    assert [line.resolution for line in parked.list_parked(ledger.app, SYSTEM, resolved=True)] == [
        "discarded: noise"
    ]


def test_what_is_meant_must_be_said(run: Run, ledger: Ledger) -> None:
    assert "Name numbers, or say --all" in refused(run("events", "replay"))
    assert "not both" in refused(run("events", "replay", "1", "--all"))
    assert "no such parked event" in refused(run("events", "replay", "999"))
    assert "no account 'nobody'" in refused(run("events", "parked", "--account", "nobody"))
    assert "Name letters, or say --all" in refused(run("events", "dead-letters", "replay"))
    assert run("events", "discard", "--all").exit_code == 2


def test_dead_letters_are_seen_replayed_and_deleted(call: Call, run: Run, ledger: Ledger) -> None:
    sqs, url = ledger.app.providers.queue(ledger.account.region), str(ledger.account.dead_letter_queue_url)
    message = ledger.add_message("ann@example.com")
    for body in ("not json", body_of(ledger, message)):
        sqs.send_to(url, body)
    assert call("events", "dead-letters", "look")["count"] == 2
    told = run("events", "dead-letters", "replay", "--all")
    assert (told.exit_code, ledger.look(message).status) == (1, "delivered")
    assert "Replayed 1; 1 cannot be read or stored" in told.stdout
    [letter] = call("events", "dead-letters", "look")["letters"]
    deleted = call("events", "dead-letters", "discard", letter["id"], "--because", "noise")
    assert deleted == {"discarded": 1}


def test_the_heartbeat_is_switched_on_and_off(call: Call, run: Run, ledger: Ledger) -> None:
    assert run("events", "heartbeat").stdout.startswith("Off.")
    assert call("events", "heartbeat", "--from", "news@acme-mail.io")["sender"] == "news@acme-mail.io"
    events.beat_due(ledger.app)
    assert call("events", "heartbeat")["beats"][0]["message_status"] == "pending"
    assert "no verified sender x@acme-mail.io" in refused(
        run("events", "heartbeat", "--from", "x@acme-mail.io", "--tenant", "acme")
    )
    assert call("events", "heartbeat", "--off")["sender"] is None

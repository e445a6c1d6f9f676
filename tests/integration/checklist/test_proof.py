"""The last item of the checklist: a test message that comes back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from core import access, checklist, reports, suppressions, tenants
from core.access import Actor
from core.app import App
from core.checklist import PROBE
from core.db.models import Event, Message, TenantResource
from core.errors import Conflict, InputError, SendingPaused
from tests.campaigning import ingest_until_idle, send_until_idle
from tests.conftest import Cast, verified_sender
from tests.in_aws import aws
from tests.integration.checklist.conftest import change, clock_of, items, resource, sqlite_alone
from tests.simulators import Simulator


@pytest.mark.slow
def test_a_message_that_comes_back_proves_the_pipeline_and_counts_nowhere(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    message_id = checklist.prove_pipeline(app, cast.bob, cast.acme.id)
    assert str(items(app, cast.acme.id)["pipeline"].state) == "waiting"
    with pytest.raises(Conflict, match="under way"):
        checklist.prove_pipeline(app, cast.bob, cast.acme.id)

    send_until_idle(app)
    ingest_until_idle(app)

    proof = items(app, cast.acme.id)["pipeline"]
    assert (str(proof.state), proof.advice) == ("done", "")
    assert "came back after" in proof.found
    [mail] = simulator.messages()
    assert mail["to"] == PROBE
    today = app.now().date()
    days: dict[str, Any] = {"since": today - timedelta(days=1), "until": today + timedelta(days=1)}
    for report in (reports.rates, reports.by_campaign, reports.by_domain):
        assert sum(row.counts.sent for row in report(app, cast.bob, cast.acme.id, **days)) == 0
    assert [(t.today.sent, t.queued, t.unknown) for t in reports.overview(app, cast.bob)] == [(0, 0, 0)]
    with app.db.read() as session:
        assert session.get_one(Message, message_id).counts_in_rates is False
    assert checklist.prove_pipeline(app, cast.bob, cast.acme.id) > message_id


def tried(app: App, tenant_id: int, **values: Any) -> None:
    """A test message that got as far as `values` say."""
    message_id = checklist.prove_pipeline(app, access.SYSTEM, tenant_id)
    with app.db.begin() as session:
        session.execute(
            update(Message).where(Message.id == message_id).values(**values or {"status": "pending"})
        )


def heard(app: App, tenant_id: int) -> None:
    """Its event arrives now."""
    with app.db.begin() as session:
        message = session.scalars(select(Message).where(Message.tenant_id == tenant_id)).all()[-1]
        session.add(
            Event(
                uid=f"uid {message.id}", tenant_id=tenant_id, message_id=message.id, type="DELIVERY",
                recipient=PROBE, occurred_at=app.now(), received_at=app.now(), counts_in_rates=False, raw="",
            )
        )  # fmt: skip


def come_back(app: App, tenant_id: int) -> None:
    tried(app, tenant_id, status="delivered")
    heard(app, tenant_id)


def proof(app: App, tenant_id: int) -> tuple[str, str, str]:
    item = items(app, tenant_id)["pipeline"]
    return str(item.state), item.found, item.advice


def test_after_five_minutes_a_lost_message_says_where_it_got_lost(
    ready: App, people: Cast, alice: Actor
) -> None:
    for values, words in (
        ({}, "scheduler runs"),
        ({"status": "sent"}, "repair the set-up"),
        ({"status": "unknown"}, "repair the set-up"),
    ):
        tried(ready, people.acme.id, **values)
        clock_of(ready).advance(seconds=299)
        assert proof(ready, people.acme.id)[0] == "waiting"
        clock_of(ready).advance(seconds=1)
        state, found, advice = proof(ready, people.acme.id)
        assert (state, "did not come back within 5 minutes" in found) == ("todo", True)
        assert words in advice
    tried(ready, people.acme.id)
    tenants.pause(ready, alice, people.acme.id, "Their list looks bought.")
    clock_of(ready).advance(minutes=6)
    assert "resume the tenant" in proof(ready, people.acme.id)[2]
    with pytest.raises(SendingPaused):
        checklist.prove_pipeline(ready, alice, people.acme.id)


@sqlite_alone
def test_a_message_that_ses_refuses_says_so_at_once(live: App, cast: Cast, simulator: Simulator) -> None:
    refusal = {
        "kind": "error",
        "operation": "SendEmail",
        "status": 400,
        "code": "MessageRejected",
        "times": 1,
    }
    simulator.faults(refusal)
    checklist.prove_pipeline(live, cast.bob, cast.acme.id)
    send_until_idle(live)
    state, found, advice = proof(live, cast.acme.id)
    assert (state, found.startswith("The test message was not sent:")) == ("todo", True)
    assert "send another" in advice
    assert checklist.prove_pipeline(live, cast.bob, cast.acme.id)


def test_a_message_that_came_late_is_a_warning(ready: App, people: Cast) -> None:
    tried(ready, people.acme.id, status="delivered")
    clock_of(ready).advance(minutes=20)
    heard(ready, people.acme.id)
    assert proof(ready, people.acme.id)[0] == "warn"


def test_a_proof_older_than_the_repair_does_not_count(live: App, cast: Cast, alice: Actor) -> None:
    come_back(live, cast.acme.id)
    assert proof(live, cast.acme.id)[0] == "done"

    tenants.repair(live, alice, cast.acme.id)
    assert proof(live, cast.acme.id)[0] == "done", "there was nothing to mend"
    clock_of(live).advance(minutes=1)
    aws("sns", live).delete_topic(TopicArn=str(cast.acme.topic_arn))
    tenants.repair(live, alice, cast.acme.id)

    assert proof(live, cast.acme.id)[:2] == ("todo", "The set-up was changed since it was proven.")
    clock_of(live).advance(minutes=1)
    come_back(live, cast.acme.id)
    assert proof(live, cast.acme.id)[0] == "done"


@pytest.mark.parametrize("key", ["SNS topic", "event destination", "event queue", "configuration set"])
def test_a_proof_older_than_a_change_in_aws_does_not_count(ready: App, people: Cast, key: str) -> None:
    come_back(ready, people.acme.id)
    clock_of(ready).advance(minutes=1)
    change(TenantResource, checked_at=ready.now())(ready)  # a daily look that finds all as it was
    assert proof(ready, people.acme.id)[0] == "done"

    resource(key, "different")(ready)

    assert proof(ready, people.acme.id)[:2] == ("todo", "The set-up was changed since it was proven.")


def test_the_test_message_needs_a_verified_sender_that_may_write_to_it(
    ready: App, people: Cast, alice: Actor
) -> None:
    with pytest.raises(InputError, match="no verified sender"):
        checklist.prove_pipeline(ready, alice, people.globex.id)
    suppressions.add(ready, alice, people.acme.id, PROBE)
    with pytest.raises(InputError, match="suppression list"):
        checklist.prove_pipeline(ready, alice, people.acme.id)


def test_another_tenants_proof_is_none_of_ours(ready: App, people: Cast) -> None:
    come_back(ready, people.acme.id)
    assert proof(ready, people.globex.id)[1] == "Not proven yet."

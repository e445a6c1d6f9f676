"""The commands about reputation, as a script uses them; and what a resume does to the campaign behind it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, update

from core import campaigns, events, reputation
from core.access import SYSTEM
from core.app import App
from core.db.models import Account, Campaign, Tenant
from core.db.states import EventType
from tests.integration.test_cli import Call, Run, call, database_url, environment, refused, run
from tests.ledger import Ledger, ledger_of
from tests.offline import make_tenants

__all__ = ["call", "database_url", "environment", "run"]


@pytest.fixture
def acme(app: App) -> Ledger:
    make_tenants(app, "acme")
    with app.db.begin() as session:
        session.execute(update(Tenant).values(topic_arn="arn:aws:sns:ap-southeast-1:123456789012:acme"))
    with app.db.read() as session:
        account = session.scalars(select(Account)).one()
        tenant = session.scalars(select(Tenant)).one()
    return ledger_of(app, account, tenant)


def bad_day(ledger: Ledger) -> None:
    armed_at = datetime.now(UTC)
    people = [f"p{n}@example{n % 4}.com" for n in range(40)]
    messages = ledger.add_messages(people, armed_at=armed_at)
    said: list[Any] = [ledger.says(message, EventType.DELIVERY) for message in messages[:30]]
    said += [ledger.bounce(message) for message in messages[30:]]
    assert events.ingest(ledger.app, ledger.account, said).paused_tenants == (ledger.tenant.id,)


def test_levels_are_shown_lowered_and_given_back(call: Call, run: Run, acme: Ledger) -> None:
    assert set(call("reputation", "levels", "acme").values()) == {None}
    lowered = call("reputation", "levels", "acme", "--pause-bounce", "0.08", "--warn-complaint", "0.05%")
    assert (lowered["pause_bounce_rate"], lowered["warn_complaint_rate"]) == (0.08, 0.0005)
    shown = call("reputation", "show", "acme")
    assert shown["limits"]["bounce"] == {"warn": 0.05, "pause": 0.08, "aws_review": 0.05, "aws_pause": 0.1}
    assert call("reputation", "levels", "acme", "--pause-bounce", "own")["pause_bounce_rate"] is None
    text = run("reputation", "levels", "acme").stdout
    assert "PAUSES AT" in text
    assert "0.05 %" in text
    assert "can only be lower" in refused(run("reputation", "levels", "acme", "--pause-bounce", "50%"))
    assert run("reputation", "levels", "acme", "--pause-bounce", "much").exit_code == 2
    assert "no tenant 'nobody'" in refused(run("reputation", "show", "nobody"))


def test_a_dry_run_tells_what_would_have_been_paused(call: Call, run: Run, acme: Ledger) -> None:
    bad_day(acme)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    days = ("--since", today, "--until", today)
    found = call("reputation", "dry-run", "acme", *days)
    [pause] = found["pauses"]
    assert (pause["campaign"], pause["signal"], pause["spared"]) == ("Spring", "bounce", 0)
    assert found["sentence"].startswith("Would have paused 1 campaign on ")
    text = run("reputation", "dry-run", "acme", *days).stdout
    assert "WOULD HAVE PAUSED (UTC)" in text
    assert "Swap the two" in refused(
        run("reputation", "dry-run", "acme", "--since", "2026-05-02", "--until", "2026-05-01")
    )


def test_the_brake_is_told_by_account(call: Call, run: Run, acme: Ledger) -> None:
    [account] = call("reputation", "brake")
    assert account["account"] == "platform"
    assert account["bounce"] == {
        "bad": 0, "among": 0, "rate": 0.0, "warns_at": 0.03, "stops_at": 0.04, "warns": False,
    }  # fmt: skip
    messages = acme.add_messages([f"p{n}@example.com" for n in range(300)], armed_at=datetime.now(UTC))
    said = [
        acme.bounce(m) if n % 30 == 29 else acme.says(m, EventType.DELIVERY) for n, m in enumerate(messages)
    ]
    events.ingest(acme.app, acme.account, said)
    result = run("reputation", "brake")
    assert result.exit_code == 1
    assert "warns" in result.stdout


def test_a_resume_cancels_the_campaign_that_it_was_paused_for(call: Call, run: Run, acme: Ledger) -> None:
    bad_day(acme)
    shown = call("reputation", "show", "acme")
    assert shown["sending_status"] == "DISABLED"
    [cause] = campaigns.causes_of_pause(acme.app, SYSTEM, acme.tenant.id)
    assert (cause.campaign.name, cause.is_alone, cause.bad) == ("Spring", True, 10)
    said = run("tenants", "resume", "acme", "--reason", "The list was cleaned").stdout
    assert f"Campaign {acme.campaign.id} (Spring) is cancelled." in said
    assert "On probation: 1,000 of 1,000 outcomes to go, at 0.1/s." in said
    assert campaign_status(acme) == "CANCELLED"
    assert campaigns.causes_of_pause(acme.app, SYSTEM, acme.tenant.id) == []
    assert call("reputation", "show", "acme")["probation"]["left"] == 1_000


def test_a_campaign_may_be_kept_and_one_that_a_person_paused_for_nothing_is(run: Run, acme: Ledger) -> None:
    bad_day(acme)
    run("tenants", "resume", "acme", "--reason", "It was the provider", "--keep-campaign")
    assert campaign_status(acme) == "SENDING"
    run("tenants", "pause", "acme", "--reason", "We ask them first")
    assert campaigns.causes_of_pause(acme.app, SYSTEM, acme.tenant.id) == []
    run("tenants", "resume", "acme", "--reason", "They answered")
    assert campaign_status(acme) == "SENDING"
    assert reputation.own_levels(acme.app, SYSTEM, acme.tenant.id) == reputation.Levels()


def campaign_status(ledger: Ledger) -> str:
    with ledger.app.db.read() as session:
        return session.get_one(Campaign, ledger.campaign.id).status

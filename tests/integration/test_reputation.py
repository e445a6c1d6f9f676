"""Reputation: bad news pauses its own tenant inside the ingest, and nobody else."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from core import events
from core.access import Role
from core.app import build_app
from core.db.models import AuditEntry, Campaign, Tenant
from core.db.states import EventType
from core.settings import Settings
from tests.ledger import Ledger, new_account, new_ledger

NOW = datetime.now(UTC)
_people = itertools.count()


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    app = build_app(settings)
    yield new_ledger(app, new_account(app), "acme")
    app.db.dispose()


def test_a_campaign_that_bounces_at_twenty_percent_pauses_its_tenant(ledger: Ledger) -> None:
    globex = new_ledger(ledger.app, ledger.account, "globex")
    waiting = ledger.add_message("next@example.com", status="pending", attempt=None)
    done = _outcomes(ledger, delivered=40, bounced=10)
    assert done.paused_tenants == (ledger.tenant.id,)
    tenant = ledger.tenant_now()
    assert (tenant.sending_status, tenant.paused_by, tenant.ses_status_synced) == (
        "DISABLED",
        "postyard",
        False,
    )
    assert tenant.paused_reason == (
        "Bounce rate 20.0 % (10 of 50 messages with an outcome) in campaign 'Spring'; the limit is 10 %."
    )
    assert ledger.look(waiting).status == "pending"
    assert globex.tenant_now().sending_status == "ENABLED"


def test_the_pause_and_its_evidence_are_in_the_audit_log(ledger: Ledger) -> None:
    _outcomes(ledger, delivered=40, bounced=10)
    [entry] = _audit(ledger)
    assert (entry.actor, entry.role, entry.action) == ("postyard", Role.ADMIN, "pause tenant")
    assert entry.subject == "acme"
    detail = entry.detail
    assert (detail["signal"], detail["bad"], detail["outcomes"]) == ("bounce", 10, 50)
    assert detail["scope"] == "campaign 'Spring'"
    assert 0.05 < detail["lower_bound"] < 0.2


def test_a_tenant_that_is_paused_already_keeps_the_first_reason(ledger: Ledger) -> None:
    _outcomes(ledger, delivered=40, bounced=10)
    before = ledger.tenant_now()
    assert _outcomes(ledger, delivered=0, bounced=20).paused_tenants == ()
    assert ledger.tenant_now().paused_reason == before.paused_reason
    assert len(_audit(ledger)) == 1


def test_the_same_bad_news_twice_is_no_more_evidence(ledger: Ledger) -> None:
    messages = ledger.add_messages([f"gone{n}@example.com" for n in range(4)], armed_at=NOW)
    bounces = [ledger.bounce(message) for message in messages]
    for _ in range(3):
        events.ingest(ledger.app, ledger.account, bounces * 3)
    assert ledger.tenant_now().sending_status == "ENABLED"


def test_a_tenant_at_two_percent_goes_on(ledger: Ledger) -> None:
    assert _outcomes(ledger, delivered=980, bounced=20).paused_tenants == ()


def test_addresses_on_the_lists_of_ses_and_the_mailbox_simulator_pause_nobody(ledger: Ledger) -> None:
    listed = ledger.add_messages([f"listed{n}@example.com" for n in range(20)], armed_at=NOW)
    tests = ledger.add_messages([f"bounce+{n}@simulator.amazonses.com" for n in range(20)], armed_at=NOW)
    said = [ledger.bounce(m, "OnTenantSuppressionList", counts_in_rates=False) for m in listed]
    said += [ledger.bounce(m, counts_in_rates=False) for m in tests]
    assert events.ingest(ledger.app, ledger.account, said).paused_tenants == ()


def test_four_complaints_in_a_small_campaign_pause_the_tenant(ledger: Ledger) -> None:
    messages = ledger.add_messages([f"p{n}@example.com" for n in range(100)], armed_at=NOW)
    said = [ledger.says(message, EventType.DELIVERY) for message in messages]
    said += [ledger.complaint(message) for message in messages[:4]]
    assert events.ingest(ledger.app, ledger.account, said).paused_tenants == (ledger.tenant.id,)
    assert ledger.tenant_now().paused_reason == (
        "Complaint rate 4.00 % (4 of 100 delivered messages) in campaign 'Spring'; the limit is 0.5 %."
    )


def test_not_spam_reports_pause_nobody(ledger: Ledger) -> None:
    messages = ledger.add_messages([f"p{n}@example.com" for n in range(20)], armed_at=NOW)
    said = [ledger.complaint(message, "not-spam") for message in messages]
    assert events.ingest(ledger.app, ledger.account, said).paused_tenants == ()


def test_a_bad_campaign_after_much_good_mail_is_seen_at_once(ledger: Ledger) -> None:
    _outcomes(ledger, delivered=2_000, bounced=10)
    bad = ledger.add_campaign("Bought list")
    assert _outcomes(bad, delivered=24, bounced=6).paused_tenants == (ledger.tenant.id,)
    assert "campaign 'Bought list'" in str(ledger.tenant_now().paused_reason)


def test_many_small_campaigns_are_judged_together(ledger: Ledger) -> None:
    assert not _outcomes(ledger.add_campaign("Part 1"), delivered=6, bounced=4).paused_tenants
    assert _outcomes(ledger.add_campaign("Part 2"), delivered=6, bounced=4).paused_tenants
    assert ledger.tenant_now().paused_reason == (
        "Bounce rate 40.0 % (8 of 20 messages with an outcome) in the mail of the last two days; "
        "the limit is 10 %."
    )


def test_transactional_mail_is_judged_too(ledger: Ledger) -> None:
    messages = ledger.add_messages(
        [f"gone{n}@example.com" for n in range(10)], armed_at=NOW, campaign_id=None
    )
    done = events.ingest(ledger.app, ledger.account, [ledger.bounce(m) for m in messages])
    assert done.paused_tenants == (ledger.tenant.id,)


def test_after_a_resume_the_old_evidence_pauses_nobody_again(ledger: Ledger) -> None:
    late = ledger.add_messages([f"late{n}@example.com" for n in range(30)], armed_at=NOW)
    _outcomes(ledger, delivered=40, bounced=10)
    _resume(ledger, at=NOW + timedelta(seconds=1))
    done = events.ingest(ledger.app, ledger.account, [ledger.bounce(message) for message in late])
    assert done.paused_tenants == ()
    assert ledger.tenant_now().sending_status == "ENABLED"


def test_after_a_resume_new_evidence_of_the_same_campaign_pauses_again(ledger: Ledger) -> None:
    _outcomes(ledger, delivered=40, bounced=10)
    _resume(ledger, at=NOW + timedelta(seconds=1))
    done = _outcomes(ledger, delivered=30, bounced=7, armed_at=NOW + timedelta(seconds=2))
    assert done.paused_tenants == (ledger.tenant.id,)
    assert "(7 of 37 messages" in str(ledger.tenant_now().paused_reason)


def test_a_campaign_that_starts_after_the_resume_is_judged_whole(ledger: Ledger) -> None:
    _outcomes(ledger, delivered=40, bounced=10)
    _resume(ledger, at=NOW)
    began = NOW + timedelta(minutes=1)
    fresh = ledger.add_campaign("Fresh", started_at=began, created_at=began)
    done = _outcomes(fresh, delivered=30, bounced=6, armed_at=began)
    assert done.paused_tenants == (ledger.tenant.id,)
    assert "campaign 'Fresh'" in str(ledger.tenant_now().paused_reason)


def _outcomes(ledger: Ledger, *, delivered: int, bounced: int, **values: Any) -> events.Ingested:
    """Mail that was sent now, and what came of it."""
    messages = ledger.add_messages(
        [f"p{next(_people)}@example.com" for _ in range(delivered + bounced)],
        **{"armed_at": NOW, **values},
    )
    said = [ledger.says(message, EventType.DELIVERY) for message in messages[:delivered]]
    said += [ledger.bounce(message) for message in messages[delivered:]]
    return events.ingest(ledger.app, ledger.account, said)


def _resume(ledger: Ledger, at: datetime) -> None:
    """What `tenants.resume` leaves, at a time of the test's choosing."""
    with ledger.app.db.begin() as session:
        session.execute(
            update(Tenant)
            .where(Tenant.id == ledger.tenant.id)
            .values(sending_status="ENABLED", paused_reason=None, paused_by=None, resumed_at=at)
        )
        session.execute(
            update(Campaign)
            .where(Campaign.id == ledger.campaign.id)
            .values(started_at=NOW - timedelta(hours=1))
        )


def _audit(ledger: Ledger) -> list[AuditEntry]:
    with ledger.app.db.read() as session:
        query = select(AuditEntry).where(AuditEntry.tenant_id == ledger.tenant.id)
        return list(session.scalars(query.order_by(AuditEntry.id)))

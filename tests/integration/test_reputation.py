"""Reputation: bad news pauses its own tenant inside the ingest, and nobody else."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from core import events, reputation, tenants
from core.access import Actor, Role
from core.app import SystemClock, build_app
from core.db.models import Alert, AuditEntry, Tenant
from core.db.states import EventType
from core.settings import Settings
from tests.ledger import Ledger, new_account, new_ledger

NOW = datetime.now(UTC)
YESTERDAY = NOW - timedelta(hours=24)
ROOT = Actor(username="root", role=Role.ADMIN)
DOMAINS = ("example.com", "example.net", "example.org")
_people = itertools.count()
_domains = itertools.cycle(DOMAINS)


@dataclass
class Standing(SystemClock):
    at: datetime

    def now(self) -> datetime:
        return self.at


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
        "Bounce rate 14.9 % (7 of 47 messages with an outcome) in campaign 'Spring'; the limit is 10 %."
    )
    assert ledger.look(waiting).status == "pending"
    assert globex.tenant_now().sending_status == "ENABLED"


def test_the_pause_and_its_evidence_are_in_the_audit_log(ledger: Ledger) -> None:
    _outcomes(ledger, delivered=40, bounced=10)
    [entry] = _audit(ledger)
    assert (entry.actor, entry.role, entry.action) == ("postyard", Role.ADMIN, "pause tenant")
    assert entry.subject == "acme"
    detail = entry.detail
    assert (detail["signal"], detail["bad"], detail["outcomes"]) == ("bounce", 7, 47)
    assert detail["scope"] == "campaign 'Spring'"
    assert 0.05 < detail["lower_bound"] < 0.2
    assert detail["top_domain"] in DOMAINS
    assert detail["top_domain_share"] == 0.43
    [campaign] = detail["campaigns"]
    assert (campaign["name"], campaign["bad"], campaign["outcomes"]) == ("Spring", 10, 50)


def test_the_pause_raises_an_alert_that_names_the_domain(ledger: Ledger) -> None:
    _outcomes(ledger, delivered=40, bounced=10)
    [alert] = _alerts(ledger, "paused by reputation")
    assert alert.cause == f"tenant {ledger.tenant.id}"
    assert alert.sentence.startswith("Acme was paused. Bounce rate 14.9 %")
    assert "43 % of them are at example." in alert.sentence


def test_a_tenant_that_is_paused_already_keeps_the_first_reason(ledger: Ledger) -> None:
    _outcomes(ledger, delivered=40, bounced=10)
    before = ledger.tenant_now()
    assert _outcomes(ledger, delivered=0, bounced=20).paused_tenants == ()
    assert ledger.tenant_now().paused_reason == before.paused_reason
    assert len(_audit(ledger)) == 1
    assert not _alerts(ledger, "reputation warning")


def test_the_same_bad_news_twice_is_no_more_evidence(ledger: Ledger) -> None:
    messages = ledger.add_messages(_addresses(4), armed_at=NOW)
    bounces = [ledger.bounce(message) for message in messages]
    for _ in range(3):
        events.ingest(ledger.app, ledger.account, bounces * 3)
    assert ledger.tenant_now().sending_status == "ENABLED"


def test_a_tenant_at_two_percent_goes_on(ledger: Ledger) -> None:
    for _ in range(20):
        assert _outcomes(ledger, delivered=49, bounced=1).paused_tenants == ()
    assert not _alerts(ledger, "reputation warning")


def test_addresses_on_the_lists_of_ses_and_the_mailbox_simulator_pause_nobody(ledger: Ledger) -> None:
    listed = ledger.add_messages(_addresses(20), armed_at=NOW)
    tests = ledger.add_messages([f"bounce+{n}@simulator.amazonses.com" for n in range(20)], armed_at=NOW)
    said = [ledger.bounce(m, "OnTenantSuppressionList", counts_in_rates=False) for m in listed]
    said += [ledger.bounce(m, counts_in_rates=False) for m in tests]
    assert events.ingest(ledger.app, ledger.account, said).paused_tenants == ()
    assert not _alerts(ledger, "reputation warning")


def test_four_complaints_in_a_small_campaign_pause_the_tenant(ledger: Ledger) -> None:
    messages = ledger.add_messages(_addresses(100), armed_at=YESTERDAY)
    said = [ledger.says(message, EventType.DELIVERY) for message in messages]
    events.ingest(ledger.app, ledger.account, said)
    complaints = [ledger.complaint(message) for message in messages[:4]]
    assert events.ingest(ledger.app, ledger.account, complaints).paused_tenants == (ledger.tenant.id,)
    [entry] = _audit(ledger)
    assert (entry.detail["signal"], entry.detail["bad"]) == ("complaint", 4)
    assert 80 <= entry.detail["outcomes"] < 95  # some complaints about mail of yesterday are still to come
    assert (entry.detail["top_domain"] in DOMAINS, entry.detail["top_domain_share"]) == (True, 0.5)


def test_two_complaints_about_a_small_tenant_are_for_a_person_to_look_at(ledger: Ledger) -> None:
    messages = ledger.add_messages(_addresses(100), armed_at=YESTERDAY)
    said = [ledger.says(message, EventType.DELIVERY) for message in messages]
    said += [ledger.complaint(message) for message in messages[:2]]
    assert events.ingest(ledger.app, ledger.account, said).paused_tenants == ()
    [alert] = _alerts(ledger, "reputation warning")
    assert alert.cause == f"tenant {ledger.tenant.id} complaints"


def test_not_spam_reports_pause_nobody(ledger: Ledger) -> None:
    messages = ledger.add_messages(_addresses(20), armed_at=NOW)
    said = [ledger.complaint(message, "not-spam") for message in messages]
    assert events.ingest(ledger.app, ledger.account, said).paused_tenants == ()


def test_a_bad_campaign_after_much_good_mail_is_seen_at_once(ledger: Ledger) -> None:
    for _ in range(10):
        _outcomes(ledger, delivered=200, bounced=1)
    bad = ledger.add_campaign("Bought list")
    assert _outcomes(bad, delivered=24, bounced=6).paused_tenants == (ledger.tenant.id,)
    assert "campaign 'Bought list'" in str(ledger.tenant_now().paused_reason)


def test_many_small_campaigns_are_judged_together(ledger: Ledger) -> None:
    assert not _outcomes(ledger.add_campaign("Part 1"), delivered=6, bounced=4).paused_tenants
    assert _outcomes(ledger.add_campaign("Part 2"), delivered=6, bounced=4).paused_tenants
    assert ledger.tenant_now().paused_reason == (
        "Bounce rate 29.4 % (5 of 17 messages with an outcome) in the last 1,000 messages with an outcome; "
        "the limit is 10 %."
    )
    [entry] = _audit(ledger)
    assert [campaign["name"] for campaign in entry.detail["campaigns"]] == ["Part 1", "Part 2"]


def test_transactional_mail_is_judged_too(ledger: Ledger) -> None:
    messages = ledger.add_messages(_addresses(10), armed_at=NOW, campaign_id=None)
    done = events.ingest(ledger.app, ledger.account, [ledger.bounce(m) for m in messages])
    assert done.paused_tenants == (ledger.tenant.id,)


def test_trouble_at_one_domain_warns_first_and_pauses_when_it_goes_on(ledger: Ledger) -> None:
    messages = ledger.add_messages([f"p{n}@example.com" for n in range(10)], armed_at=NOW)
    bounces = [ledger.bounce(message) for message in messages]
    assert not events.ingest(ledger.app, ledger.account, bounces[:9]).paused_tenants
    [alert] = _alerts(ledger, "reputation warning")
    assert "100 % of them are at example.com" in alert.sentence
    assert events.ingest(ledger.app, ledger.account, bounces[9:]).paused_tenants == (ledger.tenant.id,)


def test_a_warning_is_raised_once_and_clears_when_it_no_longer_holds(ledger: Ledger) -> None:
    _outcomes(ledger, delivered=80, bounced=5)
    _outcomes(ledger, delivered=10, bounced=1)
    [alert] = _alerts(ledger, "reputation warning")
    assert alert.cause == f"tenant {ledger.tenant.id} bounces"
    assert "(6 of 96 messages with an outcome)" in alert.sentence
    _outcomes(ledger, delivered=200, bounced=0)
    assert not _alerts(ledger, "reputation warning")


def test_a_warning_about_a_campaign_clears_a_day_after_its_last_outcome(ledger: Ledger) -> None:
    _outcomes(ledger, delivered=950, bounced=0)
    _outcomes(ledger.add_campaign("Part 2"), delivered=90, bounced=6)
    _outcomes(ledger, delivered=10, bounced=0)
    assert _alerts(ledger, "reputation warning")
    assert reputation.look_again_due(ledger.app) == "0 warnings of 1 tenants no longer hold."
    tomorrow = replace(ledger.app, clock=Standing(NOW + timedelta(hours=26)))
    assert reputation.look_again_due(tomorrow) == "1 warnings of 1 tenants no longer hold."
    assert not _alerts(ledger, "reputation warning")


def test_a_tenants_own_lower_level_pauses_it_earlier(ledger: Ledger) -> None:
    _set(ledger, pause_bounce_rate=0.05)
    assert _outcomes(ledger, delivered=45, bounced=5).paused_tenants == (ledger.tenant.id,)
    assert str(ledger.tenant_now().paused_reason).endswith("the limit is 5 %.")


def test_on_probation_three_bounces_pause_and_its_outcomes_are_counted_down(ledger: Ledger) -> None:
    _set(ledger, probation_left=1_000)
    assert not _outcomes(ledger, delivered=8, bounced=2).paused_tenants
    assert ledger.tenant_now().probation_left == 990
    assert _outcomes(ledger, delivered=0, bounced=1).paused_tenants == (ledger.tenant.id,)


def test_after_a_resume_the_old_evidence_pauses_nobody_again(ledger: Ledger) -> None:
    late = ledger.add_messages(_addresses(30), armed_at=NOW)
    _outcomes(ledger, delivered=40, bounced=10)
    _resume(ledger, at=NOW + timedelta(seconds=1))
    done = events.ingest(ledger.app, ledger.account, [ledger.bounce(message) for message in late])
    assert done.paused_tenants == ()
    assert ledger.tenant_now().sending_status == "ENABLED"
    assert ledger.total("permanent_bounces") == 40


def test_after_a_resume_new_evidence_of_the_same_campaign_pauses_again(ledger: Ledger) -> None:
    _outcomes(ledger, delivered=40, bounced=10)
    _resume(ledger, at=NOW + timedelta(seconds=1))
    done = _outcomes(ledger, delivered=30, bounced=7, armed_at=NOW + timedelta(seconds=2))
    assert done.paused_tenants == (ledger.tenant.id,)
    assert "(6 of 36 messages" in str(ledger.tenant_now().paused_reason)


def _outcomes(ledger: Ledger, *, delivered: int, bounced: int, **values: Any) -> events.Ingested:
    """Mail that was sent now, and what came of it."""
    messages = ledger.add_messages(_addresses(delivered + bounced), **{"armed_at": NOW, **values})
    said = [ledger.says(message, EventType.DELIVERY) for message in messages[:delivered]]
    said += [ledger.bounce(message) for message in messages[delivered:]]
    return events.ingest(ledger.app, ledger.account, said)


def _addresses(count: int) -> list[str]:
    return [f"p{next(_people)}@{next(_domains)}" for _ in range(count)]


def _resume(ledger: Ledger, at: datetime) -> None:
    app = replace(ledger.app, clock=Standing(at))
    tenants.resume(app, ROOT, ledger.tenant.id, "The list was cleaned.")


def _set(ledger: Ledger, **values: Any) -> None:
    with ledger.app.db.begin() as session:
        session.execute(update(Tenant).where(Tenant.id == ledger.tenant.id).values(**values))


def _alerts(ledger: Ledger, kind: str) -> list[Alert]:
    """Those that are open."""
    with ledger.app.db.read() as session:
        return list(session.scalars(select(Alert).where(Alert.kind == kind, Alert.cleared_at.is_(None))))


def _audit(ledger: Ledger) -> list[AuditEntry]:
    with ledger.app.db.read() as session:
        query = select(AuditEntry).where(AuditEntry.tenant_id == ledger.tenant.id)
        return list(session.scalars(query.order_by(AuditEntry.id)))

"""The brake: all tenants of an AWS account together stay below what AWS judges the account by."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from core import alerts, events
from core.access import SYSTEM
from core.app import App, build_app
from core.db.models import Account, AuditEntry, DailyCount, Tenant
from core.db.states import EventType
from core.reputation import brake
from core.reputation.brake import BRAKE, Share, to_stop
from core.reputation.evidence import Evidence
from core.reputation.rule import Signal
from core.settings import Settings
from tests.engine import HandClock
from tests.ledger import ARMED_AT, Ledger, new_account, new_ledger

NOON = datetime(2026, 5, 6, 12, tzinfo=UTC)
_people = itertools.count()


@pytest.fixture
def app(settings: Settings) -> Iterator[App]:
    clock: Any = HandClock(NOON)
    app = replace(build_app(settings), clock=clock)
    yield app
    app.db.dispose()


@pytest.fixture
def account(app: App) -> Account:
    return new_account(app)


def tenant_with(
    app: App, account: Account, slug: str, *, delivered: int, bounced: int = 0, complaints: int = 0,
    day: int = 0, age_days: int = 100, **values: Any,
) -> Ledger:  # fmt: skip
    """`day`: how many days ago."""
    ledger = new_ledger(app, account, slug, **{"created_at": ARMED_AT - timedelta(days=age_days), **values})
    with app.db.begin() as session:
        session.add(
            DailyCount(
                tenant_id=ledger.tenant.id,
                day=NOON.date() - timedelta(days=day),
                campaign_id=ledger.campaign.id,
                sent=delivered + bounced,
                delivered=delivered,
                permanent_bounces=bounced,
                complaints=complaints,
            )
        )
    return ledger


def apply(app: App, account: Account) -> tuple[int, ...]:
    with app.db.begin() as session:
        return brake.apply(session, account.id, app.now())


def open_alerts(app: App) -> list[tuple[str, str]]:
    found = [(each.kind, each.cause) for each in alerts.list_open(app, SYSTEM)]
    return sorted(each for each in found if each[0] == BRAKE)


def test_the_newest_of_those_who_raise_the_rate_is_stopped_and_the_good_ones_are_spared(
    app: App, account: Account
) -> None:
    old = tenant_with(app, account, "old", delivered=930, bounced=70, age_days=300)
    new = tenant_with(app, account, "new", delivered=930, bounced=70, age_days=20)
    good = tenant_with(app, account, "good", delivered=995, bounced=5, age_days=2)
    assert apply(app, account) == (new.tenant.id,)
    assert [each.tenant_now().sending_status for each in (old, new, good)] == [
        "ENABLED", "DISABLED", "ENABLED",
    ]  # fmt: skip
    assert new.tenant_now().paused_reason == (
        "Its AWS account as a whole is near what AWS stops it for, and this tenant has a bounce rate of "
        "7.0 % (70 of 1,000 messages with an outcome) in the last two days; the account's limit is 4 %."
    )
    assert not new.tenant_now().ses_status_synced
    with app.db.read() as session:
        [entry] = session.scalars(select(AuditEntry).where(AuditEntry.action == "pause tenant"))
    assert (entry.tenant_id, entry.actor) == (new.tenant.id, "postyard")
    assert entry.detail["campaigns"] == [
        {"id": new.campaign.id, "name": "Spring", "bad": 70, "outcomes": 1_000}
    ]
    assert open_alerts(app) == [
        (BRAKE, f"account {account.id} bounce stop"), (BRAKE, f"account {account.id} bounce warning")
    ]  # fmt: skip


def test_as_many_are_stopped_as_it_takes_one_after_the_other(app: App, account: Account) -> None:
    ledgers = [
        tenant_with(app, account, f"t{n}", delivered=900, bounced=100, age_days=100 - n) for n in range(3)
    ]
    tenant_with(app, account, "good", delivered=1_990, bounced=10)
    newest_first = [each.tenant.id for each in reversed(ledgers)]
    assert apply(app, account) == tuple(newest_first[:2])
    assert apply(app, account) == ()


def test_complaints_stop_too_and_transactional_mail_counts(app: App, account: Account) -> None:
    bad = tenant_with(app, account, "bad", delivered=10_000, complaints=30)
    with app.db.begin() as session:
        session.execute(update(DailyCount).values(campaign_id=0))
    assert apply(app, account) == (bad.tenant.id,)
    assert "a complaint rate of 0.30 % (30 of 10,000 delivered" in str(bad.tenant_now().paused_reason)


@pytest.mark.parametrize(
    ("delivered", "bounced", "warns"),
    [(100, 10, True), (95, 5, False), (3_000, 100, True), (4_000, 80, False), (0, 0, False)],
)
def test_little_evidence_and_a_rate_below_four_percent_stop_nobody(
    app: App, account: Account, delivered: int, bounced: int, warns: bool
) -> None:
    tenant_with(app, account, "acme", delivered=delivered, bounced=bounced)
    assert apply(app, account) == ()
    assert (open_alerts(app) != []) is warns


def test_a_warning_is_raised_once_and_cleared_when_the_rate_is_below_it(app: App, account: Account) -> None:
    ledger = tenant_with(app, account, "acme", delivered=3_000, bounced=105)
    for _ in range(3):
        apply(app, account)
    [alert] = alerts.list_open(app, SYSTEM)
    assert alert.sentence == (
        "The tenants of AWS account platform together have a bounce rate of 3.4 % (105 of 3,105 messages "
        "with an outcome); from 4 % on those who raise that are stopped, the newest first."
    )
    with app.db.begin() as session:
        session.execute(
            update(DailyCount).where(DailyCount.tenant_id == ledger.tenant.id).values(delivered=9_000)
        )
    assert brake.apply_due(app) == "Stopped 0 tenants for the sake of 1 AWS accounts."
    assert open_alerts(app) == []


def test_another_account_the_paused_and_the_days_before_do_not_count(app: App, account: Account) -> None:
    other = (
        new_account(app, "other", external_id="x")
        if hasattr(Account, "external_id")
        else new_account(app, "other")
    )
    bad = {"delivered": 900, "bounced": 100}
    tenant_with(app, other, "elsewhere", **bad)
    tenant_with(app, account, "paused", sending_status="DISABLED", **bad)
    tenant_with(app, account, "earlier", day=2, **bad)
    tenant_with(app, account, "resumed", resumed_at=NOON - timedelta(hours=1), **bad)
    assert apply(app, account) == ()
    yesterday = tenant_with(app, account, "yesterday", day=1, **bad)
    assert apply(app, account) == (yesterday.tenant.id,)


def test_the_days_are_those_of_the_tenants_time_zone(app: App, account: Account) -> None:
    app.clock.sleep(11 * 3600)  # 23:00 in UTC, the next day in Auckland
    tenant_with(app, account, "auckland", timezone="Pacific/Auckland", day=0, delivered=900, bounced=100)
    east = tenant_with(
        app, account, "kiritimati", timezone="Pacific/Kiritimati", day=1, delivered=900, bounced=100
    )
    west = tenant_with(
        app, account, "honolulu", timezone="Pacific/Honolulu", day=1, delivered=900, bounced=100
    )
    with app.db.read() as session:
        seen = brake.standing(session, account.id, app.now())
    counted = {share.tenant.slug for share in seen.shares}
    assert counted == {"auckland", "honolulu"}
    assert {east.tenant.slug, west.tenant.slug} == {"kiritimati", "honolulu"}


def test_bad_news_brakes_inside_the_ingest(app: App, account: Account) -> None:
    """Each tenant alone stays within its own limits."""
    old = tenant_with(app, account, "old", delivered=480, bounced=17, age_days=300)
    new = new_ledger(app, account, "new", created_at=ARMED_AT)
    assert ingested(new, delivered=96, bounced=2) == ()
    assert ingested(new, delivered=96, bounced=10) == (new.tenant.id,)
    assert "Its AWS account as a whole" in str(new.tenant_now().paused_reason)
    assert old.tenant_now().sending_status == "ENABLED"


def ingested(ledger: Ledger, *, delivered: int, bounced: int) -> tuple[int, ...]:
    """Bounces at regular distances."""
    people = [f"p{next(_people)}@example{n % 5}.com" for n in range(delivered + bounced)]
    messages, every = ledger.add_messages(people, armed_at=NOON), len(people) // bounced
    said = [
        ledger.bounce(message) if n % every == every - 1 else ledger.says(message, EventType.DELIVERY)
        for n, message in enumerate(messages)
    ]
    return events.ingest(ledger.app, ledger.account, said).paused_tenants


def share(tenant_id: int, bounced: int, delivered: int) -> Share:
    tenant = Tenant(id=tenant_id, created_at=ARMED_AT + timedelta(days=tenant_id))
    return Share(tenant, Evidence("", permanent_bounces=bounced, complaints=0, delivered=delivered,
                                  transient_bounces=0))  # fmt: skip


def test_one_bounce_of_one_mail_is_no_reason_to_stop_a_tenant() -> None:
    shares = [share(1, 60, 940), *(share(n, 1, 1) for n in range(2, 10))]
    assert [each.tenant.id for each in to_stop(shares, Signal.BOUNCE)] == [1]

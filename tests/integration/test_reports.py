"""Reports: the figures of pages, each for those who may see them, from what the ingest counted."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from core import access, alerts, events, reports, suppressions, unknown
from core.access import Actor, Role
from core.app import App, build_app
from core.db.models import Account, Campaign, Identity, JobRun, Message, Tenant, Worker
from core.db.states import EventType
from core.errors import NotFound, PermissionDenied
from core.reports import Counts
from core.settings import Settings
from tests.conftest import Cast
from tests.ledger import Ledger, new_account, new_ledger
from tests.simulators import Simulator

NOW = datetime.now(UTC)
TODAY = NOW.date()
YESTERDAY = TODAY - timedelta(days=1)


@dataclass(frozen=True)
class House:
    """Two tenants with mail, and their people."""

    app: App
    acme: Ledger
    globex: Ledger
    bob: Actor
    carol: Actor
    charlie: Actor


@pytest.fixture
def house(settings: Settings) -> Iterator[House]:
    app = build_app(settings)
    account = new_account(app)
    acme, globex = new_ledger(app, account, "acme"), new_ledger(app, account, "globex")
    yield House(
        app,
        acme,
        globex,
        bob=Actor("bob", Role.ACCOUNT_MANAGER, tenant_ids=frozenset({acme.tenant.id})),
        carol=Actor("carol", Role.ANALYST, tenant_ids=frozenset({acme.tenant.id})),
        charlie=Actor("charlie", Role.ACCOUNT_MANAGER, tenant_ids=frozenset({globex.tenant.id})),
    )
    app.db.dispose()


def test_rates_have_every_day_of_the_range_and_no_other(house: House) -> None:
    _mail(house.acme, days_ago=1, delivered=9, bounced=1)
    _mail(house.acme, days_ago=0, delivered=4)
    _mail(house.acme, days_ago=5, delivered=7)
    _mail(house.globex, days_ago=1, delivered=50)
    days = _rates(house, house.carol)
    assert [day.day for day in days] == [TODAY - timedelta(days=n) for n in (3, 2, 1, 0)]
    assert [day.counts.delivered for day in days] == [0, 0, 9, 4]
    assert days[2].counts == Counts(sent=10, delivered=9, permanent_bounces=1)
    assert days[2].counts.bounce_rate == pytest.approx(0.1)
    assert days[0].counts.bounce_rate is None
    assert days[0].counts.complaint_rate is None


def test_a_bounce_counts_on_the_day_its_mail_was_sent(house: House) -> None:
    [message] = _mail(house.acme, days_ago=3, delivered=1)
    events.ingest(house.app, house.acme.account, [house.acme.bounce(message, occurred_at=NOW)])
    days = _rates(house, house.carol)
    assert [day.counts.permanent_bounces for day in days] == [1, 0, 0, 0]
    assert [day.counts.delivered for day in days] == [0, 0, 0, 0]


def test_campaigns_come_newest_first_and_transactional_mail_last(house: House) -> None:
    summer = house.acme.add_campaign("Summer")
    _mail(house.acme, days_ago=0, delivered=3)
    _mail(summer, days_ago=0, delivered=5)
    _mail(house.acme, days_ago=0, delivered=2, campaign_id=None)
    found = reports.by_campaign(house.app, house.carol, house.acme.tenant.id, since=TODAY, until=TODAY)
    assert [(row.name, row.counts.delivered) for row in found] == [
        ("Summer", 5),
        ("Spring", 3),
        ("Transactional mail", 2),
    ]


def test_recipient_domains_come_by_volume(house: House) -> None:
    _mail(house.acme, days_ago=0, delivered=2, domain="example.net")
    _mail(house.acme, days_ago=0, delivered=6, bounced=2, domain="example.com")
    found = reports.by_domain(house.app, house.carol, house.acme.tenant.id, since=TODAY, until=TODAY)
    assert [(row.domain, row.counts.sent) for row in found] == [("example.com", 8), ("example.net", 2)]
    assert found[0].counts.bounce_rate == pytest.approx(0.25)


def test_the_overview_shows_each_tenant_its_day_and_24_before(house: House) -> None:
    _mail(house.acme, days_ago=0, delivered=3)
    _mail(house.acme, days_ago=24, delivered=2)
    _mail(house.acme, days_ago=25, delivered=9)
    house.acme.add_message("next@example.com", status="pending", attempt=None)
    [acme, globex] = reports.overview(house.app, access.SYSTEM)
    assert (acme.tenant.slug, globex.tenant.slug) == ("acme", "globex")
    assert acme.today.delivered == 3
    assert [day.counts.delivered for day in acme.days] == [2] + [0] * 23
    assert acme.days[-1].day == YESTERDAY
    assert (acme.queued, globex.queued) == (1, 0)
    assert acme.what_needs_a_hand == []


def test_the_overview_shows_only_tenants_that_are_assigned(house: House) -> None:
    assert [row.tenant.slug for row in reports.overview(house.app, house.carol)] == ["acme"]
    assert reports.overview(house.app, Actor("dora", Role.ANALYST, tenant_ids=frozenset())) == []


def test_the_overview_says_in_sentences_what_needs_a_hand(house: House) -> None:
    house.acme.add_message("lost@example.com", status="unknown")
    acme = house.acme.tenant.id
    with house.app.db.begin() as session:
        session.execute(
            update(Tenant)
            .where(Tenant.id == acme)
            .values(
                sending_status="DISABLED",
                paused_by="bob",
                paused_reason="Client asked.",
                ses_status_synced=False,
                provisioned_at=None,
            )
        )
        session.execute(update(Identity).where(Identity.tenant_id == acme).values(verified_for_sending=False))
        session.execute(
            update(Campaign)
            .where(Campaign.tenant_id == acme)
            .values(status="BLOCKED", status_reason="The sender was removed.")
        )
    [row] = reports.overview(house.app, house.carol)
    assert row.unknown == 1
    assert row.what_needs_a_hand == [
        "Sending is paused by bob: Client asked.",
        "SES has not been told of the pause or resume yet; Postyard tries again each minute.",
        "Setting it up in SES was not finished: open the tenant and repair it.",
        "acme-mail.io is not verified: publish its DNS records, then verify it.",
        "Campaign 'Spring' is blocked: The sender was removed.",
        "Nobody knows yet whether 1 of its messages arrived. The Campaigns and Messages pages say why.",
    ]


def test_what_an_alert_says_about_unknown_messages_is_not_said_twice(house: House) -> None:
    lost: dict[str, Any] = {"status": "unknown", "armed_at": NOW - timedelta(hours=73)}
    house.acme.add_message("lost@example.com", **lost)
    house.acme.add_message("left@example.com", **lost, left_by="alice")
    with house.app.db.begin() as session:
        alerts.raise_once(
            session, kind=unknown.ALERT, cause=f"campaign {house.acme.campaign.id}", at=NOW,
            sentence="Nobody knows whether 1 message of “Spring” arrived.", tenant_id=house.acme.tenant.id,
        )  # fmt: skip
    assert told_of_unknown(house) == ["Nobody knows whether 1 message of “Spring” arrived."]
    house.acme.add_messages(["new@example.com", "newer@example.com"], status="unknown", armed_at=NOW)
    house.acme.add_message("single@example.com", **lost, campaign_id=None)
    assert told_of_unknown(house)[1].startswith("Nobody knows yet whether 3 of its messages arrived.")


def told_of_unknown(house: House) -> list[str]:
    [row] = reports.overview(house.app, house.carol)
    return [worry for worry in row.what_needs_a_hand if "Nobody knows" in worry]


def test_the_story_of_an_address_is_told_whole(house: House) -> None:
    message = house.acme.add_message("Ann@Example.com", armed_at=NOW)
    house.globex.add_message("ann@example.com", armed_at=NOW)
    send = house.acme.says(message, EventType.SEND)
    bounce = house.acme.bounce(message, diagnostic="550 no such user")
    events.ingest(house.app, house.acme.account, [bounce, send])
    [story] = reports.find_messages(house.app, house.bob, house.acme.tenant.id, " ANN@example.com ")
    assert (story.message.status, story.campaign_name) == ("bounced", "Spring")
    assert [event.type for event in story.events] == ["SEND", "BOUNCE"]
    assert story.suppression is not None
    assert (story.suppression.reason, story.suppression.released_at) == ("BOUNCE", None)


def test_the_story_shows_a_suppression_that_was_released(house: House, simulator: Simulator) -> None:
    acme = house.acme.tenant.id
    house.acme.add_message("ann@example.com", armed_at=NOW)
    suppressions.add(house.app, house.bob, acme, "ann@example.com")
    suppressions.release(house.app, access.SYSTEM, acme, "ann@example.com", "She asked for it.")
    [story] = reports.find_messages(house.app, house.bob, acme, "ann@example.com")
    assert story.suppression is not None
    assert story.suppression.released_at is not None
    assert story.events == []


def test_an_analyst_may_not_look_up_addresses(house: House) -> None:
    with pytest.raises(PermissionDenied):
        reports.find_messages(house.app, house.carol, house.acme.tenant.id, "ann@example.com")


def test_the_latest_events_come_first_and_an_analyst_sees_no_address(house: House) -> None:
    message = house.acme.add_message("ann@example.com", armed_at=NOW)
    other = house.globex.add_message("zoe@example.com", armed_at=NOW)
    events.ingest(house.app, house.acme.account, [house.acme.says(message, EventType.SEND)])
    events.ingest(house.app, house.acme.account, [house.globex.says(other, EventType.SEND)])
    bounce = house.acme.bounce(message, diagnostic="550 ann@example.com is unknown")
    events.ingest(house.app, house.acme.account, [bounce])
    acme = house.acme.tenant.id
    seen = reports.recent_events(house.app, house.bob, acme, 10)
    assert [(event.type, event.recipient) for event in seen] == [
        ("BOUNCE", "ann@example.com"),
        ("SEND", "ann@example.com"),
    ]
    [masked] = reports.recent_events(house.app, house.carol, acme, 10, [EventType.BOUNCE])
    assert (masked.recipient, masked.diagnostic, masked.campaign_name) == ("a***@example.com", None, "Spring")


@pytest.mark.parametrize("report", ["rates", "by_campaign", "by_domain", "find_messages", "recent_events"])
def test_nobody_learns_of_another_tenants_figures(house: House, report: str) -> None:
    _mail(house.acme, days_ago=0, delivered=1)
    with pytest.raises(NotFound, match=r"There is no such tenant\."):
        _call(house, report, house.charlie, house.acme.tenant.id)


@pytest.mark.parametrize("report", ["rates", "by_campaign", "by_domain", "find_messages", "recent_events"])
def test_figures_of_a_tenant_do_not_change_with_another_tenants_mail(house: House, report: str) -> None:
    _mail(house.acme, days_ago=0, delivered=2, bounced=1)
    before = repr(_call(house, report, house.bob, house.acme.tenant.id))
    _mail(house.globex, days_ago=0, delivered=5, bounced=5)
    assert repr(_call(house, report, house.bob, house.acme.tenant.id)) == before


def test_health_shows_schedulers_queue_parked_events_and_jobs(app: App, cast: Cast, alice: Actor) -> None:
    with app.db.begin() as session:
        session.add(Worker(name="w1", host="here", pid=1, started_at=NOW, beat_at=NOW))
        session.add(JobRun(name="verify identities", finished_at=NOW, result="Nothing was due."))
    health = reports.health(app, alice)
    assert health.scheduler_beat_at == NOW
    assert [worker.name for worker in health.workers] == ["w1"]
    assert (health.lag.seconds, health.parked, health.unknown) == (0, 0, 0)
    assert [job.result for job in health.jobs] == ["Nothing was due."]


def test_an_account_manager_does_not_see_the_health_of_the_installation(app: App, cast: Cast) -> None:
    with pytest.raises(PermissionDenied):
        reports.health(app, cast.bob)


def test_health_without_a_queue_that_answers_says_that_nobody_measures(
    app: App, cast: Cast, alice: Actor
) -> None:
    with app.db.begin() as session:
        session.execute(update(Account).values(queue_url=Account.queue_url + "-gone"))
    health = reports.health(app, alice)
    assert health.lag.is_stale
    assert health.scheduler_beat_at is None


_people = itertools.count()


def _mail(
    ledger: Ledger,
    *,
    days_ago: int,
    delivered: int,
    bounced: int = 0,
    domain: str = "example.com",
    **values: Any,
) -> list[Message]:
    """Mail that was sent so many days ago, with its outcome."""
    messages = ledger.add_messages(
        [f"p{next(_people)}@{domain}" for _ in range(delivered + bounced)],
        armed_at=NOW - timedelta(days=days_ago),
        **values,
    )
    said = [ledger.says(message, EventType.SEND) for message in messages]
    said += [ledger.says(message, EventType.DELIVERY) for message in messages[:delivered]]
    said += [ledger.bounce(message) for message in messages[delivered:]]
    events.ingest(ledger.app, ledger.account, said)
    return messages


def _rates(house: House, actor: Actor) -> list[reports.DayRates]:
    since = TODAY - timedelta(days=3)
    return reports.rates(house.app, actor, house.acme.tenant.id, since=since, until=TODAY)


def _call(house: House, report: str, actor: Actor, tenant_id: int) -> list[Any]:
    if report == "find_messages":
        return reports.find_messages(house.app, actor, tenant_id, "ann@example.com")
    if report == "recent_events":
        return reports.recent_events(house.app, actor, tenant_id, 10)
    ranged = {"rates": reports.rates, "by_campaign": reports.by_campaign, "by_domain": reports.by_domain}
    return list(ranged[report](house.app, actor, tenant_id, since=YESTERDAY, until=TODAY))

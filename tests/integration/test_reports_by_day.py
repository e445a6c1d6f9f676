"""Reports by the days of the tenant's own zone: rates, campaigns, mailbox providers, pauses, the overview."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from core import access, audit, events, reports
from core.access import Actor, Role
from core.app import App, build_app
from core.db.states import EventType
from core.reports import Counts
from core.settings import Settings
from tests.ledger import ARMED_AT, Ledger, new_account, new_ledger

LATE = datetime(2026, 5, 4, 20, 0, tzinfo=UTC)  # the fifth in Singapore, still the fourth in New York
DAYS = {"since": date(2026, 5, 1), "until": date(2026, 5, 31)}


class At:
    """A clock that stands."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here waits")


@pytest.fixture
def app(settings: Settings) -> Iterator[App]:
    app = build_app(settings)
    yield app
    app.db.dispose()


@pytest.fixture
def acme(app: App) -> Ledger:
    return new_ledger(app, new_account(app), "acme", timezone="Asia/Singapore")


def test_mail_counts_on_the_day_it_was_sent_on_where_the_tenant_is(app: App, acme: Ledger) -> None:
    globex = new_ledger(app, acme.account, "globex", timezone="America/New_York")
    for ledger in (acme, globex):
        _deliver(ledger, ["ann@example.com"], armed_at=LATE)
        found = reports.rates(app, access.SYSTEM, ledger.tenant.id, **DAYS)
        [day] = [each.day for each in found if each.counts.sent]
        assert day == (date(2026, 5, 5) if ledger is acme else date(2026, 5, 4))


def test_today_is_each_tenants_own_on_the_overview(app: App, acme: Ledger) -> None:
    globex = new_ledger(app, acme.account, "globex", timezone="America/New_York")
    for ledger in (acme, globex):
        _deliver(ledger, ["ann@example.com"], armed_at=LATE - timedelta(hours=6))  # the fourth for both
    [in_singapore, in_new_york] = reports.overview(replace(app, clock=At(LATE)), access.SYSTEM)
    assert (in_singapore.today.sent, in_singapore.days[-1].counts.sent) == (0, 1)
    assert (in_new_york.today.sent, in_new_york.days[-1].counts.sent) == (1, 0)
    assert (in_singapore.days[-1].day, in_new_york.days[-1].day) == (date(2026, 5, 4), date(2026, 5, 3))


def test_only_the_newest_campaigns_are_told_and_transactional_mail(app: App, acme: Ledger) -> None:
    for number in range(4):
        _deliver(acme.add_campaign(f"Week {number}"), [f"ann{number}@example.com"])
    _deliver(acme, ["bo@example.com"], campaign_id=None)
    found = reports.by_campaign(app, access.SYSTEM, acme.tenant.id, **DAYS, limit=2)
    assert [row.name for row in found] == ["Week 3", "Week 2", "Transactional mail"]


def test_mailbox_providers_come_by_volume_and_everybody_else_last(app: App, acme: Ledger) -> None:
    people = ["a@yahoo.fr", "b@yahoo.co.uk", "c@gmail.com", "d@example.com", "e@example.net", "f@example.org"]
    _deliver(acme, people)
    [sent] = acme.add_messages(["g@gmail.com"])
    events.ingest(app, acme.account, [acme.bounce(sent)])
    found = reports.by_provider(app, access.SYSTEM, acme.tenant.id, **DAYS)
    assert [(row.provider, row.counts.sent) for row in found] == [("Yahoo", 2), ("Gmail", 1), ("Other", 3)]
    assert found[1].counts.permanent_bounces == 1
    total = sum((row.counts for row in found), Counts())
    assert [total] == [
        sum((day.counts for day in reports.rates(app, access.SYSTEM, acme.tenant.id, **DAYS)), Counts())
    ]


def test_people_and_machines_stand_in_two_columns(app: App, acme: Ledger) -> None:
    ann, bo, cleo = _deliver(acme, ["ann@example.com", "bo@example.com", "cleo@example.com"])
    said = [
        acme.says(ann, EventType.OPEN, user_agent="Thunderbird"),
        acme.says(bo, EventType.OPEN, bot_likely=True),
        acme.says(bo, EventType.CLICK, bot_likely=True, link="https://acme-mail.io/a"),
        acme.says(cleo, EventType.OPEN, bot_likely=True),
        acme.says(cleo, EventType.CLICK, user_agent="Thunderbird", link="https://acme-mail.io/a"),
    ]
    events.ingest(app, acme.account, said)
    [spring] = reports.by_campaign(app, access.SYSTEM, acme.tenant.id, **DAYS)
    counts = spring.counts
    assert (counts.opened, counts.opened_by_machine) == (1, 2)
    assert (counts.clicked, counts.clicked_by_machine) == (1, 1)
    assert (counts.open_rate, counts.machine_open_rate) == (pytest.approx(1 / 3), pytest.approx(2 / 3))
    assert counts.click_rate == counts.machine_click_rate == pytest.approx(1 / 3)


def test_a_story_says_which_open_was_a_machines_and_why(app: App, acme: Ledger) -> None:
    [ann] = _deliver(acme, ["ann@example.com"])
    said = [
        acme.says(ann, EventType.OPEN, user_agent="Thunderbird"),
        acme.says(ann, EventType.OPEN, user_agent="Mozilla/5.0"),
        acme.says(ann, EventType.CLICK, bot_likely=True, link="https://acme-mail.io/a"),
    ]
    events.ingest(app, acme.account, said)
    [story] = reports.find_messages(app, access.SYSTEM, acme.tenant.id, "ann@example.com")
    assert [story.machines.get(each.id) for each in story.events] == [
        None,
        None,
        None,
        "loaded in advance by Apple Mail",
        "SES takes it for a machine's",
    ]


def test_a_pause_says_what_was_judged_and_begins_on_the_tenants_day(app: App, acme: Ledger) -> None:
    judged = {"signal": "bounce", "bad": 12, "outcomes": 80, "scope": "campaign 'Spring'", "reason": "Bad."}
    with app.db.begin() as session:
        for at in (LATE - timedelta(hours=5), LATE):
            audit.record(
                session, access.SYSTEM, "pause tenant", "acme", at=at, tenant_id=acme.tenant.id, **judged
            )
            audit.record(
                session, access.SYSTEM, "resume tenant", "acme",
                at=at + timedelta(hours=1), tenant_id=acme.tenant.id, reason="Clean.",
            )  # fmt: skip
    carol = Actor("carol", Role.ANALYST, tenant_ids=frozenset({acme.tenant.id}))
    [pause] = reports.pauses(app, carol, acme.tenant.id, since=date(2026, 5, 5))
    assert (pause.paused_at, pause.resumed_at) == (LATE, LATE + timedelta(hours=1))
    assert (pause.signal, pause.bad, pause.outcomes, pause.scope) == ("bounce", 12, 80, "campaign 'Spring'")
    assert len(reports.pauses(app, carol, acme.tenant.id, since=date(2026, 5, 4))) == 2


def test_no_report_of_reputation_reads_messages_or_events(app: App, acme: Ledger) -> None:
    _deliver(acme, ["ann@gmail.com", "bo@example.net"])
    said: list[str] = []
    event.listen(app.db.engine, "before_cursor_execute", lambda *args: said.append(args[2]))
    tenant_id = acme.tenant.id
    for report in (reports.rates, reports.by_campaign, reports.by_domain, reports.by_provider):
        report(app, access.SYSTEM, tenant_id, **DAYS)
    reports.pauses(app, access.SYSTEM, tenant_id, since=DAYS["since"])
    queries = [statement for statement in said if "FROM" in statement]
    assert len(queries) >= 5
    for table in (" messages", " events", '"messages"', '"events"'):
        assert not any(table in statement for statement in queries)


def _deliver(ledger: Ledger, addresses: list[str], **values: Any) -> list[Any]:
    messages = ledger.add_messages(addresses, **{"armed_at": ARMED_AT, **values})
    said = [ledger.says(message, EventType.SEND) for message in messages]
    said += [ledger.says(message, EventType.DELIVERY) for message in messages]
    events.ingest(ledger.app, ledger.account, said)
    return messages

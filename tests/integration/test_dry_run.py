"""Dry run: a tenant's own history judged anew finds what judging found, and what other levels would find."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from core import events, reports
from core.access import SYSTEM, Actor, Role
from core.app import build_app
from core.db.models import Alert, AuditEntry, DailyCount, Tenant
from core.db.states import EventType
from core.errors import InputError, NotFound
from core.events import history
from core.reports import DryRun
from core.reputation import Levels
from core.settings import Settings
from tests.engine import HandClock
from tests.ledger import Ledger, new_account, new_ledger

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
MAY = {"since": date(2026, 5, 1), "until": date(2026, 5, 31)}
BEGIN = datetime(2026, 5, 2, 8, tzinfo=UTC)
_people = itertools.count()


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    clock: Any = HandClock(BEGIN)
    app = replace(build_app(settings), clock=clock)
    account = new_account(app)
    much = new_ledger(app, account, "globex")  # so that the account as a whole is well, whatever acme does
    with app.db.begin() as session:
        session.add(
            DailyCount(tenant_id=much.tenant.id, day=BEGIN.date(), campaign_id=0, delivered=1_000_000)
        )
    yield new_ledger(app, account, "acme", created_at=BEGIN)
    app.db.dispose()


@dataclass
class Sending:
    """A campaign whose mail leaves and comes back in blocks, a few minutes apart."""

    ledger: Ledger
    rng: random.Random

    def block(
        self, people: int, *, bounces: float = 0.0, complaints: float = 0.0, minutes: float = 5
    ) -> None:
        app, ledger = self.ledger.app, self.ledger
        names = [f"p{next(_people)}@example{self.rng.randrange(6)}.com" for _ in range(people)]
        messages = ledger.add_messages(names, armed_at=app.now())
        app.clock.sleep(60 * minutes)
        said, later = [], []
        for message in messages:
            if self.rng.random() < bounces:
                said.append(ledger.bounce(message))
                continue
            said.append(ledger.says(message, EventType.DELIVERY))
            if self.rng.random() < complaints:
                later.append(ledger.complaint(message))
        self.said(said)
        self.said(later)

    def said(self, said: list[Any]) -> None:
        events.ingest(self.ledger.app, self.ledger.account, said)
        self.ledger.app.clock.sleep(1)


def campaign(ledger: Ledger, name: str, seed: int = 1) -> Sending:
    began = ledger.app.now()
    return Sending(ledger.add_campaign(name, started_at=began, created_at=began), random.Random(seed))


def paused(ledger: Ledger) -> AuditEntry | None:
    with ledger.app.db.read() as session:
        query = select(AuditEntry).where(AuditEntry.action == "pause tenant").order_by(AuditEntry.id)
        return session.scalars(query).first()


def tried(ledger: Ledger, levels: Levels | None = None, **days: date) -> DryRun:
    return reports.dry_run(ledger.app, SYSTEM, ledger.tenant.id, levels=levels, **{**MAY, **days})


HISTORIES = {
    "a bought list": (0.01, 0.2, 0.0),
    "a list that decays": (0.02, 0.09, 0.0),
    "mail that is reported": (0.005, 0.005, 0.02),
    "mail that lasts at six percent": (0.06, 0.06, 0.0),
    "mail that is well": (0.01, 0.02, 0.0),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_the_first_pause_is_the_one_that_judging_found(ledger: Ledger, name: str) -> None:
    good, bad, complaints = HISTORIES[name]
    for seed, (rate, reported) in enumerate([(good, 0.0), (good, 0.0005), (bad, complaints)]):
        sending = campaign(ledger, f"Part {seed}", seed)
        for _ in range(12):
            sending.block(60, bounces=rate, complaints=reported)
    with ledger.app.db.read() as session:
        warned = list(
            session.scalars(select(Alert).where(Alert.kind == "reputation warning").order_by(Alert.id))
        )
    found, entry = tried(ledger), paused(ledger)
    first = found.pauses[0] if found.pauses else None
    by_rule = entry if entry is not None and "AWS account" not in entry.detail["scope"] else None
    assert (by_rule is None) == (first is None)
    if by_rule is not None and first is not None:
        told = by_rule.detail
        assert (first.at, first.finding.signal, first.finding.bad) == (
            by_rule.at,
            told["signal"],
            told["bad"],
        )
        assert round(first.finding.among) == told["outcomes"]
        assert first.finding.is_lasting == told["lasting"]
        assert warned == [] or min(each.at for each in found.warnings) == min(w.raised_at for w in warned)


def test_after_a_pause_the_replay_goes_on_with_the_next_campaign(ledger: Ledger) -> None:
    for seed, name in enumerate(["Bought list", "Good list", "Second bought list"]):
        sending = campaign(ledger, name, seed)
        for _ in range(4):
            sending.block(50, bounces=0.0 if "Good" in name else 0.3)
        ledger.app.clock.sleep(86_400)
        revive(ledger)
    found = tried(ledger)
    assert [pause.campaign for pause in found.pauses] == ["Bought list", "Second bought list"]
    first = found.pauses[0]
    assert first.sent == 50
    assert first.spared == 150
    assert 30 < first.spared_bounces < 60
    assert found.sentence.startswith(
        "Would have paused 2 campaigns in May 2026: Bought list after 50 mails ("
    )
    assert found.pauses_now == 2
    assert found.events == 600


def revive(ledger: Ledger) -> None:
    """As if nobody had ever been paused."""
    with ledger.app.db.begin() as session:
        session.execute(update(Tenant).values(sending_status="ENABLED"))


@SQLITE
def test_lower_levels_find_more_and_nothing_is_changed(ledger: Ledger) -> None:
    sending = campaign(ledger, "Spring", 3)
    for _ in range(10):
        sending.block(100, bounces=0.035)
    before = (ledger.tenant_now().version, len(ledger.events()))
    assert tried(ledger).sentence == "Would have paused nobody in May 2026."
    found = tried(ledger, Levels(pause_bounce_rate=0.02))
    assert len(found.pauses) == 1
    assert found.sentence.endswith("With its present levels it would have been no pause.")
    assert (ledger.tenant_now().version, len(ledger.events())) == before


@SQLITE
def test_a_delivery_that_bounces_later_counts_once(ledger: Ledger) -> None:
    sending = campaign(ledger, "Spring")
    messages = sending.ledger.add_messages([f"q{n}@example{n % 3}.com" for n in range(30)], armed_at=BEGIN)
    sending.said([ledger.says(message, EventType.DELIVERY) for message in messages])
    sending.said([ledger.bounce(message) for message in messages[:10]])
    sending.said([ledger.bounce(message) for message in messages[:10]])
    entry, [pause] = paused(ledger), tried(ledger).pauses
    assert entry is not None
    assert (pause.finding.bad, round(pause.finding.among)) == (entry.detail["bad"], entry.detail["outcomes"])


@SQLITE
def test_only_what_came_on_these_days_of_the_tenants_time_zone_is_tried(ledger: Ledger) -> None:
    campaign(ledger, "Spring").block(50)
    ledger.app.clock.sleep(3 * 86_400)
    campaign(ledger, "Summer").block(30)
    day = ledger.app.now().date()
    assert tried(ledger, since=day, until=day).events == 30
    assert tried(ledger, until=day - timedelta(days=1)).events == 50
    assert tried(ledger, since=date(2026, 6, 1), until=date(2026, 6, 30)).sentence == (
        "Nothing came back in June 2026, so there is nothing to try."
    )


@SQLITE
def test_what_is_too_much_is_cut_and_said(ledger: Ledger) -> None:
    sending = campaign(ledger, "Spring")
    for _ in range(6):
        sending.block(30)
    seen: list[int] = []
    found = reports.dry_run(ledger.app, SYSTEM, ledger.tenant.id, **MAY, progress=seen.append, most_events=60)
    assert found.events == seen[-1] == 60
    assert found.cut_at is not None
    assert "Only the first 60 events were tried, until 2026-05-02" in found.sentence


@SQLITE
def test_mail_of_the_mailbox_simulator_and_single_mails(ledger: Ledger) -> None:
    test = ledger.add_messages(
        [f"bounce+{n}@simulator.amazonses.com" for n in range(20)], armed_at=BEGIN, counts_in_rates=False
    )
    single = ledger.add_messages(
        [f"s{n}@example{n % 4}.com" for n in range(20)], armed_at=BEGIN, campaign_id=None
    )
    sending = campaign(ledger, "Spring")
    sending.said([ledger.bounce(message, counts_in_rates=False) for message in test])
    sending.said([ledger.bounce(message) for message in single])
    [pause] = tried(ledger).pauses
    assert pause.campaign == "Single mails"
    assert tried(ledger).sentence.startswith("Would have paused single mails in May 2026: Single mails after")


def test_a_stranger_a_wrong_range_and_higher_levels_are_refused(ledger: Ledger) -> None:
    stranger = Actor(username="charlie", role=Role.ACCOUNT_MANAGER, tenant_ids=frozenset({999}))
    with pytest.raises(NotFound):
        reports.dry_run(ledger.app, stranger, ledger.tenant.id, **MAY)
    with pytest.raises(InputError, match="Swap the two"):
        tried(ledger, since=date(2026, 6, 1))
    with pytest.raises(InputError, match="can only be lower"):
        tried(ledger, Levels(pause_bounce_rate=0.5))


def test_the_first_event_of_a_range_is_found_by_its_time(ledger: Ledger) -> None:
    sending = campaign(ledger, "Spring")
    for _ in range(7):
        sending.block(9)
    stored = ledger.events()
    with ledger.app.db.read() as session:
        for event in (stored[0], stored[8], stored[9], stored[40], stored[-1]):
            first = next(each for each in stored if each.received_at >= event.received_at)
            assert history.begin_at(session, ledger.tenant.id, event.received_at) == first.id - 1
        later = stored[-1].received_at + timedelta(seconds=1)
        assert history.begin_at(session, ledger.tenant.id, later) >= stored[-1].id

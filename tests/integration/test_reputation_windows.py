"""What tenants are judged by: moved by each outcome once, whatever comes how often and in how many blocks."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select, update

from core import events, reputation, tenants
from core.access import Actor, Role
from core.app import App, SystemClock, build_app
from core.db.models import (
    AuditEntry,
    CampaignReputation,
    DeliveredHour,
    Event,
    Installation,
    Message,
    OutcomeBucket,
    Tenant,
    TenantReputation,
)
from core.db.states import EventType
from core.providers.base import ProviderEvent
from core.reputation.windows import hour_of
from core.settings import Settings
from tests.databases import ON_SQLITE
from tests.ledger import Ledger, new_account, new_ledger

NOW = datetime.now(UTC)
_people = itertools.count()


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


def test_the_numbers_equal_a_recount_of_the_rows(ledger: Ledger) -> None:
    dice = random.Random(3)
    other = ledger.add_campaign("Autumn")
    said = [event for one in (ledger, other) for event in _mixed(one, dice, 120)]
    said += said[::5]
    dice.shuffle(said)
    for start in range(0, len(said), 70):
        events.ingest(ledger.app, ledger.account, said[start : start + 70])
    events.ingest(ledger.app, ledger.account, said)
    _equal_a_recount(ledger)


def test_two_blocks_in_parallel_count_every_outcome_once(ledger: Ledger) -> None:
    said = _mixed(ledger, random.Random(4), 200)
    blocks = [said, said[::-1]] * 4
    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(lambda block: events.ingest(ledger.app, ledger.account, block), blocks))
    assert sum(one.stored for one in done) == len(said)
    _equal_a_recount(ledger)


def test_two_blocks_that_both_show_it_pause_once(ledger: Ledger) -> None:
    messages = ledger.add_messages(_addresses(60), armed_at=NOW)
    halves = [[ledger.bounce(message) for message in messages[n::2]] for n in range(2)]
    with ThreadPoolExecutor(2) as threads:
        done = list(threads.map(lambda half: events.ingest(ledger.app, ledger.account, half), halves))
    assert sum(len(one.paused_tenants) for one in done) == 1
    with ledger.app.db.read() as session:
        assert session.scalar(select(func.count()).select_from(AuditEntry)) == 1


def test_the_pause_is_committed_with_the_deciding_event_or_not_at_all(ledger: Ledger) -> None:
    messages = ledger.add_messages(_addresses(5), armed_at=NOW)
    bounces = [ledger.bounce(message) for message in messages]
    events.ingest(ledger.app, ledger.account, bounces[:4])
    with pytest.raises(_Died), _DiesAtCommit(ledger.app):
        events.ingest(ledger.app, ledger.account, bounces[4:])
    assert ledger.tenant_now().sending_status == "ENABLED"
    assert len(ledger.events()) == 4
    assert events.ingest(ledger.app, ledger.account, bounces[4:]).paused_tenants == (ledger.tenant.id,)


def test_tenants_of_one_block_are_judged_each_by_its_own_mail(ledger: Ledger) -> None:
    globex = new_ledger(ledger.app, ledger.account, "globex")
    said = [ledger.bounce(message) for message in ledger.add_messages(_addresses(6), armed_at=NOW)]
    said += [globex.says(m, EventType.DELIVERY) for m in globex.add_messages(_addresses(40), armed_at=NOW)]
    done = events.ingest(ledger.app, ledger.account, said)
    assert done.paused_tenants == (ledger.tenant.id,)
    assert globex.tenant_now().sending_status == "ENABLED"
    assert _row(globex, TenantReputation).outcomes == 40


def test_mail_armed_before_the_resume_moves_nothing(ledger: Ledger) -> None:
    messages = ledger.add_messages(_addresses(30), armed_at=NOW - timedelta(minutes=1))
    with ledger.app.db.begin() as session:
        session.execute(update(Tenant).values(resumed_at=NOW))
    said = [ledger.bounce(message) for message in messages]
    said += [ledger.says(message, EventType.DELIVERY) for message in messages[::2]]
    assert not events.ingest(ledger.app, ledger.account, said).paused_tenants
    for table in (TenantReputation, CampaignReputation, OutcomeBucket, DeliveredHour):
        with ledger.app.db.read() as session:
            assert session.scalar(select(func.count()).select_from(table)) == 0


def test_a_resume_meanwhile_leaves_nothing_of_the_mail_before_it(ledger: Ledger) -> None:
    messages = ledger.add_messages(_addresses(90), armed_at=NOW - timedelta(hours=1))
    said = [ledger.bounce(message) for message in messages]
    events.ingest(ledger.app, ledger.account, said[:10])
    blocks = [said[start : start + 5] for start in range(10, 90, 5)]
    root = Actor(username="root", role=Role.ADMIN)
    with ThreadPoolExecutor(3) as threads:
        done = threads.map(lambda block: events.ingest(ledger.app, ledger.account, block), blocks)
        tenants.resume(ledger.app, root, ledger.tenant.id, "The list was cleaned.")
        assert sum(one.stored for one in done) == 80
    assert ledger.tenant_now().sending_status == "ENABLED"
    with ledger.app.db.read() as session:
        assert session.scalars(select(TenantReputation)).all() == []


def test_only_the_buckets_of_the_windows_are_kept(ledger: Ledger) -> None:
    with ledger.app.db.begin() as session:
        session.add(TenantReputation(tenant_id=ledger.tenant.id, outcomes=20_099, delivered=20_000))
        session.add_all(
            OutcomeBucket(
                tenant_id=ledger.tenant.id, number=number, permanent_bounces=1, domains={"a.com": 1}
            )
            for number in (3, 100, 101, 102, 200)
        )
    messages = ledger.add_messages(_addresses(3), armed_at=NOW)
    events.ingest(ledger.app, ledger.account, [ledger.bounce(message) for message in messages])
    with ledger.app.db.read() as session:
        kept = session.execute(select(OutcomeBucket.number, OutcomeBucket.permanent_bounces)).all()
    assert sorted(map(tuple, kept)) == [(102, 1), (200, 2), (201, 2)]


@ON_SQLITE
def test_good_news_takes_the_same_few_statements_however_many_tenants_it_is_of(ledger: Ledger) -> None:
    others = [new_ledger(ledger.app, ledger.account, f"tenant-{n}") for n in range(5)]
    alone = _statements(ledger.app, _delivered(ledger, 20), ledger)
    together = _statements(ledger.app, [e for one in others for e in _delivered(one, 20)], ledger)
    assert alone == together


@ON_SQLITE
def test_the_median_delay_is_learned_from_our_own_complaints(ledger: Ledger) -> None:
    with ledger.app.db.begin() as session:
        session.add(Installation(id=1, name="here"))
    assert reputation.learn_due(ledger.app).startswith("0 complaints in 90 days: too few")
    messages = ledger.add_messages(_addresses(41), armed_at=NOW - timedelta(days=2))
    said = [
        ledger.complaint(message, occurred_at=NOW - timedelta(days=2) + timedelta(hours=hours))
        for hours, message in enumerate(messages)
    ]
    said += [ledger.complaint(m, "not-spam") for m in ledger.add_messages(_addresses(40), armed_at=NOW)]
    events.ingest(ledger.app, ledger.account, said)
    assert reputation.learn_due(ledger.app) == "Half of 40 complaints came within 20.5 hours."
    with ledger.app.db.read() as session:
        assert session.scalars(select(Installation.complaint_hours)).all() == [20.5]


@ON_SQLITE
def test_deliveries_whose_complaints_have_all_come_are_forgotten(ledger: Ledger) -> None:
    events.ingest(ledger.app, ledger.account, _delivered(ledger, 3))
    reputation.learn_due(ledger.app)
    assert _row(ledger, DeliveredHour).delivered == 3
    reputation.learn_due(replace(ledger.app, clock=Standing(NOW + timedelta(days=32))))
    with ledger.app.db.read() as session:
        assert session.scalars(select(DeliveredHour)).all() == []
    assert _row(ledger, CampaignReputation).delivered == 3


class _Died(Exception):
    pass


class _DiesAtCommit:
    def __init__(self, app: App) -> None:
        self.engine = app.db.engine

    def __enter__(self) -> None:
        event.listen(self.engine, "commit", self._die)

    def __exit__(self, *_: object) -> None:
        event.remove(self.engine, "commit", self._die)

    def _die(self, _: object) -> None:
        raise _Died


def _addresses(count: int) -> list[str]:
    return [f"p{next(_people)}@example.{n % 3}.com" for n in range(count)]


def _delivered(ledger: Ledger, count: int) -> list[ProviderEvent]:
    messages = ledger.add_messages(_addresses(count), armed_at=NOW)
    return [ledger.says(message, EventType.DELIVERY) for message in messages]


def _mixed(ledger: Ledger, dice: random.Random, count: int) -> list[ProviderEvent]:
    said = []
    for at in (NOW, NOW - timedelta(hours=3)):
        for message in ledger.add_messages(_addresses(count), armed_at=at):
            kinds = [ledger.says(message, EventType.SEND), ledger.says(message, EventType.DELIVERY)]
            kinds += [ledger.bounce(message), ledger.transient(message)]
            kinds += [ledger.complaint(message), ledger.complaint(message, "not-spam")]
            kinds += [ledger.bounce(message, "OnTenantSuppressionList", counts_in_rates=False)]
            said += dice.sample(kinds, dice.randrange(1, 4))
    return said


def _equal_a_recount(ledger: Ledger) -> None:
    with ledger.app.db.read() as session:
        rows = session.execute(
            select(Message.id, Message.campaign_id, Message.armed_at, Event.type, Event.bounce_type)
            .join(Event, Event.message_id == Message.id)
            .where(Event.counts_in_rates, Event.feedback_type.is_distinct_from("not-spam"))
        ).all()
        campaigns = {row.campaign_id: row for row in session.scalars(select(CampaignReputation))}
        buckets = session.scalars(select(OutcomeBucket)).all()
        hours = {(row.campaign_id, row.hour_at): row for row in session.scalars(select(DeliveredHour))}
        total = session.scalars(select(TenantReputation)).one()
    counts = _recounted(rows)
    for campaign_id, row in campaigns.items():
        mine = [count for count in counts if count["campaign_id"] == campaign_id]
        for name in ("outcomes", "permanent_bounces", "delivered", "complaints"):
            assert getattr(row, name) == sum(count[name] for count in mine)
        assert sum(row.domains.values()) == row.permanent_bounces
    for (campaign_id, hour_at), row in hours.items():
        mine = [
            count for count in counts if (count["campaign_id"], count["hour_at"]) == (campaign_id, hour_at)
        ]
        assert row.delivered == sum(count["delivered"] for count in mine)
        assert row.complaints == sum(count["complaints"] for count in mine)
    assert total.outcomes == sum(count["outcomes"] for count in counts)
    assert total.delivered == sum(count["delivered"] for count in counts)
    assert sum(b.permanent_bounces for b in buckets) == sum(count["permanent_bounces"] for count in counts)
    assert all(sum(bucket.domains.values()) == bucket.permanent_bounces for bucket in buckets)


def _recounted(rows: Any) -> list[dict[str, Any]]:
    by_message: dict[int, list[Any]] = {}
    for row in rows:
        by_message.setdefault(row.id, []).append(row)
    counts = []
    for said in by_message.values():
        kinds = {(row.type, row.bounce_type if row.type == "BOUNCE" else None) for row in said}
        bounced = ("BOUNCE", "PERMANENT") in kinds
        delivered = ("DELIVERY", None) in kinds and not bounced
        counts.append(
            {
                "campaign_id": said[0].campaign_id,
                "hour_at": hour_of(said[0].armed_at),
                "outcomes": int(bounced or delivered or ("BOUNCE", "TRANSIENT") in kinds),
                "permanent_bounces": int(bounced),
                "delivered": int(delivered),
                "complaints": int(("COMPLAINT", None) in kinds),
            }
        )
    return counts


def _row(ledger: Ledger, table: Any) -> Any:
    with ledger.app.db.read() as session:
        return session.scalars(select(table).where(table.tenant_id == ledger.tenant.id)).one()


def _statements(app: App, said: list[ProviderEvent], ledger: Ledger) -> int:
    counted = []

    def count(*_: object) -> None:
        counted.append(1)

    event.listen(app.db.engine, "before_cursor_execute", count)
    events.ingest(app, ledger.account, said)
    event.remove(app.db.engine, "before_cursor_execute", count)
    return len(counted)

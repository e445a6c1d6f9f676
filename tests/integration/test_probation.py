"""Probation: who was resumed sends at a tenth of the rate until enough of its new mail went well."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import event, func, select, update

from core import alerts, events, tenants
from core.access import SYSTEM, Actor
from core.app import App, build_app
from core.db.models import (
    CampaignReputation,
    DeliveredHour,
    OutcomeBucket,
    Tenant,
    TenantReputation,
)
from core.db.states import EventType
from core.errors import NotFound
from core.settings import Settings
from tests.conftest import Cast
from tests.engine import Engine, campaign_of, fast_account, most_in, single
from tests.ledger import Ledger, new_account, new_ledger

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
WINDOWS = (TenantReputation, OutcomeBucket, CampaignReputation, DeliveredHour)
_people = itertools.count()


@pytest.fixture
def bare(settings: Settings) -> Iterator[App]:
    """No provider is called."""
    app = build_app(settings)
    yield app
    app.db.dispose()


def on_probation(app: App, tenant_id: int, left: int = 1_000) -> None:
    with app.db.begin() as session:
        session.execute(update(Tenant).where(Tenant.id == tenant_id).values(probation_left=left))


def test_on_probation_a_tenant_sends_a_tenth_of_the_rate(bare: App) -> None:
    account = fast_account(bare)
    slow, other = campaign_of(bare, account, "acme", 900), campaign_of(bare, account, "globex", 3_000)
    on_probation(bare, slow.tenant.id)
    engine = Engine(bare)
    engine.run(10, step=0.02)
    mine = [each for each in engine.begun if each.tenant_id == slow.tenant.id]
    assert 190 <= sum(each.recipients for each in mine) <= 210  # 20/s of the account's 200/s
    assert most_in(mine, timedelta(seconds=1)) <= 24
    assert engine.sent(lambda each: each.tenant_id == other.tenant.id) >= 1_700


@SQLITE
def test_campaigns_and_single_mails_share_the_pace_of_probation(bare: App) -> None:
    account = fast_account(bare)
    slow = campaign_of(bare, account, "acme", 400)
    single(slow, 400)
    on_probation(bare, slow.tenant.id)
    engine = Engine(bare)
    engine.run(5, step=0.02)
    assert 90 <= engine.sent() <= 110


@SQLITE
def test_on_a_slow_account_one_mail_leaves_at_a_time(bare: App) -> None:
    slow = campaign_of(bare, fast_account(bare, max_send_rate=1.0), "acme", 20)
    on_probation(bare, slow.tenant.id)
    engine = Engine(bare)
    engine.run(60, step=0.5)
    assert 6 <= engine.sent() <= 7


@SQLITE
def test_off_probation_the_pace_it_had_does_not_matter(bare: App) -> None:
    account = fast_account(bare)
    free = campaign_of(bare, account, "acme", 400)
    with bare.db.begin() as session:
        later = bare.now() + timedelta(seconds=3)
        session.execute(update(Tenant).where(Tenant.id == free.tenant.id).values(next_at=later))
    engine = Engine(bare)
    engine.run(1, step=0.02)
    assert engine.sent() >= 180


def test_a_resume_starts_probation_and_forgets_what_was_judged(app: App, cast: Cast, alice: Actor) -> None:
    tenants.pause(app, alice, cast.acme.id, "Their list looks bought.")
    with app.db.begin() as session:
        for tenant_id in (cast.acme.id, cast.globex.id):
            session.add(TenantReputation(tenant_id=tenant_id, outcomes=50))
            session.add(OutcomeBucket(tenant_id=tenant_id, number=0, permanent_bounces=20))
            session.add(DeliveredHour(tenant_id=tenant_id, campaign_id=0, hour_at=app.now(), delivered=30))
        cause = f"tenant {cast.acme.id}"
        alerts.raise_once(
            session, kind="paused by reputation", cause=cause, sentence="It was paused.",
            tenant_id=cast.acme.id, at=app.now(),
        )  # fmt: skip
    tenants.resume(app, alice, cast.acme.id, "They cleaned it.")
    with app.db.read() as session:
        for table in WINDOWS:
            kept = select(func.count()).select_from(table).where(table.tenant_id == cast.acme.id)
            assert session.scalar(kept) == 0, table
        others = select(func.count()).select_from(OutcomeBucket)
        assert session.scalar(others) == 1
    assert alerts.list_open(app, alice, cast.acme.id) == []
    seen = tenants.probation(app, cast.carol, cast.acme.id)
    assert seen is not None
    assert seen.sentence.startswith("On probation: 1,000 of 1,000 outcomes to go, at ")
    assert tenants.probation(app, cast.charlie, cast.globex.id) is None
    with pytest.raises(NotFound):
        tenants.probation(app, cast.charlie, cast.acme.id)


def test_outcomes_of_new_mail_end_it_and_those_of_older_mail_do_not(bare: App) -> None:
    ledger = new_ledger(bare, new_account(bare), "acme")
    at = bare.now()
    with bare.db.begin() as session:
        held = {"probation_left": 30, "resumed_at": at}
        session.execute(update(Tenant).where(Tenant.id == ledger.tenant.id).values(held))
    delivered(ledger, 25, armed_seconds=-60)
    assert ledger.tenant_now().probation_left == 30
    delivered(ledger, 25, armed_seconds=60)
    assert ledger.tenant_now().probation_left == 5
    delivered(ledger, 25, armed_seconds=120)
    assert ledger.tenant_now().probation_left == 0
    assert tenants.probation(bare, SYSTEM, ledger.tenant.id) is None


def delivered(ledger: Ledger, people: int, *, armed_seconds: float) -> None:
    at = ledger.app.now() + timedelta(seconds=armed_seconds)
    messages = ledger.add_messages([f"q{next(_people)}@example.com" for _ in range(people)], armed_at=at)
    said = [ledger.says(message, EventType.DELIVERY) for message in messages]
    events.ingest(ledger.app, ledger.account, said)


@pytest.mark.parametrize(("left", "is_paused"), [(1_000, True), (0, False)])
def test_on_probation_three_bounces_are_enough(bare: App, left: int, is_paused: bool) -> None:
    ledger = new_ledger(bare, new_account(bare), "acme")
    on_probation(bare, ledger.tenant.id, left)
    messages = ledger.add_messages([f"b{n}@example{n}.com" for n in range(10)], armed_at=bare.now())
    said = [ledger.says(message, EventType.DELIVERY) for message in messages[3:]]
    said += [ledger.bounce(message) for message in messages[:3]]
    paused = events.ingest(bare, ledger.account, said).paused_tenants
    assert paused == ((ledger.tenant.id,) if is_paused else ())


def test_who_is_paused_on_probation_begins_it_anew(app: App, cast: Cast, alice: Actor) -> None:
    for _ in range(2):
        tenants.pause(app, alice, cast.acme.id, "Their list looks bought.")
        tenants.resume(app, alice, cast.acme.id, "They cleaned it.")
        seen = tenants.probation(app, alice, cast.acme.id)
        assert seen is not None
        assert seen.left == 1_000
        on_probation(app, cast.acme.id, 3)


@SQLITE
def test_probation_adds_one_statement_to_a_claim_and_nothing_where_there_is_none(bare: App) -> None:
    ledger = campaign_of(bare, fast_account(bare), "acme", 200)
    engine = Engine(bare)
    engine.look()
    said: list[str] = []
    event.listen(bare.db.engine, "before_cursor_execute", lambda *given: said.append(given[2]))
    numbers = []
    for left in (0, 1_000):
        on_probation(bare, ledger.tenant.id, left)
        engine.clock.sleep(1)
        said.clear()
        engine.claims()
        numbers.append(len(said))
    assert numbers[1] == numbers[0] + 1

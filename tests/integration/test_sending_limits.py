"""Limits as a whole: never more than is allowed, nobody starves, and what had to wait goes on by itself.

On a clock that only the test moves, but for the last tests.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from core import campaigns, jobs, sending, tenants, warm_ups
from core.access import SYSTEM
from core.app import App, AwsProviders
from core.campaigns import CampaignView
from core.db.models import Account, Campaign, Identity, Lane, Sender, Tenant, TenantUsage
from core.db.states import FallbackPolicy
from core.providers.base import Outcome
from core.sending.claim import claim
from core.sending.record import record
from core.sending.turns import lanes_with_work
from core.sending.worker import call
from core.settings import Settings
from core.tenants import limits as tenant_limits
from tests.campaigning import addresses, counts, started
from tests.conftest import Cast, verified_sender
from tests.engine import Begun, Engine, campaign_of, fast_account, most_in, single, waiting
from tests.ledger import Ledger
from tests.simulators import Simulator

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
WINDOWS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(hours=12)}


@pytest.fixture(scope="module")
def aws(simulator_process: Simulator) -> AwsProviders:
    return AwsProviders(Settings.load(**simulator_process.resend()))


@pytest.fixture
def settings(settings: Settings, simulator: Simulator) -> Settings:
    url = settings.database_url.get_secret_value()
    given = {"database_url": url, "data_dir": settings.data_dir, "dns_servers": settings.dns_servers}
    return Settings.load(**given, **simulator.resend())


def view(engine: Engine, ledger: Ledger) -> CampaignView:
    return campaigns.status(engine.app, SYSTEM, ledger.tenant.id, ledger.campaign.id)


def frees_in(engine: Engine, ledger: Ledger) -> float:
    """Seconds until the tenant's limits let somebody go."""
    with engine.app.db.read() as session:
        left = tenant_limits.left(session, session.get_one(Tenant, ledger.tenant.id), engine.clock.at)
    assert left is not None
    return left[1]


def of(ledger: Ledger, begun: list[Begun]) -> list[Begun]:
    return [one for one in begun if one.tenant_id == ledger.tenant.id]


def set_account(app: App, **values: float) -> None:
    with app.db.begin() as session:
        session.execute(update(Account).values(**values))


def lane(app: App) -> Lane:
    with app.db.read() as session:
        return session.get_one(Lane, "account 1")


def in_rounds(engine: Engine, ledger: Ledger) -> list[int]:
    """How many go out each time that the limits free, until none waits; nothing goes a moment earlier."""
    rounds = []
    while len(rounds) < 9:
        before = engine.sent()
        engine.run(0.5)
        rounds.append(engine.sent() - before)
        if view(engine, ledger).campaign.status == "SENT":
            break
        engine.clock.sleep(frees_in(engine, ledger) - 0.01)
        assert engine.look() == []
        engine.clock.sleep(0.02)
    return rounds


@pytest.mark.parametrize("span", ["minute", "hour", "day"])
def test_no_minute_hour_or_day_sees_more_than_the_tenants_limit(app: App, span: str) -> None:
    ledger = campaign_of(app, fast_account(app), "acme", 70, **{f"per_{span}": 30})
    engine = Engine(app, at=NOON)
    engine.run(0.5)
    per = "an hour" if span == "hour" else f"a {span}"
    reason = str(view(engine, ledger).held_reason)
    assert reason.startswith(f"Acme's limit of 30 recipients {per} is used up; more may go from ")
    assert [engine.sent(), *in_rounds(engine, ledger)] == [30, 0, 30, 10]
    assert most_in(engine.begun, WINDOWS[span]) == 30
    assert view(engine, ledger).held_reason is None
    assert view(engine, ledger).counts["sent"] == 70


@SQLITE
def test_a_warm_up_lets_go_its_days_allowance_and_the_next_day_goes_on(app: App) -> None:
    ledger = campaign_of(app, fast_account(app), "acme", 50)
    engine = Engine(app, at=NOON)
    warm_ups.start(engine.app, SYSTEM, ledger.tenant.id, first_day=20, last_day=80, days=4)
    engine.run(0.5)
    reason = str(view(engine, ledger).held_reason)
    assert reason.startswith("Acme's warm-up allows 20 recipients today, and they are used up")
    in_rounds(engine, ledger)
    by_day = Counter[int]()
    for one in engine.begun:
        by_day[one.at.day] += one.recipients
    assert by_day == {4: 20, 5: 20, 6: 10}


@SQLITE
def test_a_campaign_keeps_its_own_rate_and_slows_nobody_else(app: App) -> None:
    account = fast_account(app)
    slow, quick = campaign_of(app, account, "acme", 60), campaign_of(app, account, "globex", 400)
    crawling = slow.add_campaign("Crawling", rate_per_second=0.5)
    waiting(crawling, 10)
    with app.db.begin() as session:
        rows = update(Campaign).where(Campaign.id == slow.campaign.id)
        session.execute(rows.values(rate_per_second=7))
    engine = Engine(app, workers=2)
    engine.run(4)
    mine = [one for one in engine.begun if one.campaign_id == slow.campaign.id]
    # A claim that comes late makes up for it, and a call begins a little after its claim: AHEAD at most each.
    assert most_in(mine, SECOND) <= 7 * 1.4 + 1
    assert most_in(mine, 4 * SECOND) <= 7 * 4.4 + 1
    assert sum(one.recipients for one in mine) >= 4 * 7 - 1
    assert sum(one.recipients for one in engine.begun if one.campaign_id == crawling.campaign.id) == 2
    others = of(quick, engine.begun)
    assert sum(one.recipients for one in others) == 400
    assert others[-1].at - engine.begun[0].at <= timedelta(seconds=2.5)


@SQLITE
@pytest.mark.parametrize("rate", [0.5, 0.1, 0.02])
def test_a_rate_of_many_seconds_for_each_recipient_is_kept(app: App, rate: float) -> None:
    campaign_of(app, fast_account(app), "acme", 30)
    with app.db.begin() as session:
        session.execute(update(Campaign).values(rate_per_second=rate))
    of_campaign = Engine(app)
    of_campaign.run(23, step=0.5)
    assert of_campaign.sent() == 1 + int(22 * rate)

    with app.db.begin() as session:
        session.execute(update(Campaign).values(rate_per_second=None, next_at=None))
        session.execute(update(Account).values(max_send_rate=rate))
        session.execute(update(Lane).values(next_at=None))
    of_account = Engine(app, at=of_campaign.clock.at)
    of_account.run(23, step=0.5)
    assert of_account.sent() == 1 + int(22 * rate)


def test_the_quota_of_24_hours_holds_campaigns_first_and_frees_by_itself(app: App) -> None:
    account = fast_account(app, max_24_hour_send=100.0)
    ledger = campaign_of(app, account, "acme", 150)
    engine = Engine(app)
    engine.run(1)
    assert engine.sent() == 98
    held = str(view(engine, ledger).held_reason)
    assert held.startswith("The quota of 100 recipients in 24 hours is used up. Sending goes on by itself")
    assert held.endswith("What is left of it is kept for transactional mail.")
    engine.clock.sleep(20)
    assert jobs.is_idle(engine.app), "no script waits for a quota"

    single(ledger, 4)
    engine.run(1)
    assert [one.campaign_id for one in engine.begun[-2:]] == [None, None]
    assert engine.sent() == 100
    assert "is used up" in str(view(engine, ledger).held_reason)

    # GetAccount says so later: 40 of them are older than 24 hours.
    with app.db.begin() as session:
        session.execute(update(Lane).values(granted_when_checked=Lane.granted))
        session.execute(update(Account).values(sent_last_24_hours=60))
    engine.run(1)
    assert engine.sent() == 100, "the gate is closed for two minutes"
    engine.clock.sleep(120)
    engine.run(2)
    assert engine.sent() == 140
    assert engine.sent(lambda one: one.campaign_id is None) == 4


def test_answers_that_are_written_twice_are_given_back_once(app: App) -> None:
    """The commit that wrote them was carried out, and its own answer lost."""
    ledger = campaign_of(app, fast_account(app), "acme", 100, per_day=1_000)
    engine = Engine(app, at=NOON)
    first, _ = engine.calls()
    for _ in range(2):
        record(engine.app, [engine.answered(first, Outcome.THROTTLED, Outcome.REFUSED)])
    assert (lane(app).granted, lane(app).given_back) == (20, 20)
    assert tenants.usage(engine.app, SYSTEM, ledger.tenant.id).day.used == 20


@pytest.mark.parametrize(
    ("outcome", "used"), [(Outcome.THROTTLED, 0), (Outcome.NOT_SENT, 0), (Outcome.UNKNOWN, 30)]
)
@SQLITE
def test_what_was_not_accepted_counts_for_no_limit(app: App, outcome: Outcome, used: int) -> None:
    account = fast_account(app, max_24_hour_send=1_000.0)
    ledger = campaign_of(app, account, "acme", 60, per_minute=30, per_hour=30, per_day=30)
    engine = Engine(app, at=NOON)
    while engine.sent() < 30:
        engine.look(outcome)
        engine.clock.sleep(0.1)
    usage = tenants.usage(engine.app, SYSTEM, ledger.tenant.id)
    assert (usage.minute.used, usage.hour.used, usage.day.used) == (used, used, used)
    assert lane(app).granted == used
    engine.clock.sleep(6)
    engine.run(1)
    assert engine.sent() == 60 - used


def test_two_workers_of_one_lane_share_its_tenants_limit(app: App) -> None:
    ledger = campaign_of(app, fast_account(app), "acme", 150, per_minute=70)
    engine = Engine(app, workers=2)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(12):
            both = [pool.submit(engine.claims, turn) for turn in engine.turns]
            engine.take([claimed for each in both for claimed in each.result()])
            engine.clock.sleep(0.1)
    assert engine.sent() == 70
    assert "70 recipients a minute is used up" in str(view(engine, ledger).held_reason)


def test_two_lanes_of_one_tenant_share_its_limit(app: App) -> None:
    """Both claims have read what is left when one of them takes it."""
    ledger = campaign_of(
        app, fast_account(app), "acme", 100, per_minute=30, fallback_policy=FallbackPolicy.UNMATCHED_SENDER
    )
    with app.db.begin() as session:
        identity = Identity(tenant_id=ledger.tenant.id, name="acme-shop.net", created_at=app.now())
        session.add(identity)
        session.flush()
        shop = Sender(tenant_id=ledger.tenant.id, identity_id=identity.id, address="hello@acme-shop.net")
        shop.created_at = app.now()
        session.add(shop)
    waiting(ledger.add_campaign("Shop", sender_id=shop.id), 100)
    engine = Engine(app, workers=2)
    with engine.app.db.begin() as session:
        tenant_limits.count(session, ledger.tenant, 1, engine.clock.at)
        ways = lanes_with_work(session, app.settings.resend_from)
    assert [way.name for way in ways] == ["account 1", "resend"]
    with ThreadPoolExecutor(2) as pool:
        with engine.app.db.begin() as session:
            session.execute(select(TenantUsage).with_for_update())
            both = [
                pool.submit(claim, engine.app, *each, 1_000) for each in zip(engine.turns, ways, strict=True)
            ]
            time.sleep(0.3)
        calls = [one for each in both for one in each.result().calls]
    assert sum(len(one.message_ids) for one in calls) == 29


def test_a_large_tenant_delays_no_small_one(app: App) -> None:
    account = fast_account(app)
    large = campaign_of(app, account, "acme", 1_200)
    small = [campaign_of(app, account, f"small{number}", 30) for number in range(9)]
    engine = Engine(app, workers=2)
    engine.run(3)
    begun_at = engine.begun[0].at
    ends = sorted(max(one.at for one in of(ledger, engine.begun)) - begun_at for ledger in small)
    fair = timedelta(seconds=30 / (200 / 10))
    assert ends[-1] <= 1.3 * fair
    assert all(sum(one.recipients for one in of(each, engine.begun)) == 30 for each in small)
    first = [one for one in engine.begun if one.at - begun_at < fair]
    shares = Counter[int]()
    for one in first:
        shares[one.tenant_id] += one.recipients
    assert shares[large.tenant.id] <= 3 * 40, "a turn of a fifth of a second after each round"
    assert engine.sent() >= 3 * 200 - 20, "and nothing of the rate is lost by turns"


@SQLITE
def test_a_campaign_that_waits_for_its_own_rate_gives_its_tenant_no_second_turn(app: App) -> None:
    account = fast_account(app)
    large, small = campaign_of(app, account, "acme", 50), campaign_of(app, account, "globex", 200)
    with app.db.begin() as session:
        rows = update(Campaign).where(Campaign.id == large.campaign.id)
        session.execute(rows.values(rate_per_second=1))
    waiting(large.add_campaign("As fast as it may"), 1_000)
    engine = Engine(app, workers=2)
    engine.run(3, step=0.05)
    assert sum(one.recipients for one in of(small, engine.begun)) == 200
    assert engine.sent() >= 3 * 200 - 20


@SQLITE
def test_single_messages_leave_while_a_large_campaign_runs_and_a_flood_of_them_starves_nobody(
    app: App,
) -> None:
    account = fast_account(app)
    acme, globex = campaign_of(app, account, "acme", 1_200), campaign_of(app, account, "globex", 0)
    engine = Engine(app)
    engine.run(0.5)
    single(globex)
    queued_at = engine.clock.at
    engine.run(1)
    [mine] = [one for one in engine.begun if one.campaign_id is None]
    assert mine.at - queued_at <= timedelta(seconds=0.4)

    flood, before = single(acme, 400), len(engine.begun)
    single(globex)
    queued_at = engine.clock.at
    engine.run(2)
    since = engine.begun[before:]
    [other] = of(globex, since)
    assert other.at - queued_at <= timedelta(seconds=0.7)
    by_campaign = sum(one.recipients for one in since if one.campaign_id is not None)
    assert 0.4 * 2 * 200 <= by_campaign <= 0.6 * 2 * 200
    assert len([one for one in since if one.campaign_id is None]) < len(flood)


@SQLITE
def test_a_lane_that_is_throttled_slows_down_and_speeds_up_again(app: App) -> None:
    ledger = campaign_of(app, fast_account(app), "acme", 1_500)
    engine = Engine(app)

    def tried_in_a_second(*outcomes: Outcome) -> int:
        before = engine.sent()
        engine.run(1, *outcomes)
        return engine.sent() - before

    assert tried_in_a_second() >= 190
    tried_in_a_second(Outcome.ACCEPTED, Outcome.THROTTLED)
    assert lane(app).slowed_at is not None
    assert tried_in_a_second() < 150
    engine.clock.sleep(20)
    assert tried_in_a_second() >= 190
    engine.run(5)
    assert view(engine, ledger).counts["sent"] == 1_500


@pytest.mark.parametrize(("late", "leaves"), [(0.0, True), (9.9, True), (10.1, False)])
@SQLITE
def test_what_was_claimed_before_its_tenant_was_paused_leaves_within_seconds_or_not_at_all(
    app: App, simulator: Simulator, cast: Cast, late: float, leaves: bool
) -> None:
    """SES itself has not been told of the pause."""
    sender = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    campaign_id = started(app, cast.acme.id, sender.id, addresses(5))
    engine = Engine(app)
    [armed] = engine.calls()
    with app.db.begin() as session:
        assert tenants.disable(session, cast.acme.id, reason="Bought.", by="alice", at=app.now())
    engine.clock.sleep(late)
    record(app, [call(engine.app, armed)])
    assert len(simulator.messages()) == (5 if leaves else 0)
    assert counts(app, cast.acme.id, campaign_id) == ({"sent": 5} if leaves else {"pending": 5})
    with app.db.begin() as session:
        session.execute(update(Lane).values(closed_until=None))
    engine.clock.sleep(1)
    assert engine.calls() == []


@SQLITE
def test_when_ses_hangs_a_pause_still_holds_within_seconds(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    """Calls wait behind one that hangs; SES itself is not told of the pause."""
    sender = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    campaign_id = started(app, cast.acme.id, sender.id, addresses(200))
    simulator.faults({"kind": "latency", "operation": "SendBulkEmail", "seconds": 0.5, "times": 0})
    patient = dataclasses.replace(app, settings=app.settings.model_copy(update={"send_threads": 1}))
    stop = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(sending.work, patient, stop)
        while not simulator.messages():
            time.sleep(0.05)
        with app.db.begin() as session:
            tenants.disable(session, cast.acme.id, reason="Bought.", by="alice", at=app.now())
        paused_at = app.now()
        time.sleep(2)
        at_rest = len(simulator.messages())
        time.sleep(0.6)
        stop.set()
        ended.result(timeout=30)
    mail = simulator.messages()
    assert len(mail) == at_rest < 200
    assert max(datetime.fromisoformat(each["time"]) for each in mail) - paused_at < timedelta(seconds=2)
    assert counts(app, cast.acme.id, campaign_id) == {"sent": at_rest, "pending": 200 - at_rest}

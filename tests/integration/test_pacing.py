"""Pacing: calls of one kind keep their distance, whoever makes them and wherever."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import select

from core import doctor
from core.app import AwsProviders, build_app
from core.db.engine import Database
from core.db.models import CallTurn
from core.errors import Throttled
from core.pacing import MARGIN, MOST_TURNS, carried, in_background, is_in_background, pacer
from core.providers.base import Outcome
from core.settings import Settings
from core.up import Place
from tests.contract.ses_mail import REGION, mail
from tests.integration.test_verification_job import VirtualClock
from tests.simulators import Simulator
from tests.turns import NOON, StandingClock, turns_of_a_process

SQLITE_ONLY = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
GAP = MARGIN  # at one a second


class HandClock:
    """Moves only while somebody sleeps; `late`: how much longer than asked each coming sleep takes."""

    def __init__(self, *late: float) -> None:
        self.at = NOON
        self._late = list(late)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds + (self._late.pop(0) if self._late else 0))

    @property
    def seconds(self) -> float:
        return (self.at - NOON).total_seconds()


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    db = Database(database_url)
    yield db
    db.dispose()


def set_next(db: Database, at: datetime, name: str = "ses") -> None:
    with db.begin() as session:
        session.merge(CallTurn(name=name, next_at=at))


def next_at(db: Database, name: str = "ses") -> datetime | None:
    with db.read() as session:
        return session.scalar(select(CallTurn.next_at).where(CallTurn.name == name))


def test_the_first_goes_at_once_and_each_other_a_gap_later(db: Database) -> None:
    clock = HandClock()
    pace = pacer(db, clock, "ses", 1)
    for turn in (0, GAP, 2 * GAP, 3 * GAP):
        pace()
        assert clock.seconds == pytest.approx(turn)
    clock.at += timedelta(seconds=60)
    pace()
    assert clock.seconds == pytest.approx(3 * GAP + 60)


def test_calls_of_another_kind_do_not_wait(db: Database) -> None:
    clock = HandClock()
    pacer(db, clock, "ses-control eu-west-1", 1)()
    pacer(db, clock, "ses-control us-east-1", 1)()
    assert clock.seconds == 0


def test_no_two_threads_get_turns_closer_than_the_gap(db: Database) -> None:
    clock = StandingClock()
    pace = pacer(db, clock, "ses", 10)

    def call(_: int) -> float:
        pace()
        return clock.turn()

    with ThreadPoolExecutor(8) as pool:
        turns = sorted(pool.map(call, range(24)))
    assert turns == pytest.approx([number * GAP / 10 for number in range(24)], abs=1e-4)


@pytest.mark.slow
def test_no_two_processes_get_turns_closer_than_the_gap(database_url: str) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.map(turns_of_a_process, [database_url] * 2, chunksize=1)
    turns = sorted([*first, *second])
    assert turns == pytest.approx([number * GAP / 100 for number in range(80)], abs=1e-3)


def test_who_wakes_up_late_lets_the_turn_go(db: Database) -> None:
    clock = HandClock(0.3)
    pace = pacer(db, clock, "ses", 1)
    pace()
    pace()
    assert clock.seconds == pytest.approx(2 * GAP)


def test_who_is_always_late_calls_nevertheless(db: Database) -> None:
    clock = HandClock(*[0.3] * 20)
    pace = pacer(db, clock, "ses", 1)
    pace()
    pace()
    assert clock.seconds == pytest.approx(MOST_TURNS * GAP + 0.3)


def test_more_than_a_minute_of_waiting_is_refused_and_takes_no_turn(db: Database) -> None:
    clock = HandClock()
    pace = pacer(db, clock, "ses", 1)
    set_next(db, NOON + timedelta(seconds=61))
    with pytest.raises(Throttled, match="busy for the next minute") as caught:
        pace()
    assert caught.value.retry_after_seconds == 60
    assert next_at(db) == NOON + timedelta(seconds=61)
    clock.at += timedelta(seconds=2)
    pace()
    assert clock.seconds == pytest.approx(61)


def test_what_a_wrong_clock_wrote_heals(db: Database) -> None:
    clock = HandClock()
    set_next(db, NOON + timedelta(days=3650))
    pacer(db, clock, "ses", 1)()
    assert clock.seconds == 0
    assert next_at(db) == NOON + timedelta(seconds=GAP)
    set_next(db, NOON - timedelta(days=3650))
    pacer(db, clock, "ses", 1)()
    assert next_at(db) == NOON + timedelta(seconds=GAP)


@pytest.mark.parametrize("seconds_back", [63, 90, 590, 601])
def test_a_clock_that_was_set_back_throttles_nobody(db: Database, seconds_back: float) -> None:
    clock = HandClock()
    pace = pacer(db, clock, "ses", 1)
    pace()
    clock.at -= timedelta(seconds=seconds_back)
    before = clock.at
    pace()
    assert clock.at == before
    pace()
    assert clock.at == before + timedelta(seconds=GAP)


def test_a_clock_that_was_set_back_a_little_makes_one_wait_so_long_and_no_longer(db: Database) -> None:
    clock = HandClock()
    pace = pacer(db, clock, "ses", 1)
    pace()
    clock.at -= timedelta(seconds=30)
    pace()
    assert clock.seconds == pytest.approx(GAP)


def test_a_full_queue_is_a_minute_long_however_many_want_a_turn(db: Database) -> None:
    clock = StandingClock()
    pace = pacer(db, clock, "ses", 1)
    for _ in range(int(60 / GAP) + 1):
        pace()
    for _ in range(2):
        with pytest.raises(Throttled):
            pace()


def test_a_person_waits_for_one_turn_of_the_background_and_not_for_all_of_its_threads(db: Database) -> None:
    clock = VirtualClock()
    pace = pacer(db, clock, "ses", 1)
    ended = threading.Event()
    background: list[datetime] = []

    def work(_: int) -> None:
        while not ended.is_set():
            pace()
            background.append(clock.now())

    def person() -> float:
        before = clock.now()
        pace()
        return (clock.now() - before).total_seconds()

    with clock.running(), ThreadPoolExecutor(10) as pool:
        with in_background():
            working = [pool.submit(carried(work), number) for number in range(10)]
        try:
            while len(background) < 3:
                clock.sleep(GAP)
            waits = [person() for _ in range(5)]
        finally:
            ended.set()
        for each in working:
            each.result()
    assert max(waits) <= 2 * GAP + 0.01
    gaps = [(after - before).total_seconds() for before, after in pairwise(sorted(background))]
    assert min(gaps) >= GAP * 0.99


def test_one_is_in_the_background_only_as_long_as_one_says_so() -> None:
    assert not is_in_background()
    with in_background():
        assert is_in_background()
        there = carried(is_in_background)
    assert not is_in_background()
    with ThreadPoolExecutor(2) as pool:
        assert pool.submit(there).result()
        assert pool.submit(there).result()
        assert not pool.submit(is_in_background).result()


@SQLITE_ONLY
def test_the_setting_reaches_the_control_client(
    db: Database, database_url: str, simulator: Simulator
) -> None:
    settings = Settings.load(database_url=database_url, control_calls_per_second=0.1)
    clock = HandClock()
    providers = AwsProviders(settings, db, clock)
    providers.email(REGION).get_account()
    providers.email(REGION).get_account()
    assert clock.seconds == pytest.approx(10 * GAP)
    assert next_at(db, f"ses-control {REGION}") == NOON + timedelta(seconds=20 * GAP)


@SQLITE_ONLY
def test_the_products_own_app_is_paced_and_its_mail_is_not(
    db: Database, database_url: str, tmp_path: Path, simulator: Simulator
) -> None:
    app = build_app(Settings.load(database_url=database_url, data_dir=tmp_path, control_calls_per_second=1))
    ses, queue = app.providers.email(REGION), app.providers.queue(REGION)
    busy_until = app.now() + timedelta(seconds=62)
    set_next(db, busy_until, f"ses-control {REGION}")
    with pytest.raises(Throttled):
        ses.get_account()
    assert ses.send_one(mail(1)).outcome is Outcome.PAUSED  # SES answered: there is no such tenant
    assert ses.caller_account_id()
    plumbing = queue.create_event_queue("postyard-events")
    queue.create_topic("postyard-acme-events", plumbing)
    queue.create_status_rule("postyard-status", plumbing)
    assert next_at(db, f"ses-control {REGION}") == busy_until
    app.db.dispose()


@pytest.mark.slow
@SQLITE_ONLY
def test_two_processes_of_an_installation_never_pass_sess_limit(
    database_url: str, simulator: Simulator
) -> None:
    simulator.scenario(control_calls_per_second=2)
    settings = Settings.load(database_url=database_url, control_calls_per_second=2)
    databases = [Database(database_url), Database(database_url)]
    each = [AwsProviders(settings, db).email(REGION) for db in databases]
    with ThreadPoolExecutor(4) as pool:
        states = list(pool.map(lambda ses: ses.get_account(), each * 2))
    assert len(states) == 4
    assert [call["status"] for call in simulator.calls()] == [200] * 4
    for db in databases:
        db.dispose()


def test_the_doctor_asks_ses_where_nobody_can_take_turns(tmp_path: Path, simulator: Simulator) -> None:
    settings = Settings.load(
        database_url=f"sqlite:///{tmp_path / 'empty.db'}", data_dir=tmp_path, dns_servers=simulator.dns
    )
    verdicts = {check.name: check.verdict for check in doctor.examine(settings)}
    assert (verdicts["database"], verdicts["ses"]) == ("fail", "ok")


def test_up_lets_the_simulator_be_asked_fast_unless_told_otherwise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "POSTYARD_CONTROL_CALLS_PER_SECOND"
    monkeypatch.delenv(name, raising=False)
    place, settings = Place(tmp_path, 8501), Settings.load()
    assert settings.control_calls_per_second == 1
    assert place.environment(settings)[name] == "50"
    monkeypatch.setenv(name, "3")
    assert place.environment(settings)[name] == "3"

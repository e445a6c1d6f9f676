"""Quotas that are used up and schedulers that are silent are told; also when no scheduler lives to do it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from core import alerts, lanes, notices
from core.access import SYSTEM
from core.app import App, build_app
from core.db.models import Account, JobRun, Worker
from core.notices import ChannelKind
from core.notices.watch import Watch
from core.settings import Settings
from tests.alerting import HandClock, Hook, webhook
from tests.conftest import Cast
from tests.offline import two_tenants
from tests.processes import serving_webhooks

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@dataclass
class House:
    app: App
    cast: Cast
    clock: HandClock
    hook: Hook
    watch: Watch

    def beats(self, at: datetime | None = None) -> None:
        with self.app.db.begin() as session:
            worker = session.get(Worker, "one")
            if worker is None:
                worker = Worker(name="one", host="box", pid=1, started_at=self.clock.at)
                session.add(worker)
            worker.beat_at = at or self.clock.at

    def looks(self, minutes: float) -> list[bool]:
        """Every 15 seconds, as the webhooks' process does."""
        seen = []
        for _ in range(int(minutes * 4)):
            self.clock.pass_(seconds=15)
            seen.append(self.watch.look())
        return seen

    @property
    def told(self) -> list[str]:
        return [text.splitlines()[0] for text in self.hook.texts]

    @property
    def kinds(self) -> list[str]:
        return [alert.kind for alert in alerts.list_open(self.app, SYSTEM)]


@pytest.fixture
def house(app: App) -> Iterator[House]:
    clock = HandClock()
    app = replace(app, clock=clock)
    with webhook() as hook:
        house = House(app, two_tenants(app), clock, hook, Watch(app, hook.dialler()))
        notices.add(app, SYSTEM, None, kind=ChannelKind.WEBHOOK, target=hook.url)
        yield house


def test_silence_is_raised_and_told_by_the_webhooks_process_and_ends_with_a_beat(house: House) -> None:
    house.beats()
    house.looks(0.75)
    assert house.kinds == []
    house.looks(1)
    assert house.kinds == ["scheduler silent"]
    assert len(house.told) == 1
    assert "since 12:00 UTC" in house.told[0]
    house.looks(5)
    assert len(house.told) == 1
    house.beats()
    assert house.watch.look() is False
    assert house.kinds == []
    assert len(house.told) == 1, "delivering is the scheduler's again"
    notices.send_due(house.app, house.hook.dialler())
    assert house.told[1].startswith("Over: No scheduler")


@SQLITE
def test_other_alerts_are_told_as_well_while_no_scheduler_lives(house: House) -> None:
    house.beats()
    with house.app.db.begin() as session:
        alerts.raise_once(
            session, kind="drift", cause="x", sentence="It differs.", tenant_id=house.cast.acme.id,
            at=house.clock.at,
        )  # fmt: skip
    house.looks(0.75)
    assert house.told == []
    house.looks(1)
    assert "Acme: It differs." in house.told


@SQLITE
def test_a_process_that_has_just_started_or_slept_raises_nothing(house: House) -> None:
    house.beats(house.clock.at - timedelta(days=1))
    assert house.looks(0.75) == [False] * 3
    house.beats()
    house.looks(0.75)
    house.clock.pass_(hours=8)
    assert house.watch.look() is False, "the host slept, and the scheduler with it"
    house.beats()
    assert house.looks(0.75) == [False] * 3
    assert house.kinds == []


@SQLITE
def test_where_no_scheduler_has_ever_run_none_is_missed(house: House) -> None:
    assert not any(house.looks(5))
    assert house.kinds == []


@SQLITE
def test_a_scheduler_whose_sending_is_silent_tells_so_itself(house: House) -> None:
    house.beats()
    house.clock.pass_(minutes=2)
    notices.look_due(house.app)
    assert house.kinds == [], "it may just be starting"
    with house.app.db.begin() as session:
        session.add(JobRun(name=notices.LOOK, finished_at=house.clock.at - timedelta(minutes=1)))
    notices.look_due(house.app)
    assert house.kinds == ["scheduler silent"]
    house.beats()
    notices.look_due(house.app)
    assert house.kinds == []


def test_a_used_up_quota_is_told_until_there_is_some_again(house: House) -> None:
    def used(sent: float) -> None:
        with house.app.db.begin() as session:
            account = session.scalars(select(Account)).one()
            account.max_24_hour_send, account.sent_last_24_hours = 50_000, sent
            lanes.lock_lane(session, lanes.lane_of(account.id))

    used(10_000)
    assert notices.look_due(house.app) == ""
    used(49_500)
    assert "1 accounts" in notices.look_due(house.app)
    notices.look_due(house.app)
    [alert] = alerts.list_open(house.app, SYSTEM)
    assert (alert.kind, alert.tenant_id) == ("quota", None)
    assert alert.sentence.startswith("AWS account platform: The quota of 50,000 recipients")
    assert "transactional" in alert.sentence
    used(20_000)
    notices.look_due(house.app)
    assert house.kinds == []


@SQLITE
def test_a_quota_that_ses_alone_knows_of_is_told_while_the_lane_is_closed(house: House) -> None:
    with house.app.db.begin() as session:
        account = session.scalars(select(Account)).one()
        lane = lanes.lane_of(account.id)
        lanes.lock_lane(session, lane)
        until = house.clock.at + timedelta(minutes=10)
        lanes.close(session, lane, until=until, reason=f"{lanes.QUOTA_USED_UP}: SES refused.")
    notices.look_due(house.app)
    assert house.kinds == ["quota"]
    house.clock.pass_(minutes=11)
    notices.look_due(house.app)
    assert house.kinds == []


@SQLITE
def test_the_webhooks_process_watches_as_long_as_it_lives(app: App) -> None:
    def watches() -> int:
        return sum(thread.name == "watch" for thread in threading.enumerate())

    assert watches() == 0
    with serving_webhooks(app):
        assert watches() == 1
    assert watches() == 0


def test_a_database_that_is_away_does_not_end_the_watch(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    empty = build_app(Settings.load(database_url=f"sqlite:///{tmp_path / 'empty.db'}", data_dir=tmp_path))
    with notices.watching(empty):
        [thread] = [each for each in threading.enumerate() if each.name == "watch"]
        thread.join(0.3)
        assert thread.is_alive()
    empty.db.dispose()
    assert not thread.is_alive()
    assert "it looks again" in caplog.text


@SQLITE
def test_what_nobody_expected_does_not_end_the_watch(app: App, caplog: pytest.LogCaptureFixture) -> None:
    class Broken(HandClock):
        def now(self) -> datetime:
            raise ZeroDivisionError

    with notices.watching(replace(app, clock=Broken())):
        [thread] = [each for each in threading.enumerate() if each.name == "watch"]
        thread.join(0.3)
        assert thread.is_alive()
    assert "it looks again" in caplog.text

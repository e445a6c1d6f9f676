"""The lag that is kept, shown and alarmed: by account, without asking SQS where it is shown."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from core import alerts, events
from core.access import Actor
from core.app import App, build_app
from core.db.models import Account
from core.errors import PermissionDenied, ProviderError
from core.events import lag
from core.settings import Settings
from tests.conftest import Cast
from tests.ledger import Ledger, new_account, new_ledger

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Queue:
    """SQS of which only the depths are asked."""

    def __init__(self, depths: dict[str, int] | None) -> None:
        self.depths = depths

    def depth(self, url: str) -> int:
        if self.depths is None:
            raise ProviderError("SQS does not answer.", permanent=False)
        return self.depths[url]


class Providers:
    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    def queue(self, region: str) -> Any:
        return self._queue

    def email(self, region: str) -> Any:
        raise AssertionError("nobody asks SES here")

    resend = email


class At:
    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here waits")


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    app = replace(build_app(settings), clock=At(NOW), providers=Providers(Queue({"q": 0, "q-dlq": 0})))
    yield new_ledger(app, new_account(app, queue_url="q", dead_letter_queue_url="q-dlq"), "acme")
    app.db.dispose()


def later(ledger: Ledger, seconds: float) -> App:
    return replace(ledger.app, clock=At(NOW + timedelta(seconds=seconds)))


def holding(app: App, waiting: int, dead: int = 0) -> App:
    return replace(app, providers=Providers(Queue({"q": waiting, "q-dlq": dead})))


def told(ledger: Ledger, alice: Actor) -> dict[str, str]:
    return {alert.kind: alert.sentence for alert in alerts.list_open(ledger.app, alice)}


def test_two_looks_above_a_minute_are_told_once_until_it_is_below_half_a_minute(
    ledger: Ledger, alice: Actor
) -> None:
    for seconds, measured, is_told in (
        (0, 61, False),
        (30, 75, True),
        (60, 80, True),
        (90, 45, True),
        (120, 29, False),
        (150, 90, False),
        (180, 20, False),
    ):
        app = later(ledger, seconds)
        lag.keep(app, ledger.account.id, measured)
        events.watch_due(app)
        assert ("events lag" in told(ledger, alice)) is is_told, seconds


def test_the_sentence_says_how_long_and_where_to_look(ledger: Ledger, alice: Actor) -> None:
    for seconds in (0, 30):
        app = later(ledger, seconds)
        lag.keep(app, ledger.account.id, 300 + seconds)
        said = events.watch_due(app)
    assert said == "the oldest event waits 330 s, 0 dead letters"
    assert "platform has waited 330 s" in told(ledger, alice)["events lag"]


def test_a_queue_that_nobody_reads_any_more_is_told_of(ledger: Ledger, alice: Actor) -> None:
    lag.keep(ledger.app, ledger.account.id, 0)
    for seconds in (0, 31, 70, 100):
        events.watch_due(holding(later(ledger, seconds), waiting=7))
    assert told(ledger, alice)["events lag"].startswith(
        "Nobody has read the event queue of platform for 100 s"
    )
    seen = events.lag_seconds(later(ledger, 100), alice)
    assert (seen.seconds, seen.waiting, seen.is_stale) == (100, 7, True)


def test_an_empty_queue_that_nobody_measures_has_no_lag(ledger: Ledger, alice: Actor) -> None:
    lag.keep(ledger.app, ledger.account.id, 0)
    for seconds in (3600, 3630):
        events.watch_due(later(ledger, seconds))
    assert not told(ledger, alice)
    assert events.lag_seconds(later(ledger, 3630), alice).seconds == 0


def test_before_anybody_has_measured_and_while_nothing_waits_nothing_is_alarmed(
    ledger: Ledger, alice: Actor
) -> None:
    for seconds in (0, 30, 3600):
        events.watch_due(later(ledger, seconds))
    [account] = events.lag_seconds(ledger.app, alice).accounts
    assert (account.measured_at, account.waiting) == (None, 0)
    assert not told(ledger, alice)


def test_a_queue_that_nobody_was_ever_able_to_read_is_told_of(ledger: Ledger, alice: Actor) -> None:
    for seconds, is_told in ((0, False), (30, False), (61, False), (91, True)):
        events.watch_due(holding(later(ledger, seconds), waiting=7))
        assert ("events lag" in told(ledger, alice)) is is_told
    [account] = events.lag_seconds(later(ledger, 91), alice).accounts
    assert (account.seconds, account.is_stale, account.waiting) == (91, True, 7)


def test_of_two_schedulers_the_one_that_is_behind_is_believed(ledger: Ledger, alice: Actor) -> None:
    lag.keep(ledger.app, ledger.account.id, 50)
    lag.keep(later(ledger, 5), ledger.account.id, 2)
    assert events.lag_seconds(later(ledger, 5), alice).seconds == 50
    lag.keep(later(ledger, 10), ledger.account.id, 2)
    assert events.lag_seconds(later(ledger, 10), alice).seconds == 2


def test_dead_letters_are_told_of_until_there_is_none(ledger: Ledger, alice: Actor) -> None:
    events.watch_due(holding(ledger.app, 0, dead=3))
    events.watch_due(holding(ledger.app, 0, dead=1))
    assert told(ledger, alice)["dead letters"].startswith("1 event of platform could not be read or stored")
    assert events.lag_seconds(ledger.app, alice).dead_letters == 1
    events.watch_due(holding(ledger.app, 0, dead=0))
    assert "dead letters" not in told(ledger, alice)


def test_while_sqs_is_silent_the_last_count_stays_and_that_is_said(ledger: Ledger, alice: Actor) -> None:
    events.watch_due(holding(ledger.app, 0, dead=3))
    silent = replace(later(ledger, 30), providers=Providers(Queue(None)))
    assert events.watch_due(silent).endswith("3 dead letters; SQS does not answer for platform")
    assert "dead letters" in told(ledger, alice)


def test_events_of_a_wrong_tenant_are_told_once_per_topic_and_only_to_those_who_see_all(
    ledger: Ledger, alice: Actor
) -> None:
    globex = new_ledger(ledger.app, ledger.account, "globex")
    topic = {"topic_arn": ledger.tenant.topic_arn, "tenant_tag": None}
    forged = [globex.bounce(globex.add_message(f"p{n}@example.com"), **topic) for n in range(3)]
    nowhere = globex.bounce(globex.add_message("x@example.com"), topic_arn=None, tenant_tag="umbrella")
    assert events.ingest(ledger.app, ledger.account, [*forged, nowhere]).wrong_tenant == 4
    for _ in range(2):
        events.watch_due(ledger.app)
    found = alerts.list_open(ledger.app, alice)
    assert sorted((alert.kind, alert.cause) for alert in found) == [
        ("parked wrong tenant", "no topic"),
        ("parked wrong tenant", f"tenant {ledger.tenant.id}"),
    ]
    assert any("3 events came through the topic of Acme" in alert.sentence for alert in found)
    bob = Actor("bob", alice.role, tenant_ids=frozenset({ledger.tenant.id}))
    assert not alerts.list_open(ledger.app, bob)


@SQLITE
def test_what_a_run_of_the_poller_leaves_is_that_nothing_waits(app: App, cast: Cast, alice: Actor) -> None:
    events.poll(app, threading.Event(), until_idle=True)
    seen = events.lag_seconds(app, alice)
    assert (seen.seconds, seen.is_stale) == (0, False)
    assert seen.accounts[0].measured_at is not None


@SQLITE
def test_an_account_without_a_queue_has_no_lag(ledger: Ledger, alice: Actor) -> None:
    with ledger.app.db.begin() as session:
        session.execute(update(Account).values(queue_url=None))
    assert events.lag_seconds(ledger.app, alice).accounts == ()
    assert events.watch_due(ledger.app) == "the oldest event waits 0 s, 0 dead letters"


@SQLITE
def test_an_account_manager_does_not_see_the_lag_of_the_installation(app: App, cast: Cast) -> None:
    with pytest.raises(PermissionDenied):
        events.lag_seconds(app, cast.bob)

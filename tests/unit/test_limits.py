"""The limiter's promise, on a clock of its own: no second sees more than the rate and one call."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from core import lanes, limits
from core.db import migrate
from core.db.engine import Database
from core.db.models import Account, Lane
from core.limits import Speed

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    db = Database(f"sqlite:///{tmp_path_factory.mktemp('limits') / 'postyard.db'}")
    migrate.upgrade(db)
    yield db
    db.dispose()


def a_lane(**values: object) -> Lane:
    known: dict[str, object] = {
        "granted": 0,
        "granted_when_checked": 0,
        "throttled_share": 0.0,
        "given_back": 0.0,
        "slowed_to": 1.0,
    }
    return Lane(name="account 1", **{**known, **values})


def ses_speed(rate: float) -> Speed:
    return Speed(rate, max(1, min(50, int(rate) // 10)))


def most_in_a_second(begun: list[tuple[datetime, int]]) -> int:
    begun.sort()
    return max(sum(n for at, n in begun if start <= at < start + SECOND) for start, _ in begun)


def claimed(lane: Lane, speed: Speed, now: datetime, most: int = 500) -> list[tuple[datetime, int]]:
    """When each call of one claim begins, and its recipients."""
    left = min(limits.paced(lane.next_at, speed, now).recipients, most)
    sizes = []
    while left:
        sizes.append(min(left, speed.call_size))
        left -= sizes[-1]
    moments = limits.begin(lane, sizes, speed, now)
    return [(now + timedelta(seconds=moment), size) for moment, size in zip(moments, sizes, strict=True)]


@settings(max_examples=60, deadline=None)
@given(
    rate=st.integers(1, 3000),
    pauses=st.lists(st.floats(0.001, 1.5), min_size=5, max_size=40),
    most=st.integers(1, 500),
)
def test_no_second_ever_sees_more_than_the_rate_and_one_call(
    rate: int, pauses: list[float], most: int
) -> None:
    """Workers that look at any moments, and take less than they may."""
    lane, speed, now = a_lane(), ses_speed(rate), NOON
    begun: list[tuple[datetime, int]] = []
    for pause in pauses:
        begun += claimed(lane, speed, now, most)
        now += timedelta(seconds=pause)
    assert most_in_a_second(begun) <= rate + speed.call_size


@pytest.mark.parametrize("rate", [1, 14, 200, 2000])
def test_whoever_looks_in_time_loses_nothing_of_the_rate(rate: int) -> None:
    lane, speed, now = a_lane(), ses_speed(rate), NOON
    begun: list[tuple[datetime, int]] = []
    while now < NOON + 60 * SECOND:
        begun += claimed(lane, speed, now)
        now += timedelta(seconds=0.05)
    assert sum(n for at, n in begun if at < NOON + 60 * SECOND) >= 60 * rate - speed.call_size


@pytest.mark.parametrize(
    ("rate", "call", "ahead"), [(1, 1, 1), (14, 1, 2), (200, 20, 40), (1000, 50, 200), (5000, 50, 500)]
)
def test_calls_and_claims_grow_with_the_rate(rate: int, call: int, ahead: int) -> None:
    speed = ses_speed(rate)
    assert (speed.call_size, limits.ahead(speed)) == (call, ahead)


def test_a_provider_that_counts_requests_gets_no_more_of_them_however_small() -> None:
    lane, speed, now = a_lane(), Speed(200, 100, calls_per_second=2), NOON
    begun: list[tuple[datetime, int]] = []
    for _ in range(200):
        begun += claimed(lane, speed, now, most=1)
        now += timedelta(seconds=0.05)
    assert 2 * 10 - 1 <= len(begun) <= 2 * 10 + 1


def test_what_was_not_accepted_is_given_back_and_used_a_little_faster_than_the_rate() -> None:
    lane, speed = a_lane(), ses_speed(200)
    claimed(lane, speed, NOON)
    limits.give_back(lane, speed, NOON, not_accepted=10, throttled=0)
    assert (lane.given_back, lane.granted) == (10, 30)
    [first, second] = claimed(lane, speed, NOON + timedelta(seconds=0.2))
    half_a_call_more_in_a_second = 0.1 * (1 - 1 / 11 / 2)
    assert (second[0] - first[0]).total_seconds() == pytest.approx(half_a_call_more_in_a_second, abs=1e-5)
    assert lane.given_back == pytest.approx(10 - 2 * 20 / 22)


@pytest.mark.parametrize("rate", [14, 200, 2000])
def test_with_three_in_a_hundred_throttled_the_rate_is_used_and_never_passed(rate: int) -> None:
    chance = random.Random(rate)
    lane, speed, now = a_lane(), ses_speed(rate), NOON
    accepted: list[tuple[datetime, int]] = []
    while now < NOON + 60 * SECOND:
        for at, size in claimed(lane, speed, now):
            throttled = sum(chance.random() < 0.03 for _ in range(size))
            accepted.append((at, size - throttled))
            limits.give_back(lane, speed, now, not_accepted=throttled, throttled=throttled)
        now += timedelta(seconds=0.04)
    within = sum(n for at, n in accepted if at < NOON + 60 * SECOND)
    assert 0.98 * 60 * rate - speed.call_size <= within <= 60 * rate + speed.call_size
    assert most_in_a_second(accepted) <= rate + speed.call_size


def test_a_few_throttled_recipients_slow_nothing() -> None:
    lane, speed, now = a_lane(), ses_speed(200), NOON
    for _ in range(200):
        tried = claimed(lane, speed, now)
        limits.give_back(lane, speed, now, not_accepted=len(tried), throttled=len(tried))  # 1 of 20
        now += timedelta(seconds=0.1)
    assert limits.slowed_to(lane, now) == 1.0


def test_many_throttled_recipients_halve_the_rate_and_it_grows_again() -> None:
    lane, speed, now = a_lane(), ses_speed(200), NOON
    limits.give_back(lane, speed, now, not_accepted=40, throttled=40)
    assert limits.slowed_to(lane, now) == 0.5
    limits.give_back(lane, speed, now, not_accepted=40, throttled=40)
    assert limits.slowed_to(lane, now) == 0.5, "once a second at most"
    now += SECOND
    limits.give_back(lane, speed, now, not_accepted=40, throttled=40)
    assert limits.slowed_to(lane, now) == pytest.approx(0.275)
    assert limits.slowed_to(lane, now + 15 * SECOND) == 1.0


def quota(session: Session, account: Account, lane: Lane, *, transactional: bool) -> limits.Allowance:
    return limits.of_24_hours(session, account, lane, transactional=transactional, now=NOON)


def test_the_quota_of_24_hours_counts_what_ses_cannot_know_yet(db: Database) -> None:
    account = Account(id=1, max_24_hour_send=200.0, sent_last_24_hours=150.0)
    with db.read() as session:
        some = quota(session, account, a_lane(granted=130, granted_when_checked=100), transactional=True)
        full = quota(session, account, a_lane(granted=150, granted_when_checked=100), transactional=True)
    assert (some.recipients, full.recipients, full.closes is None) == (20, 0, False)
    assert "The quota of 200 recipients in 24 hours is used up." in full.reason


def test_campaigns_leave_the_last_of_the_quota_to_transactional_mail(db: Database) -> None:
    account = Account(id=1, max_24_hour_send=1000.0, sent_last_24_hours=985.0)
    with db.read() as session:
        held = quota(session, account, a_lane(), transactional=False)
        assert (held.recipients, held.closes) == (0, None)
        assert "kept for transactional mail" in held.reason
        assert quota(session, account, a_lane(), transactional=True).recipients == 15


def test_a_closed_lane_sends_nothing_and_says_why(db: Database) -> None:
    with db.begin() as session:
        lane = lanes.lock_lane(session, "account 1")
        lanes.close(session, lane.name, until=NOON + timedelta(minutes=10), reason="Credentials refused.")
        lanes.close(session, lane.name, until=NOON + SECOND, reason="Too fast.")
        session.refresh(lane)
        closed = limits.closed(lane, NOON)
        assert closed is not None
        assert (closed.recipients, closed.wait_seconds, closed.reason) == (0, 600.0, "Credentials refused.")
        assert limits.closed(lane, NOON + timedelta(minutes=11)) is None


def test_what_was_written_while_a_clock_was_wrong_holds_nothing_back(db: Database) -> None:
    next_year = NOON + timedelta(days=365)
    with db.begin() as session:
        lane = lanes.lock_lane(session, "account 2")
        lane.next_at = next_year
        lanes.close(session, lane.name, until=next_year, reason="throttled then")
        session.flush()
        assert limits.closed(lane, NOON) is None
        assert limits.paced(lane.next_at, ses_speed(10), NOON).recipients == 2
        lanes.close(session, lane.name, until=NOON + SECOND, reason="throttled now")
        session.refresh(lane)
        closed = limits.closed(lane, NOON)
    assert closed is not None
    assert closed.reason == "throttled now"

"""The limiter's promise, on a clock of its own: no second sees more than the rate."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from core import limits
from core.db import migrate
from core.db.engine import Database
from core.db.models import Account, RateGrant

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    db = Database(f"sqlite:///{tmp_path_factory.mktemp('limits') / 'postyard.db'}")
    migrate.upgrade(db)
    yield db
    db.dispose()


def make_account(session: Session, **values: object) -> Account:
    session.query(RateGrant).delete()
    session.query(Account).delete()
    account = Account(name="platform", region="eu-west-1", created_at=NOON, **values)
    session.add(account)
    session.flush()
    return account


@settings(max_examples=30, deadline=None)
@given(
    rate=st.integers(1, 300),
    latencies=st.lists(st.floats(0.001, 2.5), min_size=1, max_size=20),
    acceptance=st.floats(0, 1),
)
def test_no_second_ever_sees_more_than_the_rate(
    db: Database, rate: int, latencies: list[float], acceptance: float
) -> None:
    """Replies of any length, the message accepted anywhere between request and reply."""
    with db.begin() as session:
        account = make_account(session, max_send_rate=float(rate), max_24_hour_send=-1.0)
        accepted: list[tuple[datetime, int]] = []
        in_flight: list[tuple[datetime, str]] = []
        now = NOON
        for number in range(60):
            while in_flight and in_flight[0][0] <= now:
                replied, attempt = heapq.heappop(in_flight)
                limits.release(session, {attempt: replied})
            allowed = limits.allowance(session, account, now)
            if allowed.recipients == 0:
                waits = [now + timedelta(seconds=allowed.wait_seconds)] + [t for t, _ in in_flight[:1]]
                now = max(min(waits), now + timedelta(milliseconds=1))
                continue
            size = min(allowed.recipients, limits.call_size(account))
            limits.grant(session, account.id, {str(number): size}, now)
            latency = latencies[number % len(latencies)]
            accepted.append((now + timedelta(seconds=latency * acceptance), size))
            heapq.heappush(in_flight, (now + timedelta(seconds=latency), str(number)))
        accepted.sort()
        for start, _ in accepted:
            window = sum(n for at, n in accepted if start <= at < start + timedelta(seconds=1))
            assert window <= rate


def test_the_quota_of_24_hours_counts_what_ses_cannot_know_yet(db: Database) -> None:
    with db.begin() as session:
        account = make_account(
            session, max_send_rate=100.0, max_24_hour_send=200.0, sent_last_24_hours=150.0, checked_at=NOON
        )
        limits.grant(session, account.id, {"a": 30}, NOON + timedelta(seconds=5))
        later = NOON + timedelta(seconds=40)
        assert limits.allowance(session, account, later).recipients == 20
        limits.grant(session, account.id, {"b": 20}, later)
        full = limits.allowance(session, account, later + timedelta(minutes=1))
        assert full.recipients == 0
        assert "The quota of 200 recipients in 24 hours is used up." in full.reason


def test_a_closed_account_sends_nothing_and_says_why(db: Database) -> None:
    with db.begin() as session:
        account = make_account(session, max_send_rate=100.0, max_24_hour_send=-1.0)
        limits.close(session, account.id, until=NOON + timedelta(minutes=10), reason="Credentials refused.")
        limits.close(session, account.id, until=NOON + timedelta(seconds=1), reason="Too fast.")
        session.refresh(account)
        closed = limits.allowance(session, account, NOON)
        assert (closed.recipients, closed.wait_seconds, closed.reason) == (0, 600.0, "Credentials refused.")
        assert limits.allowance(session, account, NOON + timedelta(minutes=11)).recipients == 100


@pytest.mark.parametrize(
    ("rate", "call", "block"), [(1, 1, 1), (14, 1, 2), (200, 20, 40), (1000, 50, 200), (5000, 50, 500)]
)
def test_calls_and_blocks_grow_with_the_rate(db: Database, rate: int, call: int, block: int) -> None:
    account = Account(max_send_rate=float(rate))
    assert (limits.call_size(account), limits.block_size(account)) == (call, block)


def test_what_was_written_while_a_clock_was_wrong_holds_nothing_back(db: Database) -> None:
    with db.begin() as session:
        account = make_account(session, max_send_rate=10.0, max_24_hour_send=-1.0)
        next_year = NOON + timedelta(days=365)
        limits.grant(session, account.id, {"a": 10}, next_year)
        limits.close(session, account.id, until=next_year, reason="throttled then")
        session.refresh(account)
        assert limits.allowance(session, account, NOON).recipients == 10
        limits.close(session, account.id, until=NOON + timedelta(seconds=1), reason="throttled now")
        session.refresh(account)
        assert limits.allowance(session, account, NOON).reason == "throttled now"

"""The simulated account's limits, at any pattern of sending."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from simulator.limits import QUOTA, RATE, SendLimits


@given(
    rate=st.integers(1, 20),
    steps=st.lists(st.tuples(st.floats(0, 0.7), st.integers(1, 10)), min_size=1, max_size=60),
)
def test_no_sliding_second_holds_more_than_the_rate(rate: int, steps: list[tuple[float, int]]) -> None:
    limits, now, accepted = SendLimits(), 1000.0, []
    for pause, count in steps:
        now += pause
        if limits.take(now, count, count, rate, -1) is None:
            accepted.append((now, count))
    for start, _ in accepted:
        assert sum(count for at, count in accepted if start <= at < start + 1) <= rate


def test_what_is_refused_counts_nothing() -> None:
    limits = SendLimits()
    assert limits.take(0.0, 5, 5, 5, -1) is None
    assert limits.take(0.5, 1, 1, 5, -1) == RATE
    assert limits.take(1.01, 5, 5, 5, -1) is None
    assert limits.sent_last_24_hours(1.01) == 10


def test_the_quota_rolls_over_24_hours() -> None:
    limits = SendLimits()
    assert limits.take(0.0, 6, 6, 100, 10) is None
    assert limits.take(40_000.0, 4, 4, 100, 10) is None
    assert limits.take(50_000.0, 1, 1, 100, 10) == QUOTA
    assert limits.take(50_000.0, 1, 0, 100, 10) is None
    assert limits.take(86_400.0, 6, 6, 100, 10) is None
    assert limits.sent_last_24_hours(86_400.0) == 10


def test_what_was_sent_before_a_restart_counts() -> None:
    limits = SendLimits()
    limits.load([(10.0, 3), (5.0, 2)])
    assert limits.sent_last_24_hours(20.0) == 5
    assert limits.take(21.0, 6, 6, 100, 10) == QUOTA

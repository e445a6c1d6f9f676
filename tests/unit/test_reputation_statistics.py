"""What the rule does to good and bad tenants, by chance: independent outcomes from fixed seeds.

The figures are of simulations with three to four thousand runs; here fewer run, so the bounds are wider.
"""

from __future__ import annotations

import math
import random
import statistics
from typing import NamedTuple

import pytest

from core.reputation import Stream, rule_of
from core.reputation.maturity import SIGMA, share_come

RULE = rule_of()


class Step(NamedTuple):
    campaign_id: int
    domain: str
    outcomes: int
    permanent_bounces: int
    delivered: int
    complaints: int


def bounce_stream(
    dice: random.Random, rate: float, messages: int, stream: Stream, campaign_id: int = 1
) -> int:
    """Send so many; returns after how many the tenant was paused, 0 when it was not."""
    sent = 0
    while True:
        good = min(_gap(dice, rate), messages - sent)
        stream.pass_good(good, campaign_id, 0)
        sent += good + 1
        if sent > messages:
            return 0
        stream.feed(Step(campaign_id, f"example{dice.randrange(50)}.com", 1, 1, 0, 0), 0)
        if stream.pause:
            return sent


def complaint_stream(
    dice: random.Random, rate: float, messages: int, stream: Stream, campaign_id: int = 1
) -> int:
    """The same with complaints that come at once."""
    sent = 0
    while True:
        good = min(_gap(dice, rate), messages - sent)
        for part in _parts(good, 1_000):
            stream.pass_good(part, campaign_id, stream.delivered // 1_000)
        sent += good + 1
        if sent > messages:
            return 0
        stream.feed(Step(campaign_id, "example.com", 1, 0, 1, 1), stream.delivered // 1_000)
        if stream.pause:
            return sent


def _gap(dice: random.Random, rate: float) -> int:
    """Good messages before the next bad one."""
    return int(math.log(1 - dice.random()) / math.log(1 - rate))


def _parts(number: int, size: int) -> list[int]:
    return [size] * (number // size) + ([number % size] if number % size else [])


def pauses(send: object, rate: float, messages: int, runs: int, seed: int = 20261122) -> list[int]:
    dice = random.Random(seed)
    return [send(dice, rate, messages, Stream(RULE)) for _ in range(runs)]  # type: ignore[operator]


def share(stops: list[int]) -> float:
    return sum(map(bool, stops)) / len(stops)


def median(stops: list[int]) -> float:
    return statistics.median(stop for stop in stops if stop)


def test_a_tenant_at_two_percent_is_not_paused_over_a_hundred_thousand_messages() -> None:
    assert pauses(bounce_stream, 0.02, 100_000, 200).count(0) == 200


@pytest.mark.parametrize(
    ("rate", "messages", "runs", "least", "most"),
    [
        (0.02, 100, 3_000, 0.0, 0.004),
        (0.02, 1_000, 1_000, 0.0, 0.004),
        (0.04, 1_000, 1_000, 0.0, 0.025),
        (0.04, 10_000, 300, 0.005, 0.06),
        (0.05, 1_000, 1_000, 0.025, 0.075),
        (0.05, 10_000, 200, 0.1, 0.3),
        (0.08, 100, 1_000, 0.16, 0.26),
        (0.08, 1_000, 400, 0.69, 0.84),
        (0.1, 100, 1_000, 0.37, 0.49),
        (0.1, 1_000, 400, 0.97, 1.0),
        (0.12, 100, 1_000, 0.61, 0.73),
        (0.2, 100, 1_000, 0.98, 1.0),
    ],
)
def test_how_many_are_paused_for_bounces(
    rate: float, messages: int, runs: int, least: float, most: float
) -> None:
    assert least <= share(pauses(bounce_stream, rate, messages, runs)) <= most


@pytest.mark.parametrize(
    ("rate", "messages", "runs", "soonest", "latest"),
    [
        (0.08, 10_000, 200, 330, 550),
        (0.1, 1_000, 400, 95, 150),
        (0.2, 1_000, 400, 20, 28),
        (0.4, 100, 400, 10, 13),
    ],
)
def test_after_how_many_messages_they_are_paused_for_bounces(
    rate: float, messages: int, runs: int, soonest: int, latest: int
) -> None:
    assert soonest <= median(pauses(bounce_stream, rate, messages, runs)) <= latest


@pytest.mark.parametrize(("rate", "most"), [(0.2, 60), (0.12, 120)])
def test_a_bad_campaign_after_fifty_thousand_good_messages_is_stopped_early(rate: float, most: int) -> None:
    dice = random.Random(7)
    out = []
    for _ in range(101):
        stream = Stream(RULE)
        bounce_stream(dice, 0.01, 50_000, stream)
        assert stream.pause is None
        out.append(bounce_stream(dice, rate, 20_000, stream, campaign_id=2))
    assert 0 < statistics.median(out) <= most


@pytest.mark.parametrize(
    ("rate", "messages", "runs", "least", "most"),
    [
        (0.0005, 100_000, 200, 0.0, 0.02),
        (0.001, 1_000, 1_000, 0.0, 0.02),
        (0.001, 100_000, 200, 0.0, 0.07),
        (0.002, 10_000, 300, 0.14, 0.3),
        (0.003, 1_000, 500, 0.2, 0.34),
        (0.003, 10_000, 200, 0.65, 0.85),
        (0.005, 1_000, 500, 0.54, 0.7),
        (0.01, 1_000, 500, 0.95, 1.0),
        (0.03, 100, 1_000, 0.3, 0.42),
    ],
)
def test_how_many_are_paused_for_complaints(
    rate: float, messages: int, runs: int, least: float, most: float
) -> None:
    assert least <= share(pauses(complaint_stream, rate, messages, runs)) <= most


def test_complaints_about_a_bad_campaign_stop_it_early() -> None:
    dice = random.Random(11)
    out = []
    for _ in range(101):
        stream = Stream(RULE)
        assert not complaint_stream(dice, 0.0003, 50_000, stream)
        out.append(complaint_stream(dice, 0.01, 20_000, stream, campaign_id=2))
    assert 250 <= statistics.median(out) <= 480


@pytest.mark.parametrize(
    ("rate", "median_hours", "least", "most"),
    [(0.01, 1.0, 8_000, 15_000), (0.01, 6.0, 26_000, 42_000), (0.001, 1.0, 0, 0), (0.001, 6.0, 0, 0)],
)
def test_complaints_that_come_hours_later_stop_the_campaign_in_time(
    rate: float, median_hours: float, least: int, most: int
) -> None:
    """100,000 messages at 14 a second; the median of how many were out at the pause."""
    dice = random.Random(5)
    assert least <= statistics.median(_slow_feedback(dice, rate, median_hours) for _ in range(15)) <= most


def _slow_feedback(dice: random.Random, rate: float, median_hours: float) -> int:
    """0: never paused, neither while it is sent nor in the day after."""
    sent_each_hour = 14 * 3600
    complaints = sorted(
        (at + dice.lognormvariate(math.log(median_hours), SIGMA), int(at))
        for at in (n / sent_each_hour for n in range(100_000))
        if dice.random() < rate
    )
    for position, (at, hour) in enumerate(complaints):
        if at > 26:
            break
        stream = _as_of(at, median_hours, sent_each_hour, complaints[:position])
        stream.feed(Step(1, "example.com", 0, 0, 0, 1), hour)
        if stream.pause:
            return min(100_000, int(at * sent_each_hour))
    return 0


def _as_of(at: float, median_hours: float, sent_each_hour: int, before: list[tuple[float, int]]) -> Stream:
    """The stream as a block at that hour reads it."""
    stream = Stream(
        RULE,
        weight=lambda hour: share_come((at - hour) / 2 if at < hour + 1 else at - hour - 0.5, median_hours),
    )
    for hour in range(int(at) + 1):
        out = min(100_000, int(at * sent_each_hour), (hour + 1) * sent_each_hour) - hour * sent_each_hour
        if out > 0:
            stream.pass_good(out, 1, hour)
    stream.campaigns[1].complaints = len(before)
    for _, hour in before:
        stream.hours[hour].complaints += 1
    return stream

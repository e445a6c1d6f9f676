"""The rule that pauses a tenant: little evidence pauses nobody, a bad list is stopped early."""

from __future__ import annotations

import random

import pytest

from core.reputation import Evidence, Signal, limits, over_limit, wilson_lower_bound


# The table an operator can read: pause at so many bounces in at most so many messages.
@pytest.mark.parametrize(("bad", "at_most"), [(5, 28), (6, 37), (8, 57), (10, 79), (12, 103), (15, 140)])
def test_bounces_pause_as_the_table_of_the_rule_says(bad: int, at_most: int) -> None:
    assert over_limit(bad, at_most, Signal.BOUNCE)
    assert not over_limit(bad, at_most + 1, Signal.BOUNCE)


def test_four_bounces_pause_nobody_however_few_messages_there_were() -> None:
    assert not over_limit(4, 4, Signal.BOUNCE)
    assert over_limit(5, 5, Signal.BOUNCE)


def test_from_nineteen_bounces_on_the_rate_alone_decides() -> None:
    assert over_limit(19, 190, Signal.BOUNCE)
    assert not over_limit(19, 191, Signal.BOUNCE)
    assert over_limit(1_000, 10_000, Signal.BOUNCE)


def test_three_complaints_pause_nobody_and_four_in_eight_hundred_do() -> None:
    assert not over_limit(3, 10, Signal.COMPLAINT)
    assert over_limit(4, 800, Signal.COMPLAINT)
    assert not over_limit(4, 801, Signal.COMPLAINT)


def test_who_complained_has_been_delivered_to() -> None:
    evidence = Evidence("campaign", permanent_bounces=0, complaints=4, delivered=1, transient_bounces=0)
    assert evidence.of(Signal.COMPLAINT) == (4, 4)


@pytest.mark.parametrize("signal", list(Signal))
def test_nothing_at_all_pauses_nobody(signal: Signal) -> None:
    assert not over_limit(0, 0, signal)
    assert not over_limit(0, 1_000_000, signal)


def test_the_lower_bound_is_wilsons() -> None:
    assert wilson_lower_bound(0, 0) == 0.0
    assert wilson_lower_bound(0, 100) == 0.0
    assert wilson_lower_bound(10, 100, z=1.645) == pytest.approx(0.0607, abs=0.0005)
    assert wilson_lower_bound(100, 100) == pytest.approx(0.9128, abs=0.0005)


def test_we_pause_no_later_than_aws_may() -> None:
    for limit in limits().values():
        assert limit.aws_review < limit.aws_pause
        assert limit.pause <= limit.aws_pause


def test_a_list_at_two_percent_is_never_paused_and_one_at_twenty_soon_is() -> None:
    dice = random.Random(20261122)
    assert _paused_after(dice, rate=0.02, messages=100_000) is None
    stops = sorted(_paused_after(dice, rate=0.2, messages=1_000) or 1_000 for _ in range(200))
    assert stops[100] <= 60


def _paused_after(dice: random.Random, rate: float, messages: int) -> int | None:
    bad = 0
    for outcomes in range(1, messages + 1):
        if dice.random() < rate:
            bad += 1
            if over_limit(bad, outcomes, Signal.BOUNCE):
                return outcomes
    return None

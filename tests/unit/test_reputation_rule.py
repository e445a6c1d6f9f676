"""The rule that pauses a tenant: how little evidence is enough, and what lower levels change."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from core.reputation import Evidence, Signal, limits, rule_of, wilson_lower_bound
from core.reputation.rule import PAUSE, WARN

BOUNCES, COMPLAINTS = PAUSE[Signal.BOUNCE], PAUSE[Signal.COMPLAINT]


@dataclass(frozen=True)
class Levels:
    """A tenant's own."""

    warn_bounce_rate: float | None = None
    pause_bounce_rate: float | None = None
    warn_complaint_rate: float | None = None
    pause_complaint_rate: float | None = None


# The table an operator can read: pause at so many bounces in at most so many messages.
@pytest.mark.parametrize(("bad", "at_most"), [(5, 28), (6, 37), (8, 57), (10, 79), (12, 103), (15, 140)])
def test_bounces_pause_as_the_table_of_the_rule_says(bad: int, at_most: int) -> None:
    assert BOUNCES.is_reached(bad, at_most)
    assert not BOUNCES.is_reached(bad, at_most + 1)


def test_four_bounces_pause_nobody_however_few_messages_there_were() -> None:
    assert not BOUNCES.is_reached(4, 4)
    assert BOUNCES.is_reached(5, 5)


def test_from_nineteen_bounces_on_the_rate_alone_decides() -> None:
    assert BOUNCES.is_reached(19, 190)
    assert not BOUNCES.is_reached(19, 191)
    assert BOUNCES.is_reached(1_000, 10_000)


def test_three_complaints_pause_nobody_and_four_in_eight_hundred_do() -> None:
    assert not COMPLAINTS.is_reached(3, 10)
    assert COMPLAINTS.is_reached(4, 800)
    assert not COMPLAINTS.is_reached(4, 801)


@pytest.mark.parametrize("bad", range(4, 400, 7))
def test_the_lower_bound_of_complaints_follows_from_their_rate(bad: int) -> None:
    assert COMPLAINTS.is_reached(bad, bad / COMPLAINTS.rate)


def test_on_probation_three_are_enough() -> None:
    rule = rule_of()
    assert rule.pause_on_probation[Signal.BOUNCE].is_reached(3, 12)
    assert not rule.pause_on_probation[Signal.BOUNCE].is_reached(3, 14)
    assert rule.pause_on_probation[Signal.COMPLAINT].is_reached(3, 600)
    assert not rule.pause_on_probation[Signal.COMPLAINT].is_reached(2, 20)


@pytest.mark.parametrize(("signal", "bad", "among"), [(Signal.BOUNCE, 4, 60), (Signal.COMPLAINT, 2, 1_000)])
def test_a_warning_comes_before_the_pause(signal: Signal, bad: int, among: int) -> None:
    assert WARN[signal].is_reached(bad, among)
    assert not PAUSE[signal].is_reached(bad, among)


@pytest.mark.parametrize("among", [2, 20, 100, 199, 200])
def test_a_person_looks_at_two_complaints_about_a_small_tenant(among: int) -> None:
    assert WARN[Signal.COMPLAINT].is_reached(2, among)
    assert not WARN[Signal.COMPLAINT].is_reached(1, among)


@pytest.mark.parametrize("signal", list(Signal))
def test_nothing_at_all_reaches_no_level(signal: Signal) -> None:
    for level in (WARN[signal], PAUSE[signal]):
        assert not level.is_reached(0, 0)
        assert not level.is_reached(0, 1_000_000)


def test_the_lower_bound_is_wilsons() -> None:
    assert wilson_lower_bound(0, 0) == 0.0
    assert wilson_lower_bound(0, 100) == 0.0
    assert wilson_lower_bound(10, 100, z=1.645) == pytest.approx(0.0607, abs=0.0005)
    assert wilson_lower_bound(100, 100) == pytest.approx(0.9128, abs=0.0005)


def test_we_warn_before_we_pause_and_pause_no_later_than_aws_may() -> None:
    for limit in limits().values():
        assert limit.aws_review < limit.aws_pause
        assert limit.warn < limit.pause <= limit.aws_pause


def test_a_tenants_own_levels_only_lower_ours() -> None:
    assert limits(Levels()) == limits()
    assert limits(Levels(warn_bounce_rate=0.5, pause_bounce_rate=0.9)) == limits()
    lower = limits(Levels(warn_bounce_rate=0.03, pause_bounce_rate=0.06, pause_complaint_rate=0.003))
    assert (lower[Signal.BOUNCE].warn, lower[Signal.BOUNCE].pause) == (0.03, 0.06)
    assert lower[Signal.COMPLAINT].pause == 0.003
    assert lower[Signal.COMPLAINT].warn == limits()[Signal.COMPLAINT].warn


def test_who_is_paused_at_a_lower_rate_is_warned_at_that_at_the_latest() -> None:
    assert limits(Levels(pause_bounce_rate=0.02))[Signal.BOUNCE].warn == 0.02


def test_a_lower_level_needs_less_evidence_of_its_rate_and_no_fewer_messages() -> None:
    strict = rule_of(Levels(pause_bounce_rate=0.05)).pause[Signal.BOUNCE]
    assert strict.is_reached(20, 400)
    assert not strict.is_reached(20, 401)
    assert not strict.is_reached(4, 4)
    assert strict.is_reached(5, 50)
    assert not BOUNCES.is_reached(5, 50)


def test_who_complained_has_been_delivered_to() -> None:
    evidence = Evidence("campaign", permanent_bounces=0, complaints=4, delivered=1, transient_bounces=0)
    assert evidence.of(Signal.COMPLAINT) == (4, 4)

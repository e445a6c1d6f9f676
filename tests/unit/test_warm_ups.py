"""Warm-ups without a database: the plan's figures, and what a day's outcomes lead to."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InputError
from core.reputation import Evidence
from core.warm_ups import ADVISED, Plan
from core.warm_ups.decisions import Day, Move, decide

DAY = date(2026, 11, 23)
plans = st.builds(
    lambda first, more, days: Plan(first, first + more, days),
    st.integers(1, 100_000),
    st.integers(1, 10_000_000),
    st.integers(2, 90),
)


def day(
    *, used: int = 1000, allowance: int = 1000, bounces: int = 0, complaints: int = 0,
    known: int | None = None, silent_days: int = 0, is_final: bool = True,
) -> Day:  # fmt: skip
    outcomes = used if known is None else known
    evidence = Evidence("a day", bounces, complaints, outcomes - bounces, 0)
    return Day(DAY, allowance, used, silent_days, evidence, is_final)


def move(**facts: int | bool | None) -> Move | None:
    decision = decide(day(**facts))  # type: ignore[arg-type]
    return None if decision is None else decision.move


@given(plans)
def test_a_plan_starts_at_its_first_day_ends_at_its_last_and_never_falls(plan: Plan) -> None:
    allowances = plan.allowances()
    assert len(allowances) == plan.days
    assert (allowances[0], allowances[-1]) == (plan.first_day, plan.last_day)
    assert allowances == sorted(allowances)
    assert plan.allowance(plan.days) is None


@given(plans)
def test_each_day_allows_the_same_multiple_of_the_day_before(plan: Plan) -> None:
    exact = [plan.first_day * plan.growth**step for step in range(plan.days)]
    for allowed, ideal in zip(plan.allowances(), exact, strict=True):
        assert abs(allowed - ideal) <= 0.5 + ideal * 1e-9


@given(plans)
def test_what_a_refused_plan_is_told_to_take_is_accepted(plan: Plan) -> None:
    try:
        plan.check()
    except InputError as e:
        if "Take " not in str(e):
            raise
        days = int(str(e).split("Take ")[1].split()[0])
        replace(plan, days=days).check()
        with pytest.raises(InputError):
            replace(plan, days=days - 1).check()


def test_the_plan_that_is_advised_is_the_usual_one() -> None:
    ADVISED.check()
    assert ADVISED.allowances() == [
        50, 85, 145, 246, 419, 713, 1212, 2062, 3509, 5969, 10155, 17276, 29390, 50000,
    ]  # fmt: skip
    assert ADVISED.warning == ""
    assert ADVISED.summary == "50 to 50,000 recipients a day in 14 days, each day 1.70 times the day before"


@pytest.mark.parametrize(
    ("plan", "field"),
    [
        (Plan(0, 50_000, 14), "first_day"),
        (Plan(-5, 50_000, 14), "first_day"),
        (Plan(50, 50, 14), "last_day"),
        (Plan(50, 10**12, 60), "last_day"),
        (Plan(50, 50_000, 1), "days"),
        (Plan(50, 50_000, 91), "days"),
        (Plan(50, 50_000, 7), "days"),
    ],
)
def test_a_plan_with_bad_figures_names_the_field(plan: Plan, field: str) -> None:
    with pytest.raises(InputError) as caught:
        plan.check()
    assert caught.value.field == field


def test_a_plan_that_grows_fast_is_warned_of_and_one_that_leaps_is_refused() -> None:
    fast, leap = Plan(50, 50_000, 9), Plan(50, 50_000, 7)
    fast.check()
    assert "2.4-fold each day" in fast.warning
    assert "11 days are safer" in fast.warning
    with pytest.raises(InputError, match=r"3\.2-fold each day.*Take 8 days or more; 11 are better"):
        leap.check()


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, Move.PROMOTE),
        ({"used": 500}, Move.PROMOTE),
        ({"used": 499}, Move.KEEP),
        ({"bounces": 19}, Move.PROMOTE),
        ({"bounces": 20}, Move.KEEP),
        ({"bounces": 49}, Move.KEEP),
        ({"bounces": 50}, Move.DEMOTE),
        ({"complaints": 1}, Move.KEEP),
        ({"used": 2000, "allowance": 2000, "complaints": 1}, Move.PROMOTE),
        ({"complaints": 2}, Move.KEEP),
        ({"complaints": 3}, Move.DEMOTE),
        ({"used": 10, "bounces": 5}, Move.DEMOTE),
    ],
)
def test_outcomes_decide(facts: dict[str, int], expected: Move) -> None:
    assert move(**facts) == expected


def test_one_bad_message_among_few_takes_nobody_back() -> None:
    assert move(used=10, allowance=10, bounces=1) == Move.KEEP
    assert move(used=10, allowance=10, complaints=1) == Move.KEEP


def test_outcomes_are_waited_for_and_then_judged_as_they_are() -> None:
    assert move(known=899, is_final=False) is None
    assert move(known=900, is_final=False) == Move.PROMOTE
    assert move(known=899) == Move.KEEP
    assert move(known=0) == Move.KEEP
    assert move(known=500, bounces=100, is_final=False) is None
    assert move(known=500, bounces=100) == Move.DEMOTE


def test_silence_promotes_nobody_and_costs_a_step_a_week() -> None:
    moves = {days: move(used=0, silent_days=days) for days in range(1, 22)}
    assert {days for days, made in moves.items() if made == Move.DEMOTE} == {7, 14, 21}
    assert set(moves.values()) == {Move.KEEP, Move.DEMOTE}


def test_a_note_has_the_figures() -> None:
    assert day(used=980, bounces=4, complaints=1).figures == (
        "23 Nov: 980 of 1,000 recipients; bounce rate 0.41 % (4 of 980), complaint rate 0.10 % (1 of 976)."
    )
    assert day(used=0).figures == "23 Nov: nothing was sent."

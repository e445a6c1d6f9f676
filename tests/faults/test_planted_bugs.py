"""Planted bugs: each is found by the schedules that the product passes."""

from __future__ import annotations

import pytest

from tests.faults.mutants import MUTANTS
from tests.faults.replay import replay
from tests.faults.simulation.play import without_collecting
from tests.faults.simulation.stage import Stage

MOST_SEEDS = 400


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTANTS)
def test_each_planted_bug_is_caught(stage: Stage, name: str) -> None:
    with without_collecting():
        seed = first_that_tells(stage, name)
        again = replay(stage, seed, name)
        unharmed = replay(stage, seed, None, ambush=MUTANTS[name].ambush)
    assert again.broken is not None
    assert again.broken.invariant in MUTANTS[name].breaks, "the same seed tells the same"
    assert unharmed.broken is None, unharmed.story


def first_that_tells(stage: Stage, name: str) -> int:
    others = []
    for seed in range(MOST_SEEDS):
        broken = replay(stage, seed, name).broken
        if broken is not None and broken.invariant in MUTANTS[name].breaks:
            return seed
        if broken is not None:
            others.append((seed, broken.invariant))
    pytest.fail(f"{MOST_SEEDS} schedules do not break {set(MUTANTS[name].breaks)}, but {others}")

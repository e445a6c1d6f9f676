"""A thousand schedules of crashes, lost answers, wrong clocks and busy people: nobody is written to twice,
nobody is lost, nobody who must not be is written to at all.

One that fails prints its seed and its story; `python -m tests.faults.replay SEED` tells it again.
"""

from __future__ import annotations

import re

import pytest

from tests.faults.simulation.play import Played, play, without_collecting
from tests.faults.simulation.stage import Stage

SCHEDULES = 1_000
AT_ONCE = 50
ON_POSTGRESQL = 20
LINES_SHOWN = 150


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SCHEDULES, AT_ONCE))
def test_a_thousand_schedules_of_faults_keep_what_is_promised(stage: Stage, first: int) -> None:
    with without_collecting():
        for seed in range(first, first + AT_ONCE):
            assert_keeps(play(stage, seed))


@pytest.mark.slow
@pytest.mark.postgresql
def test_some_of_them_on_postgresql_too(postgres_stage: Stage) -> None:
    with without_collecting():
        for seed in range(ON_POSTGRESQL):
            assert_keeps(play(postgres_stage, seed))


def test_a_seed_is_one_history(stage: Stage) -> None:
    assert told(play(stage, 3)) == told(play(stage, 3))


def assert_keeps(played: Played) -> None:
    if played.broken is None:
        return
    story = played.story.splitlines()
    pytest.fail("\n".join([*story[:1], *story[1:][-LINES_SHOWN:]]), pytrace=False)


def told(played: Played) -> list[tuple[float, str, str]]:
    """Without what is random: the names of attempts."""
    return [(at, who, re.sub(r"\b[0-9a-f]{16}\b", "attempt", what)) for at, who, what in played.trace]

"""Everything: from a CSV file to the last event, with simulator, scheduler and command line."""

from __future__ import annotations

from collections.abc import Iterator

from bench import whole_loop as loop
from bench.cases.setting import Setting
from bench.table import Row


def whole_loop(setting: Setting) -> Iterator[Row]:
    """At most three rounds: each takes most of a minute, and has been far from its target ever since."""
    trips = [loop.round_trip(setting.place) for _ in range(min(setting.rounds, 3))]
    needed = loop.RECIPIENTS / loop.RATE
    seconds = sorted(trip.seconds for trip in trips)
    yield Row(
        case="whole_loop",
        ours=f"{seconds[len(seconds) // 2]:.1f} s",
        ceiling=f"{needed:.1f} s",
        ratios=tuple(trip.seconds / needed for trip in trips),
        target=loop.TARGET,
        at_most=True,
    )
    yield Row(
        case="whole_loop worst second",
        ours=f"{max(trip.most_in_a_second for trip in trips):,}",
        ceiling=f"{loop.RATE:,}",
        ratios=tuple(trip.most_in_a_second / loop.RATE for trip in trips),
        target=1.0,
        at_most=True,
        every_round=True,
    )

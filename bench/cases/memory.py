"""Memory: a campaign a hundred times as large takes no more of it."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator

from bench import fill
from bench.cases.setting import Setting
from bench.children import Done, Run, measured
from bench.table import Row

UNLIMITED = 1_000_000.0
FEW, MANY = 10_000, 1_000_000
CUT_AFTER = 150_000
LOOK_EVERY_SECONDS = 0.5
DEADLINE_SECONDS = 900


def flat_memory(setting: Setting) -> Iterator[Row]:
    """One round: memory does not vary as speed does. The raw ceiling is the small campaign."""
    small = _sent(setting, FEW, None)
    enough = functools.partial(_wait_for, setting, CUT_AFTER) if setting.quick else None
    large = _sent(setting, MANY, enough)
    yield Row(
        case="flat_memory",
        ours=f"{large.peak_kb / 1024:.0f} MB",
        ceiling=f"{small.peak_kb / 1024:.0f} MB",
        ratios=(large.peak_kb / small.peak_kb,),
        target=1.2,
        at_most=True,
        note=f"{large.done:,} of {MANY:,} sent / {FEW:,}" + (", cut short" if setting.quick else ""),
    )


def _sent(setting: Setting, recipients: int, watch: Callable[[], None] | None) -> Done:
    name = f"memory_{recipients}"
    setting.place.prepare(name, functools.partial(fill.fill, filling=fill.Filling(UNLIMITED, (recipients,))))
    try:
        with setting.place.copied(name) as url:
            run = Run("pipeline", url, deadline_seconds=DEADLINE_SECONDS)
            return measured(setting.endpoint, run, watch)
    finally:
        setting.place.drop(name)


def _wait_for(setting: Setting, accepted: int) -> None:
    given_up_at = time.monotonic() + DEADLINE_SECONDS
    while setting.endpoint.stats()["accepted"] < accepted and time.monotonic() < given_up_at:
        time.sleep(LOOK_EVERY_SECONDS)

"""Memory: a campaign a hundred times as large takes no more of it."""

from __future__ import annotations

from collections.abc import Iterator

from bench import fill
from bench.cases.setting import Setting
from bench.children import Done, Run, measured
from bench.table import Row

UNLIMITED = 1_000_000.0
FEW, MANY = 10_000, 1_000_000
CUT_AFTER = 150_000
DEADLINE_SECONDS = 900


def flat_memory(setting: Setting) -> Iterator[Row]:
    """One round: memory does not vary as speed does. The raw ceiling is the small campaign."""
    small = _sent(setting, FEW, FEW)
    large = _sent(setting, MANY, CUT_AFTER if setting.quick else MANY)
    yield Row(
        case="flat_memory",
        ours=f"{large.peak_kb / 1024:.0f} MB",
        ceiling=f"{small.peak_kb / 1024:.0f} MB",
        ratios=(large.peak_kb / small.peak_kb,),
        target=1.2,
        at_most=True,
        note=f"{large.done:,} of {MANY:,} sent / {FEW:,}" + (", cut short" if setting.quick else ""),
    )


def _sent(setting: Setting, recipients: int, cut_after: int) -> Done:
    filling = fill.Filling(UNLIMITED, (recipients,))
    with fill.prepared(setting.place, f"memory_{recipients}", filling) as url:
        run = Run("pipeline", url, deadline_seconds=DEADLINE_SECONDS)
        if cut_after == recipients:
            return measured(setting.endpoint, run)
        return measured(setting.endpoint, run, lambda: setting.endpoint.stats()["accepted"] >= cut_after)

"""Speed: the whole pipeline against the same client without a database, and against others' shapes."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from bench import fill, table
from bench.cases.setting import Setting
from bench.children import Done, Run, measured
from bench.stub import Options
from bench.table import Row

RECIPIENTS = 15_000
FEW = 2_000  # for those who send one by one
WARM_UP = 50
UNLIMITED = 1_000_000.0
NODE_CONCURRENCY = 14
IN_FLIGHT = 16
TEMPLATE = "speed"
FILLING = fill.Filling(UNLIMITED, (RECIPIENTS,), warm_up=WARM_UP)
AT_ONCE = Options()


def send_ceiling(setting: Setting) -> Iterator[Row]:
    """One SendBulkEmail after the other is the fastest at 0 ms: threads only cost there."""
    with fill.prepared(setting.place, TEMPLATE, FILLING):
        yield _against_raw(setting, "0 ms", AT_ONCE, 1, 0.75 if setting.is_sqlite else 0.45)
        if not setting.profile:
            late = Options(latency_ms=50)
            yield _against_raw(setting, "50 ms", late, IN_FLIGHT, 0.95 if setting.is_sqlite else 0.80)


def vs_small_app(setting: Setting) -> Iterator[Row]:
    with fill.prepared(setting.place, TEMPLATE, FILLING):
        ours, theirs = _interleaved(
            setting, AT_ONCE, lambda: _on_copy(setting, "small_app", {"recipients": FEW})
        )
        yield _row("vs_small_app", ours, theirs, 20)


def vs_node_shape(setting: Setting) -> Iterator[Row]:
    options = {"recipients": FEW, "threads": NODE_CONCURRENCY}
    with fill.prepared(setting.place, TEMPLATE, FILLING):
        ours, theirs = _interleaved(setting, AT_ONCE, lambda: _on_copy(setting, "one_each", options))
        yield _row("vs_node_shape", ours, theirs, 12 if setting.is_sqlite else 8)


def _against_raw(setting: Setting, latency: str, stub: Options, threads: int, target: float) -> Row:
    options = {"recipients": RECIPIENTS, "threads": threads}
    ours, raw = _interleaved(setting, stub, lambda: _on_copy(setting, "raw", options, stub))
    sizes = [done.stub["received_bytes"] / done.stub["calls"] / 1000 for done in (ours[0], raw[0])]
    share = statistics.median(done.stub_share for done in ours)
    note = f"calls of {sizes[0]:.1f} and {sizes[1]:.1f} kB, stub at {share:.0%} of a CPU"
    return _row(f"send_ceiling {latency}", ours, raw, target, note)


def _interleaved(setting: Setting, stub: Options, other: Callable[[], Done]) -> tuple[list[Done], list[Done]]:
    """The other, ours, the other, ours: what the machine does meanwhile meets both."""
    ours, others = [], []
    for _ in range(setting.rounds):
        others.append(other())
        done = _on_copy(setting, "pipeline", {"warm": True, "profile": setting.profile}, stub)
        if done.stub["accepted"] != RECIPIENTS:
            raise SystemExit(f"the stub accepted {done.stub['accepted']} of {RECIPIENTS} recipients")
        ours.append(done)
    return ours, others


def _on_copy(setting: Setting, shape: str, options: Mapping[str, Any], stub: Options = AT_ONCE) -> Done:
    with setting.place.copied(TEMPLATE) as url:
        return measured(setting.endpoint, Run(shape, url, stub, options))


def _row(case: str, ours: list[Done], others: list[Done], target: float, note: str = "") -> Row:
    return Row(
        case=case,
        ours=table.per_second([done.per_second for done in ours]),
        ceiling=table.per_second([done.per_second for done in others]),
        ratios=tuple(a.per_second / b.per_second for a, b in zip(ours, others, strict=True)),
        target=target,
        note=note,
    )

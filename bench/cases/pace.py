"""Pace: whether a rate is used to the full and never exceeded, and who gets it when many wait."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from bench import endpoint, fill
from bench.cases.setting import Setting
from bench.children import Run, measured
from bench.endpoint import Endpoint
from bench.stub import Options
from bench.table import Row
from core.db.engine import Database
from core.db.models import Message
from core.db.states import MessageStatus

LATENCY_MS = 50
THROTTLED = 30  # per mille
SLOW, RATES = 14, (14, 200, 2000)
SECONDS = {14: 60, 200: 20, 2000: 20}
LARGE, SMALL, SMALL_TENANTS, SHARED_RATE = 50_000, 200, 9, 200


@dataclass(frozen=True, slots=True)
class Kept:
    """How one run kept its rate."""

    used: float  # accepted / what the rate allowed from the first to the last acceptance
    worst_second: float  # of the rate
    astray: int  # recipients that SES never accepted, or twice, or whose row says otherwise
    stub: dict[str, Any]


def quota_fidelity(setting: Setting) -> Iterator[Row]:
    """The slowest rate, which needs next to no CPU, is measured while the others are."""
    rounds: dict[int, list[Kept]] = {rate: [] for rate in RATES}
    with ExitStack() as stack:
        for rate in RATES:
            filling = fill.Filling(rate, (rate * SECONDS[rate],))
            stack.enter_context(fill.prepared(setting.place, f"rate_{rate}", filling))
        beside = stack.enter_context(endpoint.started())
        pool = stack.enter_context(ThreadPoolExecutor(1))
        for seed in range(setting.rounds):
            slow = pool.submit(_keep_rate, setting, beside, SLOW, seed)
            for rate in RATES[1:]:
                rounds[rate].append(_keep_rate(setting, setting.endpoint, rate, seed))
            rounds[SLOW].append(slow.result())
    for rate, kept in rounds.items():
        yield from _rows(rate, kept)


def tenant_fairness(setting: Setting) -> Iterator[Row]:
    """One large and nine small tenants; ends when the small ones have all been sent."""
    sizes = (LARGE, *[SMALL] * SMALL_TENANTS)
    fair_seconds = SMALL * len(sizes) / SHARED_RATE
    with fill.prepared(setting.place, "fairness", fill.Filling(SHARED_RATE, sizes)):
        finishes = [_finish_of_small(setting) for _ in range(setting.rounds)]
    yield Row(
        case="tenant_fairness p95",
        ours=f"{statistics.median(finishes):.1f} s",
        ceiling=f"{fair_seconds:.1f} s",
        ratios=tuple(finish / fair_seconds for finish in finishes),
        target=1.3,
        at_most=True,
        note=f"{setting.workers} worker(s)",
    )


def _keep_rate(setting: Setting, stub: Endpoint, rate: int, seed: int) -> Kept:
    recipients = rate * SECONDS[rate]
    options = Options(latency_ms=LATENCY_MS, throttled=THROTTLED, rate=rate, keep=True, seed=seed)
    with setting.place.copied(f"rate_{rate}") as url:
        run = Run("pipeline", url, options, processes=setting.workers, deadline_seconds=180)
        seen = measured(stub, run).stub
        written = _sent(url)
    seconds = seen["last_at"] - seen["first_at"]
    missing = recipients - seen["recipients"]
    return Kept(
        used=seen["accepted"] / (rate * seconds + call_size(rate)),
        worst_second=seen["worst_second_of_rate"],
        astray=missing + seen["repeated"] + abs(recipients - written),
        stub=seen,
    )


def _sent(url: str) -> int:
    db = Database(url)
    try:
        with db.read() as session:
            query = select(func.count()).where(Message.status == MessageStatus.SENT)
            return session.scalar(query) or 0
    finally:
        db.dispose()


def call_size(rate: float) -> int:
    """Recipients of one call at this rate: never a large part of a second, at most what SES takes."""
    return int(max(1, min(50, rate // 10)))


def _rows(rate: int, kept: list[Kept]) -> Iterator[Row]:
    throttled = sum(each.stub["throttled"] for each in kept)
    seconds = statistics.median(each.stub["last_at"] - each.stub["first_at"] for each in kept)
    accepted = statistics.median(each.stub["accepted"] for each in kept)
    yield Row(
        case=f"quota_fidelity {rate}/s used",
        ours=f"{accepted / seconds:,.1f}/s",
        ceiling=f"{rate:,}/s",
        ratios=tuple(each.used for each in kept),
        target=0.98,
        note=f"{throttled} entries throttled",
    )
    yield Row(
        case=f"quota_fidelity {rate}/s worst second",
        ours=f"{max(each.stub['worst_second'] for each in kept):,}",
        ceiling=f"{rate:,}",
        ratios=tuple(each.worst_second for each in kept),
        target=1 + call_size(rate) / rate + 1e-9,
        at_most=True,
        every_round=True,
    )
    yield Row(
        case=f"quota_fidelity {rate}/s lost or twice",
        ours=str(sum(each.astray for each in kept)),
        ceiling="0",
        ratios=tuple(float(each.astray) for each in kept),
        target=0,
        at_most=True,
        every_round=True,
    )


def _finish_of_small(setting: Setting) -> float:
    """Seconds from the first mail of anybody until nearly all (p95) of the small tenants are through."""
    stub = Options(latency_ms=LATENCY_MS, rate=SHARED_RATE)
    with setting.place.copied("fairness") as url:
        run = Run("pipeline", url, stub, processes=setting.workers, deadline_seconds=180)
        seen = measured(setting.endpoint, run, enough=lambda: _small_are_through(setting.endpoint)).stub
    finished = small_finishes(seen["tenants"])
    if len(finished) != SMALL_TENANTS:
        return math.inf
    return percentile(finished, 0.95) - float(seen["first_at"])


def _small_are_through(stub: Endpoint) -> bool:
    return len(small_finishes(stub.stats()["tenants"])) == SMALL_TENANTS


def small_finishes(shares: Mapping[str, Any]) -> list[float]:
    """When each small tenant got its last mail accepted, of those that are through. The large one, which is
    the first, passes the same number on its way."""
    small = (share for name, share in shares.items() if name != fill.slug(1))
    return sorted(share["last_at"] for share in small if share["accepted"] == SMALL)


def percentile(ascending: list[float], share: float) -> float:
    """By nearest rank."""
    return ascending[math.ceil(share * len(ascending)) - 1]

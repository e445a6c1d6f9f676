"""Rule: how much bad news warns, and how much pauses, before AWS would. Pure.

A bare rate pauses half of those who are well, and a large least sample is blind while a bad list goes out. So
a rate counts when little evidence of it cannot be chance (Wilson's lower bound), and a rate that is not high
enough for that counts when it lasts (CUSUM: the sum of log likelihood ratios, never below 0).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

# AWS's own (SES developer guide, reputation FAQ): review at the first, may pause at the second.
AWS_REVIEW_BOUNCE, AWS_PAUSE_BOUNCE = 0.05, 0.10
AWS_REVIEW_COMPLAINT, AWS_PAUSE_COMPLAINT = 0.001, 0.005
Z_90, Z_95, Z_99, Z_999 = 1.282, 1.645, 2.326, 3.090
PROBATION_EVIDENCE = 3  # bad messages that are enough to pause who was resumed lately
SIMULATOR_DOMAIN = "@simulator.amazonses.com"


class Signal(StrEnum):
    BOUNCE = "bounce"
    COMPLAINT = "complaint"


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one signal, as rates 0-1: where Postyard warns and pauses, and AWS's two."""

    warn: float
    pause: float
    aws_review: float
    aws_pause: float


@dataclass(frozen=True, slots=True)
class Level:
    """Reached by a rate of at least `rate` that is, at the confidence of `z`, above `lower_bound`, from
    `evidence` bad messages on."""

    rate: float
    z: float
    lower_bound: float
    evidence: int

    def is_reached(self, bad: int, among: float) -> bool:
        if bad < self.evidence or bad < self.rate * among:
            return False
        return wilson_lower_bound(bad, among, self.z) >= self.lower_bound

    def at(self, rate: float | None) -> Level:
        """The same at a lower rate; None and a higher one change nothing."""
        if rate is None or rate >= self.rate:
            return self
        return replace(self, rate=rate, lower_bound=self.lower_bound * rate / self.rate)


@dataclass(frozen=True, slots=True)
class Cusum:
    """What a good and a bad message add to the sum, where it alarms, and the rate it takes for good."""

    good: float
    bad: float
    alarm: float
    good_rate: float

    def after(self, total: float, good: float, bad: int = 0) -> float:
        """The sum after so many good messages, then so many bad ones."""
        return max(0.0, total + good * self.good) + bad * self.bad


@dataclass(frozen=True, slots=True)
class Rule:
    """One tenant's."""

    warn: Mapping[Signal, Level]
    pause: Mapping[Signal, Level]
    pause_on_probation: Mapping[Signal, Level]
    cusum: Mapping[Signal, Cusum]


WARN = {
    Signal.BOUNCE: Level(rate=0.05, z=Z_95, lower_bound=0.02, evidence=4),
    # With this, two complaints in the first two hundred deliveries of a small tenant warn, too.
    Signal.COMPLAINT: Level(rate=0.001, z=Z_90, lower_bound=0.0003, evidence=2),
}
PAUSE = {
    Signal.BOUNCE: Level(rate=0.10, z=Z_999, lower_bound=0.05, evidence=5),
    Signal.COMPLAINT: Level(rate=0.005, z=Z_99, lower_bound=0.001, evidence=4),
}
# Rates that are told apart, and the alarm.
_CUSUM = {Signal.BOUNCE: (0.05, 0.12, 7.0), Signal.COMPLAINT: (0.0015, 0.005, 6.0)}
_AWS = {
    Signal.BOUNCE: (AWS_REVIEW_BOUNCE, AWS_PAUSE_BOUNCE),
    Signal.COMPLAINT: (AWS_REVIEW_COMPLAINT, AWS_PAUSE_COMPLAINT),
}


def rule_of(tenant: Any = None) -> Rule:
    """By the tenant's own levels where they are lower than Postyard's; of nobody: Postyard's."""
    own = {signal: _own(tenant, signal) for signal in Signal}
    pause = {signal: PAUSE[signal].at(own[signal][1]) for signal in Signal}
    return Rule(
        # Whoever is to be paused is warned no later.
        warn={signal: WARN[signal].at(own[signal][0]).at(pause[signal].rate) for signal in Signal},
        pause=pause,
        pause_on_probation={s: replace(level, evidence=PROBATION_EVIDENCE) for s, level in pause.items()},
        cusum={signal: cusum_of(signal, pause[signal].rate) for signal in Signal},
    )


def limits(tenant: Any = None) -> dict[Signal, Limits]:
    """The rates of `rule_of`, with AWS's."""
    rule = rule_of(tenant)
    return {
        signal: Limits(rule.warn[signal].rate, rule.pause[signal].rate, *_AWS[signal]) for signal in Signal
    }


def cusum_of(signal: Signal, pause_rate: float) -> Cusum:
    """Rates told apart lower with the level at which the tenant is paused."""
    lower = pause_rate / PAUSE[signal].rate
    good, bad, alarm = _CUSUM[signal]
    good, bad = good * lower, bad * lower
    return Cusum(math.log((1 - bad) / (1 - good)), math.log(bad / good), alarm, good)


def wilson_lower_bound(bad: int, among: float, z: float = Z_999) -> float:
    """The rate that is exceeded with the confidence of `z` (one-sided)."""
    if among <= 0:
        return 0.0
    p = bad / among
    spread = z * math.sqrt(max(p * (1 - p), 0.0) / among + z * z / (4 * among * among))
    return max(0.0, (p + z * z / (2 * among) - spread) / (1 + z * z / among))


def _own(tenant: Any, signal: Signal) -> tuple[float | None, float | None]:
    if tenant is None:
        return None, None
    if signal is Signal.BOUNCE:
        return tenant.warn_bounce_rate, tenant.pause_bounce_rate
    return tenant.warn_complaint_rate, tenant.pause_complaint_rate

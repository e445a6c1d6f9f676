"""Plan: what one schedule is about and what goes wrong in it, all drawn from its seed."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True)
class Plan:
    """Probabilities are per occasion: a transaction, a call, an entry, an event."""

    seed: int
    # The installation.
    rate: float
    schedulers: int
    recipients: int  # about so many, of two tenants' campaigns
    campaigns: int
    slow_campaign: float  # its own rate per second, 0: none
    per_minute: float  # limit of each tenant, 0: none
    # The machine and the database.
    stalls: float
    cuts: float
    away: float
    answers_lost: float
    clock_steps: float
    # SES.
    calls_lost: float
    calls_failed: float
    calls_refused: float  # no connection, credentials, quota
    entries_throttled: float
    entries_refused: float
    entries_failed: float
    pauses_heard: float  # SES itself knows of a pause
    latency: float
    # Events.
    events_late: float  # seconds by which all of them are
    events_lost: float
    events_doubled: float
    events_hurried: float  # overtake the answer
    # A call that is armed and then hangs while its tenant is paused and the clock on the wall goes back.
    ambushes: float
    # People.
    acts: int
    meddling: float  # with a call that is just armed
    ends_of_72_hours: bool

    @property
    def explains_unknown(self) -> bool:
        """Whether anything here leaves a message unknown."""
        return any(
            (self.stalls, self.cuts, self.away, self.answers_lost, self.clock_steps, self.calls_lost)
        ) or any((self.calls_failed, self.entries_failed, self.ambushes))


def plan_of(seed: int, *, ambush: bool = False) -> Plan:
    """`ambush`: its targeted fault is certain."""
    draw = random.Random(seed)

    def sometimes(share: float, *values: float) -> float:
        return draw.choice(values) if draw.random() < share else 0.0

    return Plan(
        seed=seed,
        rate=draw.choices([5, 50, 100, 200, 500], [1, 3, 4, 4, 4])[0],
        schedulers=draw.choice([1, 2, 2]),
        recipients=draw.randint(6, 16),
        campaigns=2,
        slow_campaign=sometimes(0.06, 0.05, 0.2),
        per_minute=sometimes(0.18, 2, 3),
        stalls=sometimes(0.3, 0.02, 0.06),
        cuts=sometimes(0.4, 0.03, 0.08),
        away=sometimes(0.2, 0.02, 0.06),
        answers_lost=sometimes(0.3, 0.05, 0.15),
        clock_steps=sometimes(0.25, 0.02, 0.06),
        calls_lost=sometimes(0.5, 0.3, 0.6),
        calls_failed=sometimes(0.25, 0.2, 0.4),
        calls_refused=sometimes(0.2, 0.2),
        entries_throttled=sometimes(0.4, 0.2, 0.5),
        entries_refused=sometimes(0.2, 0.15),
        entries_failed=sometimes(0.2, 0.2),
        pauses_heard=draw.choice([0.0, 0.0, 0.0, 0.5, 1.0]),
        latency=draw.choice([0.05, 0.2, 1.0, 3.0]),
        events_late=sometimes(0.25, 60.0),
        events_lost=sometimes(0.4, 0.2, 0.5),
        events_doubled=sometimes(0.5, 0.2),
        events_hurried=sometimes(0.6, 0.2, 0.6),
        ambushes=1.0 if ambush else sometimes(0.05, 0.2),
        acts=draw.randint(0, 3),
        meddling=sometimes(0.6, 0.3, 0.6),
        ends_of_72_hours=draw.random() < 0.25,
    )

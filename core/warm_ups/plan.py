"""Plan: so many recipients on the first day, so many on the last, and the same growth every day between."""

from __future__ import annotations

import math
from dataclasses import dataclass

from core import tenants
from core.errors import InputError

FEWEST_DAYS, MOST_DAYS = 2, 90
LARGEST_DAY = 1_000_000_000
# Our own rules: published ladders double at most and end with half as much again each day. SES warms its
# dedicated IPs over 45 days; on shared ones only the domain is new.
GROWTH_ADVISED, GROWTH_ALLOWED = 2.0, 3.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Recipients on its first and its last day; after it no limit."""

    first_day: int
    last_day: int
    days: int

    def allowance(self, step: int) -> int | None:
        """Of day `step`, counted from 0; None after the last."""
        return tenants.allowance(self.first_day, self.last_day, self.days, step)

    def allowances(self) -> list[int]:
        return [self.allowance(step) or 0 for step in range(self.days)]

    @property
    def growth(self) -> float:
        """How many times the day before each day allows."""
        return float((self.last_day / self.first_day) ** (1 / (self.days - 1)))

    @property
    def summary(self) -> str:
        return (
            f"{self.first_day:,} to {self.last_day:,} recipients a day in {self.days} days, each day "
            f"{self.growth:.2f} times the day before"
        )

    @property
    def warning(self) -> str:
        """Empty: it grows at a pace that mailbox providers are used to."""
        if self.growth <= GROWTH_ADVISED:
            return ""
        return (
            f"It grows {self.growth:.1f}-fold each day, which mailbox providers know from senders of spam; "
            f"{self._days_for(GROWTH_ADVISED)} days are safer."
        )

    def check(self) -> None:
        """Raises InputError."""
        if not 1 <= self.first_day <= LARGEST_DAY:
            raise InputError(
                "The first day allows at least 1 recipient; 50 is a good start.", field="first_day"
            )
        if not self.first_day < self.last_day <= LARGEST_DAY:
            raise InputError(
                f"The last day must allow more than the first, which allows {self.first_day:,}, and "
                f"{LARGEST_DAY:,} at most.",
                field="last_day",
            )
        if not FEWEST_DAYS <= self.days <= MOST_DAYS:
            raise InputError(f"A warm-up takes {FEWEST_DAYS} to {MOST_DAYS} days; 14 is usual.", field="days")
        if self.growth > GROWTH_ALLOWED:
            raise InputError(
                f"It would grow {self.growth:.1f}-fold each day, and mailbox providers block what grows more "
                f"than {GROWTH_ALLOWED:g}-fold. Take {self._days_for(GROWTH_ALLOWED)} days or more; "
                f"{self._days_for(GROWTH_ADVISED)} are better.",
                field="days",
            )

    def _days_for(self, growth: float) -> int:
        """The fewest days in which it grows no faster than that."""
        return math.ceil(round(math.log(self.last_day / self.first_day, growth), 9)) + 1


ADVISED = Plan(50, 50_000, 14)

"""Counts: sums of the rollups, and the rates that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Row, func

from core.db.models import DailyCount

COLUMNS = (
    "sent",
    "delivered",
    "permanent_bounces",
    "transient_bounces",
    "complaints",
    "opened",
    "clicked",
    "opened_by_machine",
    "clicked_by_machine",
    "rejected",
)


@dataclass(frozen=True, slots=True)
class Counts:
    """Messages, each counted once under its outcome; rates are 0-1, None while there is nothing to divide by.

    `delivered` are those that did not come back later; `transient_bounces` those that were given up; `opened`
    and `clicked` those that a person did, so far as anybody can tell, `…_by_machine` those that only one did.
    """

    sent: int = 0
    delivered: int = 0
    permanent_bounces: int = 0
    transient_bounces: int = 0
    complaints: int = 0
    opened: int = 0
    clicked: int = 0
    opened_by_machine: int = 0
    clicked_by_machine: int = 0
    rejected: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in COLUMNS})

    def without(self, part: Counts) -> Counts:
        """The rest; never less than nothing, should the part have been read a moment later."""
        return Counts(**{name: max(0, getattr(self, name) - getattr(part, name)) for name in COLUMNS})

    @property
    def outcomes(self) -> int:
        return self.delivered + self.permanent_bounces + self.transient_bounces

    @property
    def bounced(self) -> int:
        return self.permanent_bounces + self.transient_bounces

    @property
    def bounce_rate(self) -> float | None:
        """Permanent bounces among messages with an outcome: what AWS judges."""
        return _rate(self.permanent_bounces, self.outcomes)

    @property
    def complaint_rate(self) -> float | None:
        return _rate(self.complaints, self.delivered)

    @property
    def open_rate(self) -> float | None:
        """People's, as the click rate."""
        return _rate(self.opened, self.delivered)

    @property
    def click_rate(self) -> float | None:
        return _rate(self.clicked, self.delivered)

    @property
    def machine_open_rate(self) -> float | None:
        """Of what no person is known to have opened."""
        return _rate(self.opened_by_machine, self.delivered)

    @property
    def machine_click_rate(self) -> float | None:
        return _rate(self.clicked_by_machine, self.delivered)


@dataclass(frozen=True, slots=True)
class DayRates:
    """Mail that was sent on one day of the tenant's time zone, whenever its outcome came."""

    day: date
    counts: Counts


def totals(table: Any = DailyCount) -> list[Any]:
    return [func.sum(getattr(table, name)).label(name) for name in COLUMNS]


def counts_of(row: Row[Any]) -> Counts:
    return Counts(**{name: int(getattr(row, name) or 0) for name in COLUMNS})


def every_day(found: dict[date, Counts], since: date, until: date) -> tuple[DayRates, ...]:
    """Both ends included; days without mail are zeros."""
    days = (since + timedelta(days=n) for n in range((until - since).days + 1))
    return tuple(DayRates(day=day, counts=found.get(day, Counts())) for day in days)


def _rate(part: int, whole: int) -> float | None:
    return part / whole if whole > 0 else None

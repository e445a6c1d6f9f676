"""Evidence: what became of some mail, as the numbers that rates are made of."""

from __future__ import annotations

from dataclasses import dataclass

from core.reputation.rule import Signal


@dataclass(frozen=True, slots=True)
class Evidence:
    """Messages of one scope, each counted once."""

    scope: str
    permanent_bounces: int
    complaints: int
    delivered: int
    transient_bounces: int

    def of(self, signal: Signal) -> tuple[int, int]:
        """Bad messages, and those they are measured against."""
        if signal is Signal.BOUNCE:
            outcomes = self.delivered + self.permanent_bounces + self.transient_bounces
            return self.permanent_bounces, outcomes
        # Who complains has the message, even when that report has not come yet.
        return self.complaints, max(self.delivered, self.complaints)

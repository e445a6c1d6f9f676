"""Decisions: what a day's mail and its outcomes lead to. Pure.

SES advises a bounce rate below 2 %, and reviews an account from 5 % of bounces or 0.1 % of complaints (SES
developer guide, reputation FAQ); Gmail's and Yahoo's sender guidelines ask for less than 0.1 % of complaints
and never 0.3 %. That a week of silence costs a step is our own rule: a reputation that is not used fades.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from core.reputation import Evidence, Signal

GOOD_BOUNCE, BAD_BOUNCE = 0.02, 0.05
GOOD_COMPLAINT, BAD_COMPLAINT = 0.001, 0.003
LEAST_BAD = 2  # one bounce or one complaint alone takes nobody back
LEAST_USED = 0.5  # of the allowance; less proves little of what the next step needs
LEAST_KNOWN = 0.9  # of what was sent: the share with an outcome
SILENT_DAYS = 7
_NAMES = {Signal.BOUNCE: "bounce", Signal.COMPLAINT: "complaint"}
_GOOD = {Signal.BOUNCE: GOOD_BOUNCE, Signal.COMPLAINT: GOOD_COMPLAINT}
_BAD = {Signal.BOUNCE: BAD_BOUNCE, Signal.COMPLAINT: BAD_COMPLAINT}


class Move(StrEnum):
    PROMOTE = "promote"
    KEEP = "keep"
    DEMOTE = "demote"


@dataclass(frozen=True, slots=True)
class Day:
    """One day of the tenant's time zone that is over. `used`: recipients its calls were granted on it."""

    on: date
    allowance: int
    used: int
    silent_days: int  # up to and with this one
    evidence: Evidence  # of the mail that was sent on it
    is_final: bool  # outcomes have had their time

    def rate(self, signal: Signal) -> float:
        bad, among = self.evidence.of(signal)
        return bad / among if among else 0.0

    @property
    def known(self) -> int:
        """Messages with an outcome."""
        return self.evidence.of(Signal.BOUNCE)[1]

    @property
    def figures(self) -> str:
        if not self.used:
            return f"{_day(self.on)}: nothing was sent."
        rates = ", ".join(self._figure(signal) for signal in Signal)
        return f"{_day(self.on)}: {self.used:,} of {self.allowance:,} recipients; {rates}."

    def _figure(self, signal: Signal) -> str:
        bad, among = self.evidence.of(signal)
        return f"{_NAMES[signal]} rate {self.rate(signal) * 100:.2f} % ({bad:,} of {among:,})"


@dataclass(frozen=True, slots=True)
class Decision:
    move: Move
    because: str


def decide(day: Day) -> Decision | None:
    """None: too little is known yet of what became of the mail; look again later."""
    if not day.used:
        return _of_silence(day)
    if day.known < LEAST_KNOWN * day.used:
        if not day.is_final:
            return None
        if (bad := _bad(day)) is not None:
            return bad
        return Decision(Move.KEEP, f"The outcomes of only {day.known:,} of them are known.")
    return _bad(day) or _not_good(day) or _of_volume(day)


def _of_silence(day: Day) -> Decision:
    if day.silent_days % SILENT_DAYS == 0:
        return Decision(
            Move.DEMOTE, f"{day.silent_days} days without mail: a reputation that is not used fades."
        )
    return Decision(Move.KEEP, "A day without mail proves nothing.")


def _bad(day: Day) -> Decision | None:
    for signal in Signal:
        if day.evidence.of(signal)[0] >= LEAST_BAD and day.rate(signal) >= _BAD[signal]:
            return Decision(Move.DEMOTE, f"The {_NAMES[signal]} rate is {_BAD[signal] * 100:g} % or more.")
    return None


def _not_good(day: Day) -> Decision | None:
    for signal in Signal:
        if day.rate(signal) >= _GOOD[signal]:
            return Decision(Move.KEEP, f"The {_NAMES[signal]} rate is not below {_GOOD[signal] * 100:g} %.")
    return None


def _of_volume(day: Day) -> Decision:
    if day.used < LEAST_USED * day.allowance:
        return Decision(Move.KEEP, "Less than half of the allowance was used, which proves little.")
    return Decision(Move.PROMOTE, "All is well.")


def _day(day: date) -> str:
    return f"{day.day} {day:%b}"

"""Faults that the control API sets: what goes wrong, for which operation, how often."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from typing import Any

from simulator.errors import ControlError

THROTTLE = "throttle"
ERROR = "error"
ACCEPT_THEN_TIME_OUT = "accept_then_time_out"
REFUSE_CONNECTION = "refuse_connection"
LATENCY = "latency"
DUPLICATE_EVENTS = "duplicate_events"
REORDER_EVENTS = "reorder_events"
DROP_EVENTS = "drop_events"
EVENT_FAULTS = (DUPLICATE_EVENTS, REORDER_EVENTS, DROP_EVENTS)
KINDS = (THROTTLE, ERROR, ACCEPT_THEN_TIME_OUT, REFUSE_CONNECTION, LATENCY, *EVENT_FAULTS)
SEED = 20_261_122  # the same run of faults at every start


@dataclass(slots=True)
class Fault:
    """`times` requests (entries, events) are struck, 0: until cleared; of those asked, a share of `rate`."""

    kind: str
    operation: str = "*"  # "*": every operation of SES; those of SQS, SNS, Resend … only by name
    times: int = 1
    rate: float = 1.0
    seconds: float | None = None
    entry: bool = False
    status: int = 500
    code: str | None = None
    struck: int = 0

    @classmethod
    def from_json(cls, value: Any) -> Fault:
        names = {field.name for field in fields(cls)} - {"struck"}
        if not isinstance(value, dict) or value.get("kind") not in KINDS:
            raise ControlError(f"A fault is an object whose kind is one of {', '.join(KINDS)}.")
        if unknown := set(value) - names:
            raise ControlError(
                f"A fault has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(names))}."
            )
        fault = cls(**value)
        if not isinstance(fault.times, int) or fault.times < 0:
            raise ControlError("A fault's times is a whole number, 0: until cleared.")
        if not isinstance(fault.rate, int | float) or not 0 <= fault.rate <= 1:
            raise ControlError("A fault's rate is a number from 0 to 1.")
        if not isinstance(fault.status, int) or not 400 <= fault.status <= 599:
            raise ControlError("A fault's status is an HTTP status from 400 to 599.")
        return fault

    def used_up(self) -> bool:
        return bool(self.times) and self.struck >= self.times


class Faults:
    def __init__(self) -> None:
        self._set: list[Fault] = []
        self._chance = random.Random(SEED)

    def replace(self, faults: Iterable[Fault]) -> None:
        self._set = list(faults)
        self._chance = random.Random(SEED)

    def clear(self) -> None:
        self.replace(())

    def listed(self) -> list[Fault]:
        return self._set

    def names(self, operation: str) -> bool:
        """Whether a fault is set for this very operation."""
        return any(fault.operation == operation for fault in self._set)

    def chance(self) -> float:
        return self._chance.random()

    @property
    def any(self) -> bool:
        return bool(self._set)

    def strike(
        self, kinds: Collection[str], operation: str, *, entry: bool = False, by_name: bool = False
    ) -> Fault | None:
        """The fault that strikes now, counted as used; `by_name`: "*" does not mean this operation."""
        for fault in self._set:
            if fault.kind not in kinds or fault.entry != entry or fault.used_up():
                continue
            if fault.operation != operation and (by_name or fault.operation != "*"):
                continue
            if fault.rate < 1 and self._chance.random() >= fault.rate:
                continue
            fault.struck += 1
            return fault
        return None

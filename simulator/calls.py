"""SES's control operations as they came in: which, when, how answered, and whether two came too close."""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

KEPT = 10_000


@dataclass(slots=True)
class ControlCall:
    id: int
    operation: str
    at: float  # when it began, by the simulator's clock
    status: int = 0  # of the answer; 0: none yet, or the connection was dropped


class Calls:
    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self._kept: deque[ControlCall] = deque(maxlen=KEPT)
        self._last = 0
        self._admitted: dict[str, float] = {}  # by region: when the last call that was not too soon began

    def begin(self, operation: str, at: float) -> ControlCall:
        self._last += 1
        call = ControlCall(self._last, operation, at)
        self._kept.append(call)
        return call

    def too_soon(self, call: ControlCall, region: str, per_second: float) -> bool:
        """What comes too soon is refused and takes no turn."""
        if call.at - self._admitted.get(region, 0.0) < 1 / per_second:
            return True
        self._admitted[region] = call.at
        return False

    def listed(self, after: int) -> dict[str, Any]:
        return {"calls": [asdict(call) for call in self._kept if call.id > after], "next": self._last}

"""The simulator's clock: real time plus what the control API has advanced it by."""

from __future__ import annotations

import time
from datetime import UTC, datetime


class Clock:
    def __init__(self) -> None:
        self.offset = 0.0
        self._latest = 0.0

    def now(self) -> float:
        """Epoch seconds; never earlier than the time told before."""
        self._latest = max(self._latest, time.time() + self.offset)
        return self._latest

    def set_offset(self, seconds: float) -> None:
        self.offset = seconds
        self._latest = 0.0


def iso_millis(at: float) -> str:
    """As SES writes times in its events: 2026-11-20T09:00:00.000Z."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{int(at * 1000) % 1000:03d}Z"


def iso_micros(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

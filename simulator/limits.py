"""How fast and how much may be sent: recipients or requests in any sliding second, recipients in 24 hours."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

DAY = 86_400.0
RATE = "rate"
QUOTA = "quota"


class RequestLimit:
    """Requests in any sliding second; what is refused takes no place."""

    def __init__(self) -> None:
        self._taken: deque[float] = deque()

    def clear(self) -> None:
        self._taken.clear()

    def take(self, now: float, per_second: float) -> bool:
        while self._taken and self._taken[0] <= now - 1.0:
            self._taken.popleft()
        if len(self._taken) >= per_second:
            return False
        self._taken.append(now)
        return True


class SendLimits:
    def __init__(self) -> None:
        self._second: deque[tuple[float, int]] = deque()
        self._in_second = 0
        self._day: deque[tuple[float, int]] = deque()  # one entry per second
        self._in_day = 0

    def load(self, counts: Iterable[tuple[float, int]]) -> None:
        for at, count in sorted(counts):
            self._day.append((at, count))
            self._in_day += count

    def clear(self) -> None:
        self._second.clear()
        self._day.clear()
        self._in_second = self._in_day = 0

    def sent_last_24_hours(self, now: float) -> int:
        while self._day and self._day[0][0] <= now - DAY:
            self._in_day -= self._day.popleft()[1]
        return self._in_day

    def take(self, now: float, count: int, counted: int, rate: float, quota: float) -> str | None:
        """Let `count` recipients through, `counted` of them in the quota, or say which limit stops them."""
        while self._second and self._second[0][0] < now - 1.0:
            self._in_second -= self._second.popleft()[1]
        if self._in_second + count > rate:
            return RATE
        if quota >= 0 and self.sent_last_24_hours(now) + counted > quota:
            return QUOTA
        self._second.append((now, count))
        self._in_second += count
        self._count_in_day(now, counted)
        return None

    def _count_in_day(self, now: float, counted: int) -> None:
        self._in_day += counted
        second = float(int(now))
        if self._day and self._day[-1][0] == second:
            counted += self._day.pop()[1]
        self._day.append((second, counted))

"""Flight: the armed calls of one lane in one process, waiting or on their way.

As many are on their way at once as the machine can prepare while one waits for its answer: at a provider that
answers at once that is one, and more threads would only take the interpreter from each other.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from core import limits
from core.sending.claim import Call, Claimed

AT_FIRST = 4
MEASURED_AFTER = 2  # calls
REMEMBERED = 32  # calls


class Flight:
    """For the claiming thread and those that call."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._waiting: deque[Call] = deque()
        self._waiting_recipients = 0
        self._on_the_way = 0
        self._not_before = 0.0  # monotonic seconds
        self._ahead = limits.LARGEST_CLAIM
        self._lock = threading.Lock()
        self._seconds: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)  # elapsed, computed

    @property
    def room(self) -> int:
        """Recipients that may be claimed beside those that wait for their moment."""
        return self._ahead - self._waiting_recipients

    @property
    def wants_more(self) -> bool:
        """In blocks: each claim costs a transaction."""
        is_fast = self._ahead >= limits.MOST_WAITING
        return self.room >= (limits.LARGEST_CLAIM if is_fast else self._ahead / limits.CLAIMS_AHEAD)

    def add(self, claimed: Claimed) -> None:
        if not claimed.calls:
            return
        with self._lock:
            self._ahead = claimed.ahead
            self._waiting.extend(claimed.calls)
            self._waiting_recipients += sum(len(call.message_ids) for call in claimed.calls)

    def launchable(self) -> list[Call]:
        """The next calls to put on their way, in order."""
        calls = []
        with self._lock:
            most = self._most_at_once()
            while self._waiting and self._on_the_way < most:
                calls.append(self._next())
                self._on_the_way += 1
        return calls

    def take_waiting(self) -> list[Call]:
        """Those that have not begun and shall not."""
        with self._lock:
            return [self._next() for _ in range(len(self._waiting))]

    def landed(self) -> None:
        with self._lock:
            self._on_the_way -= 1

    def moment(self, call: Call, now: float) -> float:
        """When it may begin: at its own moment, and not closer to the one before, however late that began."""
        with self._lock:
            begins = max(now, call.begin_at, self._not_before)
            self._not_before = begins + call.alone_seconds
        return begins

    @contextmanager
    def measured(self) -> Iterator[None]:
        """Around one call on its thread."""
        begun, computed = time.monotonic(), time.thread_time()
        yield
        elapsed = time.monotonic() - begun
        with self._lock:
            self._seconds.append((elapsed, time.thread_time() - computed))

    def _next(self) -> Call:
        call = self._waiting.popleft()
        self._waiting_recipients -= len(call.message_ids)
        return call

    def _most_at_once(self) -> int:
        if len(self._seconds) < MEASURED_AFTER:
            return min(AT_FIRST, self._threads)
        quickest = min(elapsed for elapsed, _ in self._seconds)
        computed = sum(cpu for _, cpu in self._seconds) / len(self._seconds)
        return max(1, min(int(quickest / max(computed, 1e-6)), self._threads))

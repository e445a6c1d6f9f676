"""Flight: the armed calls of one lane in one process, waiting or on their way.

As many are on their way at once as the machine can prepare while one waits for its answer: at a provider that
answers at once that is two, and more threads would only take the interpreter from each other.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

from core import limits
from core.sending.claim import Call, Claimed

FEWEST = 2
AT_FIRST = 4
REMEMBERED = 32  # calls


class Flight:
    """Used by the claiming thread; `measured` by those that call."""

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._waiting: deque[Call] = deque()
        self._on_the_way = 0
        self._ahead = limits.LARGEST_CLAIM
        self._lock = threading.Lock()
        self._seconds: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)  # elapsed, computed

    @property
    def room(self) -> int:
        """Recipients that may be claimed beside those that wait for their moment."""
        return self._ahead - sum(len(call.message_ids) for call in self._waiting)

    @property
    def wants_more(self) -> bool:
        return self.room * 2 >= self._ahead

    def add(self, claimed: Claimed) -> None:
        self._waiting.extend(claimed.calls)
        if claimed.calls:
            self._ahead = claimed.ahead

    def launchable(self) -> Iterator[Call]:
        """The next calls to put on their way, in order."""
        while self._waiting and self._on_the_way < self.most_at_once:
            self._on_the_way += 1
            yield self._waiting.popleft()

    def take_waiting(self) -> Iterator[Call]:
        """Those that have not begun and shall not."""
        while self._waiting:
            self._on_the_way += 1
            yield self._waiting.popleft()

    def landed(self) -> None:
        self._on_the_way -= 1

    @property
    def most_at_once(self) -> int:
        with self._lock:
            if len(self._seconds) < FEWEST:
                return min(AT_FIRST, self._threads)
            quickest = min(elapsed for elapsed, _ in self._seconds)
            computed = sum(cpu for _, cpu in self._seconds) / len(self._seconds)
        wanted = math.ceil(quickest / max(computed, 1e-6))
        return max(min(FEWEST, self._threads), min(wanted, self._threads))

    @contextmanager
    def measured(self, call: Call) -> Iterator[None]:
        """Around one call on its thread, its wait for its moment left out."""
        begun = max(time.monotonic(), call.begin_at)
        computed = time.thread_time()
        yield
        elapsed = time.monotonic() - begun
        with self._lock:
            self._seconds.append((elapsed, time.thread_time() - computed))

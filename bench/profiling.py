"""Where a process's CPU goes: stacks of all its threads, weighed by the CPU time each thread used since."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from sqlalchemy import Connection, Engine, event

SAMPLE_EVERY_SECONDS = 0.001
ROOT = str(Path(__file__).parent.parent)
MAIN_THREAD = "main thread"
OTHER_THREADS = "other threads"

Spent = defaultdict[tuple[str, str], float]  # (thread, place) -> CPU seconds


def nothing() -> AbstractContextManager[None]:
    return contextlib.nullcontext()


@contextmanager
def shown(engine: Engine) -> Iterator[None]:
    """Print to stderr, at the end, what took the CPU time within; called in the main thread.

    That thread is sampled by a signal, which finds it where it works; the others are sampled by a thread,
    which finds them a little too often where they let go of the GIL."""
    tally, statements = _Tally(), _Statements(engine)
    sampler = _Sampler(tally)
    main_thread = threading.main_thread()
    before = signal.signal(signal.SIGPROF, lambda _number, frame: tally.add(main_thread, frame))
    signal.setitimer(signal.ITIMER_PROF, SAMPLE_EVERY_SECONDS, SAMPLE_EVERY_SECONDS)
    sampler.start()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        sampler.end()
        print(f"{tally.told()}\n\n{statements.told()}", file=sys.stderr, flush=True)


class _Tally:
    def __init__(self) -> None:
        self._used: dict[int, float] = {}  # CPU seconds of each thread at its last sample
        self._itself: Spent = defaultdict(float)
        self._with_callees: Spent = defaultdict(float)

    def add(self, thread: threading.Thread, frame: FrameType | None) -> None:
        ident = thread.ident or 0
        try:
            used = time.clock_gettime(time.pthread_getcpuclockid(ident))
        except OSError:  # it has just ended
            return
        spent = used - self._used.get(ident, used)
        self._used[ident] = used
        name = MAIN_THREAD if thread is threading.main_thread() else OTHER_THREADS
        stack = _stack(frame)
        self._itself[name, stack[0]] += spent
        for place in set(stack):
            self._with_callees[name, place] += spent

    def told(self) -> str:
        whole = sum(self._itself.values()) or 1.0
        lines = [f"CPU {whole:.2f} s"]
        for name in (MAIN_THREAD, OTHER_THREADS):
            share = sum(spent for (thread, _), spent in self._itself.items() if thread == name) / whole
            lines.append(f"\n{name}: {share:.0%} of the CPU")
            lines += ["  with what it calls", *_most(self._with_callees, name, whole, 60)]
            lines += ["  itself", *_most(self._itself, name, whole, 30)]
        return "\n".join(lines)


class _Statements:
    """How often each SQL statement was executed, and how long that took in all."""

    def __init__(self, engine: Engine) -> None:
        self._begun: dict[int, float] = {}  # by connection
        self._seconds: dict[str, list[float]] = defaultdict(list)
        event.listen(engine, "before_cursor_execute", self._begin)
        event.listen(engine, "after_cursor_execute", self._end)

    def _begin(self, connection: Connection, *_: Any) -> None:
        self._begun[id(connection)] = time.perf_counter()

    def _end(self, connection: Connection, _cursor: Any, statement: str, *_: Any) -> None:
        seconds = time.perf_counter() - self._begun.pop(id(connection))
        self._seconds[" ".join(statement.split())].append(seconds)

    def told(self) -> str:
        most = sorted(self._seconds.items(), key=lambda each: -sum(each[1]))[:25]
        lines = [f"{sum(map(len, self._seconds.values()))} statements; seconds in all, times, which"]
        return "\n".join(lines + [f"  {sum(s):7.3f} {len(s):6} {_both_ends(text)}" for text, s in most])


def _both_ends(statement: str) -> str:
    return statement if len(statement) <= 170 else f"{statement[:60]} … {statement[-110:]}"


class _Sampler(threading.Thread):
    def __init__(self, tally: _Tally) -> None:
        super().__init__(daemon=True)
        self._tally = tally
        self._ended = threading.Event()

    def end(self) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        while not self._ended.wait(SAMPLE_EVERY_SECONDS):
            frames = sys._current_frames()
            for thread in threading.enumerate():
                if thread.ident in frames and thread not in (self, threading.main_thread()):
                    self._tally.add(thread, frames[thread.ident])


def _stack(frame: FrameType | None) -> list[str]:
    places = []
    while frame is not None:
        code = frame.f_code
        places.append(f"{_short(code.co_filename)}:{code.co_qualname}")
        frame = frame.f_back
    return places


def _short(path: str) -> str:
    if "site-packages" in path:
        return path.partition("site-packages/")[2]
    return path.removeprefix(f"{ROOT}/").removeprefix(sys.base_prefix)


def _most(spent: Spent, name: str, whole: float, how_many: int) -> list[str]:
    own = sorted(
        ((seconds, place) for (thread, place), seconds in spent.items() if thread == name), reverse=True
    )
    return [f"    {seconds / whole:6.1%}  {place}" for seconds, place in own[:how_many]]

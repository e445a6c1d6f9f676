"""Where a process's CPU goes: stacks of all its threads, weighed by the CPU time each thread used since."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import FrameType

SAMPLE_EVERY_SECONDS = 0.002
ROOT = str(Path(__file__).parent.parent)
MAIN_THREAD = "main thread"
OTHER_THREADS = "other threads"


def nothing() -> AbstractContextManager[None]:
    return contextlib.nullcontext()


@contextmanager
def shown() -> Iterator[None]:
    """Print to stderr, at the end, what took the CPU time within."""
    sampler = _Sampler()
    sampler.start()
    try:
        yield
    finally:
        sampler.end()
        print(sampler.told(), file=sys.stderr, flush=True)


class _Sampler(threading.Thread):
    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._ended = threading.Event()
        self._used: dict[int, float] = {}  # CPU seconds of each thread at its last sample
        self._by_thread: Counter[str] = Counter()
        self._own: Counter[tuple[str, str]] = Counter()
        self._with_callees: Counter[tuple[str, str]] = Counter()

    def end(self) -> None:
        self._ended.set()
        self.join()

    def run(self) -> None:
        while not self._ended.wait(SAMPLE_EVERY_SECONDS):
            frames = sys._current_frames()
            for thread in threading.enumerate():
                if thread is not self and thread.ident in frames:
                    self._weigh(thread, frames[thread.ident])

    def _weigh(self, thread: threading.Thread, frame: FrameType) -> None:
        ident = thread.ident or 0
        try:
            used = time.clock_gettime(time.pthread_getcpuclockid(ident))
        except OSError:  # it has just ended
            return
        spent = used - self._used.get(ident, used)
        self._used[ident] = used
        if spent <= 0:
            return
        name = MAIN_THREAD if thread is threading.main_thread() else OTHER_THREADS
        self._by_thread[name] += spent  # type: ignore[assignment]  # seconds, not a count
        stack = _stack(frame)
        self._own[name, stack[0]] += spent  # type: ignore[assignment]
        for place in set(stack):
            self._with_callees[name, place] += spent  # type: ignore[assignment]

    def told(self) -> str:
        whole = sum(self._by_thread.values()) or 1
        lines = [f"CPU {whole:.2f} s"]
        for name in (MAIN_THREAD, OTHER_THREADS):
            lines.append(f"\n{name}: {self._by_thread[name] / whole:.0%} of the CPU")
            lines += ["  with what it calls", *_most(self._with_callees, name, whole, 45)]
            lines += ["  itself", *_most(self._own, name, whole, 25)]
        return "\n".join(lines)


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
    return path.removeprefix(f"{ROOT}/").replace(sys.base_prefix, "")


def _most(spent: Counter[tuple[str, str]], name: str, whole: float, how_many: int) -> list[str]:
    own = [(place, seconds) for (thread, place), seconds in spent.items() if thread == name]
    own.sort(key=lambda each: -each[1])
    return [f"    {seconds / whole:6.1%}  {place}" for place, seconds in own[:how_many]]

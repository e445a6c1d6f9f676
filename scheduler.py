"""The scheduler: gives core.jobs its clocks and threads. No logic of its own. Start as many as you like."""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from apscheduler.events import (
    EVENT_JOB_ERROR,
    EVENT_JOB_EXECUTED,
    EVENT_JOB_MISSED,
    EVENT_JOB_SUBMITTED,
    JobEvent,
)
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from core import jobs, logs
from core.app import App, build_app
from core.db import migrate
from core.errors import ConfigurationError
from core.settings import Settings

logger = logging.getLogger("scheduler")

DRAIN_SECONDS = 25
HEAR_SIGNALS_SECONDS = 1.0
LOCK_RETRY_SECONDS = 1.0


def main() -> int:
    stop = threading.Event()
    jobs.stop_when_told(stop, signal.SIGTERM, signal.SIGINT)
    try:
        settings = Settings.load()
        logs.to_stderr(settings.log_level)
        app = build_app(settings)
        app.db.check()
        migrate.check(app.db)
    except ConfigurationError as e:
        print(f"Error: {e}", file=sys.stderr)
        return 2
    with _alone_on_sqlite(app, stop):
        if not stop.is_set():
            _run(app, stop)
    app.db.dispose()
    return 0


def _run(app: App, stop: threading.Event) -> None:
    threads = [
        threading.Thread(target=jobs.run_loop, args=(app, loop, stop), name=loop.name) for loop in jobs.LOOPS
    ]
    clock = BackgroundScheduler(
        executors={"default": ThreadPoolExecutor(len(jobs.JOBS))},
        job_defaults={"coalesce": True, "misfire_grace_time": 300, "max_instances": 1},
        timezone="UTC",
    )
    for job in jobs.JOBS:
        clock.add_job(
            jobs.run_job,
            "interval",
            [app, job],
            {"only_when_due": True},
            seconds=job.every_seconds,
            id=job.name,
            next_run_time=app.now(),
        )
    running = _Running()
    ends = EVENT_JOB_EXECUTED | EVENT_JOB_ERROR | EVENT_JOB_MISSED
    clock.add_listener(running.count, EVENT_JOB_SUBMITTED | ends)
    gc.collect()
    gc.freeze()  # boto3's models and the like stay: walking them again and again took a third of the sending
    for thread in threads:
        thread.start()
    clock.start()
    logger.info("%d jobs and %d loops are running", len(jobs.JOBS), len(threads))
    # Never without an end: a signal that comes just before the main thread sleeps does not wake it.
    while not stop.wait(HEAR_SIGNALS_SECONDS):
        continue
    logger.info("ending: what is in flight is finished first")
    # Not clock.shutdown(): it closes its threads before it stops handing them jobs (APScheduler 3.11.3).
    clock.pause()
    running.wait_for_none(DRAIN_SECONDS)
    for thread in threads:
        thread.join()


class _Running:
    """How many jobs APScheduler has handed to its threads and not got back."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jobs = 0

    def count(self, event: JobEvent) -> None:
        with self._changed:
            self._jobs += 1 if event.code == EVENT_JOB_SUBMITTED else -1
            self._changed.notify_all()

    def wait_for_none(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._jobs <= 0, timeout=seconds)


@contextmanager
def _alone_on_sqlite(app: App, stop: threading.Event) -> Iterator[None]:
    """One scheduler per SQLite database, a second one waits; PostgreSQL takes any number."""
    if not app.db.is_sqlite:
        yield
        return
    path = Path(app.db.engine.url.database or "postyard").absolute().parent / "scheduler.lock"
    with path.open("a+", encoding="ascii") as lock:
        _wait_for(lock.fileno(), path, stop)
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield


def _wait_for(lock: int, path: Path, stop: threading.Event) -> None:
    told = False
    while not stop.is_set():
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if not told:
                logger.warning(
                    "process %s already is the scheduler of this SQLite database; waiting until it ends. "
                    "Use PostgreSQL to run more than one.",
                    path.read_text(encoding="ascii").strip() or "?",
                )
            told = True
            stop.wait(LOCK_RETRY_SECONDS)


if __name__ == "__main__":
    sys.exit(main())

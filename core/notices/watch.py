"""Watch: what the webhooks' process does for alerts, so that they are told when no scheduler lives.

It looks every few seconds; once it has seen no scheduler's beat for a minute, it raises the alert and
delivers all notices itself until one beats again. While a scheduler lives it only looks.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from core.app import App
from core.notices.delivery import send_due
from core.notices.looking import SILENT_AFTER, tell_of_silence
from core.notices.webhook import Dialler

logger = logging.getLogger(__name__)

LOOKS_EVERY_SECONDS = 15.0
# A longer gap: this host slept, and its scheduler with it.
LONGEST_GAP = timedelta(seconds=120)
END_SECONDS = 5.0


class Watch:
    """One process's memory of how long it has looked without a gap."""

    def __init__(self, app: App, dialler: Dialler | None = None) -> None:
        self._app = app
        self._dialler = dialler
        self._since: datetime | None = None
        self._looked_at: datetime | None = None

    def look(self) -> bool:
        """Whether no scheduler lives, as far as this process can say; it has delivered then what is due."""
        now = self._app.now()
        may_raise = self._has_looked_long(now)
        with self._app.db.begin() as session:
            is_silent = tell_of_silence(session, now, may_raise=may_raise) and may_raise
        if is_silent:
            send_due(self._app, self._dialler)
        return is_silent

    def _has_looked_long(self, now: datetime) -> bool:
        if self._looked_at is None or not timedelta(0) <= now - self._looked_at <= LONGEST_GAP:
            self._since = now
        self._looked_at = now
        return self._since is not None and now - self._since >= SILENT_AFTER


@contextmanager
def watching(app: App, dialler: Dialler | None = None) -> Iterator[None]:
    """On a thread of its own, until the block ends."""
    stop = threading.Event()
    thread = threading.Thread(target=_run, args=(Watch(app, dialler), stop), name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(END_SECONDS)


def _run(watch: Watch, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            watch.look()
        except Exception:  # of the one who tells that nobody else works: it must not end before its process
            logger.exception("the watch for schedulers could not look; it looks again")
        stop.wait(LOOKS_EVERY_SECONDS)

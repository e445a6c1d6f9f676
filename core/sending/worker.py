"""Worker: one process's sending loop: claim, call on threads, record.

At most one block (limits.block_size) of an account's rows is between claim and reply: that is all a killed
worker can leave unknown.
"""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import secrets
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

from sqlalchemy import select, update

from core import limits
from core.app import App
from core.db.engine import AWAY
from core.db.models import Message, Worker
from core.db.states import MessageStatus
from core.providers.base import EntryResult, Outcome
from core.sending.claim import Call, Turn, accounts_with_work, claim
from core.sending.record import Finished, record

logger = logging.getLogger(__name__)

ARMED_FOR_SECONDS = 10.0
BEAT_SECONDS = 5.0
# Longer than any call can last after its claim, so that a living worker is never taken for dead.
LEASE = timedelta(seconds=45)
DATABASE_RETRY_SECONDS = 1.0
# After SES's "paused" its tenant is left alone for so long, unless its campaign is blocked anyway.
REST_SECONDS = 5.0


def work(app: App, stop: threading.Event, until_idle: bool = False) -> str:
    """Send until `stop` is set, or until nothing is left that could go out; returns what was done.

    Calls in flight at the end are waited for and recorded."""
    return _Loop(app, stop, until_idle).run()


def reap_dead(app: App) -> str:
    """Rows whose worker stopped beating, or whose process is gone, become unknown; never pending again."""
    now = app.now()
    with app.db.read() as session:
        busy = set(
            session.scalars(select(Message.worker).where(Message.status == MessageStatus.SENDING).distinct())
        )
        workers = {
            worker.name: worker for worker in session.scalars(select(Worker).where(Worker.name.in_(busy)))
        }
    dead = [name for name in busy if name is not None and _is_dead(workers.get(name), now - LEASE)]
    if not dead:
        return ""
    lost_rows = (Message.status == MessageStatus.SENDING, Message.worker.in_(dead))
    with app.db.begin() as session:
        # Their part of the rate is free again: what they had on its way has arrived by now.
        attempts = session.scalars(select(Message.attempt).where(*lost_rows).distinct())
        limits.release(session, {attempt: now for attempt in attempts if attempt is not None})
        lost = session.execute(
            update(Message)
            .where(*lost_rows)
            .values(
                status=MessageStatus.UNKNOWN,
                reason="The process that was sending it ended before SES's answer was written. "
                "SES's own events will tell if it was accepted; it is not sent again by itself.",
            )
        )
        count: int = lost.rowcount  # type: ignore[attr-defined]  # an UPDATE's result has it
    if count:
        logger.warning("%d messages became unknown: workers %s ended", count, ", ".join(sorted(dead)))
    return f"{count} messages became unknown"


def _is_dead(worker: Worker | None, beat_before: datetime) -> bool:
    if worker is None or worker.stopped_at is not None or worker.beat_at < beat_before:
        return True
    if worker.host != socket.gethostname():
        return False
    # A wrong guess (another container with our name) harms nothing: a reply is recorded from unknown, too.
    try:
        os.kill(worker.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


class _Loop:
    def __init__(self, app: App, stop: threading.Event, until_idle: bool) -> None:
        self.app = app
        self.stop = stop
        self.until_idle = until_idle
        self.turn = Turn(worker=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}")
        self.replies: queue.SimpleQueue[Finished] = queue.SimpleQueue()
        self.outstanding: Counter[int] = Counter()  # rows between claim and reply, by account
        self.in_flight: set[str] = set()  # attempts between claim and recorded reply
        self.sent = 0
        self.next_beat = 0.0

    def run(self) -> str:
        with self._registered(), ThreadPoolExecutor(self.app.settings.send_threads, "send") as pool:
            wait = 0.0
            while True:
                self._record_replies(wait)
                if self.stop.is_set() and not self.in_flight:
                    break
                wait, idle = (0.2, False) if self.stop.is_set() else self._claim(pool)
                if idle and self.until_idle and not self.in_flight:
                    break
        return f"{self.sent} messages accepted"

    def _claim(self, pool: ThreadPoolExecutor) -> tuple[float, bool]:
        """Claim one block per account and put it in flight; how long to wait, and whether nothing is left."""
        try:
            self._beat()
            with self.app.db.read() as session:
                accounts = accounts_with_work(session)
            waits, idle = [0.5], True
            for account_id, region in accounts:
                claimed = claim(self.app, self.turn, account_id, self.outstanding[account_id])
                for call in claimed.calls:
                    self.outstanding[account_id] += len(call.message_ids)
                    self.in_flight.add(call.attempt)
                    pool.submit(self._call, call, region)
                idle = idle and claimed.is_idle and not claimed.calls
                waits.append(claimed.wait_seconds)
        except AWAY:
            logger.warning("the database does not answer; nothing is sent meanwhile", exc_info=True)
            return DATABASE_RETRY_SECONDS, False
        return min(waits), idle

    def _call(self, call: Call, region: str) -> None:
        """On a thread: the one request. Whatever happens, a reply is queued."""
        results = [EntryResult(Outcome.UNKNOWN, reason="An unexpected fault in Postyard")] * len(
            call.message_ids
        )
        try:
            if self.app.clock.monotonic() - call.armed_at > ARMED_FOR_SECONDS:
                late = EntryResult(Outcome.NOT_SENT, reason="It waited too long inside Postyard")
                results = [late] * len(call.message_ids)
            elif call.campaign_id is None:
                results = [self.app.providers.email(region).send_one(call.mail)]
            else:
                results = self.app.providers.email(region).send_bulk(call.mail)
        except Exception:
            logger.exception("a call to SES failed unexpectedly; its %d messages are unknown", len(results))
        finally:
            self.replies.put(Finished(call, results, self.app.now()))

    def _record_replies(self, wait: float) -> None:
        finished = list(self._waiting_replies(wait))
        while finished:
            try:
                record(self.app, finished)
                break
            except AWAY:
                # Kept in memory and tried again; if this process dies meanwhile the rows become unknown.
                logger.warning("the database does not answer; %d replies wait", len(finished), exc_info=True)
                self.stop.wait(DATABASE_RETRY_SECONDS)
        for done in finished:
            self.in_flight.discard(done.call.attempt)
            self.outstanding[done.call.account_id] -= len(done.call.message_ids)
            self.sent += sum(result.outcome is Outcome.ACCEPTED for result in done.results)
            if any(r.outcome is Outcome.PAUSED and not r.account_wide for r in done.results):
                self.turn.rest(done.call.tenant_id, self.app.clock.monotonic() + REST_SECONDS)

    def _waiting_replies(self, wait: float) -> Iterator[Finished]:
        with contextlib.suppress(queue.Empty):
            yield self.replies.get(timeout=wait) if wait else self.replies.get_nowait()
            while True:
                yield self.replies.get_nowait()

    @contextlib.contextmanager
    def _registered(self) -> Iterator[None]:
        now = self.app.now()
        with self.app.db.begin() as session:
            session.add(
                Worker(
                    name=self.turn.worker,
                    host=socket.gethostname(),
                    pid=os.getpid(),
                    started_at=now,
                    beat_at=now,
                )
            )
        reap_dead(self.app)
        yield
        with self.app.db.begin() as session:
            session.execute(
                update(Worker).where(Worker.name == self.turn.worker).values(stopped_at=self.app.now())
            )

    def _beat(self) -> None:
        now = self.app.clock.monotonic()
        if now < self.next_beat:
            return
        self.next_beat = now + BEAT_SECONDS
        with self.app.db.begin() as session:
            session.execute(
                update(Worker).where(Worker.name == self.turn.worker).values(beat_at=self.app.now())
            )
            limits.forget_old(session, self.app.now())
            # A commit whose answer was lost: armed by us, and nobody knows better that SES was never called.
            session.execute(
                update(Message)
                .where(Message.status == MessageStatus.SENDING, Message.worker == self.turn.worker)
                .where(Message.attempt.not_in(self.in_flight))
                .values(status=MessageStatus.PENDING, attempt=None, worker=None)
            )

"""Worker: one process's sending loop: claim, call on threads, record.

What is claimed begins within a fifth of a second (limits.AHEAD): that, and what is in flight, is all a killed
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
from collections.abc import Collection, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from datetime import datetime, timedelta

from sqlalchemy import select, update

from core import installation, routes
from core.app import App
from core.db.engine import AWAY
from core.db.models import Message, Worker
from core.db.states import MessageStatus
from core.providers.base import EntryResult, MailProvider, Outcome
from core.sending.claim import Call, Turn, claim
from core.sending.flight import Flight
from core.sending.record import Finished, record, send_back
from core.sending.turns import LaneWithWork, lanes_with_work

logger = logging.getLogger(__name__)

ARMED_FOR_SECONDS = 10.0
BEAT_SECONDS = 5.0
# Longer than any call can last after its claim, so that a living worker is never taken for dead.
LEASE = timedelta(seconds=45)
DATABASE_RETRY_SECONDS = 1.0
# After SES's "paused" its tenant is left alone for so long, unless its campaign is blocked anyway.
REST_SECONDS = 5.0
IDLE_SECONDS = 0.5
WRITTEN_WITHIN_SECONDS = 0.05
ROWS_AT_ONCE = 500
EVENTS_TELL = "The provider's own events will tell if it was accepted; it is not sent again by itself."
WORKER_ENDED = f"The process that was sending it ended before the answer was written. {EVENTS_TELL}"
ANSWER_LOST = f"The database does not have the answer that was written. {EVENTS_TELL}"


def work(app: App, stop: threading.Event, until_idle: bool = False) -> str:
    """Send until `stop` is set, or until nothing is left that could go out; returns what was done.

    Calls in flight at the end are waited for and recorded."""
    with ThreadPoolExecutor(app.settings.send_threads, "send") as pool:
        return Loop(app, stop, pool, until_idle=until_idle).run()


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
        lost = session.execute(
            update(Message)
            .where(*lost_rows)
            .values(
                status=MessageStatus.UNKNOWN,
                reason=WORKER_ENDED,
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


def call(app: App, call: Call) -> Finished:
    """Wait for its moment, then make the one request; not at all when too long has passed since it was armed.
    Whatever happens, there is an answer."""
    wait = call.begin_at - app.clock.monotonic()
    if wait > 0:
        app.clock.sleep(wait)
    # The monotonic clock stands still while the machine sleeps; when in doubt nobody is called.
    waited = max(app.clock.monotonic() - call.armed_at, (app.now() - call.granted_at).total_seconds())
    if waited > ARMED_FOR_SECONDS:
        return not_begun(call, "It waited too long inside Postyard", app.now())
    results = [EntryResult(Outcome.UNKNOWN, reason="An unexpected fault in Postyard")] * len(call.message_ids)
    try:
        results = _answers(app, call)
    except Exception:
        logger.exception("a call failed unexpectedly; its %d messages are unknown", len(results))
    return Finished(call, results, app.now())


def not_begun(call: Call, why: str, at: datetime) -> Finished:
    """Its messages were never given to anybody."""
    return Finished(call, [EntryResult(Outcome.NOT_SENT, reason=why)] * len(call.message_ids), at)


def beat(app: App, turn: Turn, in_flight: Collection[str]) -> None:
    """This worker lives. What a commit armed whose answer was lost goes back: nobody knows better that the
    provider was never called. Anything else that is armed by it and not in flight is unknown: its answer was
    written once, in a database that has lost it."""
    mine = (Message.status == MessageStatus.SENDING, Message.worker == turn.worker)
    with app.db.begin() as session:
        session.execute(update(Worker).where(Worker.name == turn.worker).values(beat_at=app.now()))
        if turn.doubtful:
            send_back(session, turn.worker, turn.doubtful)
        session.execute(
            update(Message)
            .where(*mine, Message.attempt.not_in(in_flight))
            .values(status=MessageStatus.UNKNOWN, reason=ANSWER_LOST)
        )
    turn.doubtful.clear()


def _answers(app: App, call: Call) -> list[EntryResult]:
    provider: MailProvider | None
    if call.lane.account_id is None:
        provider = app.providers.resend()
    else:
        provider = app.providers.email(call.lane.region)
    if provider is None:
        reason = "There is no key for Resend. Set POSTYARD_RESEND_API_KEY, or change the tenant's policy"
        return [EntryResult(Outcome.CREDENTIALS, reason=reason)] * len(call.message_ids)
    if call.campaign_id is None:
        return [provider.send_one(call.mail)]
    return provider.send_bulk(call.mail)


class Loop:
    """What `work` runs; the calls are made by `pool`."""

    def __init__(self, app: App, stop: threading.Event, pool: Executor, *, until_idle: bool) -> None:
        self.app = app
        self.stop = stop
        self.pool = pool
        self.until_idle = until_idle
        self.turn = Turn(worker=f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}")
        self.watch = installation.Watch(app)
        self.flights: dict[str, Flight] = {}  # by lane
        self.replies: queue.SimpleQueue[Finished] = queue.SimpleQueue()
        self.unrecorded: Counter[str] = Counter()  # calls between claim and recorded reply, by attempt
        self.sent = 0
        self.finished: list[Finished] = []  # replies that are not written yet
        self.record_at = 0.0
        self.lanes: list[LaneWithWork] = []
        self.next_look = 0.0
        self.next_beat = 0.0

    def run(self) -> str:
        with self._registered():
            wait = 0.0
            while True:
                self._collect(wait)
                if self.stop.is_set():
                    self._give_up_waiting()
                self._record_when_due()
                if self.stop.is_set() and not self.unrecorded:
                    break
                wait, idle = (0.2, False) if self.stop.is_set() else self._claim()
                if idle and self.until_idle and not self.unrecorded:
                    break
        return f"{self.sent} messages accepted"

    def _claim(self) -> tuple[float, bool]:
        """Claim once per lane and put it in flight; how long to wait, and whether nothing is left."""
        try:
            self._beat()
            if not self._has_room():
                return IDLE_SECONDS, False
            waits, idle = [IDLE_SECONDS], True
            for lane in self._lanes():
                flight = self.flights.setdefault(lane.name, Flight(self.app.settings.send_threads))
                if not flight.wants_more:
                    idle = False
                    continue
                claimed = claim(self.app, self.turn, lane, flight.room)
                self.unrecorded.update(call.attempt for call in claimed.calls)
                flight.add(claimed)
                self._launch(flight)
                idle = idle and claimed.is_idle and not claimed.calls
                waits.append(claimed.wait_seconds)
        except AWAY:
            logger.warning("the database does not answer; nothing is sent meanwhile", exc_info=True)
            self.next_beat = 0.0  # it may be another one when it is back
            return DATABASE_RETRY_SECONDS, False
        return min(waits), idle

    def _lanes(self) -> list[LaneWithWork]:
        """Looked for anew every half second, and whenever none has anything to send."""
        if self.app.clock.monotonic() >= self.next_look or not self.unrecorded:
            with self.app.db.read() as session:
                self.lanes = lanes_with_work(session, routes.fallback_address(self.app))
            self.next_look = self.app.clock.monotonic() + IDLE_SECONDS
        return self.lanes

    def _has_room(self) -> bool:
        """While all lanes are full there is nothing to ask, but for lanes that come."""
        return self.app.clock.monotonic() >= self.next_look or any(
            flight.wants_more for flight in self.flights.values()
        )

    def _launch(self, flight: Flight) -> None:
        for call_ in flight.launchable():
            self.pool.submit(self._call, flight, call_)

    def _call(self, flight: Flight, call_: Call) -> None:
        """On a thread, which also puts the next call on its way: that waits for no transaction."""
        now = self.app.clock.monotonic()
        if (wait := flight.moment(call_, now) - now) > 0:
            self.app.clock.sleep(wait)
        with flight.measured():
            finished = call(self.app, call_)
        flight.landed()
        if not self.stop.is_set():
            self._launch(flight)
        self.replies.put(finished)

    def _give_up_waiting(self) -> None:
        for flight in self.flights.values():
            for call_ in flight.take_waiting():
                self.replies.put(not_begun(call_, "The scheduler was ending", self.app.now()))

    def _collect(self, wait: float) -> None:
        """Wait for a reply, not beyond the moment at which those that came must be written."""
        if self.finished:
            wait = min(wait, max(0.0, self.record_at - self.app.clock.monotonic()))
        for done in self._waiting_replies(wait):
            if not self.finished:
                self.record_at = self.app.clock.monotonic() + WRITTEN_WITHIN_SECONDS
            self.finished.append(done)

    def _record_when_due(self) -> None:
        """In blocks: one commit for many calls."""
        rows = sum(len(done.results) for done in self.finished)
        is_due = self.app.clock.monotonic() >= self.record_at or len(self.finished) == self.unrecorded.total()
        if self.finished and (is_due or rows >= ROWS_AT_ONCE or self.stop.is_set()):
            self._record()

    def _record(self) -> None:
        while True:
            try:
                record(self.app, self.finished)
                break
            except AWAY:
                # Kept in memory and tried again; if this process dies meanwhile the rows become unknown.
                logger.warning(
                    "the database does not answer; %d replies wait", len(self.finished), exc_info=True
                )
                self.app.clock.sleep(DATABASE_RETRY_SECONDS)
        for done in self.finished:
            self._forget(done)
        self.finished = []

    def _forget(self, done: Finished) -> None:
        attempt = done.call.attempt
        self.unrecorded[attempt] -= 1
        if not self.unrecorded[attempt]:
            del self.unrecorded[attempt]
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
        if self.watch.look(self.app):
            self.turn.last_message_id.clear()
        beat(self.app, self.turn, self.unrecorded)
        self.next_beat = now + BEAT_SECONDS

"""Polling: threads receive from SQS, one writer stores blocks, and only what is committed is deleted.

Whatever dies in between is delivered again by SQS and then known by its uid. What cannot be stored stays in
the queue: after five receives SQS itself moves it to the dead-letter queue.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections import defaultdict
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select

from core.app import App
from core.db.engine import AWAY
from core.db.models import Account
from core.errors import ProviderError
from core.events import lag
from core.events.ingest import BLOCK, Ingested
from core.events.storing import Received, read, store
from core.providers.base import QueueMessage
from core.providers.queue_process import QueueProcess

BLOCK_SECONDS = 0.2
LONG_POLL_SECONDS = 2  # so that a stop is quick
SHORT_POLL_SECONDS = 1
ACCOUNTS_REREAD_SECONDS = 10.0
LONGEST_BACK_OFF_SECONDS = 30.0
GIVE_UP_AFTER = 4  # failures in a row, when somebody waits for the end
DELETERS = 4
DELETE_AT_ONCE = 10
INBOX = 100  # receives that wait for the writer; more would outlive their visibility
PATIENCE = 3  # failures in a row before a block may be the reason itself, and not the database
LAG_KEPT_EVERY_SECONDS = 5.0
AWAY_LOOK_SECONDS = 0.25

logger = logging.getLogger(__name__)


@dataclass
class _Back:
    """How long to wait after failures in a row."""

    failures: int = 0

    def off(self, stop: threading.Event) -> None:
        self.failures += 1
        stop.wait(min(0.25 * 2.0 ** min(self.failures, 10), LONGEST_BACK_OFF_SECONDS))


def poll(app: App, stop: threading.Event, until_idle: bool = False) -> str:
    """Ingest until `stop`; with `until_idle`, until the queues are empty. Stops within a few seconds, with
    everything it received stored or left in the queue. Raises ProviderError when `until_idle` and SQS does
    not answer."""
    poller = _Poller(app, stop, until_idle)
    total = poller.run()
    if poller.problems:
        raise poller.problems[0]
    return _told(total)


def poll_apart(app: App, stop: threading.Event, until_idle: bool = False) -> str:
    """As `poll`, with SQS's client in a process of its own: for those who receive without end. Who waits for
    the end of a few has it sooner without."""
    if until_idle:
        return poll(app, stop, until_idle)
    with ExitStack() as stack:
        return _told(_Poller(app, stop, until_idle, apart=stack).run())


@dataclass
class _Poller:
    app: App
    stop: threading.Event
    until_idle: bool
    apart: ExitStack | None = None  # keeps the processes that ask SQS; None: this one does
    queues: dict[int, QueueProcess] = field(default_factory=dict)  # by account
    inbox: queue.Queue[list[Received]] = field(default_factory=lambda: queue.Queue(INBOX))
    closed: threading.Event = field(default_factory=threading.Event)
    away: threading.Event = field(default_factory=threading.Event)  # the database: nobody receives meanwhile
    meters: dict[int, lag.Meter] = field(default_factory=dict)  # by account
    receivers: dict[str, list[threading.Thread]] = field(default_factory=dict)  # by queue address
    problems: list[ProviderError] = field(default_factory=list)
    reread_at: float = 0.0
    lags_kept: dict[int, datetime] = field(default_factory=dict)  # by account
    lag_kept_at: float = -LAG_KEPT_EVERY_SECONDS

    def run(self) -> Ingested:
        total = Ingested()
        try:
            with ThreadPoolExecutor(DELETERS, thread_name_prefix="delete-events") as deleters:
                while not self._is_over():
                    self._start_receivers()
                    for account, block in _by_account(self._collect()):
                        total += self._store(account, block, deleters)
                    self._keep_lag(LAG_KEPT_EVERY_SECONDS)
            self._keep_lag()
        finally:
            self.closed.set()
        return total

    def _is_over(self) -> bool:
        if not (self.stop.is_set() or (self.until_idle and self.reread_at)):
            return False
        threads = [thread for group in self.receivers.values() for thread in group]
        return self.inbox.empty() and not any(thread.is_alive() for thread in threads)

    def _start_receivers(self) -> None:
        """For every account that has a queue, also those that are added while this runs."""
        now = self.app.clock.monotonic()
        if self.stop.is_set() or now < self.reread_at or (self.until_idle and self.reread_at):
            return
        with self.app.db.read() as session:
            accounts = list(session.scalars(select(Account).where(Account.queue_url.is_not(None))))
        for account in accounts:
            if account.queue_url and account.queue_url not in self.receivers:
                self.meters[account.id] = lag.Meter()
                threads = self._start_process(account)
                self.receivers[account.queue_url] = [
                    threading.Thread(
                        target=self._receive, args=(account,), name=f"receive-events-{n}", daemon=True
                    )
                    for n in range(threads)
                ]
                for thread in self.receivers[account.queue_url]:
                    thread.start()
        self.reread_at = now + ACCOUNTS_REREAD_SECONDS

    def _start_process(self, account: Account) -> int:
        """How many threads receive: one reads what a process of its own receives on as many."""
        settings = self.app.settings
        if self.apart is None:
            return settings.ingest_threads
        process = QueueProcess(
            account.region, str(account.queue_url), settings.ingest_threads, settings.log_level
        )
        self.queues[account.id] = process
        self.apart.callback(process.close)
        return 1

    def _receive(self, account: Account) -> None:
        back = _Back()
        while not (self.stop.is_set() or self.closed.is_set()):
            try:
                if self._receive_once(account):
                    return
                back.failures = 0
                self._wait_for_database()
            except Exception as e:
                logger.warning("cannot receive events: %s", e, exc_info=not isinstance(e, ProviderError))
                if self.until_idle and isinstance(e, ProviderError) and back.failures + 1 >= GIVE_UP_AFTER:
                    self.problems.append(e)
                    return
                back.off(self.stop)
        self._take_the_rest(account)

    def _receive_once(self, account: Account) -> bool:
        """True when there is nothing more to wait for."""
        messages = self._next(account)
        self.meters[account.id].received(messages, self.app.now())
        if not messages:
            depth = self.app.providers.queue(account.region).depth
            return self.until_idle and depth(str(account.queue_url)) == 0
        self._take(account, messages)
        return False

    def _next(self, account: Account) -> list[QueueMessage]:
        if process := self.queues.get(account.id):
            return process.receive() or []
        wait_seconds = SHORT_POLL_SECONDS if self.until_idle else LONG_POLL_SECONDS
        sqs = self.app.providers.queue(account.region)
        return sqs.receive(str(account.queue_url), wait_seconds=wait_seconds)

    def _take(self, account: Account, messages: list[QueueMessage]) -> None:
        received = [read(account, message) for message in messages]
        while not self.closed.is_set():
            try:
                self.inbox.put(received, timeout=1)
                break
            except queue.Full:
                continue

    def _take_the_rest(self, account: Account) -> None:
        """Of a process that has received more than was asked for."""
        if process := self.queues.get(account.id):
            process.stop()
            with suppress(ProviderError):
                while not self.closed.is_set() and (messages := process.receive()) is not None:
                    self._take(account, messages)

    def _wait_for_database(self) -> None:
        """What is received while nothing can be stored comes again each minute, and after five receives it
        would be a dead letter."""
        while self.away.is_set() and not (self.stop.is_set() or self.closed.is_set()):
            self.stop.wait(AWAY_LOOK_SECONDS)

    def _collect(self) -> list[Received]:
        """What arrives within BLOCK_SECONDS of the first, up to about BLOCK events."""
        try:
            block = self.inbox.get(timeout=BLOCK_SECONDS)
        except queue.Empty:
            return []
        until = self.app.clock.monotonic() + BLOCK_SECONDS
        while len(block) <= BLOCK - DELETE_AT_ONCE:
            try:
                block += self.inbox.get(timeout=max(0.0, until - self.app.clock.monotonic()))
            except queue.Empty:
                break
        return block

    def _store(self, account: Account, block: list[Received], deleters: Executor) -> Ingested:
        """Commit the block, then have its messages deleted; what cannot be stored is left to SQS, which moves
        it to the dead-letter queue."""
        back = _Back()
        while not (self.stop.is_set() and back.failures):
            is_away = back.failures < PATIENCE or not _writes(self.app)
            try:
                done, left = store(self.app, account, block, is_away=is_away)
            except AWAY as e:
                # The database is away or busy: nothing was stored, so nothing may be deleted.
                logger.warning("cannot store events yet, trying again: %s", e.orig)
                self.away.set()
                back.off(self.stop)
                continue
            self.away.clear()
            kept = {received.message.receipt for received in left}
            self._delete(account, [one for one in block if one.message.receipt not in kept], deleters)
            self.meters[account.id].settled([received.message.receipt for received in block])
            return done
        return Ingested()

    def _keep_lag(self, every_seconds: float = 0.0) -> None:
        now = self.app.clock.monotonic()
        if now < self.lag_kept_at + every_seconds:
            return
        self.lag_kept_at = now
        for account_id, meter in list(self.meters.items()):
            seconds = meter.seconds(self.app.now())
            if seconds is None:
                continue
            try:
                before = self.lags_kept.get(account_id)
                self.lags_kept[account_id] = lag.keep(self.app, account_id, seconds, before)
            except AWAY as e:
                logger.warning("the lag of events was not kept: %s", e.orig)

    def _delete(self, account: Account, block: list[Received], deleters: Executor) -> None:
        readable = [received.message.receipt for received in block if received.events is not None]
        for start in range(0, len(readable), DELETE_AT_ONCE):
            some = readable[start : start + DELETE_AT_ONCE]
            if process := self.queues.get(account.id):
                process.delete(some)
            else:
                deleters.submit(self._delete_now, account, some)
        for received in block:
            if received.events is None:
                deleters.submit(self._bury, account, received.message)

    def _delete_now(self, account: Account, receipts: list[str]) -> None:
        try:
            self.app.providers.queue(account.region).delete(str(account.queue_url), receipts)
        except ProviderError as e:
            logger.warning("events were stored but not deleted, SQS will bring them again: %s", e)

    def _bury(self, account: Account, message: QueueMessage) -> None:
        """To the dead-letter queue with what nobody can read."""
        try:
            sqs = self.app.providers.queue(account.region)
            if account.dead_letter_queue_url:
                sqs.send_to(account.dead_letter_queue_url, message.body)
            sqs.delete(str(account.queue_url), [message.receipt])
        except ProviderError as e:
            logger.warning("an unreadable message stays in the queue: %s", e)


def _told(total: Ingested) -> str:
    return f"stored {total.stored} events, {total.known} came again, {total.unmatched} unmatched"


def _writes(app: App) -> bool:
    """Whether the database takes a transaction that writes, so that a failure must be the events' own."""
    try:
        with app.db.begin() as session:
            session.execute(select(1))
    except AWAY:
        return False
    return True


def _by_account(received: list[Received]) -> list[tuple[Account, list[Received]]]:
    accounts = {one.account.id: one.account for one in received}
    blocks: defaultdict[int, list[Received]] = defaultdict(list)
    for one in received:
        blocks[one.account.id].append(one)
    return [(accounts[account_id], block) for account_id, block in blocks.items()]

"""Jobs: what the scheduler does by itself, all of it in two tables."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from queue import SimpleQueue
from secrets import token_hex
from typing import Any

from sqlalchemy import Select, exists, or_, select, update
from sqlalchemy.orm import Session

from core import (
    accounts,
    campaigns,
    drift,
    events,
    identities,
    installation,
    lanes,
    limits,
    notices,
    pacing,
    reputation,
    routes,
    senders,
    sending,
    suppressions,
    tenants,
    unknown,
    users,
    warm_ups,
)
from core.app import App
from core.db.engine import AWAY
from core.db.models import Account, Campaign, JobRun, Message, Tenant
from core.db.states import CampaignStatus, MessageStatus, ProviderName, SendingStatus
from core.db.upsert import insert
from core.tenants import limits as tenant_limits

logger = logging.getLogger(__name__)

# A scheduler that died lets go of its job after so long; one that lives renews its claim, but not for ever: a
# job that hangs must not keep the others from it.
CLAIMED_FOR = timedelta(minutes=3)
RENEW_EVERY_SECONDS = 60.0
LONGEST_RUN_SECONDS = 3600.0
RESTART_SECONDS = 5.0
EARLY = 0.8  # of its interval: schedulers' clocks do not tick together
# A message just accepted will be reported within seconds: --until-idle waits for that.
OUTCOME_EXPECTED_WITHIN = timedelta(seconds=15)
CLOSED_IS_IDLE_AFTER = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Job:
    """Run every so often, by one scheduler at a time; returns a line for the Health page. `urgent`: its calls
    to SES wait among people's, not behind those of the other jobs."""

    name: str
    every_seconds: float
    run: Callable[[App], str]
    urgent: bool = False


@dataclass(frozen=True, slots=True)
class Loop:
    """Runs as long as the process does, in each scheduler; `run(app, stop, until_idle)`."""

    name: str
    run: Callable[[App, threading.Event, bool], str]


JOBS = (
    Job("read the account's quota", 60, accounts.refresh_due),
    Job("tell SES who is paused", 5, tenants.sync_due, urgent=True),
    Job("verify identities", 60, identities.refresh_due),
    Job("remove deleted senders", 3600, senders.purge_due),
    Job("read SES's view of tenants", 30, tenants.reputation_due),
    Job("compare tenants with AWS", 60, drift.check_due),
    Job("compare suppression lists with SES", 60, suppressions.compare_due),
    Job("find dead workers", 10, sending.reap_dead),
    Job("retry parked events", 60, events.retry_parked_due),
    Job("count opens and clicks by new rules", 60, events.recount_due),
    Job("watch the event queues", 30, events.watch_due),
    Job("send heartbeats", 30, events.beat_due),
    Job("end campaigns at their last moment", 30, campaigns.expire_due),
    Job("finish cancelling campaigns", 30, campaigns.finish_cancelled_due),
    Job("tell of unknown messages", 300, unknown.alert_due),
    Job("judge warm-ups", 300, warm_ups.judge_due),
    Job("brake AWS accounts", 300, reputation.brake.apply_due),
    Job("look again at reputation warnings", 600, reputation.look_again_due),
    Job("learn how late complaints come", 6 * 3600, reputation.learn_due),
    Job("forget what tenants sent long ago", 3600, tenant_limits.forget_old),
    Job(notices.LOOK, 60, notices.look_due),
    Job("tell people of alerts", 10, notices.send_due),
    Job("drop ended sessions", 6 * 3600, users.forget_ended),
)
LOOPS = (
    Loop("send", sending.work),
    Loop("ingest", events.poll_apart),
)


def stop_when_told(stop: threading.Event, *signals: signal.Signals) -> None:
    """Set `stop` on any of these. Not by the handler itself: that runs in the midst of whatever the main
    thread does, and would wait for ever for the lock that `stop.wait()` holds there for a moment."""
    told: SimpleQueue[int] = SimpleQueue()  # put() may be called by a handler

    def wait() -> None:
        told.get()
        stop.set()

    threading.Thread(target=wait, name="signals", daemon=True).start()
    for number in signals:
        signal.signal(number, lambda *_: told.put(0))


def run_job(
    app: App, job: Job, *, only_when_due: bool = False, renew_every_seconds: float = RENEW_EVERY_SECONDS
) -> None:
    """Run it unless another scheduler does, and keep what it said; a failure is kept, not raised.
    `only_when_due`: nor when any scheduler has begun it so lately that this turn of it is done."""
    claim = _Claim(app, job.name)
    if not claim.take(job.every_seconds * EARLY if only_when_due else 0):
        return
    result, error = "", None
    try:
        with claim.renewed(renew_every_seconds), _waiting(job):
            result = job.run(app)
    except Exception as e:
        logger.exception("job %r failed", job.name)
        error = f"{type(e).__name__}: {e}"[:500]
    claim.end(result[:500], error)


def _waiting(job: Job) -> AbstractContextManager[None]:
    return nullcontext() if job.urgent else pacing.in_background()


def run_loop(app: App, loop: Loop, stop: threading.Event) -> None:
    """Keep the loop running until `stop`: what it does not expect is logged, and it starts again."""
    while not stop.is_set():
        try:
            loop.run(app, stop, False)
        except Exception:
            logger.exception("loop %r failed; it starts again in %.0f s", loop.name, RESTART_SECONDS)
            stop.wait(RESTART_SECONDS)


def run_foreground(
    app: App, stop: threading.Event, *, until_idle: bool = False, seconds: float | None = None
) -> None:
    """The scheduler's work in this process, until `stop`, for `seconds`, or until nothing is left to do."""
    deadline = None if seconds is None else time.monotonic() + seconds
    threads = [
        threading.Thread(target=run_loop, args=(app, loop, stop), name=loop.name, daemon=True)
        for loop in LOOPS
    ]
    for thread in threads:
        thread.start()
    turns = [_Turn(app, job) for job in JOBS]
    try:
        # Each on its own thread: one that waits for SES must not keep a pause from being told.
        with ThreadPoolExecutor(len(turns), thread_name_prefix="job") as pool:
            while not stop.is_set():
                for turn in turns:
                    turn.begin_when_due(pool)
                if deadline is not None and time.monotonic() >= deadline:
                    break
                if until_idle and is_idle(app):
                    for turn in turns:  # a pause of the last moment: SES is told of it, too
                        turn.begin_again(pool)
                    break
                stop.wait(0.5)
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=60)


class _Turn:
    """When a job runs next in this process."""

    def __init__(self, app: App, job: Job) -> None:
        self._app, self._job = app, job
        self._due_at = 0.0
        self._last: Future[None] | None = None

    def begin_when_due(self, pool: ThreadPoolExecutor) -> None:
        is_over = self._last is None or self._last.done()
        if is_over and time.monotonic() >= self._due_at:
            self._due_at = time.monotonic() + self._job.every_seconds
            self._last = pool.submit(run_job, self._app, self._job, only_when_due=self._last is not None)

    def begin_again(self, pool: ThreadPoolExecutor) -> None:
        """Once more after the run that is under way."""
        if self._last is not None:
            wait([self._last])
        pool.submit(run_job, self._app, self._job)


def is_idle(app: App) -> bool:
    """Nothing may go out, no reply is awaited, no event is on its way."""
    with app.db.read() as session:
        in_flight = select(Message.id).where(Message.status == MessageStatus.SENDING).limit(1)
        if any(session.scalar(query) for query in (in_flight, _awaiting(app))):
            return False
        if _may_send(app, session):
            return False
        queues = session.execute(select(Account.region, Account.queue_url)).all()
    return all(app.providers.queue(region).depth(url) == 0 for region, url in queues if url is not None)


def _may_send(app: App, session: Session) -> bool:
    """Whether something waits that neither a person, a limit nor Amazon SES holds back for long."""
    if installation.held_reason(session) is not None:
        return False
    fallback_from = routes.fallback_address(app)
    for query, single in ((_campaigns_waiting(app), False), (_singles_waiting(), True)):
        for row in session.execute(query):
            tenant = session.get_one(Tenant, row.tenant_id)
            way = routes.of_sender(session, tenant.id, row.sender_id, fallback_from, campaign=not single)
            if isinstance(way, str) and single:
                continue
            if not _is_held_for_long(app, session, tenant, way, single=single):
                return True
    return False


def _is_held_for_long(
    app: App, session: Session, tenant: Tenant, way: routes.Route | str, *, single: bool
) -> bool:
    account = session.get_one(Account, tenant.account_id)
    by_ses = isinstance(way, str) or way.provider == ProviderName.SES
    lane = lanes.find_lane(session, lanes.lane_of(account.id) if by_ses else ProviderName.RESEND)
    soon = app.now() + CLOSED_IS_IDLE_AFTER
    if lanes.is_closed(lane, app.now()) and lane is not None and lane.closed_until >= soon:  # type: ignore[operator]
        return True
    if by_ses and lane is not None:
        quota = limits.of_24_hours(session, account, lane, transactional=single, now=app.now())
        if not quota.recipients:
            return True
    spent = tenant_limits.left(session, tenant, app.now())
    return (by_ses and not account.sending_enabled) or (
        spent is not None and not spent[0] and spent[1] >= CLOSED_IS_IDLE_AFTER.total_seconds()
    )


def _campaigns_waiting(app: App) -> Select[int, int]:
    waiting = exists().where(
        Message.campaign_id == Campaign.id, Message.status == MessageStatus.PENDING
    )  # per campaign: a scan of all messages otherwise
    return (
        select(Campaign.tenant_id, Campaign.sender_id)
        .join(Tenant, Tenant.id == Campaign.tenant_id)
        .where(Campaign.status == CampaignStatus.SENDING, waiting)
        .where(Tenant.sending_status != SendingStatus.DISABLED)
    )


def _singles_waiting() -> Select[int, int]:
    return (
        select(Message.tenant_id, Message.sender_id)
        .join(Tenant, Tenant.id == Message.tenant_id)
        .where(Message.campaign_id.is_(None), Message.status == MessageStatus.PENDING.value)
        .where(Tenant.sending_status != SendingStatus.DISABLED)
        .distinct()
    )


def _awaiting(app: App) -> Select[int]:
    """A message accepted so lately that its outcome may still be on its way."""
    since = app.now() - OUTCOME_EXPECTED_WITHIN
    return select(Message.id).where(Message.status == MessageStatus.SENT, Message.sent_at > since).limit(1)


class _Claim:
    """One run's hold on its job, which only that run renews and lets go."""

    def __init__(self, app: App, name: str) -> None:
        self._app, self._name = app, name
        self._by = token_hex(8)

    def take(self, not_within_seconds: float) -> bool:
        now = self._app.now()
        is_due = or_(
            JobRun.started_at.is_(None),
            JobRun.started_at <= now - timedelta(seconds=not_within_seconds),
            JobRun.started_at > now + CLAIMED_FOR,  # written while a clock was wrong
        )
        is_free = or_(
            JobRun.claimed_until.is_(None),
            JobRun.claimed_until < now,
            JobRun.claimed_until > now + 2 * CLAIMED_FOR,  # written while a clock was wrong
        )
        with self._app.db.begin() as session:
            session.execute(
                insert(session, JobRun).values(name=self._name, result="").on_conflict_do_nothing()
            )
            taken = session.execute(
                update(JobRun)
                .where(JobRun.name == self._name, is_free, is_due)
                .values(claimed_by=self._by, claimed_until=now + CLAIMED_FOR, started_at=now)
                .returning(JobRun.name)
            )
            return taken.first() is not None

    @contextmanager
    def renewed(self, every_seconds: float) -> Iterator[None]:
        """While the job runs: one that takes longer than its claim is not begun by another scheduler."""
        ended = threading.Event()
        thread = threading.Thread(target=self._renew, args=(ended, every_seconds), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def end(self, result: str, error: str | None) -> None:
        finished = {"claimed_until": None, "claimed_by": None, "finished_at": self._app.now()}
        if not self._keep(**finished, result=result, error=error):
            logger.warning("job %r took so long that another scheduler has it now: %s", self._name, result)

    def _renew(self, ended: threading.Event, every_seconds: float) -> None:
        give_up_at = time.monotonic() + LONGEST_RUN_SECONDS
        while not ended.wait(every_seconds) and time.monotonic() < give_up_at:
            try:
                if not self._keep(claimed_until=self._app.now() + CLAIMED_FOR):
                    return
            except AWAY:
                logger.exception("the claim of job %r was not renewed", self._name)

    def _keep(self, **columns: Any) -> bool:
        """False when it is not ours any more."""
        with self._app.db.begin() as session:
            kept = session.execute(
                update(JobRun)
                .where(JobRun.name == self._name, JobRun.claimed_by == self._by)
                .values(**columns)
                .returning(JobRun.name)
            )
            return kept.first() is not None

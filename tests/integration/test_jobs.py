"""Jobs: which there are and how often, and that a claim belongs to one run as long as that takes."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from core import (
    accounts,
    campaigns,
    drift,
    events,
    identities,
    jobs,
    notices,
    pacing,
    reputation,
    senders,
    sending,
    suppressions,
    tenants,
    unknown,
    users,
    warm_ups,
)
from core.app import App
from core.db.models import JobRun
from core.tenants import limits
from tests.turns import NOON

NAME = "compare tenants with AWS"
ALL = {
    "read the account's quota": (60, accounts.refresh_due),
    "tell SES who is paused": (5, tenants.sync_due),
    "verify identities": (60, identities.refresh_due),
    "remove deleted senders": (3600, senders.purge_due),
    "read SES's view of tenants": (30, tenants.reputation_due),
    "compare tenants with AWS": (60, drift.check_due),
    "compare suppression lists with SES": (60, suppressions.compare_due),
    "find dead workers": (10, sending.reap_dead),
    "retry parked events": (60, events.retry_parked_due),
    "watch the event queues": (30, events.watch_due),
    "send heartbeats": (30, events.beat_due),
    "count opens and clicks by new rules": (60, events.recount_due),
    "end campaigns at their last moment": (30, campaigns.expire_due),
    "finish cancelling campaigns": (30, campaigns.finish_cancelled_due),
    "tell of unknown messages": (300, unknown.alert_due),
    "judge warm-ups": (300, warm_ups.judge_due),
    "brake AWS accounts": (300, reputation.brake.apply_due),
    "look again at reputation warnings": (600, reputation.look_again_due),
    "learn how late complaints come": (21600, reputation.learn_due),
    "forget what tenants sent long ago": (3600, limits.forget_old),
    "look at quotas and schedulers": (60, notices.look_due),
    "tell people of alerts": (10, notices.send_due),
    "drop ended sessions": (21600, users.forget_ended),
}


class Clock:
    """Moves when it is told to."""

    def __init__(self) -> None:
        self.at = NOON

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here waits")


def at_noon(app: App) -> tuple[App, Clock]:
    clock = Clock()
    return replace(app, clock=clock), clock


def row(app: App) -> JobRun:
    with app.db.read() as session:
        return session.scalars(select(JobRun)).one()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def claimed_until(app: App) -> datetime:
    until = row(app).claimed_until
    assert until is not None
    return until


def test_these_are_the_jobs_and_this_often_each_runs() -> None:
    assert {job.name: (job.every_seconds, job.run) for job in jobs.JOBS} == ALL
    assert len(jobs.JOBS) == len(ALL)


def test_a_job_waits_for_ses_behind_people_unless_it_is_urgent(app: App) -> None:
    said: list[bool] = []

    def run(_: App) -> str:
        said.append(pacing.is_in_background())
        return ""

    jobs.run_job(app, jobs.Job("one", 60, run))
    jobs.run_job(app, jobs.Job("another", 60, run, urgent=True))
    assert said == [True, False]
    assert [job.name for job in jobs.JOBS if job.urgent] == ["tell SES who is paused"]


def test_a_job_that_takes_longer_than_its_claim_keeps_it(app: App) -> None:
    app, clock = at_noon(app)
    others: list[str] = []

    def slow(app: App) -> str:
        for _ in range(3):
            clock.at += jobs.CLAIMED_FOR - timedelta(seconds=1)
            wait_until(lambda: claimed_until(app) == clock.at + jobs.CLAIMED_FOR)
            jobs.run_job(app, jobs.Job(NAME, 60, lambda _: others.append("ran") or "ran"))
        return "done at last"

    jobs.run_job(app, jobs.Job(NAME, 60, slow), renew_every_seconds=0.01)
    assert others == []
    ended = row(app)
    assert (ended.result, ended.error, ended.finished_at) == ("done at last", None, clock.at)
    assert (ended.claimed_until, ended.claimed_by) == (None, None)


def test_who_lost_its_claim_leaves_the_new_one_alone(app: App, caplog: pytest.LogCaptureFixture) -> None:
    """As after a machine that stood still for ten minutes."""
    app, clock = at_noon(app)
    began, go_on = threading.Event(), threading.Event()

    def frozen(app: App) -> str:
        clock.at += timedelta(minutes=10)
        second.start()
        assert began.wait(10)
        return "from before"

    def another(app: App) -> str:
        began.set()
        assert go_on.wait(10)
        return "from another"

    second = threading.Thread(target=jobs.run_job, args=(app, jobs.Job(NAME, 60, another)))
    jobs.run_job(app, jobs.Job(NAME, 60, frozen))
    held = row(app)
    assert (held.claimed_until, held.result) == (clock.at + jobs.CLAIMED_FOR, "")
    assert "another scheduler has it now" in caplog.text
    go_on.set()
    second.join()
    assert (row(app).result, row(app).claimed_until) == ("from another", None)


def test_a_job_that_fails_lets_go_and_says_why(app: App) -> None:
    def fail(_: App) -> str:
        raise ValueError("no such thing")

    jobs.run_job(app, jobs.Job(NAME, 60, fail))
    ended = row(app)
    assert (ended.error, ended.claimed_until, ended.claimed_by) == ("ValueError: no such thing", None, None)
    jobs.run_job(app, jobs.Job(NAME, 60, lambda _: "done"))
    assert (row(app).error, row(app).result) == (None, "done")


def test_what_another_scheduler_began_a_moment_ago_is_not_due(app: App) -> None:
    app, clock = at_noon(app)
    began: list[datetime] = []

    def run(_: App) -> str:
        began.append(clock.at)
        return ""

    job = jobs.Job(NAME, 60, run)
    for after_seconds in (0, 1, 46, 1, 30, 18):
        clock.at += timedelta(seconds=after_seconds)
        jobs.run_job(app, job, only_when_due=True)
    assert [(at - NOON).total_seconds() for at in began] == [0, 48, 96]
    clock.at -= timedelta(hours=1)
    jobs.run_job(app, job, only_when_due=True)
    assert len(began) == 4, "it was begun while a clock was wrong"
    jobs.run_job(app, job)
    assert len(began) == 5, "a person's word is no question of time"


def test_a_signal_is_heard_even_while_one_is_about_to_wait() -> None:
    stop = threading.Event()
    before = signal.getsignal(signal.SIGUSR1)
    jobs.stop_when_told(stop, signal.SIGUSR1)
    try:
        with stop._cond:  # type: ignore[attr-defined]  # as stop.wait() holds it before it waits
            signal.raise_signal(signal.SIGUSR1)
        assert stop.wait(10)
    finally:
        signal.signal(signal.SIGUSR1, before)

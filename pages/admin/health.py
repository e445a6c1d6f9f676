"""Health: whether the installation itself works: scheduler, queue, jobs, and what waits for a person."""

from __future__ import annotations

from datetime import datetime, timedelta

import streamlit as st

from core import reports
from core.access import Action, Actor
from core.app import App
from core.db.models import JobRun
from core.reports import Health
from pages._ui import format
from pages._ui.numbers import numbers
from pages._ui.runtime import begin
from pages._ui.tables import chip, chips, empty, table
from pages.admin._held_mail import draw_held_mail

app, actor = begin("Health", Action.SEE_HEALTH)

SILENT_AFTER = timedelta(minutes=2)
LATE_SECONDS = 60


def main(app: App, actor: Actor) -> None:
    now = app.now()
    health = reports.health(app, actor)
    st.caption(f"As of {format.moment(now)} UTC")
    _warnings(health, now)
    draw_held_mail(app, actor)
    _numbers(health, now)
    st.subheader("Scheduler processes", anchor=False)
    _workers(health, now)
    st.subheader("Jobs", anchor=False)
    _jobs(health, now)


def _silent(health: Health, now: datetime) -> bool:
    return health.scheduler_beat_at is None or now - health.scheduler_beat_at > SILENT_AFTER


def _warnings(health: Health, now: datetime) -> None:
    if _silent(health, now):
        told = "No scheduler is running: nothing is sent, verified or heard. Start one: python scheduler.py"
        st.error(told, icon=":material/error:")
    elif health.lag.is_stale and health.lag.accounts:
        told = "No scheduler has read the event queue of late: see its log, and whether SQS answers there."
        st.error(told, icon=":material/cloud_off:")
    elif health.lag.seconds > LATE_SECONDS:
        st.warning("Events come in late: pauses and suppressions act late too.", icon=":material/hourglass:")


def _numbers(health: Health, now: datetime) -> None:
    known = any(account.seconds is not None for account in health.lag.accounts)
    lag = format.duration(health.lag.seconds) if known else "unknown"
    waiting = format.count(health.lag.waiting)
    with numbers(5):
        st.metric("Scheduler's last beat", format.ago(health.scheduler_beat_at, now), border=True)
        st.metric("Events' lag", lag, border=True, help="How long the oldest event has waited to be stored.")
        st.metric("Events in the queue", waiting, border=True, help="As SQS estimates.")
        st.metric("Parked events", format.count(health.parked), border=True,
                  help="Events nobody could match or read yet; they are retried.")  # fmt: skip
        st.metric("Unknown messages", format.count(health.unknown), border=True,
                  help="They may or may not have arrived; none is sent again by itself.")  # fmt: skip
    st.page_link("pages/admin/events.py", label="Events: queues, heartbeat, parked events and dead letters",
                 icon=":material/arrow_forward:")  # fmt: skip


def _workers(health: Health, now: datetime) -> None:
    if not health.workers:
        empty("No scheduler has started yet", "Start one: python scheduler.py", icon=":material/bedtime:")
        return
    rows = [
        {
            "Name": worker.name,
            "Host": worker.host,
            "Process": str(worker.pid),
            "Status": chip("active" if now - worker.beat_at <= SILENT_AFTER else "silent"),
            "Last beat": format.ago(worker.beat_at, now),
            "Running for": format.duration((now - worker.started_at).total_seconds()),
        }
        for worker in health.workers
    ]
    table(rows, key="health.workers", columns={"Status": chips("Status")})


def _jobs(health: Health, now: datetime) -> None:
    if not health.jobs:
        st.caption("No job has run yet.")
        return
    rows = [
        {
            "Job": format.words(job.name),
            "Status": chip(_state(job)),
            "Started": format.ago(job.started_at, now),
            "Finished": format.ago(job.finished_at, now),
            "Said": job.error or job.result,
        }
        for job in health.jobs
    ]
    table(rows, key="health.jobs", columns={"Status": chips("Status")})


def _state(job: JobRun) -> str:
    if job.error:
        return "FAILED"
    running = job.started_at is not None and (job.finished_at is None or job.finished_at < job.started_at)
    return "running" if running else "ok"


main(app, actor)

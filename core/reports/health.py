"""Health: whether the installation itself works."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from core.access import Action, Actor
from core.app import App
from core.db.models import JobRun, Worker
from core.db.states import MessageStatus
from core.events import lag
from core.reports.overview import count_messages


@dataclass(frozen=True, slots=True)
class Health:
    scheduler_beat_at: datetime | None  # None: no scheduler has ever run
    workers: list[Worker]  # those that have not stopped
    lag: lag.Lag  # as the schedulers measured it last
    parked: int
    unknown: int
    jobs: list[JobRun]


def health(app: App, actor: Actor) -> Health:
    actor.must(Action.SEE_HEALTH)
    with app.db.read() as session:
        beat_at = session.scalar(select(func.max(Worker.beat_at)))
        workers = list(session.scalars(select(Worker).where(Worker.stopped_at.is_(None))))
        unknown = sum(count_messages(session, None, MessageStatus.UNKNOWN).values())
        jobs = list(session.scalars(select(JobRun).order_by(JobRun.name)))
    behind = lag.lag_seconds(app, actor)
    return Health(
        scheduler_beat_at=beat_at,
        workers=workers,
        lag=behind,
        parked=behind.parked,
        unknown=unknown,
        jobs=jobs,
    )

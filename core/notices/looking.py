"""Looking: alerts about what nobody else looks at: a used-up quota, and schedulers that are silent."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import alerts, lanes, limits
from core.app import App
from core.db.models import Account, JobRun, Lane, Worker

JOB = "look at quotas and schedulers"
SILENT_AFTER = timedelta(seconds=60)
# When the job ran so lately, schedulers have lived for a while: they are not just being started.
RAN_LATELY = timedelta(minutes=5)
QUOTA = "quota"
SILENT = {"kind": "scheduler silent", "cause": "installation"}


def look_due(app: App) -> str:
    now = app.now()
    with app.db.begin() as session:
        used_up = [tell_of_quota(session, account, now) for account in session.scalars(select(Account))]
        tell_of_silence(session, now, may_raise=_ran_lately(session, now))
    return f"the quota of {sum(used_up)} accounts is used up" if any(used_up) else ""


def tell_of_quota(session: Session, account: Account, at: datetime) -> bool:
    """Whether campaigns have none left, by our count, or because SES said so a moment ago."""
    cause = lanes.lane_of(account.id)
    lane = lanes.find_lane(session, cause)
    reason = None if lane is None else _why_used_up(session, account, lane, at)
    if reason is None:
        alerts.clear(session, kind=QUOTA, cause=cause, at=at)
        return False
    sentence = f"AWS account {account.name}: {reason}"
    alerts.raise_once(session, kind=QUOTA, cause=cause, sentence=sentence, tenant_id=None, at=at)
    return True


def _why_used_up(session: Session, account: Account, lane: Lane, at: datetime) -> str | None:
    allowed = limits.of_24_hours(session, account, lane, transactional=False, now=at)
    if not allowed.recipients:
        return allowed.reason
    is_closed = lanes.is_closed(lane, at) and (lane.closed_reason or "").startswith(lanes.QUOTA_USED_UP)
    return lane.closed_reason if is_closed else None


def tell_of_silence(session: Session, at: datetime, *, may_raise: bool) -> bool:
    """Whether no scheduler lives any more. Where none has ever run, none is missed."""
    beat_at = session.scalar(select(func.max(Worker.beat_at)))
    if beat_at is None:
        return False
    if at - beat_at < SILENT_AFTER:
        alerts.clear(session, **SILENT, at=at)
        return False
    if may_raise:
        sentence = (
            f"No scheduler has given a sign of life since {beat_at:%H:%M} UTC: nothing is sent, verified or "
            "heard. Start one: python scheduler.py"
        )
        alerts.raise_once(session, **SILENT, sentence=sentence, tenant_id=None, at=at)
    return True


def _ran_lately(session: Session, at: datetime) -> bool:
    run = session.get(JobRun, JOB)
    if run is None or run.finished_at is None:
        return False
    return timedelta(0) <= at - run.finished_at <= RAN_LATELY

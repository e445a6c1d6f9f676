"""Maturity: which share of a mail's complaints has come by a certain age of it.

That delays are lognormal, and how wide, is an assumption; their median is learned from our own complaints.
Ages and delays are both measured from the arming of the mail.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import cache

from sqlalchemy import delete, literal_column, select, update
from sqlalchemy.orm import Session

from core.app import App
from core.db.models import DeliveredHour, Event, Installation, Message
from core.db.states import EventType

USUAL_HOURS = 6.0
SIGMA = 1.2
LEARNED_FROM = timedelta(days=90)
FEWEST = 30  # complaints
MOST = 5_000  # the newest, so that reading them stays short
SHORTEST_HOURS, LONGEST_HOURS = 0.25, 72.0
KEPT_FOR = timedelta(days=31)  # delivered hours; by then all complaints have come


def share_come(age_hours: float, median_hours: float) -> float:
    """F(age): of the complaints that mail of this age will cause, those that have come."""
    if age_hours <= 0:
        return 0.0
    return 0.5 * (1 + math.erf(math.log(age_hours / median_hours) / (SIGMA * math.sqrt(2))))


def weight_at(at: datetime, median_hours: float) -> Callable[[datetime], float]:
    """The share for mail that was armed in an hour, by the middle of that hour."""

    @cache
    def weight(hour_at: datetime) -> float:
        middle = hour_at + timedelta(minutes=30)
        # The hour that is not over yet is as old as the mean of what was armed in it so far.
        age = at - middle if at - hour_at >= timedelta(hours=1) else (at - hour_at) / 2
        return share_come(age.total_seconds() / 3600, median_hours)

    return weight


def median_hours(session: Session) -> float:
    return session.scalar(select(Installation.complaint_hours)) or USUAL_HOURS


def learn_due(app: App) -> str:
    """Job: the median delay of our own complaints, once there are enough; and forget deliveries so old that
    all their complaints have come."""
    with app.db.read() as session:
        delays = _delays(session, app.now() - LEARNED_FROM)
    with app.db.begin() as session:
        session.execute(delete(DeliveredHour).where(DeliveredHour.hour_at < app.now() - KEPT_FOR))
        if len(delays) < FEWEST:
            return f"{len(delays)} complaints in 90 days: too few to learn from, {USUAL_HOURS:g} hours it is."
        hours = min(max(statistics.median(delays), SHORTEST_HOURS), LONGEST_HOURS)
        session.execute(update(Installation).values(complaint_hours=hours))
    return f"Half of {len(delays)} complaints came within {hours:.1f} hours."


def _delays(session: Session, since: datetime) -> list[float]:
    """Hours from arming to complaint, of the newest complaints."""
    query = (
        select(Event.occurred_at, Message.armed_at)
        .join(Message, Message.id == Event.message_id)
        # Written out, so that the index of these events alone serves.
        .where(Event.type == literal_column(f"'{EventType.COMPLAINT.value}'"))
        .where(Event.received_at >= since, Event.counts_in_rates, Message.counts_in_rates)
        .where(Message.complained_at.is_not(None))
        .order_by(Event.received_at.desc())
        .limit(MOST)
    )
    delays = (said_at - armed_at for said_at, armed_at in session.execute(query) if armed_at is not None)
    return [delay.total_seconds() / 3600 for delay in delays if delay > timedelta(0)]

"""Reputation charts: bounce and complaint rate against the limits of AWS and our own, and the volume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from functools import reduce
from operator import add

import streamlit as st

from core import reputation
from core.db.models import Tenant
from core.reports import Counts, DayRates, Pause
from core.reputation import Signal
from pages._ui.charts import Limit, Mark, Point, rates, volumes
from pages._ui.format import local

WINDOW_DAYS = 7


def total(days: Sequence[DayRates]) -> Counts:
    names = Counts.__dataclass_fields__
    return Counts(**{name: reduce(add, (getattr(day.counts, name) for day in days), 0) for name in names})


def draw_charts(days: Sequence[DayRates], since: date, tenant: Tenant, pauses: Sequence[Pause]) -> None:
    """`days` begin WINDOW_DAYS before `since`, so that the first point that is shown has its whole week."""
    weeks = [
        (day.day, total(days[max(0, i - WINDOW_DAYS + 1) : i + 1]))
        for i, day in enumerate(days)
        if day.day >= since
    ]
    marks = [Mark(local(pause.paused_at, tenant.timezone), "Paused") for pause in pauses]
    left, right = st.columns(2)
    with left, st.container(border=True):
        st.subheader("Bounce rate", anchor=False)
        st.caption("Permanent bounces per message with an outcome, 7 days together")
        _draw_rate(
            weeks, lambda counts: counts.bounce_rate, _limits(Signal.BOUNCE), marks, "reputation.bounces", 0
        )
    with right, st.container(border=True):
        st.subheader("Complaint rate", anchor=False)
        st.caption("Complaints per delivered message, 7 days together")
        _draw_rate(
            weeks,
            lambda counts: counts.complaint_rate,
            _limits(Signal.COMPLAINT),
            marks,
            "reputation.complaints",
            2,
        )
    with st.container(border=True):
        st.subheader("Volume", anchor=False)
        st.caption("Messages by the day they were sent on")
        _draw_volume([day for day in days if day.day >= since])


def _draw_rate(
    weeks: Sequence[tuple[date, Counts]],
    rate: Callable[[Counts], float | None],
    limits: Sequence[Limit],
    marks: Sequence[Mark],
    key: str,
    digits: int,
) -> None:
    points = [Point(day, rate(counts)) for day, counts in weeks]
    rates(points, limits=limits, marks=marks, key=key, digits=digits)


def _limits(signal: Signal) -> list[Limit]:
    """AWS's review and pause and our own pause; one line where two are the same."""
    limit = reputation.limits()[signal]
    lines = [Limit(f"AWS reviews at {limit.aws_review * 100:g} %", limit.aws_review)]
    if limit.pause == limit.aws_pause:
        both = f"Postyard pauses, AWS may pause at {limit.pause * 100:g} %"
        return [*lines, Limit(both, limit.pause, "stop")]
    lines.append(Limit(f"AWS may pause at {limit.aws_pause * 100:g} %", limit.aws_pause, "stop"))
    return [*lines, Limit(f"Postyard pauses at {limit.pause * 100:g} %", limit.pause, "stop")]


def _draw_volume(days: Sequence[DayRates]) -> None:
    """In the order of the theme's colours: blue, green, amber, red."""
    counts = [day.counts for day in days]
    volumes(
        [day.day for day in days],
        {
            "No outcome yet": [max(0, each.sent - each.outcomes - each.rejected) for each in counts],
            "Delivered": [max(0, each.delivered - each.complaints) for each in counts],
            "Bounced": [each.bounced for each in counts],
            "Complaints": [each.complaints for each in counts],
        },
        key="reputation.volume",
    )

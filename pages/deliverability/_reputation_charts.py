"""Reputation charts: bounce and complaint rate against the limits of AWS and of Postyard, and the volume."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from functools import reduce
from operator import add, attrgetter

import streamlit as st

from core import reputation
from core.db.models import Tenant
from core.reports import Counts, DayRates
from core.reputation import Signal
from pages._ui.charts import Limit, Mark, Point, draw, rates, volumes
from pages.deliverability._reputation_files import View, offer_csv, offer_png
from pages.deliverability._reputation_tables import numbers

WINDOW_DAYS = 7
BOUNCES = "permanent bounces per message with an outcome, 7 days together"
COMPLAINTS = "complaints per delivered message, 7 days together"
VOLUME = "messages by the day they were sent on"
Week = tuple[date, Counts]


def total(days: Sequence[DayRates]) -> Counts:
    return reduce(add, (day.counts for day in days), Counts())


def draw_charts(view: View, days: Sequence[DayRates], marks: Sequence[Mark]) -> None:
    """`days` begin WINDOW_DAYS before the first that is shown, so that it has its whole week."""
    weeks = [
        (day.day, total(days[max(0, i - WINDOW_DAYS + 1) : i + 1]))
        for i, day in enumerate(days)
        if day.day >= view.since
    ]
    left, right = st.columns(2)
    with left, st.container(border=True):
        _draw_rate(view, weeks, marks, Signal.BOUNCE, attrgetter("bounce_rate"), BOUNCES, 0)
    with right, st.container(border=True):
        _draw_rate(view, weeks, marks, Signal.COMPLAINT, attrgetter("complaint_rate"), COMPLAINTS, 2)
    with st.container(border=True):
        _draw_volume(view, [day for day in days if day.day >= view.since], marks)


def limits_of(tenant: Tenant, signal: Signal) -> list[Limit]:
    """Postyard's two, the tenant's own where they are lower, and AWS's; one line where two are the same."""
    limit, usual = reputation.limits(tenant)[signal], reputation.limits()[signal]
    return [
        *_lines(limit.warn, usual.warn, limit.aws_review, ("warns", "reviews"), "warn"),
        *_lines(limit.pause, usual.pause, limit.aws_pause, ("pauses", "may pause"), "stop"),
    ]


def _lines(ours: float, usual: float, aws: float, words: tuple[str, str], level: str) -> list[Limit]:
    if ours == aws:
        both = f"Postyard {words[0]}, AWS {words[1]} at {_percent(ours)}"
        return [Limit(both, ours, level, above=level == "stop")]
    whose = " (the tenant's own limit)" if ours < usual else ""
    return [
        Limit(f"Postyard {words[0]} at {_percent(ours)}{whose}", ours, level, above=False),
        Limit(f"AWS {words[1]} at {_percent(aws)}", aws, level, on_right=True),
    ]


def _percent(rate: float) -> str:
    return f"{rate * 100:.4g} %"


def _draw_rate(
    view: View,
    weeks: Sequence[Week],
    marks: Sequence[Mark],
    signal: Signal,
    rate: Callable[[Counts], float | None],
    told: str,
    digits: int,
) -> None:
    chart = rates(
        [Point(day, rate(counts)) for day, counts in weeks],
        limits=limits_of(view.tenant, signal),
        marks=marks,
        digits=digits,
    )
    title = f"{signal.value.capitalize()} rate"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(title, anchor=False, width="stretch")
        offer_png(view, chart, title, told, f"{signal.value}s")
    st.caption(told[0].upper() + told[1:])
    draw(chart, f"reputation.{signal.value}s")


def _draw_volume(view: View, days: Sequence[DayRates], marks: Sequence[Mark]) -> None:
    """In the order of the theme's colours: blue, green, amber, red."""
    counts = [day.counts for day in days]
    chart = volumes(
        [day.day for day in days],
        {
            "No outcome yet": [max(0, each.sent - each.outcomes - each.rejected) for each in counts],
            "Delivered": [max(0, each.delivered - each.complaints) for each in counts],
            "Bounced": [each.bounced for each in counts],
            "Complaints": [each.complaints for each in counts],
        },
        marks=marks,
    )
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Volume", anchor=False, width="stretch")
        offer_csv(view, [{"Day": day.day, **numbers(day.counts)} for day in days], "days")
        offer_png(view, chart, "Volume", VOLUME, "volume")
    st.caption(VOLUME[0].upper() + VOLUME[1:])
    draw(chart, "reputation.volume")

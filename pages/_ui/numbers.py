"""Numbers: what was sent today and came of it, each with the days before as a line.

    with numbers(4):
        metrics(today, [day.counts for day in days], border=True)

Rates are compared with the mean of the days before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.reports import Counts
from pages._ui import format

UNCHANGED = "no change"
EXPLAINED = "lines: the 24 days before · changes: against their mean"
_Of = Callable[[Counts], float | None]


def numbers(columns: int) -> DeltaGenerator:
    """A row of so many numbers; two of them side by side on a phone."""
    return st.grid(columns, min_column_width=140)


def metrics(today: Counts, before: Sequence[Counts], *, border: bool) -> None:
    """Four numbers of today, into the caller's row."""
    shown: tuple[tuple[str, str, _Of, str], ...] = (
        ("Sent", format.count(today.sent), attrgetter("sent"), ""),
        ("Delivered", format.rate(delivered(today), 1), delivered, "normal"),
        ("Bounce rate", format.rate(today.bounce_rate), attrgetter("bounce_rate"), "inverse"),
        (
            "Complaint rate",
            format.rate(today.complaint_rate, 3),
            attrgetter("complaint_rate"),
            "inverse",
        ),
    )
    for label, value, of, color in shown:
        days = [of(counts) for counts in (*before, today)]
        delta = _change(days) if color else None
        st.metric(
            label, value, delta, border=border, height="stretch", chart_type="area", chart_data=line(days),
            delta_color="off" if delta in (None, UNCHANGED) else color,  # type: ignore[arg-type]
            delta_arrow="off" if delta == UNCHANGED else "auto",
        )  # fmt: skip


def line(days: Sequence[float | None]) -> list[float]:
    """A day without mail has no rate: the line goes on at the day before's."""
    points: list[float] = []
    for value in days:
        points.append(value if value is not None else points[-1] if points else 0.0)
    return points


def _change(days: Sequence[float | None]) -> str | None:
    """Today's rate against the mean of the days that had one, in percentage points."""
    known = [value for value in days[:-1] if value is not None]
    if days[-1] is None or not known:
        return None
    points = (days[-1] - sum(known) / len(known)) * 100
    return f"{points:+.3f} pp" if abs(points) >= 0.0005 else UNCHANGED


def delivered(counts: Counts) -> float | None:
    return format.share(counts.delivered, counts.outcomes)

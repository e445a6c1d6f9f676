"""Charts: rates over time with their limits drawn, and volumes.

    rates(points, limits=[Limit("SES review 5 %", 0.05)], marks=[Mark(day, "Paused")], key="bounces")

Colours are the theme's; a limit and a pause have literal ones that read on light and dark. Times arrive
naive, in the tenant's zone (format.local).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import altair as alt
import pandas as pd
import streamlit as st

RED, AMBER, BLUE, GREEN, GRAY = "#d64545", "#e08600", "#3d8ee6", "#12a06d", "#8592a6"
_LEVELS = {"warn": AMBER, "stop": RED}


@dataclass(frozen=True, slots=True)
class Point:
    at: date | datetime
    value: float | None  # 0-1; None: nothing was sent


@dataclass(frozen=True, slots=True)
class Limit:
    label: str
    value: float
    level: str = "warn"  # or "stop"


@dataclass(frozen=True, slots=True)
class Mark:
    at: date | datetime
    label: str


def rates(
    points: Sequence[Point],
    *,
    limits: Sequence[Limit] = (),
    marks: Sequence[Mark] = (),
    key: str,
    height: int = 280,
    digits: int = 1,
) -> None:
    """An area of one rate over time; limits as dashed lines, marks (pauses) as vertical ones."""
    axis = alt.Axis(format=f".{digits}%", title=None, tickCount=6)
    frame = pd.DataFrame({"at": pd.to_datetime([p.at for p in points]), "rate": [p.value for p in points]})
    frame["rate"] = frame["rate"].astype(float)
    seen = 0 if frame["rate"].notna().sum() > 3 else 1  # one day alone makes no line
    top = max([limit.value for limit in limits] + [float(frame["rate"].max(skipna=True) or 0.0), 0.001])
    scale = alt.Scale(domain=[0, top * 1.15])
    base = alt.Chart(frame).encode(x=_time(), y=alt.Y("rate:Q", axis=axis, scale=scale))
    tooltip = [alt.Tooltip("at:T", title="Day", format="%d %b %Y"),
               alt.Tooltip("rate:Q", title="Rate", format=f".{digits + 1}%")]  # fmt: skip
    layers: list[alt.Chart] = [
        base.mark_area(opacity=0.22, color=BLUE, interpolate="monotone"),
        base.mark_line(color=BLUE, strokeWidth=2, interpolate="monotone").encode(tooltip=tooltip),
        base.mark_point(color=BLUE, filled=True, size=28, opacity=seen).encode(tooltip=tooltip),
    ]
    layers += _limits(limits) + _marks(marks)
    _draw(layers, key, height)


def volumes(
    days: Sequence[date], series: Mapping[str, Sequence[int]], *, key: str, height: int = 240
) -> None:
    """Bars per day, stacked; `series`: what -> a number per day, in the order of the theme's colours."""
    rows = [
        {"at": pd.Timestamp(day), "what": what, "number": number}
        for what, numbers in series.items()
        for day, number in zip(days, numbers, strict=True)
    ]
    bars = (
        alt.Chart(pd.DataFrame(rows, columns=["at", "what", "number"]))
        .mark_bar(cornerRadiusTopLeft=2, cornerRadiusTopRight=2)
        .encode(
            x=_time(),
            y=alt.Y("number:Q", title=None, axis=alt.Axis(tickCount=5, format="~s"), stack=True),
            color=alt.Color("what:N", title=None, sort=list(series), legend=alt.Legend(orient="bottom")),
            tooltip=[
                alt.Tooltip("at:T", title="Day", format="%d %b %Y"),
                alt.Tooltip("what:N", title="What"),
                alt.Tooltip("number:Q", title="Messages", format=","),
            ],
        )
    )
    _draw([bars], key, height)


def _time() -> alt.X:
    return alt.X(
        "at:T", title=None, axis=alt.Axis(format="%d %b", grid=False, tickCount=8, labelOverlap=True)
    )


def _limits(limits: Sequence[Limit]) -> list[alt.Chart]:
    if not limits:
        return []
    frame = pd.DataFrame(
        [{"value": limit.value, "label": limit.label, "color": _LEVELS[limit.level]} for limit in limits]
    )
    color = alt.Color("color:N", scale=None)
    lines = alt.Chart(frame).mark_rule(strokeDash=[5, 4], strokeWidth=1.5).encode(y="value:Q", color=color)
    words = (
        alt.Chart(frame)
        .mark_text(align="left", baseline="bottom", dx=4, dy=-3, fontSize=11)
        .encode(y="value:Q", x=alt.value(0), text="label:N", color=color)
    )
    return [lines, words]


def _marks(marks: Sequence[Mark]) -> list[alt.Chart]:
    if not marks:
        return []
    frame = pd.DataFrame({"at": pd.to_datetime([m.at for m in marks]), "label": [m.label for m in marks]})
    lines = alt.Chart(frame).mark_rule(color=RED, strokeWidth=1.5).encode(x="at:T")
    words = (
        alt.Chart(frame)
        .mark_text(color=RED, align="left", baseline="top", dx=5, fontSize=11)
        .encode(x="at:T", y=alt.value(0), text="label:N")
    )
    return [lines, words]


def _draw(layers: Sequence[alt.Chart], key: str, height: int) -> None:
    chart = alt.layer(*layers).properties(height=height).configure_view(strokeWidth=0)
    st.altair_chart(chart, width="stretch", key=key)

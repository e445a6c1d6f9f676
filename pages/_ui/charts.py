"""Charts: rates over time with their limits drawn, and volumes, on the page and as PNG.

    chart = rates(points, limits=[Limit("AWS reviews at 5 %", 0.05)], marks=[Mark(at, "Paused")])
    draw(chart, "bounces")
    png(chart, "Bounce rate", "Acme, 1 to 30 November")

Colours are the theme's; a limit and a pause have literal ones that read on light and dark. Times arrive
naive, in the tenant's zone (format.local).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import altair as alt
import pandas as pd
import streamlit as st

RED, AMBER, BLUE, GREEN, GRAY = "#d64545", "#e08600", "#3d8ee6", "#12a06d", "#8592a6"
PNG_WIDTH, PNG_SCALE = 960, 2
_LEVELS = {"warn": AMBER, "stop": RED}


@dataclass(frozen=True, slots=True)
class Point:
    at: date | datetime
    value: float | None  # 0-1; None: nothing was sent


@dataclass(frozen=True, slots=True)
class Limit:
    """`above` and `on_right`: where its label stands, so that limits beside each other stay readable."""

    label: str
    value: float
    level: str = "warn"  # or "stop"
    above: bool = True
    on_right: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """`until`: what lasted. `details` are told to who points at it."""

    at: datetime
    label: str
    until: datetime | None = None
    details: Mapping[str, str] = field(default_factory=dict)


def rates(
    points: Sequence[Point],
    *,
    limits: Sequence[Limit] = (),
    marks: Sequence[Mark] = (),
    height: int = 280,
    digits: int = 1,
) -> alt.LayerChart:
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
        *_spans(marks),
        base.mark_area(opacity=0.22, color=BLUE, interpolate="monotone"),
        base.mark_line(color=BLUE, strokeWidth=2, interpolate="monotone"),
        *_limits(limits),
        *_marks(marks, points),
        base.mark_point(color=BLUE, filled=True, size=40, opacity=seen).encode(tooltip=tooltip),
    ]
    return _layered(layers, height)


def volumes(
    days: Sequence[date],
    series: Mapping[str, Sequence[int]],
    *,
    marks: Sequence[Mark] = (),
    height: int = 240,
) -> alt.LayerChart:
    """Bars per day, stacked; `series`: what -> a number per day, in the order of the theme's colours."""
    rows = [
        {"at": pd.Timestamp(day), "what": what, "number": number, "order": order}
        for order, (what, numbers) in enumerate(series.items())
        for day, number in zip(days, numbers, strict=True)
    ]
    legend = alt.Legend(orient="bottom", columns=2)  # four in a line are too many for a phone
    bars = (
        alt.Chart(pd.DataFrame(rows, columns=["at", "what", "number", "order"]))
        .mark_bar()
        .encode(
            x=_time("yearmonthdate(at):T"),
            y=alt.Y("number:Q", title=None, axis=alt.Axis(tickCount=5, format="~s"), stack=True),
            color=alt.Color("what:N", title=None, sort=list(series), legend=legend),
            order="order:Q",
            tooltip=[
                alt.Tooltip("at:T", title="Day", format="%d %b %Y"),
                alt.Tooltip("what:N", title="What"),
                alt.Tooltip("number:Q", title="Messages", format=","),
            ],
        )
    )
    return _layered([*_spans(marks), bars], height)


def draw(chart: alt.LayerChart, key: str) -> None:
    st.altair_chart(chart, width="stretch", key=key)


def png(chart: alt.LayerChart, title: str, subtitle: str) -> bytes:
    """The chart as it is drawn on white, with what says of whom and when it is. Calls nobody."""
    import vl_convert  # 90 MB of memory: only where somebody asks for a picture

    head = alt.TitleParams(text=title, subtitle=subtitle)
    spec = chart.properties(width=PNG_WIDTH, title=head).to_json(indent=None)
    return bytes(vl_convert.vegalite_to_png(spec, scale=PNG_SCALE, config=_on_paper(), allowed_base_urls=[]))


def _on_paper() -> dict[str, Any]:
    """The light theme, as Streamlit draws it."""
    text, faint, line = "#1a2330", "#64748b", "#e3e8ef"
    words = {"labelColor": faint, "labelFontSize": 12}
    return {
        "background": "#ffffff",
        "padding": 20,
        "font": "Inter, Liberation Sans, sans-serif",
        "axis": {**words, "gridColor": line, "domain": False, "ticks": False, "labelPadding": 8},
        "legend": {**words, "labelColor": text, "symbolType": "square", "offset": 16},
        "title": {"anchor": "start", "fontSize": 18, "color": text, "subtitleFontSize": 13,
                  "subtitleColor": faint, "subtitlePadding": 6, "offset": 18},
        "range": {"category": st.get_option("theme.light.chartCategoricalColors")},
    }  # fmt: skip


def _time(of: str = "at:T") -> alt.X:
    return alt.X(of, title=None, axis=alt.Axis(format="%d %b", grid=False, tickCount=8, labelOverlap=True))


def _limits(limits: Sequence[Limit]) -> list[alt.Chart]:
    layers: list[alt.Chart] = []
    for limit in limits:
        color, align = _LEVELS[limit.level], "right" if limit.on_right else "left"
        base = alt.Chart(pd.DataFrame([{"value": limit.value, "label": limit.label}]))
        line = base.mark_rule(strokeDash=[5, 4], strokeWidth=1.5, color=color).encode(y="value:Q")
        words = base.mark_text(
            align=align, baseline="bottom" if limit.above else "top", dx=-4 if limit.on_right else 4,
            dy=-3 if limit.above else 4, fontSize=11, fontWeight=600, color=color,
        )  # fmt: skip
        x = alt.value("width") if limit.on_right else alt.value(0)
        layers += [line, words.encode(y="value:Q", x=x, text="label:N")]
    return layers


def _spans(marks: Sequence[Mark]) -> list[alt.Chart]:
    """How long each lasted, under everything else."""
    rows = [{"at": m.at, "until": m.until, **m.details} for m in marks if m.until is not None]
    if not rows:
        return []
    frame = pd.DataFrame(rows)
    told = [name for name in frame.columns if name not in ("at", "until")]
    return [
        alt.Chart(frame)
        .mark_rect(color=RED, opacity=0.1)
        .encode(x=_time(), x2="until:T", tooltip=[alt.Tooltip(f"{name}:N", title=name) for name in told])
    ]


def _marks(marks: Sequence[Mark], points: Sequence[Point]) -> list[alt.Chart]:
    """A label stands on the side of its line on which there is room."""
    if not marks or not points:
        return []
    middle = pd.Timestamp(points[len(points) // 2].at)
    layers: list[alt.Chart] = []
    for mark in marks:
        late = pd.Timestamp(mark.at) > middle
        base = alt.Chart(pd.DataFrame([{"at": pd.Timestamp(mark.at), "label": mark.label, **mark.details}]))
        told = [alt.Tooltip(f"{name}:N", title=name) for name in mark.details]
        words = base.mark_text(
            color=RED, align="right" if late else "left", baseline="top", dx=-5 if late else 5, fontSize=11
        )
        layers += [
            base.mark_rule(color=RED, strokeWidth=2).encode(x="at:T", tooltip=told),
            words.encode(x="at:T", y=alt.value(0), text="label:N"),
        ]
    return layers


def _layered(layers: Sequence[alt.Chart], height: int) -> alt.LayerChart:
    return alt.layer(*layers).properties(height=height).configure_view(strokeWidth=0)

"""Inputs for the four rates at which a tenant is warned about and paused."""

from __future__ import annotations

import streamlit as st

from core.reputation import Levels
from core.reputation.levels import LOWEST_SHARE, POSTYARDS, percent

LABELS = {
    "warn_bounce_rate": "Warn at bounces of, %",
    "pause_bounce_rate": "Pause at bounces of, %",
    "warn_complaint_rate": "Warn at complaints of, %",
    "pause_complaint_rate": "Pause at complaints of, %",
}


def levels_inputs(present: dict[str, float | None], key: str) -> Levels:
    """Four rates as percent; `key` has a place for the name."""
    given: dict[str, float | None] = {}
    with st.grid(4, min_column_width=140):
        for name, label in LABELS.items():
            rate, own = present[name], POSTYARDS[name]
            value = st.number_input(
                label,
                value=None if rate is None else round(rate * 100, 4),
                step=0.5 if "bounce" in name else 0.01,
                format="%.4g",
                placeholder=f"{own * 100:g}",
                help=f"Between {percent(LOWEST_SHARE * own)} and {percent(own)}.",
                key=key.format(name),
            )
            given[name] = None if value is None else round(value / 100, 6)
    return Levels(**given)

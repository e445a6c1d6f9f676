"""Reputation: how a tenant's mail is received over time, against the limits at which sending is stopped."""

from __future__ import annotations

from datetime import date, timedelta

import streamlit as st

from core import reports
from core.access import Action
from core.reports import Counts, DayRates
from pages._ui.format import count, escape, local, rate
from pages._ui.numbers import delivered, line, numbers
from pages._ui.runtime import begin, tenant_choice
from pages._ui.tables import empty
from pages.deliverability._reputation_charts import WINDOW_DAYS, draw_charts, total
from pages.deliverability._reputation_files import View
from pages.deliverability._reputation_pauses import draw_pauses, marks, pauses_of
from pages.deliverability._reputation_state import draw_state
from pages.deliverability._reputation_tables import draw_tables

app, actor = begin("Reputation", Action.SEE_REPORTS)
tenant = tenant_choice(app, actor)

MEANING = {
    "Sent": "What was accepted in this time.",
    "Delivered": "Of the messages with an outcome: delivered or bounced.",
    "Bounce rate": "Permanent bounces, of the messages with an outcome.",
    "Complaint rate": "Complaints, of the messages delivered.",
    "Opened by people": "Of the messages delivered; machines left out, as far as they can be told.",
    "Clicked by people": "Of the messages delivered; machines left out, as far as they can be told.",
}
RANGES = {"7 days": 7, "30 days": 30, "90 days": 90, "Custom": 0}
LONGEST_DAYS = 366


def draw() -> None:
    today = local(app.now(), tenant.timezone).date()
    draw_state(View(app, actor, tenant, today, today))
    since, until = _ask_range(today)
    view = View(app, actor, tenant, since, until)
    days = reports.rates(app, actor, tenant.id, since=since - timedelta(days=WINDOW_DAYS), until=until)
    pauses = pauses_of(view)
    shown = [day for day in days if day.day >= since]
    counts = total(shown)
    if counts.sent:
        _draw_cards(shown, counts)
        draw_charts(view, days, marks(view, pauses))
    else:
        empty(
            "Nothing was sent in this time",
            "Rates appear here as soon as a campaign is on its way. Choose a longer range for older mail.",
            icon=":material/speed:",
        )
    draw_pauses(view, pauses)
    if counts.sent:
        draw_tables(view)


def _ask_range(today: date) -> tuple[date, date]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.segmented_control(
            "Range", list(RANGES), default="30 days", required=True, key="reputation.range"
        )
        days, picked = RANGES[chosen], None
        if not days:
            month = (today - timedelta(days=29), today)
            picked = st.date_input(
                "From and to", month, max_value=today, format="YYYY-MM-DD", width=280, key="reputation.dates"
            )
        st.caption(f"Days in {escape(tenant.timezone)}", width="content")
    if picked is None:
        return today - timedelta(days=days - 1), today
    if len(picked) != 2:
        st.info("Choose the last day too.", icon=":material/date_range:")
        st.stop()
    if (picked[1] - picked[0]).days >= LONGEST_DAYS:
        st.info(f"Choose at most {LONGEST_DAYS} days.", icon=":material/date_range:")
        st.stop()
    return picked


def _draw_cards(shown: list[DayRates], counts: Counts) -> None:
    days = [day.counts for day in shown]
    cards = {
        "Sent": (count(counts.sent), [each.sent for each in days]),
        "Delivered": (rate(delivered(counts), 1), [delivered(each) for each in days]),
        "Bounce rate": (rate(counts.bounce_rate), [each.bounce_rate for each in days]),
        "Complaint rate": (rate(counts.complaint_rate, 3), [each.complaint_rate for each in days]),
        "Opened by people": (rate(counts.open_rate, 1), [each.open_rate for each in days]),
        "Clicked by people": (rate(counts.click_rate, 1), [each.click_rate for each in days]),
    }
    with numbers(len(cards)):
        for label, (value, values) in cards.items():
            st.metric(
                label, value, border=True, chart_data=line(values), chart_type="area", help=MEANING[label]
            )


draw()

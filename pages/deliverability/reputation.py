"""Reputation: how a tenant's mail is received over time, against the limits at which sending is stopped."""

from __future__ import annotations

from datetime import date, timedelta

import pandas as pd
import streamlit as st

from core import reports
from core.access import Action
from core.reports import Counts, DayRates
from pages._ui.format import count, escape, percent, rate
from pages._ui.numbers import delivered, line, numbers
from pages._ui.runtime import begin, tenant_choice
from pages._ui.tables import badge, empty, rates, table
from pages._ui.tables import counts as grouped
from pages.deliverability._reputation_charts import WINDOW_DAYS, draw_charts, total

app, actor = begin("Reputation", Action.SEE_REPORTS)
tenant = tenant_choice(app, actor)

MEANING = {
    "Sent": "What SES accepted in this time.",
    "Delivered": "Of the messages with an outcome: delivered, bounced or complained about.",
    "Bounce rate": "Permanent bounces, of the messages with an outcome.",
    "Complaint rate": "Complaints, of the messages delivered.",
}
RANGES = {"7 days": 7, "30 days": 30, "90 days": 90, "Custom": 0}


def draw() -> None:
    _draw_head()
    since, until = _ask_range()
    days = reports.rates(app, actor, tenant.id, since=since - timedelta(days=WINDOW_DAYS), until=until)
    shown = [day for day in days if day.day >= since]
    counts = total(shown)
    if not counts.sent:
        empty(
            "Nothing was sent in this time",
            "Rates appear here as soon as a campaign is on its way. Choose a longer range for older mail.",
            icon=":material/speed:",
        )
        return
    _draw_cards(shown, counts)
    draw_charts(days, since, tenant, reports.pauses(app, actor, tenant.id, since=since))
    _draw_tables(since, until)
    _draw_download(shown, since, until)


def _draw_head() -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        badge(tenant.sending_status)
        st.caption(f"Days are counted in UTC · times in {tenant.timezone}", width="stretch")
        st.page_link("pages/sending/senders.py", label="Manage senders", icon=":material/alternate_email:")
    if tenant.paused_at is not None and tenant.paused_reason:
        st.error(
            f"Paused by {escape(tenant.paused_by or 'Postyard')}: {escape(tenant.paused_reason)}",
            icon=":material/pause_circle:",
        )


def _ask_range() -> tuple[date, date]:
    today = app.now().date()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        chosen = st.segmented_control(
            "Range", list(RANGES), default="30 days", required=True, key="reputation.range"
        )
        if RANGES[chosen]:
            return today - timedelta(days=RANGES[chosen] - 1), today
        picked = st.date_input(
            "From and to", (today - timedelta(days=29), today), max_value=today, key="reputation.dates"
        )
    if len(picked) != 2:
        st.info("Choose the last day too.")
        st.stop()
    return picked


def _draw_cards(shown: list[DayRates], counts: Counts) -> None:
    days = [day.counts for day in shown]
    cards = {
        "Sent": (count(counts.sent), [each.sent for each in days]),
        "Delivered": (rate(delivered(counts), 1), [delivered(each) for each in days]),
        "Bounce rate": (rate(counts.bounce_rate), [each.bounce_rate for each in days]),
        "Complaint rate": (rate(counts.complaint_rate, 3), [each.complaint_rate for each in days]),
    }
    with numbers(len(cards)):
        for label, (value, values) in cards.items():
            st.metric(
                label, value, border=True, chart_data=line(values), chart_type="area", help=MEANING[label]
            )


def _draw_tables(since: date, until: date) -> None:
    by_campaign, by_domain = st.tabs(["By campaign", "By recipient domain"])
    with by_campaign:
        rows = reports.by_campaign(app, actor, tenant.id, since=since, until=until)
        _draw_rates([("Campaign", row.name, row.counts) for row in rows], "reputation.by_campaign")
    with by_domain:
        domains = reports.by_domain(app, actor, tenant.id, since=since, until=until)
        _draw_rates([("Domain", row.domain, row.counts) for row in domains], "reputation.by_domain")


def _draw_rates(rows: list[tuple[str, str, Counts]], key: str) -> None:
    table(
        [{label: name, **_numbers(counts)} for label, name, counts in rows],
        key=key,
        columns={
            **{name: grouped(name) for name in ("Sent", "Delivered", "Opened", "Clicked")},
            "Bounce rate": rates("Bounce rate"),
            "Complaint rate": rates("Complaint rate", digits=3),
        },
    )


def _numbers(counts: Counts) -> dict[str, float | int | None]:
    return {
        "Sent": counts.sent,
        "Delivered": counts.delivered,
        "Permanent bounces": counts.permanent_bounces,
        "Transient bounces": counts.transient_bounces,
        "Bounce rate": percent(counts.bounce_rate),
        "Complaints": counts.complaints,
        "Complaint rate": percent(counts.complaint_rate),
        "Opened": counts.opened,
        "Clicked": counts.clicked,
    }


def _draw_download(shown: list[DayRates], since: date, until: date) -> None:
    st.download_button(
        "Download these days as CSV",
        data=lambda: pd.DataFrame([{"day": day.day, **_numbers(day.counts)} for day in shown]).to_csv(
            index=False
        ),
        file_name=f"reputation-{tenant.slug}-{since}-{until}.csv",
        mime="text/csv",
        icon=":material/download:",
        on_click="ignore",
        key="reputation.csv",
    )


draw()

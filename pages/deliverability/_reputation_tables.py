"""Reputation tables: what became of the mail, by campaign, by recipient domain, by mailbox provider."""

from __future__ import annotations

from typing import Any

import streamlit as st

from core import reports
from core.reports import Counts
from pages._ui.format import percent
from pages._ui.tables import counts as grouped
from pages._ui.tables import rates, table
from pages.deliverability._reputation_files import DIGITS, View, offer_csv

SHOWN = 50
MACHINES = (
    "Machines are mail programs that load pictures in advance and filters that follow every link: what they "
    "opened or clicked and no person did. Open and click rates are people's."
)
OTHERS = "Other is everybody without a well-known mailbox provider's domain."
_COUNTED = ("Sent", "Delivered", "Permanent bounces", "Transient bounces", "Complaints", "Opened by people",
            "Opened by machines", "Clicked by people", "Clicked by machines")  # fmt: skip


def draw_tables(view: View) -> None:
    campaigns, domains, providers = st.tabs(["By campaign", "By recipient domain", "By mailbox provider"])
    app, actor, tenant_id = view.app, view.actor, view.tenant.id
    days = {"since": view.since, "until": view.until}
    with campaigns:
        found = reports.by_campaign(app, actor, tenant_id, **days, limit=SHOWN)
        campaigns_found = sum(row.campaign_id != 0 for row in found)
        note = f"The {SHOWN} newest campaigns." if campaigns_found == SHOWN else ""
        _draw(view, "Campaign", [(row.name, row.counts) for row in found], "campaigns", note)
    with domains:
        by_domain = reports.by_domain(app, actor, tenant_id, **days, limit=SHOWN)
        note = f"The {SHOWN} domains that this tenant writes to most." if len(by_domain) == SHOWN else ""
        _draw(view, "Domain", [(row.domain, row.counts) for row in by_domain], "domains", note)
    with providers:
        by_provider = reports.by_provider(app, actor, tenant_id, **days)
        _draw(view, "Provider", [(row.provider, row.counts) for row in by_provider], "providers", OTHERS)
    st.caption(MACHINES)


def numbers(counts: Counts) -> dict[str, Any]:
    """What is looked at first comes first: a table is wider than a screen."""
    return {
        "Sent": counts.sent,
        "Delivered": counts.delivered,
        "Bounce rate": percent(counts.bounce_rate),
        "Complaint rate": percent(counts.complaint_rate),
        "Opened by people": counts.opened,
        "Opened by machines": counts.opened_by_machine,
        "Clicked by people": counts.clicked,
        "Clicked by machines": counts.clicked_by_machine,
        "Open rate": percent(counts.open_rate),
        "Click rate": percent(counts.click_rate),
        "Permanent bounces": counts.permanent_bounces,
        "Transient bounces": counts.transient_bounces,
        "Complaints": counts.complaints,
    }


def _draw(view: View, what: str, named: list[tuple[str, Counts]], name: str, note: str) -> None:
    rows = [{what: each, **numbers(counts)} for each, counts in named]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(note, width="stretch")
        offer_csv(view, rows, name)
    table(
        rows,
        key=f"reputation.by.{name}",
        columns={
            what: st.column_config.TextColumn(what, pinned=True),
            **{column: grouped(column) for column in _COUNTED},
            **{column: rates(column, digits) for column, digits in DIGITS.items()},
        },
    )

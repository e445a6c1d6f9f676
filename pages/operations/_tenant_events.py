"""The latest of what SES said about a tenant's mail."""

from __future__ import annotations

import streamlit as st

from core import reports
from core.access import Actor
from core.app import App
from core.db.models import Tenant
from core.db.states import EventType
from core.reports import RecentEvent
from pages._ui import format
from pages._ui.tables import chip, chips, table

SHOWN = 10
KINDS = {
    "All": None,
    "Bounces": (EventType.BOUNCE,),
    "Complaints": (EventType.COMPLAINT,),
    "Deliveries": (EventType.DELIVERY,),
}


def recent_events(app: App, actor: Actor, tenant: Tenant) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("**Recent events**", width="stretch")
        kind = st.segmented_control(
            "Events", list(KINDS), default="All", required=True, key="tenants.events.kind",
            label_visibility="collapsed",
        )  # fmt: skip
    found = reports.recent_events(app, actor, tenant.id, SHOWN, KINDS[kind])
    if not found:
        st.caption("SES has said nothing yet: events come as soon as mail is sent.")
        return
    table(
        [_row(event, tenant) for event in found],
        key="tenants.events",
        columns={
            "Time": st.column_config.DatetimeColumn("Time", format="D MMM YYYY, HH:mm:ss", width=170),
            "Event": chips("Event", width=110),
            "Detail": st.column_config.TextColumn("Detail", width="large"),
        },
    )


def _row(event: RecentEvent, tenant: Tenant) -> dict[str, object]:
    kind = " / ".join(part for part in (event.bounce_type, event.bounce_subtype) if part)
    return {
        "Time": format.local(event.occurred_at, tenant.timezone),
        "Recipient": event.recipient,
        "Event": chip(event.type),
        "Detail": ": ".join(part for part in (kind, event.diagnostic or "") if part),
        "Campaign": event.campaign_name or "Transactional mail",
    }

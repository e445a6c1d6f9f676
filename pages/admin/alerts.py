"""Alerts: what a person should know now, what was, and where it is sent."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from core import alerts, tenants
from core.access import Action, Actor
from core.alerts import PAGE_OF
from core.app import App
from core.db.models import Alert, Tenant
from pages._ui import format
from pages._ui.alerts import draw_alert
from pages._ui.runtime import begin
from pages._ui.tables import PAGE, chip, chips, empty, first_page, page_of, table
from pages.admin._alert_channels import draw_channels

app, actor = begin("Alerts", Action.SEE_TENANT)

MOST = 50
HISTORY = "alerts.history"
COLUMNS = {
    "Status": chips("Status", width=110),
    "Since": st.column_config.DatetimeColumn("Since", format="D MMM YYYY, HH:mm", width=150),
    "Until": st.column_config.DatetimeColumn("Until", format="D MMM YYYY, HH:mm", width=150),
    "Kind": st.column_config.TextColumn("Kind", width=150),
    "What": st.column_config.TextColumn("What", width="large"),
}


def main(app: App, actor: Actor) -> None:
    seen = {tenant.id: tenant for tenant in tenants.list_tenants(app, actor)}
    names = ["Open", "History", *(["Channels"] if actor.may(Action.MANAGE_ALERTS) else [])]
    open_now, history, *channels = st.tabs(names)
    with open_now:
        _open(app, actor, seen)
    with history:
        _history(app, actor, seen)
    for tab in channels:
        with tab:
            draw_channels(app, actor, seen)


def _open(app: App, actor: Actor, seen: Mapping[int, Tenant]) -> None:
    found = alerts.list_open(app, actor)
    if not found:
        empty("All is well", "What breaks by itself is told here until it is put right.",
              icon=":material/check_circle:")  # fmt: skip
        return
    st.caption(format.plural(len(found), "open alert"))
    with st.container(border=True, key="alerts.open"):
        for alert in found[:MOST]:
            draw_alert(app, actor, alert, seen.get(alert.tenant_id or 0))
    if len(found) > MOST:
        st.caption(f"And {format.count(len(found) - MOST)} more: see History.")


def _history(app: App, actor: Actor, seen: Mapping[int, Tenant]) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        tenant_id = st.selectbox(
            "Tenant", [None, *seen], key="alerts.tenant", width=260,
            format_func=lambda key: seen[key].name if key else "All", on_change=first_page, args=(HISTORY,),
        )  # fmt: skip
        kind = st.selectbox(
            "Kind", [None, *sorted(PAGE_OF)], key="alerts.kind", width=260,
            format_func=lambda key: str(key or "All").capitalize(), on_change=first_page, args=(HISTORY,),
        )  # fmt: skip
    above = st.container()
    found = page_of(
        HISTORY,
        lambda before: alerts.list_history(app, actor, tenant_id, kind=kind, limit=PAGE, before_id=before),
    )
    with above:
        if not found:
            empty("Nothing yet", "No alert of this kind was raised.", icon=":material/history:")
            return
        st.caption("Times in UTC.")
        table([_row(alert, seen) for alert in found], key="alerts.table", columns=COLUMNS)


def _row(alert: Alert, seen: Mapping[int, Tenant]) -> dict[str, object]:
    tenant = seen.get(alert.tenant_id or 0)
    return {
        "Status": chip("over" if alert.cleared_at else "open"),
        "Since": format.local(alert.raised_at, "UTC"),
        "Until": alert.cleared_at and format.local(alert.cleared_at, "UTC"),
        "Tenant": tenant.name if tenant else "",
        "Kind": alert.kind,
        "What": alert.sentence,
    }


main(app, actor)

"""Alerts: how one is drawn, wherever it is, with the way to the page that helps."""

from __future__ import annotations

import streamlit as st

from core.access import Action, Actor
from core.alerts import PAGE_OF
from core.app import App
from core.db.models import Alert, Tenant
from pages._ui import format
from pages._ui.layout import row, text
from pages._ui.links import SETUP, link

_THE_TENANT = "operations/tenants"
_OF_SETUP = ("drift", "paused by AWS")
# What one must be allowed to do to open a page; a tenant's others are open to whoever sees it.
_ACTIONS = {
    "admin/accounts": Action.SEE_HEALTH,
    "admin/events": Action.SEE_HEALTH,
    "admin/health": Action.SEE_HEALTH,
    "deliverability/reputation": Action.SEE_REPORTS,
    "deliverability/suppressions": Action.SEE_SUPPRESSIONS,
}
_LABELS = {"operations/tenants": "Tenant", "admin/accounts": "AWS accounts"}


def draw_alert(app: App, actor: Actor, alert: Alert, tenant: Tenant | None) -> None:
    about, zone = (f"**{format.escape(tenant.name)}** · ", tenant.timezone) if tenant else ("", "UTC")
    with row(f"alert-{alert.id}", align="top"):
        st.markdown(":red[:material/notifications_active:]", width="content")
        with text(f"alert-{alert.id}"):
            st.markdown(about + format.escape(alert.sentence))
            since, ago = format.moment(alert.raised_at, zone), format.ago(alert.raised_at, app.now())
            st.caption(f"Since {since} {format.escape(zone)} ({ago})")
        _way(actor, alert, tenant)


def _way(actor: Actor, alert: Alert, tenant: Tenant | None) -> None:
    page = PAGE_OF.get(alert.kind, _THE_TENANT)
    if not actor.may(_ACTIONS.get(page, Action.SEE_TENANT)):
        page = _THE_TENANT
    if tenant is None and not page.startswith("admin/"):
        return
    view = SETUP if alert.kind in _OF_SETUP else ""
    label = view or _LABELS.get(page) or page.rpartition("/")[2].capitalize()
    link(page, label, tenant.slug if tenant else "", view=view)

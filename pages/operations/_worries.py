"""What a person should know or do: open alerts, and what needs a hand, each with the page that helps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import streamlit as st

from core.access import Action, Actor
from core.app import App
from core.db.models import Alert, Tenant
from core.reports import TenantToday
from pages._ui import format
from pages._ui.alerts import draw_alert
from pages._ui.layout import row, text
from pages._ui.links import SETUP, link

MOST = 8


class Help(NamedTuple):
    """A page, and what one must be allowed to do to open it there."""

    page: str
    label: str
    view: str = ""
    action: Action = Action.SEE_TENANT


THE_SETUP = Help("operations/tenants", "Setup", SETUP)
THE_TENANT = Help("operations/tenants", "Tenant")
THE_SENDERS = Help("sending/senders", "Senders")
THE_CAMPAIGNS = Help("sending/campaigns", "Campaigns")
# A sentence of what_needs_a_hand -> what helps, by the first words found in it.
OF_SENTENCES = (
    ("Sending is paused", THE_TENANT),
    ("Amazon SES itself", THE_SETUP),
    ("Setting it up", THE_SETUP),
    ("could not be made", THE_SETUP),
    ("verified", THE_SENDERS),
    ("no sender", Help("sending/senders", "Add a sender", action=Action.MANAGE_SENDERS)),
    ("Campaign", THE_CAMPAIGNS),
    ("SES", THE_TENANT),
)


def alerts_card(app: App, actor: Actor, alerts: Sequence[Alert], tenants: Sequence[TenantToday]) -> None:
    """What broke by itself, until it is put right."""
    rows = {today.tenant.id: today.tenant for today in tenants}
    with st.container(border=True, key="overview.alerts"):
        st.subheader("Alerts", anchor=False)
        for alert in alerts[:MOST]:
            draw_alert(app, actor, alert, rows.get(alert.tenant_id or 0))
        if len(alerts) > MOST:
            link("admin/alerts", f"{len(alerts) - MOST} more")


def hand_card(actor: Actor, alerts: Sequence[Alert], tenants: Sequence[TenantToday]) -> None:
    """What is not told as an alert already."""
    told = {(alert.tenant_id, alert.sentence) for alert in alerts}
    worries = [
        (today.tenant, sentence)
        for today in tenants
        for sentence in today.what_needs_a_hand
        if (today.tenant.id, sentence) not in told
    ]
    if not worries and alerts:
        return
    with st.container(border=True, key="overview.hand"):
        st.subheader("What needs a hand", anchor=False)
        if not worries:
            st.badge("All is well", color="green", icon=":material/check_circle:")
        for n, (tenant, sentence) in enumerate(worries[:MOST]):
            _worry(actor, n, tenant, sentence)
        if len(worries) > MOST:
            st.caption(f"And {format.plural(len(worries) - MOST, 'more')}: open the tenants below.")


def _worry(actor: Actor, n: int, tenant: Tenant, sentence: str) -> None:
    with row(f"worry-{n}", align="top"):
        st.markdown(":orange[:material/warning:]", width="content")
        with text(f"worry-{n}"):
            st.markdown(f"**{format.escape(tenant.name)}** · {format.escape(sentence)}")
        _way(actor, tenant, next((found for words, found in OF_SENTENCES if words in sentence), None))


def _way(actor: Actor, tenant: Tenant | None, helps: Help | None) -> None:
    if helps and tenant and actor.may(helps.action):
        link(helps.page, helps.label, tenant.slug, view=helps.view)

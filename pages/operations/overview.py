"""Overview: how every tenant does today, and what needs a hand."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core import alerts, reports, tenants
from core.access import Action, Actor
from core.app import App
from core.db.states import SendingStatus
from core.reports import Counts, TenantToday
from pages._ui import format
from pages._ui.links import link
from pages._ui.numbers import EXPLAINED, delivered, metrics, numbers
from pages._ui.runtime import begin
from pages._ui.tables import badge, chip, chips, counts, empty, rates, table
from pages.operations._worries import alerts_card, hand_card

app, actor = begin("Overview", Action.SEE_REPORTS)

CARDS = 6  # more tenants than that are read as a table


def main(app: App, actor: Actor) -> None:
    shown = sorted(reports.overview(app, actor), key=_first)
    if not shown:
        _first_steps(actor)
        return
    found = alerts.list_open(app, actor)
    if found:
        alerts_card(app, actor, found, shown)
    st.caption(f"Since midnight in each tenant's time zone · {EXPLAINED}")
    _totals(shown)
    hand_card(actor, found, shown)
    st.subheader("Tenants today", anchor=False)
    for tenant in shown[:CARDS]:
        _card(app, actor, tenant)
    if len(shown) > CARDS:
        _all(shown)


def _first_steps(actor: Actor) -> None:
    if not actor.may(Action.CREATE_TENANT):
        empty("No tenant is assigned to you", "Ask an administrator to assign one under Users.")
        return
    body = "Add a tenant, then a sender on its own domain; then upload a list and start a campaign."
    with empty("Nothing is sent yet", body, icon=":material/rocket_launch:"):
        st.page_link("pages/operations/tenants.py", label="Add the first tenant", icon=":material/add:")


def _totals(shown: Sequence[TenantToday]) -> None:
    today = [tenant.today for tenant in shown]
    days = [[tenant.days[n].counts for tenant in shown] for n in range(len(shown[0].days))]
    queued = sum(tenant.queued for tenant in shown)
    with numbers(5):
        metrics(_sum(today), [_sum(day) for day in days], border=True)
        st.metric("Waiting to be sent", format.count(queued), border=True, height="stretch",
                  help="Messages of started campaigns, and transactional mail.")  # fmt: skip


def _sum(counts: Sequence[Counts]) -> Counts:
    return Counts(**{name: sum(getattr(c, name) for c in counts) for name in Counts.__dataclass_fields__})


def _first(tenant: TenantToday) -> tuple[bool, bool, int, str]:
    """Paused ones, then those that need a hand, then by volume."""
    paused = tenant.tenant.sending_status == SendingStatus.DISABLED
    return not paused, not tenant.what_needs_a_hand, -tenant.today.sent, tenant.tenant.name


def _card(app: App, actor: Actor, tenant: TenantToday) -> None:
    row = tenant.tenant
    with st.container(border=True, key=f"overview.card.{row.slug}"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{format.escape(row.name)}**", width="content")
            badge(row.sending_status if row.provisioned_at else "INCOMPLETE")
            if row.is_demo:
                st.badge("Demo", color="violet", icon=":material/science:")
            st.space("stretch")
            if tenant.queued:
                st.caption(f"{format.count(tenant.queued)} waiting", width="content")
            link("deliverability/reputation", "Reputation", row.slug)
        if row.probation_left and (probation := tenants.probation(app, actor, row.id)):
            st.caption(f":material/speed: {probation.sentence}")
        with numbers(4):
            metrics(tenant.today, [day.counts for day in tenant.days], border=False)


def _all(shown: Sequence[TenantToday]) -> None:
    rows = [
        {
            "Tenant": tenant.tenant.name,
            "Status": chip(tenant.tenant.sending_status),
            "Sent": tenant.today.sent,
            "Sent, 24 days": [day.counts.sent for day in tenant.days],
            "Delivered": format.percent(delivered(tenant.today)),
            "Bounces": format.percent(tenant.today.bounce_rate),
            "Complaints": format.percent(tenant.today.complaint_rate),
            "Waiting": tenant.queued,
        }
        for tenant in shown
    ]
    columns = {
        "Status": chips("Status"),
        "Sent": counts("Sent"),
        "Waiting": counts("Waiting"),
        "Sent, 24 days": st.column_config.AreaChartColumn("Sent, 24 days", y_min=0),
        "Delivered": rates("Delivered", 1),
        "Bounces": rates("Bounces"),
        "Complaints": rates("Complaints", 3),
    }
    table(rows, key="overview.all", columns=columns)


main(app, actor)

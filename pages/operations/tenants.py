"""Tenants: the list, and one tenant's state, numbers and setup."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import available_timezones

import streamlit as st

from core import reports, tenants
from core.access import Action, Actor
from core.app import App
from core.db.models import Tenant
from core.reports import TenantToday
from pages._ui import format
from pages._ui.actions import ask, asked, report, stop_asking
from pages._ui.runtime import TENANT, begin, tenant_choice
from pages._ui.tables import chip, chips, counts, pick, rates
from pages.operations._tenant_panel import panel, status_of

app, actor = begin("Tenants", Action.SEE_TENANT)


def main(app: App, actor: Actor) -> None:
    if asked("add tenant"):
        _add(app, actor)
    found = reports.overview(app, actor)
    if actor.may(Action.CREATE_TENANT) and st.button("Add tenant", icon=":material/add:", key="tenants.add",
                                                     type="primary"):  # fmt: skip
        ask("add tenant")
        st.rerun()
    chosen = tenant_choice(app, actor)
    _list(found, chosen)
    today = next(each for each in found if each.tenant.id == chosen.id)
    panel(app, actor, today)


def _list(found: Sequence[TenantToday], chosen: Tenant) -> None:
    rows = [
        {
            "Tenant": each.tenant.name,
            "Slug": each.tenant.slug,
            "Status": chip(status_of(each.tenant)),
            "Sent today": each.today.sent,
            "Bounces": format.percent(each.today.bounce_rate),
            "Complaints": format.percent(each.today.complaint_rate),
            "Waiting": each.queued,
        }
        for each in found
    ]
    columns = {
        "Status": chips("Status"),
        "Sent today": counts("Sent today"),
        "Bounces": rates("Bounces"),
        "Complaints": rates("Complaints", 3),
        "Waiting": counts("Waiting"),
    }
    slugs = [each.tenant.slug for each in found]
    pick(
        rows,
        key=f"tenants.list.{chosen.slug}",
        columns=columns,
        chosen=slugs.index(chosen.slug),
        on_pick=lambda index: st.session_state.update({TENANT: slugs[index]}),
    )


@st.dialog("Add a tenant", on_dismiss=stop_asking)
def _add(app: App, actor: Actor) -> None:
    with st.form("tenants.new", border=False):
        name = st.text_input("Name", placeholder="Acme Retail", max_chars=100, key="tenants.new.name")
        slug = st.text_input(
            "Slug", placeholder="acme-retail", max_chars=63, key="tenants.new.slug",
            help="Its name in SES and on the command line: a-z, 0-9 and hyphens. Cannot be changed.",
        )  # fmt: skip
        zones = sorted(available_timezones())
        zone = st.selectbox("Time zone", zones, index=zones.index("UTC"), key="tenants.new.zone")
        if not st.form_submit_button("Add tenant", type="primary", key="tenants.new.save"):
            return
    with report(f"{name.strip()} is set up in SES. Add a sender next."):
        tenants.create(app, actor, slug=slug.strip(), name=name.strip(), timezone=zone)
        st.query_params[TENANT] = slug.strip()  # the sidebar follows


main(app, actor)

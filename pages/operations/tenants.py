"""Tenants: the list, and one tenant's state, numbers and setup."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core import reports
from core.access import Action, Actor
from core.app import App
from core.db.models import Tenant
from core.db.states import ResourceState
from core.reports import TenantToday
from pages._ui import format
from pages._ui.actions import ask, asked
from pages._ui.runtime import TENANT, begin, tenant_choice
from pages._ui.tables import chip, chips, counts, pick, rates
from pages.operations._tenant_new import ADD, add_dialog
from pages.operations._tenant_panel import panel, status_of
from pages.operations._tenant_resources import what_is_missing

app, actor = begin("Tenants", Action.SEE_TENANT)


def main(app: App, actor: Actor) -> None:
    if asked(ADD):
        add_dialog(app, actor)
    found = reports.overview(app, actor)
    if actor.may(Action.CREATE_TENANT) and st.button("Add tenant", icon=":material/add:", key="tenants.add",
                                                     type="primary"):  # fmt: skip
        ask(ADD)
        st.rerun()
    chosen = tenant_choice(app, actor)
    _list(found, chosen)
    today = next(each for each in found if each.tenant.id == chosen.id)
    panel(app, actor, today)


def _list(found: Sequence[TenantToday], chosen: Tenant) -> None:
    differing = {each.tenant.id: text for each in found if (text := _what_differs(each))}
    rows = [
        {
            "Tenant": each.tenant.name,
            "Short name": each.tenant.slug,
            "Status": chip(status_of(each.tenant)),
            **({"Setup": differing.get(each.tenant.id, "Complete")} if differing else {}),
            "Sent today": each.today.sent,
            "Bounces": format.percent(each.today.bounce_rate),
            "Complaints": format.percent(each.today.complaint_rate),
            "Waiting": each.queued,
        }
        for each in found
    ]
    columns = {
        "Status": chips("Status"),
        "Setup": st.column_config.TextColumn("Setup", width=280),
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


def _what_differs(today: TenantToday) -> str:
    """Empty: nothing that is known. What AWS did not answer about is no difference."""
    if today.tenant.provisioned_at is None:
        return what_is_missing(today.differences)
    known = [each for each in today.differences if each.state != ResourceState.UNKNOWN]
    return what_is_missing(known) if known else ""


main(app, actor)

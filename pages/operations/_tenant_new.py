"""Adding a tenant: the form, and the steps in AWS as they are done."""

from __future__ import annotations

from zoneinfo import available_timezones

import streamlit as st

from core import tenants
from core.access import Actor
from core.app import App
from core.errors import NotFound
from pages._ui import format
from pages._ui.actions import report, stop_asking, watch
from pages._ui.links import SETUP, VIEW
from pages._ui.runtime import TENANT
from pages.operations._tenant_resources import draw_steps

ADD = "add tenant"


@st.dialog("Add a tenant", on_dismiss=stop_asking)
def add_dialog(app: App, actor: Actor) -> None:
    with st.form("tenants.new", border=False):
        name = st.text_input("Name", placeholder="Acme Retail", max_chars=100, key="tenants.new.name").strip()
        slug = st.text_input(
            "Short name", placeholder="acme-retail", max_chars=63, key="tenants.new.slug",
            help="Its name in SES and on the command line: a-z, 0-9 and hyphens. Cannot be changed.",
        ).strip()  # fmt: skip
        zones = sorted(available_timezones())
        zone = st.selectbox("Time zone", zones, index=zones.index("UTC"), key="tenants.new.zone")
        st.caption("What it needs in AWS is made at once: some fifteen calls, which SES takes one by one.")
        if not st.form_submit_button("Add tenant", type="primary", key="tenants.new.save"):
            return
    with report(f"{name} is set up in SES. Add a sender next."):
        tenants.check_new(app, actor, slug=slug, name=name, timezone=zone)
        watch(
            f"Setting up {format.escape(name)} in AWS",
            lambda: tenants.create(app, actor, slug=slug, name=name, timezone=zone),
            lambda: _draw_progress(app, actor, slug),
        )
        st.session_state[VIEW] = SETUP  # where the way to its first sender is


def _draw_progress(app: App, actor: Actor, slug: str) -> None:
    try:
        tenant = tenants.get_by_slug(app, actor, slug)
    except NotFound:
        return
    st.query_params[TENANT] = slug  # the sidebar follows, also to one that stays half-made
    draw_steps(app, actor, tenant.id)

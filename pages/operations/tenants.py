"""Tenants: the list, and one tenant's state, numbers and setup."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import available_timezones

import streamlit as st

from core import reports, tenants
from core.access import Action, Actor
from core.app import App
from core.db.models import Tenant
from core.db.states import SendingStatus
from core.reports import TenantToday
from pages._ui import format
from pages._ui.actions import ask, asked, confirm, report, stop_asking
from pages._ui.numbers import metrics, numbers
from pages._ui.runtime import TENANT, begin, tenant_choice
from pages._ui.tables import badge, chip, chips, pick, rates

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
    _panel(app, actor, today)


def _list(found: Sequence[TenantToday], chosen: Tenant) -> None:
    rows = [
        {
            "Tenant": each.tenant.name,
            "Slug": each.tenant.slug,
            "Status": chip(_status(each.tenant)),
            "Sent today": each.today.sent,
            "Bounces": format.percent(each.today.bounce_rate),
            "Complaints": format.percent(each.today.complaint_rate),
            "Waiting": each.queued,
        }
        for each in found
    ]
    columns = {"Status": chips("Status"), "Bounces": rates("Bounces"), "Complaints": rates("Complaints", 3)}
    slugs = [each.tenant.slug for each in found]
    pick(
        rows,
        key=f"tenants.list.{chosen.slug}",
        columns=columns,
        chosen=slugs.index(chosen.slug),
        on_pick=lambda index: st.session_state.update({TENANT: slugs[index]}),
    )


def _status(tenant: Tenant) -> str:
    return tenant.sending_status if tenant.provisioned_at else "INCOMPLETE"


def _panel(app: App, actor: Actor, today: TenantToday) -> None:
    tenant = today.tenant
    with st.container(border=True, key="tenants.panel"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(format.escape(tenant.name), anchor=False, width="content")
            badge(_status(tenant))
            if tenant.is_demo:
                st.badge("Demo", color="violet", icon=":material/science:")
            st.space("stretch")
            _buttons(app, actor, tenant)
        since = format.moment(tenant.created_at, tenant.timezone)
        st.caption(
            f"Tenant `{tenant.slug}` · configuration set `{tenant.configuration_set or format.NOTHING}` · "
            f"since {since} · times in {format.escape(tenant.timezone)}"
        )
        _paused(tenant)
        _numbers(today)
        left, right = st.columns([3, 2])
        with left:
            _worries(today)
        with right:
            _setup(app, actor, tenant)


def _buttons(app: App, actor: Actor, tenant: Tenant) -> None:
    if tenant.sending_status == SendingStatus.DISABLED:
        if actor.may(Action.RESUME_TENANT, tenant.id):
            if st.button(
                "Resume sending", icon=":material/play_circle:", type="primary", key="tenants.resume"
            ):
                ask("resume tenant", tenant.id)
            if asked("resume tenant") == tenant.id:
                confirm(
                    f"Resume {format.escape(tenant.name)}",
                    "Queued mail leaves at once, and its reputation is judged anew from now.",
                    label="Resume sending", reason="What was put right",
                    act=lambda reason: tenants.resume(app, actor, tenant.id, reason),
                    done=f"{tenant.name} sends again.",
                )  # fmt: skip
    elif actor.may(Action.PAUSE_TENANT, tenant.id):
        if st.button("Pause sending", icon=":material/pause_circle:", key="tenants.pause"):
            ask("pause tenant", tenant.id)
        if asked("pause tenant") == tenant.id:
            confirm(
                f"Pause {format.escape(tenant.name)}",
                "Nothing more leaves, campaigns included, until somebody resumes it. Queued mail stays.",
                label="Pause sending", reason="Reason",
                act=lambda reason: tenants.pause(app, actor, tenant.id, reason),
                done=f"{tenant.name} is paused.",
            )  # fmt: skip


def _paused(tenant: Tenant) -> None:
    if tenant.sending_status != SendingStatus.DISABLED:
        return
    by, reason = format.escape(tenant.paused_by or "somebody"), format.escape(tenant.paused_reason or "")
    st.warning(
        f"Paused by {by}, {format.moment(tenant.paused_at, tenant.timezone)}: {reason}",
        icon=":material/pause_circle:",
    )


def _numbers(today: TenantToday) -> None:
    with numbers(5):
        metrics(today.today, [day.counts for day in today.days], border=True)
        st.metric("Waiting to be sent", format.count(today.queued), border=True, height="stretch")


def _worries(today: TenantToday) -> None:
    st.markdown("**What needs a hand**")
    for sentence in today.what_needs_a_hand:
        st.markdown(f":orange[:material/warning:] {format.escape(sentence)}")
    if not today.what_needs_a_hand:
        st.badge("All is well", color="green", icon=":material/check_circle:")


def _setup(app: App, actor: Actor, tenant: Tenant) -> None:
    st.markdown("**Setup in Amazon SES**")
    steps = (
        ("SES tenant", tenant.ses_tenant_arn),
        ("Configuration set", tenant.configuration_set),
        ("Event topic", tenant.topic_arn),
        ("Events connected and associated", tenant.provisioned_at),
        ("Pause or resume told to SES", tenant.ses_status_synced),
    )
    with st.container(horizontal=True):
        for label, done in steps:
            icon, color = (":material/check:", "green") if done else (":material/schedule:", "orange")
            st.badge(label, color=color, icon=icon)  # type: ignore[arg-type]
    if not actor.may(Action.CREATE_TENANT):
        return
    hint = "Walks the whole plan again: what is missing is made, what is there stays."
    if st.button("Repair", icon=":material/build:", key="tenants.repair", help=hint):
        with report(f"{tenant.name} is complete in SES."):
            tenants.repair(app, actor, tenant.id)


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

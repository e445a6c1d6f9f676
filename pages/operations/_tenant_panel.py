"""One tenant: its state and the buttons that change it, the numbers of today, its setup in SES."""

from __future__ import annotations

import streamlit as st

from core import suppressions, tenants
from core.access import Action, Actor
from core.app import App
from core.db.models import Tenant
from core.db.states import SendingStatus
from core.reports import TenantToday
from pages._ui import format
from pages._ui.actions import ask, asked, confirm
from pages._ui.links import LIMITS, REPUTATION, SETUP, TODAY, VIEW
from pages._ui.numbers import EXPLAINED, metrics, numbers
from pages._ui.tables import badge
from pages.operations._tenant_events import recent_events
from pages.operations._tenant_levels import levels_view
from pages.operations._tenant_limits import limits_view
from pages.operations._tenant_resources import repair_dialog
from pages.operations._tenant_resume import RESUME, resume_dialog
from pages.operations._tenant_setup import incomplete_warning, setup_view


def status_of(tenant: Tenant) -> str:
    return tenant.sending_status if tenant.provisioned_at else "INCOMPLETE"


def panel(app: App, actor: Actor, today: TenantToday) -> None:
    tenant = today.tenant
    with st.container(border=True, key="tenants.panel"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(format.escape(tenant.name), anchor=False, width="content")
            badge(status_of(tenant))
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
        if probation := tenants.probation(app, actor, tenant.id):
            st.info(probation.sentence, icon=":material/speed:")
        incomplete_warning(app, actor, tenant)
        tabs = st.tabs([TODAY, LIMITS, REPUTATION, SETUP], key=VIEW, bind="query-params")
        now, limits, reputation, setup = tabs
        if setup.open:
            with setup:
                setup_view(app, actor, tenant)
        elif limits.open:
            with limits:
                limits_view(app, actor, tenant)
        elif reputation.open:
            with reputation:
                levels_view(app, actor, tenant)
        else:
            with now:
                _numbers(app, actor, today)
                _worries(today)
                recent_events(app, actor, tenant)
    repair_dialog(app, actor, tenant)


def _buttons(app: App, actor: Actor, tenant: Tenant) -> None:
    if tenant.sending_status == SendingStatus.DISABLED:
        if actor.may(Action.RESUME_TENANT, tenant.id):
            if st.button(
                "Resume sending", icon=":material/play_circle:", type="primary", key="tenants.resume"
            ):
                ask(RESUME, tenant.id)
            if asked(RESUME) == tenant.id:
                resume_dialog(app, actor, tenant)
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


def _numbers(app: App, actor: Actor, today: TenantToday) -> None:
    st.caption(f"Today in {today.tenant.timezone} · {EXPLAINED}")
    with numbers(6):
        metrics(today.today, [day.counts for day in today.days], border=True)
        st.metric("Waiting to be sent", format.count(today.queued), border=True, height="stretch")
        if actor.may(Action.SEE_SUPPRESSIONS, today.tenant.id):
            suppressed = suppressions.count(app, actor, today.tenant.id)
            st.metric("Suppressed", format.count(suppressed), border=True, height="stretch",
                      help="Addresses nothing is sent to.")  # fmt: skip


def _worries(today: TenantToday) -> None:
    st.markdown("**What needs a hand**")
    for sentence in today.what_needs_a_hand:
        st.markdown(f":orange[:material/warning:] {format.escape(sentence)}")
    if not today.what_needs_a_hand:
        st.badge("All is well", color="green", icon=":material/check_circle:")

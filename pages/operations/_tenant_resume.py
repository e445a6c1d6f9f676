"""Resuming a tenant: what probation means, and what becomes of the campaigns that it was paused for."""

from __future__ import annotations

import streamlit as st

from core import campaigns, tenants
from core.access import Action, Actor
from core.app import App
from core.campaigns import Cause
from core.db.models import Tenant
from pages._ui.actions import report, stop_asking
from pages._ui.format import count, escape

RESUME = "resume tenant"


def resume_dialog(app: App, actor: Actor, tenant: Tenant) -> None:
    """Call it while `asked(RESUME)` says so."""

    @st.dialog(f"Resume {escape(tenant.name)}", on_dismiss=stop_asking)
    def _dialog() -> None:
        st.markdown(
            "Queued mail leaves at once, and its reputation is judged anew from now. It is **on probation** "
            f"for its next {count(tenants.PROBATION_OUTCOMES)} messages with an outcome: a tenth of the AWS "
            "account's rate, and three bad messages are enough to pause it again where five are otherwise."
        )
        chosen = _chosen(app, actor, tenant)
        reason = st.text_input("What was put right", key="confirm.reason", max_chars=200).strip()
        with st.container(horizontal=True, horizontal_alignment="right"):
            if st.button("Cancel", key="confirm.cancel"):
                stop_asking()
                st.rerun()
            agreed = st.button("Resume sending", key="confirm.yes", type="primary")
        if agreed and not reason:
            st.error("What was put right: say it in a few words; it is kept in the audit log.")
        elif agreed:
            with report(f"{tenant.name} sends again, on probation."):
                for cause in chosen:
                    campaigns.cancel(app, actor, tenant.id, cause.campaign.id)
                tenants.resume(app, actor, tenant.id, reason)

    _dialog()


def _chosen(app: App, actor: Actor, tenant: Tenant) -> list[Cause]:
    """The campaigns to cancel first."""
    causes = campaigns.causes_of_pause(app, actor, tenant.id)
    if not causes or not actor.may(Action.RUN_CAMPAIGN, tenant.id):
        return []
    st.markdown("It was paused for these campaigns. Cancel them first? That cannot be undone.")
    return [
        cause
        for cause in causes
        if st.checkbox(
            f"Cancel {escape(cause.campaign.name)} ({count(cause.bad)} bad of {count(cause.outcomes)})",
            value=cause.is_alone,
            key=f"resume.campaign.{cause.campaign.id}",
        )
    ]

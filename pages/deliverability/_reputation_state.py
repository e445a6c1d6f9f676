"""Reputation state: whether the tenant may send, what is held against it, and what SES itself thinks."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core import alerts, reputation, tenants
from core.access import Action
from core.db.models import Alert, Tenant
from core.db.states import SendingStatus
from pages._ui.format import ago, escape, moment, plural, words
from pages._ui.links import SETUP, link
from pages._ui.tables import badge
from pages.deliverability._reputation_files import View
from pages.deliverability._reputation_pauses import by

_RESUMED_BY_OTHERS = "An operator or an administrator resumes it once the cause is put right."
_RESUMED_BY_READER = "Resume it on the tenant's page once the cause is put right."


def draw_state(view: View) -> None:
    app, actor, tenant = view.app, view.actor, view.tenant
    warnings = [
        alert for alert in alerts.list_open(app, actor, tenant.id) if alert.kind == reputation.WARNING
    ]
    probation = tenants.probation(app, actor, tenant.id)
    is_paused = tenant.sending_status == SendingStatus.DISABLED
    with st.container(horizontal=True, vertical_alignment="center"):
        badge(tenant.sending_status)
        if warnings and not is_paused:
            st.badge("Warned", color="orange", icon=":material/warning:")
        if probation and not is_paused:
            st.badge("On probation", color="orange", icon=":material/speed:")
        st.markdown(f":small[{_amazons(view)}]", width="stretch")
        if actor.may(Action.SEE_TENANT, tenant.id):
            link("operations/tenants", "Tenant", tenant.slug, view=SETUP)
        st.page_link("pages/sending/senders.py", label="Manage senders", icon=":material/alternate_email:")
    if is_paused:
        _draw_paused(view)
    if held := tenants.held_by_aws(tenant):
        st.error(escape(held), icon=":material/gavel:")
    if probation and not is_paused:
        st.info(f"{escape(probation.sentence)} Until then less evidence pauses it again.",
                icon=":material/speed:")  # fmt: skip
    _draw_warnings(warnings, tenant)


def _draw_paused(view: View) -> None:
    tenant = view.tenant
    since = f" since {moment(tenant.paused_at, tenant.timezone)}" if tenant.paused_at else ""
    why = f": {escape(tenant.paused_reason)}" if tenant.paused_reason else "."
    may = view.actor.may(Action.RESUME_TENANT, tenant.id)
    how = _RESUMED_BY_READER if may else _RESUMED_BY_OTHERS
    st.error(
        f"**Paused{since} by {escape(by(tenant.paused_by or 'postyard'))}**{why}  \n"
        f"Nothing leaves meanwhile; mail that is queued waits. {how}",
        icon=":material/pause_circle:",
    )


def _draw_warnings(warnings: Sequence[Alert], tenant: Tenant) -> None:
    for alert in warnings:
        since = moment(alert.raised_at, tenant.timezone)
        st.warning(f"{escape(alert.sentence)} Warned since {since}.", icon=":material/warning:")


def _amazons(view: View) -> str:
    """SES's own view of the tenant, in one line of markdown."""
    tenant = view.tenant
    if tenant.reputation_checked_at is None:
        return "Amazon SES has not been asked about this tenant yet"
    read = f"read {ago(tenant.reputation_checked_at, view.app.now())}"
    findings = tenant.reputation_findings
    if not findings:
        return f"Amazon SES has no findings, {read}"
    kinds = ", ".join(sorted({words(str(finding.get("type") or "other").lower()) for finding in findings}))
    impact = "high" if tenant.reputation_impact == "HIGH" else "low"
    return f"Amazon SES has {plural(len(findings), 'finding')} of {impact} impact ({escape(kinds)}), {read}"

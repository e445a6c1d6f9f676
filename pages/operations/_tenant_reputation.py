"""What SES thinks of a tenant's mail, and when it may pause the tenant by itself."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import streamlit as st

from core import tenants
from core.access import Action, Actor
from core.app import App
from core.db.models import Tenant
from core.db.states import ReputationPolicy, SendingStatus
from pages._ui import format
from pages._ui.actions import ask, asked, confirm
from pages._ui.tables import badge

CHANGE = "change reputation policy"
MEANS = {
    ReputationPolicy.STANDARD: "Amazon SES pauses the tenant at a finding of high impact.",
    ReputationPolicy.STRICT: "Amazon SES pauses the tenant at any finding, of low impact too.",
    ReputationPolicy.NONE: "Amazon SES never pauses the tenant by itself; it still records findings.",
}


def reputation_card(app: App, actor: Actor, tenant: Tenant) -> None:
    with st.container(border=True, key="tenants.reputation"):
        st.markdown("**Reputation at Amazon SES**")
        _status(app, tenant)
        for finding in tenant.reputation_findings:
            _finding(finding, tenant)
        st.space("xsmall")
        if actor.may(Action.SET_REPUTATION_POLICY, tenant.id):
            _policy(app, actor, tenant)
        else:
            policy = ReputationPolicy(tenant.reputation_policy)
            st.markdown(f"Policy: **{policy.value.capitalize()}**")
            st.caption(MEANS[policy])


def _status(app: App, tenant: Tenant) -> None:
    if tenant.aws_status is None:
        st.caption("Not read yet: Postyard asks once a day, and when SES says that something changed.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        if tenant.aws_status == SendingStatus.DISABLED:
            st.badge("Paused by AWS", color="red", icon=":material/gavel:")
        elif tenant.aws_status == SendingStatus.REINSTATED:
            st.badge("Reinstated by AWS", color="orange", icon=":material/restart_alt:")
        else:
            st.badge("AWS lets it send", color="green", icon=":material/check_circle:")
        if not tenant.reputation_findings:
            st.badge("No findings", color="green", icon=":material/check_circle:")
        st.caption(f"Read {format.ago(tenant.reputation_checked_at, app.now())}", width="content")
    if held := tenants.held_by_aws(tenant):
        st.error(format.escape(held), icon=":material/gavel:")


def _finding(finding: Mapping[str, Any], tenant: Tenant) -> None:
    with st.container(gap="xxsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            kind = format.words(str(finding.get("type") or "finding")).capitalize()
            st.markdown(f"**{format.escape(kind)}**", width="content")
            badge(str(finding.get("impact") or "LOW"))
        st.markdown(format.escape(str(finding.get("description") or "")))
        if since := finding.get("opened_at"):
            st.caption(f"Since {format.moment(datetime.fromisoformat(str(since)), tenant.timezone)}")


def _policy(app: App, actor: Actor, tenant: Tenant) -> None:
    policies = list(MEANS)
    chosen = st.radio(
        "When may SES pause it by itself?",
        policies,
        index=policies.index(ReputationPolicy(tenant.reputation_policy)),
        format_func=lambda policy: policy.value.capitalize(),
        captions=list(MEANS.values()),
        key=f"tenants.policy.{tenant.slug}.{tenant.reputation_policy}",
    )
    if chosen != tenant.reputation_policy and st.button(
        "Use this policy", type="primary", key="tenants.policy.save"
    ):
        ask(CHANGE, tenant.id)
    if asked(CHANGE) == tenant.id and chosen is not None:
        confirm(
            f"Reputation policy of {format.escape(tenant.name)}",
            f"{chosen.value.capitalize()}: {MEANS[chosen]} It applies from now on.",
            label="Use this policy",
            act=lambda _: tenants.set_reputation_policy(app, actor, tenant.id, chosen),
            done=f"{tenant.name} has the policy {chosen.value} at SES.",
        )

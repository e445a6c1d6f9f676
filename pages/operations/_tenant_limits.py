"""How much of a tenant's mail may leave: its own limits, its warm-up, and what goes another way instead."""

from __future__ import annotations

from email.utils import parseaddr

import streamlit as st

from core import routes, tenants
from core.access import Action, Actor
from core.app import App
from core.db.models import Tenant
from core.db.states import FallbackPolicy
from core.tenants import Used
from pages._ui import format
from pages._ui.actions import ask, asked, confirm, report
from pages.operations._tenant_warm_up import warm_up_card

CHANGE = "change fallback policy"
LABELS = {
    FallbackPolicy.NONE: "None",
    FallbackPolicy.NO_VERIFIED_DOMAIN: "While it has no verified domain",
    FallbackPolicy.UNMATCHED_SENDER: "For each sender that is not verified",
}
MEANS = {
    FallbackPolicy.NONE: "Mail of a sender whose domain is not verified waits until it is.",
    FallbackPolicy.NO_VERIFIED_DOMAIN: (
        "Goes through Resend only while none of the tenant's domains is verified; then that mail waits, too."
    ),
    FallbackPolicy.UNMATCHED_SENDER: (
        "Goes through Resend whenever the sender's own domain is not verified, or the sender was removed."
    ),
}


def limits_view(app: App, actor: Actor, tenant: Tenant) -> None:
    left, right = st.columns(2)
    with left, st.container(border=True, key="tenants.limits"):
        _limits(app, actor, tenant)
    with right, st.container(border=True, key="tenants.fallback"):
        _fallback(app, actor, tenant)
    with st.container(border=True, key="tenants.warm-up"):
        warm_up_card(app, actor, tenant)


def _limits(app: App, actor: Actor, tenant: Tenant) -> None:
    usage = tenants.usage(app, actor, tenant.id)
    st.markdown("**Limits**")
    st.caption(
        "Recipients, of campaigns and single mails together. What is over a limit waits and goes later."
    )
    _used("In the last minute", usage.minute, tenant)
    _used("In the last hour", usage.hour, tenant)
    _used("Today", usage.day, tenant)
    if actor.may(Action.SET_LIMITS, tenant.id):
        _form(app, actor, tenant)


def _used(label: str, used: Used, tenant: Tenant) -> None:
    if used.limit is None:
        st.progress(0.0, text=f"{label}: **{format.count(used.used)}** · no limit")
        return
    spent = (
        f" · used up, more from {format.local(used.frees_at, tenant.timezone):%H:%M}" if used.frees_at else ""
    )
    shown = f"{label}: **{format.count(used.used)}** of {format.count(used.limit)}{spent}"
    st.progress(min(1.0, used.used / used.limit), text=shown)


def _form(app: App, actor: Actor, tenant: Tenant) -> None:
    """Its keys change with what is stored: what somebody else set meanwhile is shown, not overwritten."""
    stored = f"{tenant.slug}.{tenant.per_minute}.{tenant.per_hour}.{tenant.per_day}"
    with st.form(f"tenants.limits.{stored}", border=False):
        with st.grid(3, min_column_width=110):
            minute = _number("Per minute", tenant.per_minute, f"tenants.limits.minute.{stored}")
            hour = _number("Per hour", tenant.per_hour, f"tenants.limits.hour.{stored}")
            day = _number("Per day", tenant.per_day, f"tenants.limits.day.{stored}")
        st.caption(f"Empty: no limit. Days are those of {format.escape(tenant.timezone)}.")
        if not st.form_submit_button("Set limits", key=f"tenants.limits.save.{stored}"):
            return
    with report(f"The limits of {tenant.name} are set."):
        tenants.set_limits(
            app, actor, tenant.id, per_minute=minute, per_hour=hour, per_day=day, version=tenant.version
        )


def _number(label: str, stored: int | None, key: str) -> int | None:
    return st.number_input(label, value=stored, step=1, placeholder="No limit", key=key)


def _fallback(app: App, actor: Actor, tenant: Tenant) -> None:
    st.markdown("**Fallback**")
    policy = FallbackPolicy(tenant.fallback_policy)
    if wanting := tenants.missing_for_fallback(app.settings):
        st.info(
            "This installation has no second provider: all mail goes through Amazon SES. To have one, set "
            + " and ".join(f"`{name}`" for name in wanting)
            + " and restart Postyard.",
            icon=":material/alt_route:",
        )
        if policy == FallbackPolicy.NONE:
            return
    else:
        address = format.escape(parseaddr(routes.fallback_address(app))[1])
        st.caption(
            f"What falls back goes through Resend, from {address} under the sender's name; replies go to the "
            "sender. Who starts a campaign is told before. Resend reports no deliveries, bounces or "
            "complaints to Postyard."
        )
    if actor.may(Action.SET_FALLBACK, tenant.id):
        _choose_policy(app, actor, tenant, policy)
        return
    st.markdown(f"Policy: **{LABELS[policy]}**")
    st.caption(MEANS[policy])


def _choose_policy(app: App, actor: Actor, tenant: Tenant, policy: FallbackPolicy) -> None:
    policies = list(MEANS)
    chosen = st.radio(
        "When may its mail go through Resend?",
        policies,
        index=policies.index(policy),
        format_func=LABELS.__getitem__,
        captions=list(MEANS.values()),
        key=f"tenants.fallback.{tenant.slug}.{policy}",
    )
    if chosen != policy and st.button("Use this policy", type="primary", key="tenants.fallback.save"):
        ask(CHANGE, tenant.id)
    if asked(CHANGE) == tenant.id and chosen is not None:
        confirm(
            f"Fallback of {format.escape(tenant.name)}",
            f"{LABELS[chosen]}: {MEANS[chosen]} Mail that waits follows it at once.",
            label="Use this policy",
            act=lambda _: tenants.set_fallback_policy(app, actor, tenant.id, chosen),
            done=f"The fallback policy of {tenant.name} is changed.",
        )

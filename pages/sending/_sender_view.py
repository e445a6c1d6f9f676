"""One sender: its state, the DNS records of its domain (step 2 of adding it), and ways to hand them on."""

from __future__ import annotations

import streamlit as st

from core import identities, senders
from core.access import Action, Actor
from core.app import App
from core.db.models import Tenant
from core.dns import Finding
from core.errors import NotFound
from core.senders import SenderView
from pages._ui.actions import live
from pages._ui.format import escape, moment
from pages.sending import _sender_actions as actions
from pages.sending._dns_exports import draw_exports
from pages.sending._dns_records import draw_findings
from pages.sending._onboarding_links import ask_to_share
from pages.sending._readable import readable, visible
from pages.sending._sender_mail_from import draw_mail_from
from pages.sending._sender_status import (
    details,
    draw_badge,
    explanation,
    is_done,
    is_open,
    last_check,
    summary,
    trouble,
)

REFRESH_SECONDS = 5
COUNTDOWN_SECONDS = 1


def draw_sender(app: App, actor: Actor, tenant: Tenant, view: SenderView | None) -> None:
    if st.button("All senders", key="senders.back", type="tertiary", icon=":material/arrow_back:"):
        st.query_params.pop(actions.SENDER, None)
        st.rerun()
    if view is None:
        st.info("There is no such sender here. It may have been deleted.", icon=":material/alternate_email:")
        return
    _draw_head(actor, tenant, view)
    waiting = is_open(view.identity)
    cooling = identities.seconds_until_check(view.identity.checked_at, app.now()) > 0
    refresh = REFRESH_SECONDS if waiting else None
    live(_draw_state, COUNTDOWN_SECONDS if cooling else refresh)(app, actor, tenant, view, cooling)
    if view.identity.type != identities.DOMAIN:
        _draw_without_records(view)
        return
    records, aside = st.columns([2.2, 1], gap="medium")
    with records:
        live(_draw_records, refresh)(app, actor, tenant, view)
    with aside:
        _draw_aside(app, actor, tenant, view)


def _draw_head(actor: Actor, tenant: Tenant, view: SenderView) -> None:
    with st.container(horizontal=True, vertical_alignment="center", key="sender_address"):
        st.text(readable(view.sender.address), width="content")
        if view.sender.is_default:
            st.badge("Default", color="blue", icon=":material/star:")
        st.space("stretch")
        actions.draw_menu(actor, tenant, view, key="sender.menu", without=(actions.VERIFY, actions.RECORDS))
    shown_as = f" · shown as {visible(view.sender.display_name)}" if view.sender.display_name else ""
    st.caption(
        escape(f"Added {moment(view.sender.created_at, tenant.timezone)} ({tenant.timezone}){shown_as}")
    )
    if view.identity.verified_at is None and view.identity.type == identities.DOMAIN:
        st.markdown("**Step 2 of 2 · Publish the DNS records, then press Verify now**")


def _draw_state(app: App, actor: Actor, tenant: Tenant, drawn: SenderView, cooling: bool) -> None:
    """Counts the cooldown down, and draws the whole page when something has changed since it was drawn."""
    actions.hand_over()
    view = _again(app, actor, tenant, drawn)
    identity, seconds = view.identity, identities.seconds_until_check(view.identity.checked_at, app.now())
    if cooling != (seconds > 0) or identity.version != drawn.identity.version:
        st.rerun()
    with st.container(border=True, gap="small", key="sender_state"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            draw_badge(identity)
            known = (summary(identity), last_check(identity, app.now()))
            st.text(" · ".join(part for part in known if part), width="stretch")
            if actor.may(Action.MANAGE_SENDERS, tenant.id):
                st.button(
                    f"Verify again in {seconds} s" if seconds else "Verify now",
                    key="sender.verify", type="primary", icon=":material/sync:", disabled=seconds > 0,
                    on_click=actions.choose_verify, args=(view,),
                )  # fmt: skip
        if said := details(identity, tenant.timezone):
            st.caption(escape(said))
        if why := trouble(identity, tenant.timezone):
            st.error(escape(why), icon=":material/error:")
            st.caption(escape(explanation(identity, tenant.fallback_policy)))


def _again(app: App, actor: Actor, tenant: Tenant, drawn: SenderView) -> SenderView:
    """The sender as it is now; draws the whole page when it has gone meanwhile."""
    views = senders.list_senders(app, actor, tenant.id)
    found = next((view for view in views if view.sender.id == drawn.sender.id), None)
    if found is None:
        st.rerun()
    return found


def _draw_without_records(view: SenderView) -> None:
    if view.identity.verified_for_sending:
        st.caption("A single address, for development: it needs no DNS records.")
        return
    st.info(
        f"Amazon SES has written to {escape(readable(view.identity.name))}: the link in that message "
        "verifies the address, for 24 hours. It needs no DNS records and is meant for development.",
        icon=":material/mark_email_unread:",
    )


def _draw_records(app: App, actor: Actor, tenant: Tenant, view: SenderView) -> None:
    findings = _findings(app, actor, tenant, view)
    draw_findings(view.identity.name, findings, is_done=is_done(view.identity, findings))


def _draw_aside(app: App, actor: Actor, tenant: Tenant, view: SenderView) -> None:
    findings = _findings(app, actor, tenant, view)
    if actor.may(Action.SHARE_ONBOARDING, tenant.id) and not is_done(view.identity, findings):
        with st.container(border=True, gap="small"):
            st.markdown("**Somebody else manages the DNS?**")
            st.caption("Send them a page with these records and their state. It needs no sign-in.")
            if st.button("Send to your DNS person", key="sender.share", icon=":material/forward_to_inbox:"):
                ask_to_share(view.sender.id)
    draw_exports(app, tenant, view, findings)
    draw_mail_from(actor, tenant, view, findings)


def _findings(app: App, actor: Actor, tenant: Tenant, view: SenderView) -> list[Finding]:
    """Draws the whole page when the sender has gone meanwhile."""
    try:
        return senders.findings(app, actor, tenant.id, view.sender.id)
    except NotFound:
        st.rerun()

"""Sender dialogs: adding one in two steps (address, DNS records), and asking before one is deleted."""

from __future__ import annotations

import streamlit as st

from core import senders
from core.access import Action, Actor
from core.app import App
from core.db.models import Tenant
from core.identities import DnsRecord
from core.senders import SenderView
from pages._ui.actions import ask, confirm, flash, report, stop_asking
from pages.sending._dns_records import draw_records
from pages.sending._sender_status import draw_status, outcome

ADD = "add sender"
RECORDS = "show DNS records"
DELETE = "delete sender"


def add_sender(app: App, actor: Actor, tenant: Tenant) -> None:
    """Step 1; an accepted address opens step 2, its records."""

    @st.dialog("Add sender: the address", icon=":material/alternate_email:", on_dismiss=stop_asking)
    def _dialog() -> None:
        st.caption(
            "Step 1 of 2. The address your mail comes from; its domain is verified once for all of them."
        )
        with st.form("senders.add", border=False):
            address = st.text_input(
                "Email address", key="senders.address", placeholder="news@your-domain.com"
            )
            name = st.text_input("Display name (optional)", key="senders.display_name", max_chars=100)
            agreed = st.form_submit_button("Continue", type="primary", key="senders.continue")
        if not agreed:
            return
        added = None
        with report(rerun=False):
            added = senders.add(app, actor, tenant.id, address.strip(), name.strip())
        if added is not None:
            ask(RECORDS, added.id)
            st.rerun()

    _dialog()


def show_records(app: App, actor: Actor, tenant: Tenant, view: SenderView) -> None:
    """Step 2 of adding, and the same again whenever somebody asks for a sender's records."""

    @st.dialog("DNS records", icon=":material/dns:", width="large", on_dismiss=stop_asking)
    def _dialog() -> None:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.text(view.sender.address, width="content")
            draw_status(view.identity, app.now())
        records: list[DnsRecord] = []
        with report(rerun=False):
            records = senders.records(app, actor, tenant.id, view.sender.id)
        if records:
            step = "" if view.identity.verified_for_sending else "Step 2 of 2. "
            draw_records(records, view.identity.dns_findings, step=step)
        _draw_buttons(app, actor, tenant, view)

    _dialog()


def _draw_buttons(app: App, actor: Actor, tenant: Tenant, view: SenderView) -> None:
    with st.container(horizontal=True, horizontal_alignment="right"):
        closed = st.button("Close", key="senders.records.close")
        verify = actor.may(Action.MANAGE_SENDERS, tenant.id) and st.button(
            "Verify now", key="senders.records.verify", type="primary", icon=":material/sync:"
        )
    if closed:
        stop_asking()
        st.rerun()
    if verify:
        verify_sender(app, actor, tenant, view.sender.id)


def verify_sender(app: App, actor: Actor, tenant: Tenant, sender_id: int) -> None:
    """Ask SES and DNS and say what came of it; a dialog that is open stays open."""
    identity = None
    with st.spinner("Asking SES and DNS…"), report(rerun=False):
        identity = senders.verify_now(app, actor, tenant.id, sender_id)
    if identity is not None:
        flash(outcome(identity))
        st.rerun()


def delete_sender(app: App, actor: Actor, tenant: Tenant, view: SenderView) -> None:
    address = view.sender.address
    confirm(
        "Delete sender",
        f"Delete {address}? Campaigns can no longer be sent from it. "
        "When it is the last sender of its domain, the domain is removed in Amazon SES too.",
        label="Delete",
        act=lambda _: senders.remove(app, actor, tenant.id, view.sender.id),
        done=f"Deleted {address}.",
    )

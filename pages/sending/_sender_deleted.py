"""Deleted senders: those that can still be brought back, and until when."""

from __future__ import annotations

import streamlit as st

from core import senders
from core.access import Action, Actor
from core.app import App
from core.db.models import Tenant
from core.senders import SenderView
from pages._ui.actions import ask, confirm
from pages._ui.format import moment
from pages.sending._readable import readable
from pages.sending._sender_restored import restore

FOR_GOOD = "remove sender for good"
WIDTHS = [3.0, 5.4, 2.6]


def draw_deleted(app: App, actor: Actor, tenant: Tenant) -> None:
    views = senders.list_deleted(app, actor, tenant.id)
    if not views:
        return
    st.subheader("Deleted senders", anchor=False)
    st.caption("Nothing is sent from them. Each can be restored until the day it is removed for good.")
    with st.container(border=True, gap=None, key="senders_deleted"):
        for view in views:
            with st.container(key=f"senders_row_deleted_{view.sender.id}"):
                _draw_row(app, actor, tenant, view)


def _draw_row(app: App, actor: Actor, tenant: Tenant, view: SenderView) -> None:
    sender = view.sender
    address, until, actions = st.columns(WIDTHS, vertical_alignment="center")
    address.text(readable(sender.address))
    by = f" by {sender.deleted_by}" if sender.deleted_by else ""
    until.text(
        f"Deleted {moment(sender.deleted_at, tenant.timezone)}{by}. "
        f"Can be restored until {moment(view.restorable_until, tenant.timezone)}."
    )
    if not actor.may(Action.REMOVE_SENDER, tenant.id):
        return
    with actions, st.container(horizontal=True, gap="small"):
        if st.button("Restore", key=f"senders.restore.{sender.id}", icon=":material/undo:"):
            restore(app, actor, tenant, sender.id, was_default=False)
        if st.button("Remove now", key=f"senders.for_good.{sender.id}", type="tertiary"):
            ask(FOR_GOOD, view)


def remove_for_good(app: App, actor: Actor, tenant: Tenant, view: SenderView) -> None:
    sender = view.sender
    confirm(
        "Remove for good",
        f"Remove {readable(sender.address)} now? It can no longer be restored then. When no other sender "
        f"uses {readable(view.identity.name)}, the domain is removed in Amazon SES, too.",
        label="Remove",
        act=lambda _: senders.remove(
            app, actor, tenant.id, sender.id, at_once=True, deleted=True, version=sender.version
        ),
        done=f"{readable(sender.address)} is removed for good.",
    )

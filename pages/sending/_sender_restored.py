"""A restored sender: it is back, but never as the default sender. That is offered again."""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from core import senders
from core.access import Action, Actor
from core.app import App
from core.db.models import Sender, Tenant
from core.senders import SenderView
from pages._ui.actions import flash, report, stop_asking
from pages._ui.format import escape
from pages.sending._readable import readable
from pages.sending._sender_status import is_verified

_OFFERED = "senders.offered"


class Offered(NamedTuple):
    sender_id: int
    version: int  # as it came back
    was_default: bool


def restore(app: App, actor: Actor, tenant: Tenant, sender_id: int, *, was_default: bool) -> None:
    sender: Sender | None = None
    with report(rerun=False):
        sender = senders.restore(app, actor, tenant.id, sender_id)
    if sender is None:
        return
    st.session_state[_OFFERED] = Offered(sender.id, sender.version, was_default)
    end = ", but it is no longer the default sender." if was_default else "."
    flash(f"{readable(sender.address)} is back{end}")
    stop_asking()
    st.rerun()


def draw_offer(app: App, actor: Actor, tenant: Tenant, views: list[SenderView]) -> None:
    """Of one that was the default, or while there is none."""
    offered: Offered | None = st.session_state.get(_OFFERED)
    if offered is None or not actor.may(Action.MANAGE_SENDERS, tenant.id):
        return
    view = next((each for each in views if each.sender.id == offered.sender_id), None)
    is_taken = any(each.sender.is_default for each in views) and not offered.was_default
    if is_taken or view is None or view.sender.is_default or not is_verified(view.identity):
        st.session_state.pop(_OFFERED)
        return
    address = readable(view.sender.address)
    with st.container(horizontal=True, vertical_alignment="center", border=True, key="senders_offer"):
        was = (
            f"{escape(address)} was it"
            if offered.was_default
            else f"There is none. It can be {escape(address)}"
        )
        st.markdown(f"**Default sender** · {was}.", width="stretch")
        agreed = st.button("Make default", key="senders.offer.yes", icon=":material/star:")
        if st.button("Leave it", key="senders.offer.no", type="tertiary"):
            st.session_state.pop(_OFFERED)
            st.rerun()
    if agreed:
        st.session_state.pop(_OFFERED)
        with report(f"{address} is the default sender now."):
            senders.set_default(app, actor, tenant.id, offered.sender_id, version=offered.version)

"""Sender dialogs: asking before one is deleted, and what is left to do afterwards."""

from __future__ import annotations

import streamlit as st

from core import identities, senders
from core.access import Actor
from core.app import App
from core.db.models import Tenant
from core.identities.records import SHARED_SPF
from core.senders import Removed, SenderView
from pages._ui.actions import ask, report, stop_asking
from pages._ui.format import escape, moment
from pages.sending._dns_records import draw_record
from pages.sending._readable import readable
from pages.sending._sender_restored import restore

DELETE = "delete sender"
DELETED = "deleted sender"
GRACE_DAYS = identities.GRACE.days


def delete_sender(app: App, actor: Actor, tenant: Tenant, view: SenderView, version: int) -> None:
    address, domain = readable(view.sender.address), readable(view.identity.name)

    @st.dialog("Delete sender", icon=":material/delete:", on_dismiss=stop_asking)
    def _dialog() -> None:
        st.markdown(f"Deleting {escape(address)} means:")
        meaning = st.container()
        if view.sender.is_default:
            st.warning("It is the default sender: choose another one afterwards.", icon=":material/star:")
        at_once = st.checkbox("Remove it for good at once: no undo", key="senders.delete.at_once")
        meaning.markdown(_meaning(escape(domain), at_once))
        with st.container(horizontal=True, horizontal_alignment="right"):
            if st.button("Cancel", key="confirm.cancel"):
                stop_asking()
                st.rerun()
            agreed = st.button("Delete for good" if at_once else "Delete", key="confirm.yes", type="primary")
        if agreed:
            _delete(app, actor, tenant, view, version, at_once)

    _dialog()


def _meaning(domain: str, at_once: bool) -> str:
    restored = f"For {GRACE_DAYS} days it can be restored, under *Deleted senders*."
    when = "At once" if at_once else "After that"
    return (
        "- Nothing can be sent from it any more.\n"
        f"- {'It cannot be restored.' if at_once else restored}\n"
        f"- {when}, {domain} is removed in Amazon SES, too, unless another sender uses it."
    )


def _delete(app: App, actor: Actor, tenant: Tenant, view: SenderView, version: int, at_once: bool) -> None:
    removed: Removed | None = None
    with st.spinner("Deleting…"), report(rerun=False):
        removed = senders.remove(app, actor, tenant.id, view.sender.id, at_once=at_once, version=version)
    if removed is not None:
        st.query_params.pop("sender", None)
        ask(DELETED, (view.sender.id, removed))
        st.rerun()


def show_deleted(app: App, actor: Actor, tenant: Tenant, sender_id: int, removed: Removed) -> None:
    """What is left to do outside of Postyard, and the way back."""
    ended, address = removed.gone_at <= app.now(), escape(readable(removed.address))

    @st.dialog("Sender deleted", icon=":material/delete:", width="large", on_dismiss=stop_asking)
    def _dialog() -> None:
        if removed.was_default:
            st.warning("It was the default sender: choose another one.", icon=":material/star:")
        if ended:
            st.markdown(f"{address} is removed for good.")
        else:
            st.markdown(
                f"{address} is deleted. It can be restored until {moment(removed.gone_at, tenant.timezone)}."
            )
        _draw_offboarding(removed, "now" if ended else f"after {moment(removed.gone_at, tenant.timezone)}")
        with st.container(horizontal=True, horizontal_alignment="right"):
            undone = not ended and st.button("Undo", key="senders.undo", icon=":material/undo:")
            if st.button("Done", key="senders.deleted.done", type="primary"):
                stop_asking()
                st.rerun()
        if undone:
            restore(app, actor, tenant, sender_id, was_default=removed.was_default)

    _dialog()


def _draw_offboarding(removed: Removed, when: str) -> None:
    if not removed.records:
        st.caption("Its domain's DNS records are still needed, by another sender: leave them.")
        return
    st.markdown(f"**These DNS records may be taken out {when}**")
    for record in removed.records:
        draw_record(record, "left")
    if any(each.optional_note == SHARED_SPF for each in removed.records):
        st.caption(f"SPF: {SHARED_SPF}")

"""Senders: the addresses a tenant writes from, and whether SES has verified their domains."""

from __future__ import annotations

import math

import streamlit as st

from core import senders
from core.access import Action
from core.senders import SenderView
from pages._ui.actions import ask, asked, live, report
from pages._ui.format import escape, moment, plural
from pages._ui.runtime import begin, tenant_choice
from pages._ui.tables import empty
from pages.sending import _sender_dialogs as dialogs
from pages.sending._sender_status import draw_status, is_open

app, actor = begin("Senders", Action.SEE_TENANT)
tenant = tenant_choice(app, actor)

PER_PAGE = 20
REFRESH_SECONDS = 5
WIDTHS = [3.1, 2.2, 1.6, 3.9]
# On a phone the cells of a row stand below each other, and no head names them.
HEAD_ON_WIDE_SCREENS = "<style>@media (max-width: 640px) { .st-key-senders-head { display: none } }</style>"
MAY_MANAGE = actor.may(Action.MANAGE_SENDERS, tenant.id)
MAY_REMOVE = actor.may(Action.REMOVE_SENDER, tenant.id)


def draw() -> None:
    views = senders.list_senders(app, actor, tenant.id)
    if not views:
        _draw_none()
    else:
        _draw_head(len(views))
        waiting = any(is_open(view.identity) for view in views)
        live(_draw_table, REFRESH_SECONDS if waiting else None)(waiting)
    _draw_dialogs(views)


def _draw_none() -> None:
    with empty(
        "No senders yet",
        "A sender is the address mail comes from. Add one, publish its DNS records, and it can be used.",
        icon=":material/alternate_email:",
    ):
        if MAY_MANAGE and st.button("Add sender", type="primary", icon=":material/add:", key="senders.first"):
            ask(dialogs.ADD)


def _draw_head(number: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{plural(number, 'sender')} · times in {tenant.timezone}", width="stretch")
        if MAY_MANAGE and st.button("Add sender", type="primary", icon=":material/add:", key="senders.add"):
            ask(dialogs.ADD)


def _draw_table(waiting: bool) -> None:
    """Draws itself anew while something is pending, and the whole page once nothing is."""
    views = senders.list_senders(app, actor, tenant.id)
    if waiting and not any(is_open(view.identity) for view in views):
        st.rerun()
    pages = math.ceil(len(views) / PER_PAGE)
    page = min(st.session_state.get("senders.page", 1), pages)
    st.html(HEAD_ON_WIDE_SCREENS)
    with st.container(key="senders.head"):
        labels = ["Email address", "Status", "Created", "Actions"]
        for column, label in zip(st.columns(WIDTHS, wrap=False), labels, strict=True):
            column.caption(label)
    for view in views[(page - 1) * PER_PAGE : page * PER_PAGE]:
        with st.container(border=True):
            if _draw_row(view):
                dialogs.verify_sender(app, actor, tenant, view.sender.id)
    if pages > 1:
        with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
            st.caption(f"Page {page} of {pages}", width="content")
            st.pagination(pages, key="senders.page")


def _draw_row(view: SenderView) -> bool:
    """True when it is to be verified now."""
    address, state, created, actions = st.columns(WIDTHS, vertical_alignment="center")
    with address, st.container(gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.text(view.sender.address, width="content")
            if view.sender.is_default:
                st.badge("Default", color="primary", icon=":material/star:")
        if view.sender.display_name:
            st.caption(escape(view.sender.display_name))
    with state, st.container(gap="xsmall"):
        draw_status(view.identity, app.now())
    created.text(moment(view.sender.created_at, tenant.timezone))
    with actions, st.container(horizontal=True, gap="small"):
        return _draw_actions(view)


def _draw_actions(view: SenderView) -> bool:
    number = view.sender.id
    if st.button("DNS records", key=f"senders.records.{number}", icon=":material/dns:"):
        ask(dialogs.RECORDS, number)
        st.rerun()
    if not MAY_MANAGE:
        return False
    verified = view.identity.verified_for_sending
    verify = not verified and st.button("Verify now", key=f"senders.verify.{number}", icon=":material/sync:")
    with st.popover("", key=f"senders.more.{number}", icon=":material/more_vert:", help="More actions"):
        return _draw_more(view) or verify


def _draw_more(view: SenderView) -> bool:
    number = view.sender.id
    if not view.sender.is_default and st.button(
        "Make default", key=f"senders.default.{number}", type="tertiary", icon=":material/star:"
    ):
        with report(f"{view.sender.address} is the default sender now."):
            senders.set_default(app, actor, tenant.id, number)
    again = view.identity.verified_for_sending and st.button(
        "Check again", key=f"senders.verify.{number}", type="tertiary", icon=":material/sync:"
    )
    if MAY_REMOVE and st.button(
        "Delete", key=f"senders.delete.{number}", type="tertiary", icon=":material/delete:"
    ):
        ask(dialogs.DELETE, number)
        st.rerun()
    return again


def _draw_dialogs(views: list[SenderView]) -> None:
    by_id = {view.sender.id: view for view in views}
    if MAY_MANAGE and asked(dialogs.ADD):
        dialogs.add_sender(app, actor, tenant)
    elif view := by_id.get(asked(dialogs.RECORDS) or 0):
        dialogs.show_records(app, actor, tenant, view)
    elif view := by_id.get(asked(dialogs.DELETE) or 0):
        dialogs.delete_sender(app, actor, tenant, view)


draw()

"""Senders: the addresses a tenant writes from; `?sender=ID` shows one with the DNS records of its domain."""

from __future__ import annotations

import math

import streamlit as st

from core import senders
from core.access import Action
from core.senders import SenderView
from pages._ui.actions import ask, asked, live
from pages._ui.format import escape, moment, plural
from pages._ui.runtime import begin, tenant_choice
from pages._ui.tables import empty
from pages.sending import _sender_actions as actions
from pages.sending import _sender_dialogs as dialogs
from pages.sending._onboarding_links import SHARE, share_domain
from pages.sending._readable import visible
from pages.sending._sender_deleted import FOR_GOOD, draw_deleted, remove_for_good
from pages.sending._sender_mail_from import MAIL_FROM, change_mail_from
from pages.sending._sender_new import ADD, add_sender
from pages.sending._sender_restored import draw_offer
from pages.sending._sender_status import draw_status, is_open
from pages.sending._sender_style import STYLE
from pages.sending._sender_view import draw_sender

app, actor = begin("Senders", Action.SEE_TENANT)
tenant = tenant_choice(app, actor)

PER_PAGE = 20
REFRESH_SECONDS = 5
WIDTHS = [2.7, 3.0, 1.5, 3.8]
MAY_MANAGE = actor.may(Action.MANAGE_SENDERS, tenant.id)


def draw() -> None:
    st.html(STYLE)
    actions.carry_out(app, actor, tenant)
    views = senders.list_senders(app, actor, tenant.id)
    draw_offer(app, actor, tenant, views)
    chosen = st.query_params.get(actions.SENDER)
    if chosen is not None:
        draw_sender(app, actor, tenant, next((v for v in views if str(v.sender.id) == chosen), None))
    else:
        _draw_list(views)
        draw_deleted(app, actor, tenant)
    _draw_dialogs(views)


def _draw_list(views: list[SenderView]) -> None:
    if not views:
        _draw_none()
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"Times in {tenant.timezone}", width="stretch")
        if MAY_MANAGE and st.button("Add sender", type="primary", icon=":material/add:", key="senders.add"):
            ask(ADD)
    waiting = any(is_open(view.identity) for view in views)
    live(_draw_table, REFRESH_SECONDS if waiting else None)(waiting)


def _draw_none() -> None:
    with empty(
        "No senders yet",
        "A sender is the address mail comes from. Add one, publish its DNS records, and it can be used.",
        icon=":material/alternate_email:",
    ):
        if MAY_MANAGE and st.button("Add sender", type="primary", icon=":material/add:", key="senders.first"):
            ask(ADD)


def _draw_table(waiting: bool) -> None:
    """Draws itself anew while something is pending, and the whole page once nothing is."""
    actions.hand_over()
    views = senders.list_senders(app, actor, tenant.id)
    if waiting and not any(is_open(view.identity) for view in views):
        st.rerun()
    pages = max(1, math.ceil(len(views) / PER_PAGE))
    page = min(st.session_state.get("senders.page", 1), pages)
    with st.container(border=True, gap=None, key="senders_table"):
        with st.container(key="senders_head"):
            labels = ["Email address", "Status", "Created", "Actions"]
            for column, label in zip(st.columns(WIDTHS), labels, strict=True):
                column.caption(label)
        for view in views[(page - 1) * PER_PAGE : page * PER_PAGE]:
            with st.container(key=f"senders_row_{view.sender.id}"):
                _draw_row(view)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.caption(f"Page {page} of {pages}, {plural(len(views), 'sender')}", width="content")
        if pages > 1:
            st.pagination(pages, key="senders.page")


def _draw_row(view: SenderView) -> None:
    address, state, created, buttons = st.columns(WIDTHS, vertical_alignment="center")
    with address, st.container(gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            actions.draw_address(view)
            if view.sender.is_default:
                st.badge("Default", color="blue", icon=":material/star:")
        if view.sender.display_name:
            st.caption(escape(visible(view.sender.display_name)))
    with state, st.container(gap="xsmall"):
        draw_status(view.identity, app.now(), tenant.timezone)
    with created, st.container(key=f"senders_created_{view.sender.id}"):
        st.text(moment(view.sender.created_at, tenant.timezone))
    with buttons, st.container(horizontal=True, gap="xsmall", vertical_alignment="center"):
        actions.draw_actions(actor, tenant, view)


def _draw_dialogs(views: list[SenderView]) -> None:
    by_id = {view.sender.id: view for view in views}
    if MAY_MANAGE and asked(ADD):
        add_sender(app, actor, tenant)
    elif deleted := asked(dialogs.DELETED):
        dialogs.show_deleted(app, actor, tenant, *deleted)
    elif (chosen := asked(dialogs.DELETE)) and chosen.sender_id in by_id:
        dialogs.delete_sender(app, actor, tenant, by_id[chosen.sender_id], chosen.version)
    elif deleted_view := asked(FOR_GOOD):
        remove_for_good(app, actor, tenant, deleted_view)
    elif view := by_id.get(asked(SHARE) or 0):
        share_domain(app, actor, tenant, view.identity)
    elif view := by_id.get(asked(MAIL_FROM) or 0):
        change_mail_from(app, actor, tenant, view.identity)


draw()

"""Messages: why one address did or did not get its mail."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from core import reports
from core.access import Action
from core.db.models import Event, Message, Suppression
from core.reports import MessageStory
from core.suppressions import is_domain
from pages._ui.actions import report
from pages._ui.format import escape, escape_badge, moment, plural, provider, status
from pages._ui.runtime import begin, tenant_choice
from pages._ui.tables import badge, empty

app, actor = begin("Messages", Action.SEE_ADDRESSES)
tenant = tenant_choice(app, actor)

OPENED = 3


def draw() -> None:
    st.caption(
        f"What happened to everything {escape(tenant.name)} sent to one address · times in {tenant.timezone}"
    )
    with st.form("messages.form", border=False), st.container(horizontal=True, vertical_alignment="bottom"):
        address = st.text_input(
            "Recipient's address", key="messages.address", placeholder="name@domain", width="stretch"
        ).strip()
        st.form_submit_button("Search", type="primary", icon=":material/search:", key="messages.search")
    if not address:
        return
    stories: list[MessageStory] | None = None
    with report(rerun=False):
        stories = reports.find_messages(app, actor, tenant.id, address)
    if stories is not None:
        _draw_stories(address, stories)


def _draw_stories(address: str, stories: Sequence[MessageStory]) -> None:
    if not stories:
        empty(
            "No message to this address",
            f"{tenant.name} has never sent anything to {address}. Check how it is spelt, and the tenant.",
            icon=":material/search_off:",
        )
        return
    _draw_suppression(stories[0].suppression)
    st.caption(f"{plural(len(stories), 'message')}, newest first")
    for position, story in enumerate(stories):
        _draw_story(story, opened=position < OPENED)


def _draw_suppression(suppression: Suppression | None) -> None:
    if suppression is None:
        st.success("This address is not on the suppression list.", icon=":material/mark_email_read:")
    elif suppression.released_at is None:
        st.warning(
            f"{_listed(suppression)} since {moment(suppression.created_at, tenant.timezone)} "
            f"({status(suppression.reason).label.lower()}): nothing is sent to it.",
            icon=":material/block:",
        )
        st.page_link("pages/deliverability/suppressions.py", label="Open the suppression list")
    else:
        st.info(
            f"Was on the suppression list; released {moment(suppression.released_at, tenant.timezone)} "
            f"by {escape(suppression.released_by or '')}: {escape(suppression.release_reason or '')}",
            icon=":material/history:",
        )


def _listed(suppression: Suppression) -> str:
    if is_domain(suppression.address):
        return f"Everybody at {escape(suppression.address[1:])} is on the suppression list"
    return "On the suppression list"


def _draw_story(story: MessageStory, *, opened: bool) -> None:
    message = story.message
    with st.container(border=True):
        with st.container(horizontal=True, vertical_alignment="center"):
            badge(message.status)
            st.text(story.campaign_name or "Transactional message", width="stretch")
            st.text(provider(message.provider), width="content")
            st.text(moment(message.sent_at or message.created_at, tenant.timezone), width="content")
        if message.reason:
            st.text(message.reason)
        if message.resent_by:
            st.text(f"Sent again by {message.resent_by}: nobody knew whether its first attempt had arrived.")
        with st.expander("What happened, in order", expanded=opened, icon=":material/timeline:"):
            _draw_step("Queued", "gray", message.created_at, f"by {message.created_by or 'the command line'}")
            for event in story.events:
                _draw_event(event, story.machines.get(event.id))
            if not story.events:
                st.caption("Nothing was heard about it.")
            _draw_numbers(message)


def _draw_event(event: Event, machine: str | None) -> None:
    """`machine`: what shows that no person did it."""
    kind = " / ".join(part for part in (event.bounce_type, event.bounce_subtype) if part)
    shown = status(event.type)
    label, color = (f"{shown.label} by a machine", "gray") if machine else (shown.label, shown.color)
    _draw_step(label, color, event.occurred_at, machine or kind)
    if event.diagnostic:
        st.code(event.diagnostic, language=None, wrap_lines=True)


def _draw_step(label: str, color: str, at: datetime, note: str) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.badge(escape_badge(label), color=color)
        st.text(f"{moment(at, tenant.timezone)}:{at:%S}", width="content")
        st.text(note, width="stretch")


def _draw_numbers(message: Message) -> None:
    known = [f"message {message.id}"]
    if message.provider_message_id:
        known.append(f"{provider(message.provider or 'ses')} id {message.provider_message_id}")
    st.text(" · ".join(known))


draw()

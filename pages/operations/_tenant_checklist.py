"""The setup checklist of a tenant: computed from what is there, nothing in it is ticked by hand."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core import checklist
from core.access import Action, Actor
from core.app import App
from core.checklist import Item, State
from core.db.models import Tenant
from pages._ui import format
from pages._ui.actions import live, report
from pages._ui.layout import row, text
from pages._ui.links import link

PIPELINE = "pipeline"
REFRESH_SECONDS = 2.0
# Where an item may lead -> the page, its title, and what one must be allowed to do to open it. What is to be
# done on this page stands beside the checklist.
PAGES = {
    "senders": ("sending/senders", "Senders", Action.SEE_TENANT),
    "accounts": ("admin/accounts", "AWS accounts", Action.SEE_HEALTH),
    "health": ("admin/health", "Health", Action.SEE_HEALTH),
}


def checklist_card(app: App, actor: Actor, tenant: Tenant) -> None:
    waiting = _waits(checklist.checklist(app, actor, tenant.id))
    with st.container(border=True, key="tenants.checklist"):
        live(_draw, REFRESH_SECONDS if waiting else None)(app, actor, tenant, waiting)


def _waits(items: Sequence[Item]) -> bool:
    """Its round trip is on its way: seconds, while DNS takes hours."""
    return any(item.key == PIPELINE and item.state == State.WAITING for item in items)


def _draw(app: App, actor: Actor, tenant: Tenant, waiting: bool) -> None:
    items = checklist.checklist(app, actor, tenant.id)
    if waiting and not _waits(items):
        st.rerun()
    done = sum(item.state == State.DONE for item in items)
    st.markdown("**Ready to send**")
    st.progress(done / len(items), text=f"{done} of {len(items)} done")
    for item in items:
        _draw_item(app, actor, tenant, item)


def _draw_item(app: App, actor: Actor, tenant: Tenant, item: Item) -> None:
    shown = format.status(item.state)
    with row(f"item-{item.key}", align="top"):
        st.markdown(f":{shown.color}[{shown.icon}]", width="content")
        with text(f"item-{item.key}"):
            state = "" if item.state == State.DONE else f" :{shown.color}-badge[{shown.label}]"
            st.markdown(f"**{format.escape(item.title)}**{state}")
            if item.found:
                st.caption(format.escape(item.found))
            if item.advice:
                st.markdown(format.escape(item.advice))
            for line in item.others:
                st.caption(f":orange[:material/warning:] {format.escape(line)}")
        if (item.state != State.DONE or item.others) and item.page in PAGES:
            page, label, action = PAGES[item.page]
            if actor.may(action):
                link(page, label, tenant.slug)
        if item.key == PIPELINE and item.page != "senders" and actor.may(Action.SEND_MESSAGE, tenant.id):
            _draw_proof(app, actor, tenant, item)


def _draw_proof(app: App, actor: Actor, tenant: Tenant, item: Item) -> None:
    """Without a verified sender there is nobody to send it from: then the item leads to the senders."""
    label = "Test again" if item.state == State.DONE else "Send a test through the pipeline"
    if st.button(label, icon=":material/send:", key="tenants.prove", disabled=item.state == State.WAITING):
        with report(
            "A test message is on its way to SES's mailbox simulator; its event should come back soon."
        ):
            checklist.prove_pipeline(app, actor, tenant.id)

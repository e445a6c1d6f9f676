"""Sender actions: the buttons and the menu of a sender, and what they do.

The table and the state of a sender draw themselves anew every few seconds. What was chosen there is therefore
kept (`_choose`, a callback: it gets the version that was on the screen), handed over to a run of the whole
page (`hand_over`) and done at the page's top (`carry_out`), where its result stays to be read.
"""

from __future__ import annotations

from typing import NamedTuple

import streamlit as st

from core import identities, senders
from core.access import Action, Actor
from core.app import App
from core.db.models import Tenant
from core.senders import SenderView
from pages._ui.actions import ask, flash, report
from pages._ui.format import escape
from pages.sending._onboarding_links import ask_to_share
from pages.sending._readable import readable
from pages.sending._sender_dialogs import DELETE
from pages.sending._sender_status import is_verified, outcome

SENDER = "sender"  # of the address: ?sender=ID
VERIFY, RECORDS, SHARING, DEFAULT, REMOVE = "verify", "records", "share", "default", "delete"
LABELS = {
    VERIFY: ":material/sync: Verify now",
    RECORDS: ":material/dns: DNS records",
    SHARING: ":material/forward_to_inbox: Send to your DNS person",
    DEFAULT: ":material/star: Make default",
    REMOVE: ":material/delete: Delete",
}
_CHOSEN = "senders.chosen"


class Chosen(NamedTuple):
    option: str
    sender_id: int
    version: int  # as it was drawn: of two people the second is told
    address: str


def draw_address(view: SenderView) -> None:
    """It leads to the sender's page. A label takes no links, so the sign in the middle needs no escaping."""
    local, _, domain = readable(view.sender.address).rpartition("@")
    st.button(
        f"{escape(local)}@{escape(domain)}", key=f"senders.open.{view.sender.id}", type="tertiary",
        on_click=_choose, args=(view, RECORDS),
    )  # fmt: skip


def draw_actions(actor: Actor, tenant: Tenant, view: SenderView) -> None:
    """Of one row: what is needed first as buttons, everything in the menu."""
    number = view.sender.id
    st.button(
        "DNS records", key=f"senders.records.{number}", icon=":material/dns:",
        on_click=_choose, args=(view, RECORDS),
    )  # fmt: skip
    if actor.may(Action.MANAGE_SENDERS, tenant.id) and not is_verified(view.identity):
        st.button(
            "Verify now", key=f"senders.verify.{number}", icon=":material/sync:",
            on_click=_choose, args=(view, VERIFY),
        )  # fmt: skip
    draw_menu(actor, tenant, view, key=f"senders.menu.{number}")


def draw_menu(
    actor: Actor, tenant: Tenant, view: SenderView, *, key: str, without: tuple[str, ...] = ()
) -> None:
    options = [option for option in _options(actor, tenant, view) if option not in without]
    if options not in ([], [RECORDS]):
        st.menu_button(
            "Actions", options, key=key, format_func=LABELS.__getitem__,
            on_click=_choose_from, args=(view, key),
        )  # fmt: skip


def _options(actor: Actor, tenant: Tenant, view: SenderView) -> list[str]:
    manages = actor.may(Action.MANAGE_SENDERS, tenant.id)
    allowed = {
        VERIFY: manages,
        RECORDS: True,
        SHARING: actor.may(Action.SHARE_ONBOARDING, tenant.id) and view.identity.type == identities.DOMAIN,
        DEFAULT: manages and not view.sender.is_default,
        REMOVE: actor.may(Action.REMOVE_SENDER, tenant.id),
    }
    return [option for option, may in allowed.items() if may]


def choose_verify(view: SenderView) -> None:
    _choose(view, VERIFY)


def _choose_from(view: SenderView, key: str) -> None:
    _choose(view, st.session_state[key])


def _choose(view: SenderView, option: str) -> None:
    sender = view.sender
    st.session_state[_CHOSEN] = Chosen(option, sender.id, sender.version, readable(sender.address))


def hand_over() -> None:
    """At the top of whatever draws itself anew alone."""
    if _CHOSEN in st.session_state:
        st.rerun()


def carry_out(app: App, actor: Actor, tenant: Tenant) -> None:
    chosen: Chosen | None = st.session_state.pop(_CHOSEN, None)
    if chosen is None:
        return
    if chosen.option == VERIFY:
        _verify(app, actor, tenant, chosen)
    elif chosen.option == RECORDS:
        st.query_params[SENDER] = str(chosen.sender_id)
    elif chosen.option == SHARING:
        ask_to_share(chosen.sender_id)
    elif chosen.option == DEFAULT:
        with report(f"{chosen.address} is the default sender now."):
            senders.set_default(app, actor, tenant.id, chosen.sender_id, version=chosen.version)
    elif chosen.option == REMOVE:
        ask(DELETE, chosen)


def _verify(app: App, actor: Actor, tenant: Tenant, chosen: Chosen) -> None:
    identity = None
    with st.spinner("Asking Amazon SES and DNS…"), report(rerun=False):
        identity = senders.verify_now(app, actor, tenant.id, chosen.sender_id)
    if identity is not None:
        flash(outcome(identity))
        st.rerun()

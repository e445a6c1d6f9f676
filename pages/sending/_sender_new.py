"""A new sender, step 1: its address. An accepted one leads to step 2, the DNS records of its domain."""

from __future__ import annotations

from typing import Any, NamedTuple

import streamlit as st

from core import senders
from core.access import Actor
from core.app import App
from core.db.models import Sender, Tenant
from core.errors import InputError, PostyardError
from pages._ui import session
from pages._ui.actions import stop_asking
from pages._ui.format import escape

ADD = "add sender"


class Typed(NamedTuple):
    address: str
    display_name: str
    alone: bool
    beside: dict[str, Any]  # field -> where to say what is wrong with it


def add_sender(app: App, actor: Actor, tenant: Tenant) -> None:
    @st.dialog("Add sender", icon=":material/alternate_email:", on_dismiss=stop_asking)
    def _dialog() -> None:
        st.caption(
            "Step 1 of 2 · The address your mail comes from. Its domain is verified once, for all of them."
        )
        with st.form("senders.add.form", border=False):
            typed = _draw_fields()
            agreed = st.form_submit_button("Continue", type="primary", key="senders.continue")
        if not agreed:
            return
        with st.spinner("Asking Amazon SES for the domain's records…"):
            added = _added(app, actor, tenant, typed)
        if added is not None:
            stop_asking()
            st.query_params["sender"] = str(added.id)
            st.rerun()

    _dialog()


def _draw_fields() -> Typed:
    address = st.text_input("Email address", key="senders.address", placeholder="news@your-domain.com")
    beside_address = st.container()
    name = st.text_input("Display name (optional)", key="senders.display_name", placeholder="Your company")
    beside_name = st.container()
    alone = st.checkbox(
        "Only this address, for development",
        key="senders.alone",
        help="No DNS records: Amazon SES writes to the address, and the link in that message verifies it.",
    )
    return Typed(address, name, alone, {"address": beside_address, "display_name": beside_name})


def _added(app: App, actor: Actor, tenant: Tenant, typed: Typed) -> Sender | None:
    """None after saying why not, beside the field that is meant: what was typed stays there."""
    session.must_hold()
    try:
        return senders.add(
            app, actor, tenant.id, typed.address.strip(), typed.display_name.strip(), own_identity=typed.alone
        )
    except PostyardError as e:
        field = e.field if isinstance(e, InputError) and e.field in typed.beside else "address"
        typed.beside[field].error(escape(str(e)), icon=":material/error:")
        return None

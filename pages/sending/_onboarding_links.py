"""Onboarding links: a read-only page with a domain's records, for the person who manages its DNS."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import streamlit as st

from core import onboarding
from core.access import Actor
from core.app import App
from core.db.models import Identity, Tenant
from core.onboarding import LinkView
from pages._ui.actions import ask, report, stop_asking
from pages._ui.format import ago, escape, moment
from pages.sending._readable import readable, visible

SHARE = "share domain"
_MADE = "onboarding.made"


@dataclass
class Made:
    """The one link of a dialog that was opened. A second click ends the run of the first one wherever that
    next touches Streamlit: what must not be lost or done twice is in here, not in the session's state."""

    address: str = ""
    link_id: int = 0
    one_at_a_time: threading.Lock = field(default_factory=threading.Lock)


def ask_to_share(sender_id: int) -> None:
    st.session_state[_MADE] = Made()
    ask(SHARE, sender_id)


def share_domain(app: App, actor: Actor, tenant: Tenant, identity: Identity) -> None:
    @st.dialog(
        "Send to your DNS person", icon=":material/forward_to_inbox:", width="medium", on_dismiss=_close
    )
    def _dialog() -> None:
        st.caption(
            f"A page that shows the records of {escape(readable(identity.name))} with their state, to read "
            "and to copy from. Whoever has the link can open it without signing in, and sees nothing else."
        )
        made = st.session_state.setdefault(_MADE, Made())
        place = st.empty()
        if not made.address:
            with place.container():
                _draw_form(app, actor, tenant, identity, made)
        if made.address:
            place.empty()
            _draw_made(app, made.address)
        links = onboarding.list_links(app, actor, tenant.id)
        mine = [each for each in links if each.link.identity_id == identity.id]
        if mine:
            st.markdown("**Links of this domain**")
        for each in mine:
            _draw_link(app, actor, tenant, each, made)

    _dialog()


def _close() -> None:
    st.session_state.pop(_MADE, None)
    stop_asking()


def _draw_form(app: App, actor: Actor, tenant: Tenant, identity: Identity, made: Made) -> None:
    with st.form("onboarding.form", border=False):
        note, days = st.columns([3, 1], vertical_alignment="bottom")
        for_whom = note.text_input(
            "For whom (a note for you)", key="onboarding.note", max_chars=onboarding.MAX_NOTE,
            placeholder="Sam at the web agency",
        )  # fmt: skip
        valid = days.number_input(
            "Days",
            1,
            onboarding.MAX_DAYS,
            onboarding.DAYS,
            key="onboarding.days",
            help="Then it stops opening.",
        )
        agreed = st.form_submit_button(
            "Make a link", type="primary", key="onboarding.make", icon=":material/link:"
        )
    if agreed:
        with report(rerun=False), made.one_at_a_time:
            if not made.address:
                link, made.address = onboarding.create_link(
                    app, actor, tenant.id, identity.id, days=int(valid), note=for_whom.strip()
                )
                made.link_id = link.id


def _draw_made(app: App, address: str) -> None:
    st.success("The link, shown this once: copy it now.", icon=":material/link:")
    with st.container(key="record_link"):
        st.code(address, language=None, wrap_lines=True)
    if not app.settings.public_url:
        st.caption(
            "Put the public address of webhooks.py before it; set as POSTYARD_PUBLIC_URL, it is there."
        )


def _draw_link(app: App, actor: Actor, tenant: Tenant, view: LinkView, made: Made) -> None:
    link = view.link
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(gap=None, width="stretch"):
            st.text(visible(link.note) or "No note")
            opened = f"opened {ago(link.opened_at, app.now())}" if link.opened_at else "never opened"
            st.caption(
                f"{opened[0].upper()}{opened[1:]} · made by `{link.created_by}` · "
                f"until {moment(link.expires_at, tenant.timezone)}"
            )
        if view.state != "open":
            st.badge(view.state.capitalize(), color="gray")
        elif st.button("Revoke", key=f"onboarding.revoke.{link.id}", icon=":material/link_off:"):
            with report(rerun=False):
                onboarding.revoke_link(app, actor, tenant.id, link.id)
                if link.id == made.link_id:
                    made.address = ""
            st.rerun()

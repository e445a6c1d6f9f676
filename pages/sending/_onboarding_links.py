"""Onboarding links: a read-only page with a domain's records, for the person who manages its DNS."""

from __future__ import annotations

import streamlit as st

from core import onboarding
from core.access import Actor
from core.app import App
from core.db.models import Identity, Tenant
from core.onboarding import LinkView
from pages._ui.actions import report, stop_asking
from pages._ui.format import ago, moment

SHARE = "share domain"
_MADE = "onboarding.made"


def share_domain(app: App, actor: Actor, tenant: Tenant, identity: Identity) -> None:
    @st.dialog(
        "Send to your DNS person", icon=":material/forward_to_inbox:", width="medium", on_dismiss=_close
    )
    def _dialog() -> None:
        st.caption(
            f"A page that shows the records of `{identity.name}` with their state, to read and to copy from. "
            "Whoever has the link can open it without signing in, and sees nothing else."
        )
        _draw_form(app, actor, tenant, identity)
        if address := st.session_state.get(_MADE):
            _draw_made(app, address)
        links = onboarding.list_links(app, actor, tenant.id)
        mine = [each for each in links if each.link.identity_id == identity.id]
        if mine:
            st.markdown("**Links of this domain**")
        for each in mine:
            _draw_link(app, actor, tenant, each)

    _dialog()


def _close() -> None:
    st.session_state.pop(_MADE, None)
    stop_asking()


def _draw_form(app: App, actor: Actor, tenant: Tenant, identity: Identity) -> None:
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
        made = st.form_submit_button(
            "Make a link", type="primary", key="onboarding.make", icon=":material/link:"
        )
    if made:
        with report(rerun=False):
            _, address = onboarding.create_link(
                app, actor, tenant.id, identity.id, days=int(valid), note=for_whom.strip()
            )
            st.session_state[_MADE] = address


def _draw_made(app: App, address: str) -> None:
    st.success("The link, shown this once: copy it now.", icon=":material/link:")
    with st.container(key="record_link"):
        st.code(address, language=None, wrap_lines=True)
    if not app.settings.public_url:
        st.caption(
            "Put the public address of webhooks.py before it; set as POSTYARD_PUBLIC_URL, it is there."
        )


def _draw_link(app: App, actor: Actor, tenant: Tenant, view: LinkView) -> None:
    link = view.link
    with st.container(border=True, horizontal=True, vertical_alignment="center", gap="small"):
        with st.container(gap=None, width="stretch"):
            st.text(link.note or "No note")
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
                st.session_state.pop(_MADE, None)
            st.rerun()

"""MAIL FROM: the subdomain that bounces return to, and a way to choose another."""

from __future__ import annotations

import streamlit as st

from core import identities
from core.access import Action, Actor
from core.app import App
from core.db.models import Identity, Tenant
from core.errors import PostyardError
from pages._ui import session
from pages._ui.actions import ask, flash, stop_asking
from pages._ui.format import escape
from pages._ui.tables import badge

MAIL_FROM = "change MAIL FROM"


def draw_mail_from(actor: Actor, tenant: Tenant, identity: Identity, sender_id: int) -> None:
    with st.container(border=True, gap="small"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("**MAIL FROM domain**", width="stretch")
            if identity.mail_from_domain:
                badge(identity.mail_from_status or "PENDING")
        if identity.mail_from_domain:
            st.text(identity.mail_from_domain)
            st.caption(
                "Bounces return to it, and SPF agrees with your domain. Used as soon as its MX is found."
            )
        else:
            st.caption(
                "Amazon SES's own (`amazonses.com`). With one of your own, SPF agrees with your domain."
            )
        if actor.may(Action.MANAGE_SENDERS, tenant.id) and st.button(
            "Change", key="sender.mail_from", icon=":material/edit:"
        ):
            ask(MAIL_FROM, sender_id)
            st.rerun()


def change_mail_from(app: App, actor: Actor, tenant: Tenant, identity: Identity) -> None:
    @st.dialog("MAIL FROM domain", icon=":material/edit:", on_dismiss=stop_asking)
    def _dialog() -> None:
        st.caption(
            f"A subdomain of `{identity.name}` that is used for nothing else: no mailboxes, no web site. "
            "Amazon SES wants exactly one MX record there."
        )
        with st.form("mail_from.form", border=False):
            domain = st.text_input(
                "Subdomain", identity.mail_from_domain or f"bounce.{identity.name}", key="mail_from.domain"
            )
            beside = st.container()
            with st.container(horizontal=True, horizontal_alignment="right"):
                own = identity.mail_from_domain is not None and st.form_submit_button(
                    "Use Amazon's instead", key="mail_from.none"
                )
                save = st.form_submit_button("Save", type="primary", key="mail_from.save")
        if own or save:
            with beside, st.spinner("Asking Amazon SES…"):
                _change(app, actor, tenant, identity, domain.strip() if save else None)

    _dialog()


def _change(app: App, actor: Actor, tenant: Tenant, identity: Identity, domain: str | None) -> None:
    session.must_hold()
    try:
        identities.set_mail_from(app, actor, tenant.id, identity.id, domain)
    except PostyardError as e:
        st.error(escape(str(e)), icon=":material/error:")
        return
    stop_asking()
    flash(f"MAIL FROM is {domain} now: publish its records." if domain else "MAIL FROM is Amazon's own now.")
    st.rerun()

"""MAIL FROM: the subdomain that bounces return to, and a way to choose another."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core import identities
from core.access import Action, Actor
from core.app import App
from core.db.models import Identity, Tenant
from core.db.states import VerificationStatus
from core.dns import Finding, Verdict
from core.errors import PostyardError
from core.senders import SenderView
from pages._ui import session
from pages._ui.actions import ask, flash, stop_asking
from pages._ui.format import escape
from pages._ui.tables import badge
from pages.sending._readable import readable, visible

MAIL_FROM = "change MAIL FROM"
UNUSED = "Until Amazon SES finds its records, mail goes out with amazonses.com."


def draw_mail_from(actor: Actor, tenant: Tenant, view: SenderView, findings: Sequence[Finding]) -> None:
    identity = view.identity
    with st.container(border=True, gap="small"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("**MAIL FROM domain**", width="stretch")
            if identity.mail_from_domain:
                badge(identity.mail_from_status or "PENDING")
        if identity.mail_from_domain:
            st.text(readable(identity.mail_from_domain))
            st.caption(
                "Bounces return to it, and SPF agrees with your domain. Used as soon as its MX is found."
            )
            if wrong := what_is_wrong(identity, findings):
                st.warning(escape(wrong), icon=":material/build:")
        else:
            st.caption(
                "Amazon SES's own (`amazonses.com`). With one of your own, SPF agrees with your domain."
            )
        if actor.may(Action.MANAGE_SENDERS, tenant.id) and st.button(
            "Change", key="sender.mail_from", icon=":material/edit:"
        ):
            ask(MAIL_FROM, view.sender.id)
            st.rerun()


def what_is_wrong(identity: Identity, findings: Sequence[Finding]) -> str:
    """Why SES does not use the MAIL FROM domain, and what to do; empty while nothing is known against it."""
    if identity.mail_from_status not in (VerificationStatus.FAILED, VerificationStatus.TEMPORARY_FAILURE):
        return ""
    own = [finding for finding in findings if finding.record.name == identity.mail_from_domain]
    advice = [each.advice for each in own if each.verdict in (Verdict.MISSING, Verdict.DIFFERENT)]
    if advice:
        return visible(f"{UNUSED} {' '.join(dict.fromkeys(advice))} Then press Verify now.")
    if identity.mail_from_status == VerificationStatus.TEMPORARY_FAILURE:
        return f"Amazon SES cannot read its MX just now and tries again by itself. {UNUSED}"
    if own and all(finding.verdict == Verdict.FOUND for finding in own):
        return f"{UNUSED} Its records are right now: press Verify now, and Amazon SES looks again."
    return f"{UNUSED} Publish its two records, then press Verify now; or choose another domain."


def change_mail_from(app: App, actor: Actor, tenant: Tenant, identity: Identity) -> None:
    @st.dialog("MAIL FROM domain", icon=":material/edit:", on_dismiss=stop_asking)
    def _dialog() -> None:
        st.caption(
            f"A subdomain of {escape(readable(identity.name))} that is used for nothing else: no mailboxes, "
            "no web site. Amazon SES wants exactly one MX record there. The first part is enough: `bounce`."
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
                _change(app, actor, tenant, identity, completed(domain, identity.name) if save else None)

    _dialog()


def completed(typed: str, domain: str) -> str:
    """ "bounce" as "bounce.acme-mail.io"."""
    typed = typed.strip().rstrip(".")
    return f"{typed}.{domain}" if typed and "." not in typed else typed


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

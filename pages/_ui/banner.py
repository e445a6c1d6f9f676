"""Banner: what stands above every page: all sending is held; the tenant's AWS account is in the sandbox."""

from __future__ import annotations

import streamlit as st

from core import accounts, installation
from core.access import Action, Actor
from core.app import App
from core.db.models import Account
from pages._ui import format
from pages._ui.actions import live
from pages._ui.layout import row, text

WHILE_REVIEWED_SECONDS, ELSE_SECONDS = 15.0, 60.0
WHILE_HELD_SECONDS = 15.0


def held(app: App, actor: Actor, *, linked: bool) -> None:
    """One small query per run of a page. `linked`: with the way to Health, for those who may go there."""
    if installation.find_hold(app, actor):
        live(_draw_held, WHILE_HELD_SECONDS)(app, actor, linked and actor.may(Action.SEE_HEALTH))


def _draw_held(app: App, actor: Actor, linked: bool) -> None:
    hold = installation.find_hold(app, actor)
    if hold is None:
        st.rerun()  # somebody let it go: the whole page is another one now
    with row("held"):
        with text("held"):
            told = "Sending is held; an operator looks at it."
            if hold.reason:
                told = f"**Sending is held:** {format.escape(hold.reason)}"
            st.error(told, icon=":material/front_hand:")
        if linked:
            st.page_link("pages/admin/health.py", label="Health", icon=":material/arrow_forward:",
                         icon_position="right")  # fmt: skip


def sandbox(app: App, actor: Actor, tenant_id: int, *, linked: bool) -> None:
    """One small query per run of a page; SES is asked by the scheduler, never from here. `linked`: with the
    way to AWS accounts, for those who may go there."""
    if found := accounts.sandboxed(app, actor, tenant_id):
        reviewed = found[0].review_status == "PENDING"
        live(_draw, WHILE_REVIEWED_SECONDS if reviewed else ELSE_SECONDS)(
            app, actor, tenant_id, linked and actor.may(Action.SEE_HEALTH)
        )


def _draw(app: App, actor: Actor, tenant_id: int, linked: bool) -> None:
    found = accounts.sandboxed(app, actor, tenant_id)
    if not found:
        st.rerun()  # production access was granted: the whole page is another one now
    with row("sandbox"):
        with text("sandbox"):
            st.warning(_sentence(found[0]) + _review(app, found[0]), icon=":material/inventory_2:")
        if linked:
            st.page_link("pages/admin/accounts.py", label="AWS accounts", icon=":material/arrow_forward:",
                         icon_position="right")  # fmt: skip


def _sentence(account: Account) -> str:
    return (
        f"**Amazon SES sandbox:** {format.count(account.max_24_hour_send)} messages in 24 hours, "
        f"{account.max_send_rate:g} a second, only to addresses SES has verified and its mailbox simulator."
    )


def _review(app: App, account: Account) -> str:
    if account.review_status == "PENDING":
        asked = format.ago(account.access_requested_at, app.now())
        return f" Production access was asked for {asked}; AWS is reviewing the request."
    if account.review_status in ("DENIED", "FAILED"):
        return " AWS did not grant production access: see its answer in the support case, then ask again."
    return ""

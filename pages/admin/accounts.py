"""AWS accounts: what Amazon SES allows each, and asking for production access."""

from __future__ import annotations

import streamlit as st

from core import accounts
from core.access import Action, Actor
from core.app import App
from core.db.models import Account
from core.reports.overview import ACCOUNT_PAUSED
from pages._ui import format
from pages._ui.actions import live, report
from pages._ui.numbers import numbers
from pages._ui.runtime import begin
from pages._ui.tables import badge, empty
from pages.admin._access_request import access_request
from pages.admin._heartbeat import draw_heartbeat

app, actor = begin("AWS accounts", Action.SEE_HEALTH)

WHILE_REVIEWED_SECONDS = 3.0
# EnforcementStatus of GetAccount (API reference).
TROUBLES = {
    "PROBATION": "AWS is looking into this account, mostly for bounces or complaints. Put right what its "
    "support case names, or AWS may pause all of it.",
    "SHUTDOWN": "AWS has shut this account down for sending. Answer its support case; mail waits meanwhile.",
}


def main(app: App, actor: Actor) -> None:
    found = accounts.list_accounts(app, actor)
    if not found:
        with empty(
            "No AWS account yet", "It is read when the first tenant is added.", icon=":material/cloud:"
        ):
            st.page_link("pages/operations/tenants.py", label="Tenants", icon=":material/arrow_forward:")
    for account in found:
        reviewed = account.review_status == "PENDING"
        with st.container(border=True, key=f"accounts.{account.id}"):
            live(_account, WHILE_REVIEWED_SECONDS if reviewed else None)(app, actor, account.id, reviewed)
            access_request(app, actor, account)
            draw_heartbeat(app, actor, account)


def _account(app: App, actor: Actor, account_id: int, reviewed: bool) -> None:
    """Draws itself anew while AWS reviews a request, and the whole page once it has decided."""
    account = next(each for each in accounts.list_accounts(app, actor) if each.id == account_id)
    if reviewed and account.review_status != "PENDING":
        st.rerun()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(format.escape(account.name.capitalize()), anchor=False, width="content")
        st.badge(account.region, color="blue", icon=":material/public:")
        _badges(account)
        st.space("stretch")
        refresh = st.button("Refresh", icon=":material/sync:", key=f"accounts.refresh.{account.id}")
    if refresh:
        with report(f"Read what SES allows {account.name} now."), st.spinner("Asking Amazon SES …"):
            accounts.refresh_now(app, actor, account.id)
    st.caption(
        f"AWS account {format.escape(account.aws_account_id or format.NOTHING)} · "
        f"read {format.ago(account.checked_at, app.now())}; the scheduler reads it each minute"
    )
    _troubles(account)
    _quota(account)


def _badges(account: Account) -> None:
    if account.production_access:
        st.badge("Production", color="green", icon=":material/check_circle:")
    else:
        st.badge("Sandbox", color="orange", icon=":material/inventory_2:")
    badge(account.enforcement_status)
    if not account.sending_enabled:
        st.badge("Sending paused by AWS", color="red", icon=":material/pause_circle:")


def _troubles(account: Account) -> None:
    if told := TROUBLES.get(account.enforcement_status):
        st.error(told, icon=":material/gavel:")
    if not account.sending_enabled:
        st.error(ACCOUNT_PAUSED, icon=":material/pause_circle:")


def _quota(account: Account) -> None:
    unlimited = account.max_24_hour_send < 0
    used = None if unlimited else format.share(int(account.sent_last_24_hours), int(account.max_24_hour_send))
    daily = "unlimited" if unlimited else format.count(account.max_24_hour_send)
    left = account.max_24_hour_send - account.sent_last_24_hours
    with numbers(4):
        st.metric(
            "A second", f"{account.max_send_rate:g}", border=True, help="Recipients SES takes a second."
        )
        st.metric("In 24 hours", daily, border=True, help="Recipients SES takes in any 24 hours.")
        st.metric("Used, last 24 hours", format.count(account.sent_last_24_hours), border=True)
        st.metric("Left", "unlimited" if unlimited else format.count(max(left, 0)), border=True)
    if used is not None:
        st.progress(min(used, 1.0), text=f"{format.rate(used, 1)} of the quota of 24 hours used")


main(app, actor)

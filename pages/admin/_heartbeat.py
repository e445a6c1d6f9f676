"""From which sender an account's heartbeat goes; off until an administrator chooses one."""

from __future__ import annotations

import streamlit as st

from core.access import Action, Actor
from core.app import App
from core.db.models import Account
from core.events import heartbeat
from pages._ui import format
from pages._ui.actions import report

OFF = "Off"


def draw_heartbeat(app: App, actor: Actor, account: Account) -> None:
    if not actor.may(Action.MANAGE_ACCOUNTS):
        return
    with st.expander("Heartbeat", icon=":material/ecg_heart:"):
        st.caption(
            "A mail to SES's mailbox simulator every 15 minutes shows that what SES reports comes back. It "
            "costs as any mail does and counts in nobody's numbers; the Events page shows its way round."
        )
        found = {each.sender_id: each for each in heartbeat.candidates(app, actor, account.id)}
        if not found:
            st.caption("No sender of this account is verified yet: there is none it could go from.")
            return
        current = account.heartbeat_sender_id if account.heartbeat_sender_id in found else None
        options = [None, *found]
        chosen = st.selectbox(
            "Goes from", options, index=options.index(current), width=420,
            key=f"accounts.heartbeat.{account.id}",
            format_func=lambda key: f"{found[key].address} ({found[key].tenant_name})" if key else OFF,
        )  # fmt: skip
        if chosen != account.heartbeat_sender_id and st.button(
            "Save", key=f"accounts.heartbeat.save.{account.id}", icon=":material/save:"
        ):
            what = found[chosen].address if chosen else None
            name = format.words(account.name)
            with report(
                f"The heartbeat of {name} goes from {what}." if what else f"{name} has no heartbeat now."
            ):
                heartbeat.set_sender(app, actor, account.id, chosen)

"""Events: whether what Amazon SES says arrives, what nobody could match or read, and what to do about it."""

from __future__ import annotations

import streamlit as st

from core import events, tenants
from core.access import Action, Actor
from core.app import App
from core.events import heartbeat
from pages._ui import format
from pages._ui.numbers import numbers
from pages._ui.runtime import begin
from pages.admin._events_dead import draw_dead_letters
from pages.admin._events_parked import draw_parked
from pages.admin._events_way import draw_heartbeats, draw_queues

app, actor = begin("Events", Action.SEE_HEALTH)


def main(app: App, actor: Actor) -> None:
    lag = events.lag_seconds(app, actor)
    pulses = heartbeat.pulses(app, actor)
    st.caption(f"As of {format.moment(app.now())} UTC. All times here are UTC.")
    _warnings(lag)
    with numbers(4):
        st.metric("Lag", _lag(lag), border=True, help="How long the oldest event has waited to be stored.")
        st.metric("In the queues", format.count(lag.waiting), border=True, help="As SQS estimates.")
        st.metric("Parked", format.count(lag.parked), border=True,
                  help="Events nobody could match, believe or read yet.")  # fmt: skip
        st.metric("Dead letters", format.count(lag.dead_letters), border=True,
                  help="What nobody could read, or what could not be stored five times.")  # fmt: skip
    way, parked, dead = st.tabs(["The way back", "Parked events", "Dead letters"], key="events.tabs")
    with way:
        draw_queues(app, lag)
        draw_heartbeats(app, pulses)
    with parked:
        names = {tenant.id: tenant.name for tenant in tenants.list_tenants(app, actor)}
        draw_parked(app, actor, {account.account_id: account.name for account in lag.accounts}, names)
    with dead:
        draw_dead_letters(app, actor, lag.accounts)


def _lag(lag: events.Lag) -> str:
    known = [account for account in lag.accounts if account.seconds is not None]
    return format.duration(lag.seconds) if known else "unknown"


def _warnings(lag: events.Lag) -> None:
    if lag.seconds > events.LATE_SECONDS and not lag.is_stale:
        st.warning(
            "Events come in late: pauses and suppressions act late, too. See on the Health page whether the "
            "scheduler and the database keep up.",
            icon=":material/hourglass:",
        )
    elif lag.is_stale and lag.accounts:
        st.warning(
            "No scheduler has measured the lag of late: it may not run, or SQS does not answer it. The "
            "Health page says which.",
            icon=":material/cloud_off:",
        )


main(app, actor)

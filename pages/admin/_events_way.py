"""The way back of each account: its queue, and the heartbeat that goes round it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from core.app import App
from core.events import Lag
from core.events.heartbeat import EVERY, LOST_AFTER, Beat, Pulse
from pages._ui import format
from pages._ui.tables import chip, chips, counts, empty, table

SHOWN_BEATS = 96


def draw_queues(app: App, lag: Lag) -> None:
    st.subheader("Queues", anchor=False)
    if not lag.accounts:
        empty(
            "No queue yet",
            "The first tenant's set-up makes the queue that events arrive in.",
            icon=":material/inbox:",
        )
        return
    now = app.now()
    rows = [
        {
            "Account": account.name,
            "Lag": format.NOTHING if account.seconds is None else format.duration(account.seconds),
            "Measured": format.ago(account.measured_at, now),
            "Waiting": account.waiting,
            "Dead letters": account.dead_letters,
            "Counted": format.ago(account.counted_at, now),
        }
        for account in lag.accounts
    ]
    table(
        rows,
        key="events.queues",
        columns={"Waiting": counts("Waiting"), "Dead letters": counts("Dead letters")},
    )
    stored = f"The last event was stored {format.ago(lag.last_received_at, now)}."
    st.caption(stored if lag.last_received_at else "No event has been stored yet.")


def draw_heartbeats(app: App, pulses: Sequence[Pulse]) -> None:
    st.subheader("Heartbeat", anchor=False)
    minutes = EVERY.seconds // 60
    st.caption(
        f"A mail to SES's mailbox simulator every {minutes} minutes, whose delivery must be back within "
        f"{LOST_AFTER.seconds // 60}. It costs as any mail does and counts for nobody."
    )
    shown = [pulse for pulse in pulses if pulse.sender or pulse.beats]
    if not shown:
        with empty(
            "No account has a heartbeat",
            "An administrator names the sender it goes from under AWS accounts.",
            icon=":material/ecg_heart:",
        ):
            st.page_link("pages/admin/accounts.py", label="AWS accounts", icon=":material/arrow_forward:")
    for pulse in shown:
        _draw_pulse(pulse, app.now())


def _draw_pulse(pulse: Pulse, now: datetime) -> None:
    sender = f"from {format.escape(pulse.sender)}" if pulse.sender else "switched off"
    st.markdown(f"**{format.escape(pulse.account_name)}** · {sender}")
    if not pulse.beats:
        st.caption("The first one leaves within half a minute, if a scheduler runs.")
        return
    times = [beat.seconds for beat in reversed(pulse.beats[:SHOWN_BEATS]) if beat.seconds is not None]
    if len(times) > 1:
        st.metric(
            "Last way round", f"{times[-1]:.1f} s", border=True, chart_data=times, chart_type="line",
            help="The line: the earlier ones, of a day at most.",
        )  # fmt: skip
    table(
        [
            {
                "Left": format.moment(beat.begun_at),
                "Status": chip(_state(beat, now)),
                "Way round": format.NOTHING if beat.seconds is None else f"{beat.seconds:.1f} s",
                "Message": format.status(beat.message_status).label,
            }
            for beat in pulse.beats[:10]
        ],
        key=f"events.beats.{pulse.account_id}",
        columns={"Status": chips("Status")},
    )


def _state(beat: Beat, now: datetime) -> str:
    if beat.seconds is None:
        return "waiting" if now - beat.begun_at <= LOST_AFTER else "FAILED"
    return "ok" if beat.seconds <= LOST_AFTER.total_seconds() else "warn"

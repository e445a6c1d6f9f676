"""Reputation pauses: when, by whom, why and on what evidence; as marks of a chart and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta

import streamlit as st

from core import reports
from core.access import SYSTEM
from core.reports import Pause
from pages._ui.charts import Mark
from pages._ui.format import NOTHING, count, local, moment
from pages._ui.tables import table
from pages.deliverability._reputation_files import View, offer_csv

LONGEST_DAYS = 366  # so long before the range a pause may have begun that lasts into it
_BAD = {"bounce": "bounced", "complaint": "complained"}


def pauses_of(view: View) -> list[Pause]:
    """Those that lasted on a day that is shown, oldest first."""
    zone = view.tenant.timezone
    found = reports.pauses(
        view.app, view.actor, view.tenant.id, since=view.since - timedelta(days=LONGEST_DAYS)
    )
    return [
        pause
        for pause in found
        if local(pause.paused_at, zone).date() <= view.until
        and (pause.resumed_at is None or local(pause.resumed_at, zone).date() >= view.since)
    ]


def by(name: str) -> str:
    return "Postyard" if name == SYSTEM.username else name


def evidence(pause: Pause) -> str:
    """ "54 of 320 bounced"; nothing where a person or AWS paused."""
    if pause.bad is None or pause.outcomes is None:
        return ""
    return f"{count(pause.bad)} of {count(pause.outcomes)} {_BAD.get(pause.signal or '', '')}".strip()


def marks(view: View, pauses: Sequence[Pause]) -> list[Mark]:
    """Inside the range: a pause that began before it is marked from its first day on."""
    zone = view.tenant.timezone
    first = datetime.combine(view.since, time.min)
    last = max(first, min(local(view.app.now(), zone), datetime.combine(view.until, time.max)))
    found = []
    for pause in pauses:
        began = local(pause.paused_at, zone)
        ended = local(pause.resumed_at, zone) if pause.resumed_at else last
        details = {name: value for name, value in _details(pause, zone).items() if value}
        label = "Paused" if began >= first else "Paused before"
        found.append(Mark(max(began, first), label, min(ended, last), details))
    return found


def draw_pauses(view: View, pauses: Sequence[Pause]) -> None:
    if not pauses:
        return
    rows = [_details(pause, view.tenant.timezone) for pause in pauses]
    with st.container(border=True, key="reputation.paused"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader("Pauses", anchor=False, width="stretch")
            offer_csv(view, rows, "pauses")
        table(rows, key="reputation.pauses", columns={"Why": st.column_config.TextColumn(width="large")})


def _details(pause: Pause, zone: str) -> dict[str, str]:
    return {
        "Paused": moment(pause.paused_at, zone),
        "Resumed": moment(pause.resumed_at, zone) if pause.resumed_at else "Not yet",
        "By": by(pause.by),
        "Evidence": evidence(pause) or NOTHING,
        "Why": pause.reason,
    }

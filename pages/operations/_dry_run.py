"""Trying levels on a tenant's own history: what they would have paused, and what that would have spared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, timedelta
from functools import partial
from typing import Any

import streamlit as st

from core import reports, reputation
from core.access import Action, Actor
from core.app import App
from core.db.models import Tenant
from core.reports import DryRun, WouldHave
from core.reputation import Levels
from core.spreadsheets import csv_row
from core.tenants.limits import zone_of
from pages._ui import format, session
from pages._ui.actions import report, watch
from pages._ui.tables import counts, rates, table
from pages.operations._level_inputs import levels_inputs

DAYS = 30
BYTE_ORDER_MARK = "\ufeff"  # without it Excel takes UTF-8 for something else
COUNTED = ("Had left", "Spared", "Bounces spared", "Complaints spared")


def dry_run_card(app: App, actor: Actor, tenant: Tenant) -> None:
    if not actor.may(Action.SEE_REPORTS, tenant.id):
        return
    st.markdown("**Try on its own history**")
    st.caption("What came back of its mail is judged anew by these levels. Nothing is changed.")
    key = f"dry-run.{tenant.slug}"
    with st.form(f"{key}.form", border=False):
        chosen, range_ = _inputs(app, tenant, key)
        tried = st.form_submit_button("Try on its own history", icon=":material/history:", key=f"{key}.try")
    if tried:
        st.session_state.pop(key, None)
        if len(range_) != 2:
            st.error("Choose the first and the last day.", icon=":material/error:")
            return
        with report():
            st.session_state[key] = _tried(app, actor, tenant, chosen, range_)
    if found := st.session_state.get(key):
        _show(app, tenant, found)


def _inputs(app: App, tenant: Tenant, key: str) -> tuple[Levels, tuple[date, ...]]:
    present = asdict(reputation.levels_of(tenant))
    today = app.now().astimezone(zone_of(tenant.timezone)).date()
    range_ = st.date_input(
        f"Days of {tenant.timezone}", (today - timedelta(days=DAYS), today), key=f"{key}.range", width=300
    )
    return levels_inputs(present, f"{key}.{{}}"), range_


def _tried(app: App, actor: Actor, tenant: Tenant, levels: Levels, range_: tuple[date, ...]) -> DryRun:
    replayed = [0]
    run = partial(
        reports.dry_run, app, actor, tenant.id, since=range_[0], until=range_[1], levels=levels,
        progress=partial(replayed.__setitem__, 0),
    )  # fmt: skip
    return watch(
        "Replaying what came back", run, lambda: st.caption(f"{format.count(replayed[0])} events so far")
    )


def _show(app: App, tenant: Tenant, found: DryRun) -> None:
    sentence = format.escape(found.sentence)
    if found.pauses:
        st.warning(sentence, icon=":material/pause_circle:")
    else:
        st.info(sentence, icon=":material/check_circle:")
    columns = {"Rate": rates("Rate")} | {head: counts(head) for head in COUNTED}
    for title, rows in (("Pauses", found.pauses), ("Warnings", found.warnings)):
        if not rows:
            continue
        shown = [_row(tenant, each, is_pause=rows is found.pauses) for each in rows]
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{title}**", width="content")
            st.space("stretch")
            name = f"dry-run-{tenant.slug}-{title.lower()}-{found.since}-{found.until}.csv"
            made = partial(_csv, app, session.token_of_this_run(), tenant.id, shown)
            st.download_button("CSV", made, name, "text/csv", type="tertiary", on_click="ignore",
                               icon=":material/download:", key=f"dry-run.csv.{title}")  # fmt: skip
        table(shown, key=f"dry-run.{title}", columns=columns)


def _row(tenant: Tenant, each: WouldHave, *, is_pause: bool) -> dict[str, Any]:
    finding = each.finding
    spared = {
        "Had left": each.sent,
        "Spared": each.spared,
        "Bounces spared": each.spared_bounces,
        "Complaints spared": each.spared_complaints,
    }
    return {
        "When": format.moment(each.at, tenant.timezone),
        "Campaign": each.campaign,
        "Seen in": finding.scope,
        "Evidence": f"{finding.bad:,} {each.bad} of {finding.among:,.0f}",
        "Rate": round(finding.rate * 100, 3),
        **(spared if is_pause else {}),
    }


def _csv(app: App, token: str | None, tenant_id: int, rows: Sequence[dict[str, Any]]) -> str:
    """Runs when the file is asked for, maybe long after the page was drawn: who asks is looked up then."""
    session.actor_of(app, token).must(Action.SEE_REPORTS, tenant_id)
    lines = [csv_row(rows[0]), *(csv_row(str(cell) for cell in row.values()) for row in rows)]
    return BYTE_ORDER_MARK + "".join(lines)

"""Parked events: chosen, read, tried now, discarded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import streamlit as st

from core.access import Action, Actor
from core.app import App
from core.events import parked
from core.events.parked import SECOND_PROVIDER, ParkedLine, Which
from pages._ui import format
from pages._ui.actions import ask, asked, confirm, flash, report
from pages._ui.tables import PAGE, empty, first_page, page_of, pick
from pages.admin._event_body import draw_body

REASONS = {
    "unmatched": "no message of ours has its tag; tried again for 24 hours by itself",
    "wrong tenant": "it came through another tenant's topic than its message's; never believed",
    "unreadable": "no event of SES as this version knows them; also a dead letter",
}
EXPLAINED = (
    "**unmatched**: no message of ours has its tag.  \n"
    "**wrong tenant**: it came through another tenant's topic.  \n"
    "**unreadable**: no event of SES as this version knows them."
)


def draw_parked(app: App, actor: Actor, accounts: Mapping[int, str], tenants: Mapping[int, str]) -> None:
    which, resolved = _filter(accounts, tenants)
    above = st.container()
    lines = page_of(
        "events.parked",
        lambda before_id: parked.list_parked(
            app, actor, which, resolved=resolved, before_id=before_id, limit=PAGE
        ),
    )
    with above:
        if not lines:
            _draw_none(which, resolved)
            return
        chosen = pick([_row(line, accounts, tenants) for line in lines], key="events.parked.table")
        may = actor.may(Action.REPLAY_EVENTS) and not resolved
        if chosen is not None:
            _draw_one(app, actor, lines[chosen].id, may=may)
        elif may:
            _draw_all(app, actor, which)


def _filter(accounts: Mapping[int, str], tenants: Mapping[int, str]) -> tuple[Which, bool]:
    ways = {**accounts, SECOND_PROVIDER: "Resend"}
    again = {"on_change": first_page, "args": ("events.parked",), "width": 220}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        reason = st.selectbox(
            "Reason", [None, *REASONS], format_func=lambda key: format.words(key) if key else "Any",
            key="events.parked.reason", help=EXPLAINED, **again,
        )  # fmt: skip
        tenant_id = st.selectbox(
            "Through the topic of", [None, *tenants], format_func=lambda key: tenants.get(key, "Any"),
            key="events.parked.tenant", **again,
        )  # fmt: skip
        account_id = st.selectbox(
            "Account", [None, *ways], format_func=lambda key: ways.get(key, "Any"),
            key="events.parked.account", **again,
        )  # fmt: skip
        resolved = st.toggle("Dealt with", key="events.parked.resolved", on_change=first_page,
                             args=("events.parked",))  # fmt: skip
    return Which(reason=reason, tenant_id=tenant_id, account_id=account_id), resolved


def _draw_none(which: Which, resolved: bool) -> None:
    if resolved:
        empty("Nothing was dealt with yet", "What found its message later, or was discarded, is kept here.")
    elif which != Which():
        empty("Nothing is parked that fits", "Choose another reason, topic or account.")
    else:
        empty(
            "Nothing is parked",
            "Every event that came could be read and belongs to a message here.",
            icon=":material/check_circle:",
        )


def _row(line: ParkedLine, accounts: Mapping[int, str], tenants: Mapping[int, str]) -> dict[str, object]:
    shown = {
        "Came": format.moment(line.received_at),
        "Reason": line.reason,
        "Says": line.says,
        "Topic of": tenants.get(line.tenant_id or 0, format.NOTHING),
        "Account": accounts.get(line.account_id or 0, "Resend"),
        "Tries": line.tries,
    }
    if line.resolved_at is None:
        return {**shown, "Next try": format.moment(line.retry_at)}
    by = f" by {line.resolved_by}" if line.resolved_by else ""
    return {**shown, "Became": f"{line.resolution}{by}, {format.moment(line.resolved_at)}"}


def _draw_one(app: App, actor: Actor, parked_id: int, *, may: bool) -> None:
    line = parked.get_parked(app, actor, parked_id)
    st.caption(f"Parked event {line.id}: {format.escape(REASONS.get(line.reason, line.reason))}")
    draw_body(line.body)
    if may:
        _buttons(app, actor, Which(ids=(line.id,)), f"event {line.id}")


def _draw_all(app: App, actor: Actor, which: Which) -> None:
    count = parked.count_parked(app, actor, which)
    st.caption(f"Choose one to read it, or act on all {format.plural(count, 'event')} of this choice.")
    _buttons(app, actor, replace(which, ids=None), format.plural(count, "event"))


def _buttons(app: App, actor: Actor, which: Which, what: str) -> None:
    with st.container(horizontal=True):
        if st.button(f"Try {what} now", icon=":material/replay:", key="events.parked.try"):
            with report(), st.spinner("Trying …"):
                tried = parked.replay_parked(app, actor, which)
                flash(f"{tried.matched} of {format.plural(tried.tried, 'event')} found their message.")
        if st.button(f"Discard {what} …", icon=":material/delete:", key="events.parked.discard"):
            ask("discard parked", which)
    if asked("discard parked") == which:
        confirm(
            "Discard parked events",
            f"Discard {what}? They stay listed as dealt with and are tried no more.",
            label="Discard",
            reason="Why",
            act=lambda reason: parked.discard_parked(app, actor, which, reason),
            done=f"Discarded {what}.",
        )

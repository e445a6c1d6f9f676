"""Suppressions: the addresses a tenant does not write to, why, and since when; and SES's own lists beside."""

from __future__ import annotations

from functools import partial

import streamlit as st

from core import suppressions
from core.access import Action
from core.db.models import Suppression
from core.db.states import SuppressionReason
from pages._ui import session
from pages._ui.actions import ask
from pages._ui.format import count, local, status
from pages._ui.runtime import begin, tenant_choice
from pages._ui.tables import PAGE, chip, chips, empty, first_page, page_of, pick_several
from pages.deliverability import _suppression_dialogs as dialogs
from pages.deliverability._suppression_entry import draw_chosen
from pages.deliverability._suppression_import import IMPORT
from pages.deliverability._suppression_ledger import draw_account_list, draw_ledger

app, actor = begin("Suppressions", Action.SEE_SUPPRESSIONS)
tenant = tenant_choice(app, actor)

MAY_ADD = actor.may(Action.ADD_SUPPRESSION, tenant.id)
TRAIL = f"suppressions.{tenant.id}"
LIST, LEDGER = "List", "Compared with SES"


def draw() -> None:
    ours, ledger = st.tabs([LIST, LEDGER], key="suppressions.view")
    with ours:
        _draw_list()
    with ledger:
        draw_ledger(app, actor, tenant)
        if actor.may(Action.SEE_HEALTH):
            draw_account_list(app, actor, tenant)
    dialogs.draw_asked(app, actor, tenant)


def _draw_list() -> None:
    number = suppressions.count(app, actor, tenant.id)
    head = st.container(horizontal=True, vertical_alignment="center")
    search, reason = _ask_filter()
    with head:
        _draw_head(number, search, reason)
    rows_above = st.container()
    rows = page_of(TRAIL, lambda before: _fetch(search, reason, before))
    with rows_above:
        if rows:
            _draw_rows(rows, number)
        else:
            _draw_none(number)


def _fetch(search: str, reason: str | None, before: int | None) -> list[Suppression]:
    return suppressions.list_suppressions(
        app, actor, tenant.id, search=search, reason=reason, before_id=before, limit=PAGE
    )


def _draw_head(number: int, search: str, reason: str | None) -> None:
    is_part = bool(search or reason)
    shown = suppressions.count(app, actor, tenant.id, search=search, reason=reason) if is_part else number
    of = f"{count(shown)} of " if is_part else ""
    entries = "address" if number == 1 else "addresses"
    st.caption(f"{of}{count(number)} {entries} · times in {tenant.timezone}", width="stretch")
    if MAY_ADD and st.button("Add", key="suppressions.add", icon=":material/add:"):
        ask(dialogs.ADD)
    if MAY_ADD and st.button("Import CSV", key="suppressions.import", icon=":material/upload:"):
        ask(IMPORT)
    if actor.may(Action.EXPORT_SUPPRESSIONS, tenant.id):
        st.download_button(
            "Export these" if is_part else "Export CSV",
            data=partial(_export, session.token_of_this_run(), search, reason),
            file_name=f"suppressions-{tenant.slug}.csv",
            mime="text/csv",
            type="primary",
            icon=":material/download:",
            on_click="ignore",
            key="suppressions.export",
        )


def _export(token: str | None, search: str, reason: str | None) -> str:
    """Runs when the file is asked for, maybe long after this run: who asks is looked up then."""
    asker = session.actor_of(app, token)
    return "".join(suppressions.export_csv(app, asker, tenant.id, search=search, reason=reason))


def _ask_filter() -> tuple[str, str | None]:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        search = st.text_input(
            "Search", key="suppressions.search", placeholder="Part of an address", width=320,
            on_change=first_page, args=(TRAIL,),
        )  # fmt: skip
        reason = st.segmented_control(
            "Reason", [reason.value for reason in SuppressionReason], key="suppressions.reason",
            format_func=lambda value: status(value).label, on_change=first_page, args=(TRAIL,),
        )  # fmt: skip
    return search.strip(), reason


def _draw_rows(rows: list[Suppression], number: int) -> None:
    chosen = pick_several(
        [
            {
                "Address": row.address,
                "Reason": chip(row.reason),
                "Since": local(row.created_at, tenant.timezone),
                "Source": row.source,
                "By": row.created_by,
                "Note": row.note,
            }
            for row in rows
        ],
        key=f"suppressions.table.{number}",  # a release must not leave the next row chosen
        columns={
            "Reason": chips("Reason"),
            "Since": st.column_config.DatetimeColumn("Since", format="D MMM YYYY, HH:mm"),
        },
    )
    draw_chosen(app, actor, tenant, [rows[index] for index in chosen])


def _draw_none(number: int) -> None:
    if number:
        empty("Nothing found", "No address on the list matches. Change the search or the reason.")
        return
    empty(
        "Nobody is suppressed",
        "Addresses that bounce for good, complain or unsubscribe appear here by themselves.",
        icon=":material/mark_email_read:",
    )


draw()

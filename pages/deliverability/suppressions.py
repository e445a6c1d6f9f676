"""Suppressions: the addresses a tenant does not write to, why, and since when."""

from __future__ import annotations

from functools import partial

import streamlit as st

from core import suppressions
from core.access import Action
from core.db.models import Suppression
from core.db.states import SuppressionReason
from pages._ui import session
from pages._ui.actions import ask, asked
from pages._ui.format import count, escape, local, status
from pages._ui.runtime import begin, tenant_choice
from pages._ui.tables import PAGE, chip, chips, empty, first_page, page_of, pick
from pages.deliverability import _suppression_dialogs as dialogs

app, actor = begin("Suppressions", Action.SEE_SUPPRESSIONS)
tenant = tenant_choice(app, actor)

MAY_ADD = actor.may(Action.ADD_SUPPRESSION, tenant.id)
TRAIL = f"suppressions.{tenant.id}"


def draw() -> None:
    number = suppressions.count(app, actor, tenant.id)
    _draw_head(number)
    search, reason = _ask_filter()
    rows_above = st.container()
    rows = page_of(TRAIL, lambda before: _fetch(search, reason, before))
    with rows_above:
        if rows:
            _draw_rows(rows, number)
        else:
            _draw_none(number)
    _draw_dialogs()


def _fetch(search: str, reason: str | None, before: int | None) -> list[Suppression]:
    return suppressions.list_suppressions(
        app, actor, tenant.id, search=search, reason=reason, before_id=before, limit=PAGE
    )


def _draw_head(number: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            f"{count(number)} {'address' if number == 1 else 'addresses'} · times in {tenant.timezone}",
            width="stretch",
        )
        if MAY_ADD and st.button("Add", key="suppressions.add", icon=":material/add:"):
            ask(dialogs.ADD)
        if MAY_ADD and st.button("Import CSV", key="suppressions.import", icon=":material/upload:"):
            ask(dialogs.IMPORT)
        if actor.may(Action.EXPORT_SUPPRESSIONS, tenant.id):
            st.download_button(
                "Export CSV",
                data=partial(_export, session.token_of_this_run()),
                file_name=f"suppressions-{tenant.slug}.csv",
                mime="text/csv",
                type="primary",
                icon=":material/download:",
                on_click="ignore",
                key="suppressions.export",
            )


def _export(token: str | None) -> str:
    """Runs when the file is asked for, maybe long after this run: who asks is looked up then."""
    return "".join(suppressions.export_csv(app, session.actor_of(app, token), tenant.id))


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
    chosen = pick(
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
    if chosen is not None:
        _draw_chosen(rows[chosen])


def _draw_chosen(entry: Suppression) -> None:
    if dialogs.may_release(actor, tenant, entry):
        if st.button(f"Release {escape(entry.address)}", key="suppressions.release", icon=":material/undo:"):
            ask(dialogs.RELEASE, entry.address)
    else:
        dialogs.say_who_may(entry)


def _draw_none(number: int) -> None:
    if number:
        empty("Nothing found", "No address on the list matches. Change the search or the reason.")
        return
    empty(
        "Nobody is suppressed",
        "Addresses that bounce for good, complain or unsubscribe appear here by themselves.",
        icon=":material/mark_email_read:",
    )


def _draw_dialogs() -> None:
    address = asked(dialogs.RELEASE)
    if MAY_ADD and asked(dialogs.ADD):
        dialogs.add_address(app, actor, tenant)
    elif MAY_ADD and asked(dialogs.IMPORT):
        dialogs.import_list(app, actor, tenant)
    elif isinstance(address, str):
        found = [row for row in _fetch(address, None, None) if row.address == address]
        if found:
            dialogs.release_address(app, actor, tenant, found[0])


draw()

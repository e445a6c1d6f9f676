"""Suppression dialogs: adding one address, importing a list, releasing an address with a reason."""

from __future__ import annotations

import streamlit as st

from core import suppressions
from core.access import Action, Actor
from core.app import App
from core.db.models import Suppression, Tenant
from core.db.states import SuppressionReason
from core.suppressions import Imported
from pages._ui.actions import confirm, report, stop_asking
from pages._ui.format import count, escape, plural

ADD = "add suppression"
IMPORT = "import suppressions"
RELEASE = "release suppression"


def add_address(app: App, actor: Actor, tenant: Tenant) -> None:
    @st.dialog("Add to the suppression list", icon=":material/block:", on_dismiss=stop_asking)
    def _dialog() -> None:
        with st.form("suppressions.add.form", border=False):
            address = st.text_input("Address", key="suppressions.address", placeholder="name@domain").strip()
            note = st.text_input("Note (optional)", key="suppressions.note", max_chars=200).strip()
            agreed = st.form_submit_button("Add", type="primary", key="suppressions.add.yes")
        if agreed:
            with report(f"Added {address}: {tenant.name} sends nothing to it any more."):
                suppressions.add(app, actor, tenant.id, address, note)

    _dialog()


def import_list(app: App, actor: Actor, tenant: Tenant) -> None:
    @st.dialog("Import addresses", icon=":material/upload:", on_dismiss=stop_asking)
    def _dialog() -> None:
        st.caption("A CSV file with a column of addresses, for instance an export of another system.")
        upload = st.file_uploader("CSV file", type=["csv", "txt"], key="suppressions.csv")
        agreed = st.button("Import", type="primary", key="suppressions.import.yes", disabled=upload is None)
        imported: Imported | None = None
        if agreed and upload is not None:
            with report(rerun=False):
                imported = suppressions.import_csv(app, actor, tenant.id, upload.getvalue(), upload.name)
        if imported is not None:
            _draw_imported(imported)

    _dialog()


def _draw_imported(imported: Imported) -> None:
    st.success(f"{count(imported.added)} added, {count(imported.already)} on the list already.")
    if not imported.rejected:
        return
    st.warning(f"{plural(len(imported.rejected), 'row')} could not be used.")
    st.dataframe(
        [{"Line": row.line, "Value": row.value, "Reason": row.reason} for row in imported.rejected[:200]],
        hide_index=True,
        width="stretch",
        key="suppressions.rejected",
    )


def may_release(actor: Actor, tenant: Tenant, entry: Suppression) -> bool:
    complaint = entry.reason == SuppressionReason.COMPLAINT
    return actor.may(Action.RELEASE_COMPLAINT if complaint else Action.RELEASE_SUPPRESSION, tenant.id)


def release_address(app: App, actor: Actor, tenant: Tenant, entry: Suppression) -> None:
    confirm(
        "Release from the suppression list",
        f"{tenant.name} may write to {entry.address} again. Do this only when you know the address works "
        "and its owner wants the mail.",
        label="Release",
        reason="Reason",
        act=lambda reason: suppressions.release(app, actor, tenant.id, entry.address, reason),
        done=f"Released {entry.address}.",
    )


def say_who_may(entry: Suppression) -> None:
    if entry.reason == SuppressionReason.COMPLAINT:
        st.info(f"{escape(entry.address)} complained about a mail: only an administrator may release it.")

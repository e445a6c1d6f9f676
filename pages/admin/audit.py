"""Audit log: who did what to what, newest first."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from core import audit, tenants
from core.access import Action, Actor
from core.app import App
from core.db.models import AuditEntry
from pages._ui import format
from pages._ui.runtime import begin
from pages._ui.tables import PAGE, empty, first_page, page_of, table

app, actor = begin("Audit log", Action.SEE_AUDIT)

ALL = "All tenants, and the installation"
COLUMNS = {
    "Time": st.column_config.DatetimeColumn("Time", format="D MMM YYYY, HH:mm:ss", width=175),
    "Role": st.column_config.TextColumn("Role", width=110),
    "Tenant": st.column_config.TextColumn("Tenant", width=150),
    "Detail": st.column_config.TextColumn("Detail", width="large"),
}


def main(app: App, actor: Actor) -> None:
    names = {tenant.id: tenant.name for tenant in tenants.list_tenants(app, actor)}
    chosen = st.selectbox("Show", [None, *names], format_func=lambda key: names.get(key, ALL),
    key="audit.tenant",
                          on_change=first_page, args=("audit",), width=360)  # fmt: skip
    above = st.container()
    entries = page_of(
        "audit",
        lambda before_id: audit.list_entries(app, actor, tenant_id=chosen, limit=PAGE, before_id=before_id),
    )
    with above:
        if not entries:
            empty("Nothing is recorded yet", "Every change made here or by the command line will appear.")
            return
        st.caption("Times in UTC. Entries are only ever added.")
        table([_row(entry, names) for entry in entries], key="audit.table", columns=COLUMNS)


def _row(entry: AuditEntry, names: Mapping[int, str]) -> dict[str, object]:
    return {
        "Time": format.local(entry.at, "UTC"),
        "Who": entry.actor,
        "Role": format.words(entry.role),
        "Did": entry.action,
        "To": entry.subject,
        "Tenant": names.get(entry.tenant_id or 0, ""),
        "Detail": ", ".join(f"{format.words(name)}: {_shown(value)}" for name, value in entry.detail.items()),
    }


def _shown(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


main(app, actor)

"""Importing a suppression list: the file is looked through first, and nothing is stored before "Import"."""

from __future__ import annotations

import zlib

import streamlit as st

from core import suppressions
from core.access import Actor
from core.app import App
from core.db.models import Tenant
from core.recipients import Layout
from core.suppressions import Imported, Preflight
from pages._ui.actions import flash, report, stop_asking
from pages._ui.format import count, escape, plural, status
from pages.sending._campaign_check import draw_layout, draw_rejections

IMPORT = "import suppressions"
MAX_UPLOAD_MB = 50
_LABELS = {"email": "Address", "reason": "Reason", "note": "Note", "created_at": "Since"}


def import_list(app: App, actor: Actor, tenant: Tenant) -> None:
    @st.dialog("Import addresses", icon=":material/upload:", width="large", on_dismiss=stop_asking)
    def _dialog() -> None:
        st.caption(
            "A CSV file with a column of addresses, or of domains such as @example.com: an export of another "
            "system, or of ours."
        )
        upload = st.file_uploader(
            "CSV file", type=["csv", "txt"], max_upload_size=MAX_UPLOAD_MB, key="suppressions.csv"
        )
        if upload is not None:
            _look_through(app, actor, tenant, upload.getvalue(), upload.name)

    _dialog()


def _look_through(app: App, actor: Actor, tenant: Tenant, content: bytes, name: str) -> None:
    layout: Layout | None = None
    with report(rerun=False):
        layout = suppressions.inspect_import(content, name)
    if layout is None:
        return
    draw_layout(layout)
    mapping = _choose_columns(layout)
    agreed = bool(st.session_state.get("suppressions.import.providers"))
    found: Preflight | None = None
    with report(rerun=False):
        found = _checked(app, actor, tenant.id, content, name, tuple(mapping.items()), agreed)
    if found is None:
        return
    if found.providers:
        names = ", ".join(sorted(entry[1:] for entry in found.providers))
        st.warning(f"Very many people have their mailbox at {escape(names)}.", icon=":material/warning:")
        st.checkbox("None of them is to be written to", key="suppressions.import.providers")
    _draw_found(found)
    wanted = found.new + found.outranked
    label = f"Import {count(wanted)} {'entry' if wanted == 1 else 'entries'}"
    if not st.button(label, type="primary", key="suppressions.import.yes", disabled=not wanted):
        return
    done: Imported | None = None
    with report(rerun=False):
        done = suppressions.import_csv(app, actor, tenant.id, content, name, mapping, whole_providers=agreed)
    if done is not None:
        _checked.clear()
        flash(_told(done))
        stop_asking()
        st.rerun()


@st.cache_resource(scope="session", max_entries=2, ttl=120, show_spinner="Checking every row…")
def _checked(
    _app: App,
    _actor: Actor,
    tenant_id: int,
    content: bytes,
    name: str,
    mapping: tuple[tuple[str, str], ...],
    agreed: bool,
) -> Preflight:
    """Kept for the session, so that ticking a box does not read the whole file again."""
    return suppressions.check_import(
        _app, _actor, tenant_id, content, name, dict(mapping), whole_providers=agreed
    )


def _choose_columns(layout: Layout) -> dict[str, str]:
    """Which column is what: the proposal, as the person changed it; "" for none."""
    columns = zlib.crc32("\0".join(layout.headers).encode())
    with st.container(horizontal=True):
        return {field: _choose_column(field, label, layout, columns) for field, label in _LABELS.items()}


def _choose_column(field: str, label: str, layout: Layout, columns: int) -> str:
    headers = list(layout.headers)
    proposed = layout.mapping.get(field)
    chosen = st.selectbox(
        label,
        headers,
        index=headers.index(proposed) if proposed in headers else None,
        key=f"suppressions.column.{field}.{columns}",
        placeholder="No column",
        width=160,
    )
    return chosen or ""


def _draw_found(found: Preflight) -> None:
    with st.container(horizontal=True):
        st.metric("New", found.new, border=True, format="localized")
        st.metric("On the list already", found.already, border=True, format="localized")
        st.metric("Rejected", len(found.rejected), border=True, format="localized")
    reasons = [f"{count(number)} {status(reason).label.lower()}" for reason, number in found.reasons.items()]
    domains = f"; {plural(found.domains, 'whole domain')} among them" if found.domains else ""
    if reasons:
        st.caption(f"New by reason: {', '.join(reasons)}{domains}. Nothing is stored yet.")
    if found.outranked:
        st.caption(f"For {count(found.outranked)} on the list already the file's reason is kept instead.")
    if not found.new + found.outranked:
        st.info("Nothing of this file would be added.", icon=":material/info:")
    draw_rejections("Rejected rows", "rejected", found.rejected, expanded=True)


def _told(done: Imported) -> str:
    said = f"{count(done.added)} added, {count(done.already)} on the list already"
    return f"{said}, {count(len(done.rejected))} rejected." if done.rejected else f"{said}."

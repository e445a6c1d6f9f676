"""The check before a campaign: what was found in the file, who is accepted, who is not and why."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from core import recipients
from core.content import CompiledContent, field_name
from core.recipients import Checked, Layout, Rejection
from pages._ui.format import count, plural

SHOWN_REJECTIONS = 200


@dataclass(frozen=True, slots=True)
class Check:
    """A file as it was read with the columns as they are mapped now."""

    layout: Layout
    mapping: dict[str, str]
    checked: Checked

    def lacking(self, field: str) -> int:
        """How many accepted recipients have nothing in this field."""
        return sum(1 for recipient in self.checked.accepted if not recipient.fields.get(field))


@st.cache_resource(scope="session", max_entries=2, show_spinner="Reading the file…")
def inspected(content: bytes, filename: str) -> Layout:
    return recipients.inspect(content, filename)


@st.cache_resource(scope="session", max_entries=2, show_spinner="Checking every row…")
def checked(content: bytes, filename: str, mapping: tuple[tuple[str, str], ...]) -> Check:
    """Kept for the session, so that typing a subject does not read 10,000 rows again."""
    layout = inspected(content, filename)
    return Check(layout, dict(mapping), recipients.check(content, layout, dict(mapping)))


def choose_mapping(layout: Layout, used: frozenset[str]) -> dict[str, str]:
    """Which column is what: the proposal, as the person changed it. Merge field -> column, "" for none.
    `used`: fields of the content that must come from a column."""
    st.markdown("**Columns**")
    st.caption("Change what is proposed wrongly. All other columns keep their own names.")
    fields = ["email", *sorted((set(layout.mapping) | used) - {"email"})]
    with st.container(horizontal=True):
        return {field: _choose_column(field, layout) for field in fields}


def _choose_column(field: str, layout: Layout) -> str:
    headers = list(layout.headers)
    named_so = next((header for header in headers if field_name(header) == field), None)
    proposed = layout.mapping.get(field, named_so)
    chosen = st.selectbox(
        "Address" if field == "email" else field,
        headers,
        index=headers.index(proposed) if proposed in headers else None,
        key=f"campaign.column.{field}.{_columns_of(layout)}",
        placeholder="No column",
        width=200,
    )
    return chosen or ""


def _columns_of(layout: Layout) -> int:
    """Another file's columns are another choice: what was chosen for the last file does not fit them."""
    return zlib.crc32("\0".join(layout.headers).encode())


def draw_layout(layout: Layout) -> None:
    delimiter = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}.get(
        layout.delimiter, layout.delimiter
    )
    st.caption(f"Read as {layout.encoding}, columns separated by {delimiter}.")
    with st.expander("First rows of the file", icon=":material/table_rows:"):
        rows = [dict(zip(layout.headers, row, strict=False)) for row in layout.sample_rows]
        st.dataframe(rows, hide_index=True, width="stretch", key="campaign.sample")


def draw_result(check: Check) -> None:
    accepted, rejected, twice = check.checked.accepted, check.checked.rejected, check.checked.duplicates
    with st.container(horizontal=True):
        st.metric("Accepted", len(accepted), border=True, format="localized")
        st.metric("Rejected", len(rejected), border=True, format="localized")
        st.metric("Duplicates, sent once", len(twice), border=True, format="localized")
    if not accepted:
        told = "See below why no row can be used." if rejected else "The file has no rows below its first."
        st.error(f"Nobody would get this campaign. {told}", icon=":material/error:")
    draw_rejections("Rejected rows", "rejected", rejected, expanded=True)
    draw_rejections("Duplicates", "duplicates", twice, expanded=False)


def draw_rejections(title: str, key: str, rows: Sequence[Rejection], *, expanded: bool) -> None:
    if not rows:
        return
    with st.expander(f"{title} ({count(len(rows))})", expanded=expanded, icon=":material/rule:"):
        st.dataframe(
            [{"Line": row.line, "Value": row.value, "Reason": row.reason} for row in rows[:SHOWN_REJECTIONS]],
            hide_index=True,
            width="stretch",
            key=f"campaign.{key}",
        )
        if len(rows) > SHOWN_REJECTIONS:
            st.caption(f"The first {SHOWN_REJECTIONS} of {count(len(rows))}; the file has all of them.")
        st.download_button(
            "Download as CSV",
            data=lambda: recipients.rejections_csv(rows),
            file_name=f"{key}.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key=f"campaign.{key}.csv",
        )


def choose_fallbacks(content: CompiledContent, check: Check, known: Mapping[str, str]) -> dict[str, str]:
    """What to write where a recipient has nothing; asked only for fields of the content that some lack.
    `known`: the fields that everybody has."""
    used = {slot.field for slot in content.fields if slot.fallback is None} - {"email", *known}
    lacking = {field: check.lacking(field) for field in sorted(used)}
    if not any(lacking.values()):
        return {}
    st.markdown("**Missing values**")
    st.caption("What should the mail say where a recipient has nothing in one of these fields?")
    with st.container(horizontal=True):
        asked = {field: _ask_fallback(field, count, check) for field, count in lacking.items() if count}
    return {field: value for field, value in asked.items() if value}


def _ask_fallback(field: str, lacking: int, check: Check) -> str:
    everybody = lacking == len(check.checked.accepted)
    return st.text_input(
        f"{field}: in no row" if everybody else f"{field}: empty in {plural(lacking, 'row')}",
        key=f"campaign.fallback.{field}",
        placeholder="Fallback",
        width=260,
    )

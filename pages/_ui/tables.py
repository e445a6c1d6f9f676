"""Tables: one way to show rows, page through them, pick one, download them, and to show that there are none.

    shown = page_of("audit", lambda before: audit.list_entries(app, actor, before_id=before, limit=PAGE))
    table([{"Time": ..., "Status": chip(row.status)} for row in shown], key="audit.table",
          columns={"Status": chips("Status")})

Rows are dicts of plain values (times through format.local); cells are text, so nothing in them needs
escaping.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import pandas as pd
import streamlit as st

from pages._ui import format

PAGE = 100


class _Row(Protocol):
    id: Any


R = TypeVar("R", bound=_Row)


def badge(status: str) -> None:
    shown = format.status(status)
    st.badge(format.escape_badge(shown.label), color=shown.color, icon=shown.icon)  # type: ignore[arg-type]


def chip(status: str) -> list[str]:
    """A status as a coloured cell; its column is `chips(label)`."""
    return [format.status(status).label]


def chips(label: str, **options: Any) -> Any:
    labels = {shown.label: shown.color for shown in format.all_statuses()}
    return st.column_config.MultiselectColumn(
        label, options=list(labels), color=list(labels.values()), **options
    )


def rates(label: str, digits: int = 2, **options: Any) -> Any:
    """A column of rates, its cells made with format.percent; it sorts as numbers."""
    return st.column_config.NumberColumn(label, format=f"%.{digits}f %%", **options)


def counts(label: str) -> Any:
    """A column of whole numbers, in groups of three."""
    return st.column_config.NumberColumn(label, format="localized")


def table(rows: Sequence[Mapping[str, Any]], *, key: str, columns: Mapping[str, Any] | None = None) -> None:
    """Rows to read. `columns`: st.column_config by column name. Many rows scroll inside."""
    st.dataframe(
        _frame(rows),
        key=key,
        hide_index=True,
        width="stretch",
        height="content" if len(rows) <= 18 else 640,
        column_config=dict(columns or {}),
        placeholder="",
    )


def pick(
    rows: Sequence[Mapping[str, Any]],
    *,
    key: str,
    columns: Mapping[str, Any] | None = None,
    chosen: int | None = None,
    on_pick: Callable[[int], None] | None = None,
) -> int | None:
    """Rows of which one can be chosen: its index, or None. `chosen` is so at first (let the key change with
    it); `on_pick` gets a new choice before the page is drawn again, and may set other widgets' state."""
    selection = {"rows": [] if chosen is None else [chosen], "columns": [], "cells": []}

    def picked() -> None:
        index = _first_row(st.session_state[key], len(rows))
        if on_pick is not None and index is not None:
            on_pick(index)

    state = st.dataframe(
        _frame(rows),
        key=key,
        hide_index=True,
        width="stretch",
        column_config=dict(columns or {}),
        on_select=picked,
        selection_mode="single-row",
        selection_default={"selection": selection},
        placeholder="",
    )
    return _first_row(state, len(rows))


def pick_several(
    rows: Sequence[Mapping[str, Any]], *, key: str, columns: Mapping[str, Any] | None = None
) -> list[int]:
    """Rows of which any number can be chosen: their indexes."""
    state: Any = st.dataframe(
        _frame(rows),
        key=key,
        hide_index=True,
        width="stretch",
        column_config=dict(columns or {}),
        on_select="rerun",
        selection_mode="multi-row",
        placeholder="",
    )
    return [index for index in state["selection"]["rows"] if index < len(rows)]


def _first_row(state: Any, rows: int) -> int | None:
    return next((index for index in state["selection"]["rows"] if index < rows), None)


def page_of(key: str, fetch: Callable[[int | None], Sequence[R]], size: int = PAGE) -> Sequence[R]:
    """Fetch by keyset (`fetch(before_id)` gives `size` rows) and draw Previous and Next below.
    Call it inside the container where the buttons belong, draw the rows above in another."""
    trail: list[int] = st.session_state.setdefault(f"{key}.trail", [])
    rows = fetch(trail[-1] if trail else None)
    more = len(rows) == size
    if not trail and not more:
        return rows
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
        st.caption(f"Page {len(trail) + 1}", width="content")
        st.button("Previous", key=f"{key}.previous", icon=":material/chevron_left:", disabled=not trail,
                  on_click=trail.pop if trail else None)  # fmt: skip
        st.button("Next", key=f"{key}.next", icon=":material/chevron_right:", icon_position="right",
                  disabled=not more, on_click=trail.append if more else None,
                  args=(rows[-1].id,) if more else None)  # fmt: skip
    return rows


def first_page(key: str) -> None:
    """Forget where the reader was; for when a filter changes."""
    st.session_state.pop(f"{key}.trail", None)


def empty(title: str, body: str, *, icon: str = ":material/inbox:") -> Any:
    """What stands where rows would be; returns the container, for a button or page link of what to do
    first."""
    box = st.container(border=True, horizontal_alignment="center", gap="small")
    with box:
        st.space("small")
        st.markdown(f"### {icon}", width="content")
        st.markdown(f"**{format.escape(title)}**", width="content", text_alignment="center")
        st.caption(format.escape(body), width="content", text_alignment="center")
    return box


def _frame(rows: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    return pd.DataFrame(list(rows))

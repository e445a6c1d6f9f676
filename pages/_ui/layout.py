"""Layout: rows that read on a wide screen and on a phone, and what of Streamlit's own look is too faint."""

from __future__ import annotations

from typing import Any

import streamlit as st

# A text takes all of a phone's width but its icon's; what stands beside it on a wide screen goes below.
# The ring of an option that is not chosen has next to no contrast in the dark.
# Streamlit's own CSV of a table holds cells that a spreadsheet would run: files are made by pages.
_STYLE = """<style>
@media (max-width: 640px) {
  [class*="st-key-row-"] { flex-wrap: wrap }
  [class*="st-key-row-"] > :has([class*="st-key-text-"]) { min-width: calc(100% - 3rem) }
}
[data-testid="stRadioOption"]:not([data-selected]) > div > div:first-child {
  outline: 1px solid #8592a6; outline-offset: -1px;
}
[data-testid="stElementToolbarButton"]:has([aria-label^="Download as CSV"]) { display: none }
</style>"""


def style() -> None:
    """Once a page."""
    st.html(_STYLE)


def row(key: str, *, align: Any = "center") -> Any:
    """Things beside each other; what follows its `text` goes below on a phone."""
    return st.container(key=f"row-{key}", horizontal=True, wrap=False, vertical_alignment=align, gap="small")


def text(key: str) -> Any:
    """The part of a row that takes what the others leave."""
    return st.container(key=f"text-{key}", gap="xxsmall", width="stretch")

"""Links: to another page, about the same tenant, at the right place of it."""

from __future__ import annotations

import streamlit as st

from pages._ui.runtime import TENANT

VIEW = "view"  # the query parameter and the tabs of the Tenants page
TODAY, LIMITS, REPUTATION, SETUP = "Today", "Limits", "Reputation", "Setup"  # its values


def link(page: str, label: str, slug: str = "", *, view: str = "") -> None:
    """`page` as Home.py lists it ("sending/senders"): one the reader's role may open."""
    query = {name: value for name, value in ((TENANT, slug), (VIEW, view)) if value}
    st.page_link(f"pages/{page}.py", label=label, icon=":material/arrow_forward:", icon_position="right",
                 query_params=query)  # fmt: skip

"""The console's map: every page is listed here once, with what a role must be allowed to do to find it."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

import streamlit as st

from core import tenants
from core.access import Action, Actor
from core.app import App
from core.db.models import Tenant
from core.users import SignedIn
from pages._ui import banner, format, session
from pages._ui.runtime import TENANT, get_app

STATIC = Path(__file__).parent / "static"

ACCOUNTS, HEALTH = "accounts", "health"


class Listed(NamedTuple):
    section: str
    path: str
    title: str
    icon: str
    action: Action


PAGES = (
    Listed("Operations", "operations/overview", "Overview", "monitoring", Action.SEE_REPORTS),
    Listed("Operations", "operations/tenants", "Tenants", "apartment", Action.SEE_TENANT),
    Listed("Operations", "admin/alerts", "Alerts", "notifications", Action.SEE_TENANT),
    Listed("Sending", "sending/senders", "Senders", "alternate_email", Action.SEE_TENANT),
    Listed("Sending", "sending/campaigns", "Campaigns", "campaign", Action.SEE_TENANT),
    Listed("Deliverability", "deliverability/reputation", "Reputation", "speed", Action.SEE_REPORTS),
    Listed("Deliverability", "deliverability/suppressions", "Suppressions", "block", Action.SEE_SUPPRESSIONS),
    Listed("Deliverability", "deliverability/messages", "Messages", "mail", Action.SEE_ADDRESSES),
    Listed("Administration", "admin/users", "Users", "group", Action.MANAGE_USERS),
    Listed("Administration", "admin/accounts", "AWS accounts", "cloud", Action.SEE_HEALTH),
    Listed("Administration", "admin/events", "Events", "move_to_inbox", Action.SEE_HEALTH),
    Listed("Administration", "admin/audit", "Audit log", "history", Action.SEE_AUDIT),
    Listed("Administration", "admin/health", "Health", "ecg_heart", Action.SEE_HEALTH),
)


def main() -> None:
    st.set_page_config(page_title="Postyard", page_icon=str(STATIC / "icon.png"), layout="wide")
    app = get_app()
    signed_in = session.current(app)
    # Called for strangers too, hidden: their deep link stays in the address bar, and the page itself asks
    # them in.
    page = st.navigation(_menu(signed_in), position="sidebar" if signed_in else "hidden", expanded=True)
    if signed_in is not None:
        st.logo(str(STATIC / "logo.png"), size="large", icon_image=str(STATIC / "icon.png"))
        if not signed_in.must_change_password:
            chosen = _sidebar(app, signed_in)
            session.begin(app, signed_in.actor)
            banner.held(app, signed_in.actor, linked=page.url_path != HEALTH)
            if chosen is not None:
                banner.sandbox(app, signed_in.actor, chosen.id, linked=page.url_path != ACCOUNTS)
    page.run()


def _menu(signed_in: SignedIn | None) -> dict[str, list[object]]:
    """What one may not open is hidden, not left out: its address says so instead of "Page not found"."""
    sections: defaultdict[str, list[object]] = defaultdict(list)
    for listed in PAGES:
        may_open = signed_in is None or signed_in.actor.may(listed.action)
        sections[listed.section if may_open else PAGES[0].section].append(
            st.Page(
                f"pages/{listed.path}.py",
                title=listed.title,
                icon=f":material/{listed.icon}:",
                url_path=listed.path.split("/")[1],
                default=listed is PAGES[0],
                visibility="visible" if may_open else "hidden",
            )
        )
    return dict(sections)


def _sidebar(app: App, signed_in: SignedIn) -> Tenant | None:
    """The chosen tenant."""
    with st.sidebar:
        chosen = _tenant_select(app, signed_in.actor)
        st.divider()
        st.caption(f"Signed in as **{format.escape(signed_in.name)}** · {format.words(signed_in.actor.role)}")
        session.sign_out_button(app)
    return chosen


def _tenant_select(app: App, actor: Actor) -> Tenant | None:
    """The address's ?tenant=slug, the session and the widget follow each other; a page looks the tenant up
    again for itself."""
    names = {tenant.slug: tenant for tenant in tenants.list_tenants(app, actor)}
    if not names:
        st.session_state.pop(TENANT, None)
        return None
    asked = st.query_params.get(TENANT)
    if asked in names and asked != st.session_state.get("tenant_in_address"):
        st.session_state[TENANT] = asked
    if st.session_state.get(TENANT) not in names:
        st.session_state[TENANT] = next(iter(names))
    chosen = str(st.session_state[TENANT])
    key = _select_key(chosen)
    st.selectbox(
        "Tenant", names, index=list(names).index(chosen), format_func=lambda slug: names[slug].name, key=key,
        on_change=lambda: st.session_state.update({TENANT: st.session_state[key]}),
    )  # fmt: skip
    if names[chosen].is_demo:
        st.badge("Demo data", color="violet", icon=":material/science:")
    st.session_state["tenant_in_address"] = chosen
    if asked != chosen:
        st.query_params[TENANT] = chosen
    return names[chosen]


def _select_key(chosen: str) -> str:
    """A new widget for each choice, which is its default: a browser that draws it afresh, as it now and then
    does when its reader leaves a page that is still being drawn, sends back the default."""
    last, number = st.session_state.get("tenant_select", (chosen, 0))
    st.session_state["tenant_select"] = (chosen, number + (last != chosen))
    return f"tenant.select.{st.session_state['tenant_select'][1]}"


main()

"""Runtime: the gate of every page, the App of this process, and the tenant the reader has chosen.

The first line of each page is

    app, actor = begin("Senders", Action.SEE_TENANT)

and a page about one tenant goes on with

    tenant = tenant_choice(app, actor)

`begin` does not rely on Home.py: it looks the session up in the database on every run, draws the sign-in
form and stops for strangers, refuses a role that may not do `action`, then draws the title and the flash of
the last action. A page and its cached reads hold no actor, no tenant and no database session between runs.
"""

from __future__ import annotations

import functools
import threading

import streamlit as st

from core import tenants
from core.access import Action, Actor
from core.app import App, build_app
from core.db.models import Tenant
from core.errors import NotFound
from core.users import SignedIn
from pages._ui import layout, session
from pages._ui.actions import show_flash
from pages._ui.tables import empty

TENANT = "tenant"  # the query parameter, and what the session keeps of it


_building = threading.Lock()


def get_app() -> App:
    """Once per process, for all sessions and console.py's routes: holds no one's rights.
    Not st.cache_resource, which warns when a route calls it outside a page's run."""
    with _building:
        return _built()


@functools.cache
def _built() -> App:
    return build_app()


def forget_app() -> None:
    """For tests, which run on one database after another."""
    _built.cache_clear()


def begin(title: str, action: Action, *, icon: str | None = None) -> tuple[App, Actor]:
    app = get_app()
    actor = _require(app).actor
    if not actor.may(action):
        role = actor.role.replace("_", " ")
        st.error(f"Your role ({role}) may not open this page. Ask an administrator.", icon=":material/lock:")
        st.stop()
    session.begin(app, actor)
    layout.style()
    st.title(f"{icon} {title}" if icon else title, anchor=False)
    show_flash()
    return app, actor


def _require(app: App) -> SignedIn:
    """Somebody who may go on; for anybody else a form is drawn and the run ends."""
    signed_in = session.current(app)
    if signed_in is not None and not signed_in.must_change_password:
        return signed_in
    from pages._ui import sign_in  # not before Streamlit runs: see there

    if signed_in is None:
        sign_in.draw_log_in(app)
    else:
        sign_in.draw_first_password(app, signed_in)
    st.stop()


def tenant_choice(app: App, actor: Actor) -> Tenant:
    """The sidebar's tenant, looked up again among those the actor sees; stops the page when there is none."""
    slug = st.session_state.get(TENANT)
    if slug is not None:
        try:
            return tenants.get_by_slug(app, actor, slug)
        except NotFound:
            st.session_state.pop(TENANT)
    _no_tenant(actor)
    st.stop()


def _no_tenant(actor: Actor) -> None:
    if actor.may(Action.CREATE_TENANT):
        with empty("No tenant yet", "A tenant is a customer whose mail is kept apart. Add the first one.",
                   icon=":material/apartment:"):  # fmt: skip
            st.page_link("pages/operations/tenants.py", label="Add a tenant", icon=":material/add:")
        return
    empty("No tenant is assigned to you", "Ask an administrator to assign one under Users.",
          icon=":material/apartment:")  # fmt: skip

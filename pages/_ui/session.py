"""Session: who is signed in on this run, and signing out.

Looked up in the database on every run, by the token in the cookie that console.py's /session route has set.
Started as plain `streamlit run Home.py` there is no such route: the token stays in st.session_state, for its
tab only.
"""

from __future__ import annotations

import json

import streamlit as st

from core import users
from core.access import Actor
from core.app import App
from core.errors import PermissionDenied
from core.users import SignedIn

COOKIE = "postyard_session"
TOKEN = "session_token"  # noqa: S105  the name under which st.session_state keeps it
SESSION_ROUTE, SIGN_OUT_ROUTE = "/session", "/signout"

_BEGUN = "begun"  # the App and the actor of the page's last whole run

_routes_served = False


def serve_routes() -> None:
    """console.py says that this process has the routes which set and clear the cookie."""
    global _routes_served
    _routes_served = True


def has_routes() -> bool:
    return _routes_served


def current(app: App, *, clicked: bool = True) -> SignedIn | None:
    """`clicked=False` for what runs by itself: it does not keep an idle session alive."""
    token = token_of_this_run()
    return users.find_sign_in(app, token, seen=clicked) if token else None


def begin(app: App, actor: Actor) -> None:
    """Remember as whom the whole page was drawn, for `must_hold`."""
    st.session_state[_BEGUN] = (app, actor)


def must_hold(*, clicked: bool = True) -> None:
    """Dialogs and fragments run without the page's gate, with the actor of its last whole run: draw the page
    anew when that session has ended or its rights are others by now. Nothing of the old rights is done."""
    app, actor = st.session_state.get(_BEGUN, (None, None))
    signed_in = current(app, clicked=clicked) if app else None
    if signed_in is None or signed_in.actor != actor:
        st.rerun()


def actor_of(app: App, token: str | None) -> Actor:
    """Who holds the session now: for what runs outside of any run of the page, such as a download that is
    made when it is asked for. Raises PermissionDenied when it has ended."""
    actor = users.actor_of(app, token) if token else None
    if actor is None:
        raise PermissionDenied("Your session has ended. Sign in again.")
    return actor


def token_of_this_run() -> str | None:
    """What st.context shows of the cookie is as old as the tab: a token, no proof that it still holds."""
    return st.session_state.get(TOKEN) or st.context.cookies.get(COOKIE)


def sign_out_button(app: App) -> None:
    if not st.button("Sign out", key="sign_out", icon=":material/logout:", width="stretch"):
        return
    if token := token_of_this_run():
        users.sign_out(app, token)
    st.session_state.clear()
    if not _routes_served:
        st.rerun()
    run_script(f"fetch('{SIGN_OUT_ROUTE}', {{method: 'POST'}}).finally(() => window.location.replace('/'))")
    st.stop()


def leave_to(address: str) -> None:
    """The browser itself leaves for the address; never followed by st.rerun(), which could overtake it."""
    run_script(f"window.location.replace({json.dumps(address)})")
    st.stop()


def run_script(statement: str) -> None:
    """A statement of ours; nothing of a user's stands in it unless json.dumps quoted it."""
    closed = statement.replace("<", "\\u003c")
    st.html(f"<script>{closed}</script>", unsafe_allow_javascript=True)

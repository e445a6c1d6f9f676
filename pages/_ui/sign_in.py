"""Sign-in: the forms for those who are not signed in, or must choose a password first.

streamlit-authenticator draws the log-in form and runs its flow; whether the password is right, and whether
it may be looked at, is decided by core.users.check_password (`_DatabaseCredentials`): the library alone
keeps its count of failures in memory, answers at once for unknown users and does not count passwords over
72 bytes. Its cookie is never set, never accepted and its component never drawn (`_Cookieless`): what that
reports by itself starts the page anew, and a click that is being worked on then is lost. Its mail and second
factor are not used.

Imported on a stranger's run only: the library declares a component when it is imported, and before Streamlit
runs (console.py) that leads nowhere.
"""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import streamlit as st
import streamlit_authenticator as stauth
from streamlit_authenticator.controllers import AuthenticationController
from streamlit_authenticator.models import AuthenticationModel

from core import users
from core.app import App
from core.db.models import User
from core.errors import Conflict, InputError, NotFound
from core.users import SignedIn
from pages._ui import session
from pages._ui.actions import flash
from pages._ui.format import escape

MARK = Path(__file__).parents[2] / "static" / "icon.png"
# The library draws its button plain and offers no other.
_BUTTON = """<style>
.stForm .stFormSubmitButton button, .stForm .stFormSubmitButton button:hover
{ background: #0b6bcb; border-color: #0b6bcb; color: #fff; width: 100%; }
</style>"""


def draw_log_in(app: App) -> None:
    with _card("Postyard", "Operations console for sending through Amazon SES"):
        st.html(_BUTTON)
        _log_in_form(app)


def draw_first_password(app: App, signed_in: SignedIn) -> None:
    with _card("Choose your own password", "The one you were given was for the first sign-in only."):
        change_password_form(app, signed_in)
        session.sign_out_button(app)


def change_password_form(app: App, signed_in: SignedIn) -> None:
    with st.form("change_password", border=True):
        old = st.text_input("Present password", type="password", key="change_password.old")
        new = st.text_input(
            "New password", type="password", key="change_password.new",
            help="12 characters or more; a sentence is easier to remember than signs.",
        )  # fmt: skip
        again = st.text_input("New password again", type="password", key="change_password.again")
        if not st.form_submit_button("Change password", key="change_password.save", type="primary"):
            return
    if new != again:
        st.error("The two new passwords differ.")
        return
    try:
        users.change_password(
            app,
            signed_in.actor,
            old,
            new,
            ip_address=st.context.ip_address,
            session_token=session.token_of_this_run(),
        )
    except (InputError, Conflict) as e:
        st.error(escape(str(e)))
        return
    flash("Your password is changed; other sessions have ended.")
    st.rerun()


class _DatabaseCredentials(AuthenticationModel):  # type: ignore[misc]
    """The library's log-in flow over our decision; `user` is who it let in."""

    def __init__(self, app: App) -> None:
        super().__init__({"usernames": {}}, auto_hash=False, secret_key=secrets.token_hex(32))
        self._app = app
        self.user: User | None = None
        self.refusal = "Username or password is not right."

    def check_credentials(self, username: str, password: str) -> bool:
        try:
            self.user = users.check_password(self._app, username, password, st.context.ip_address)
        except Conflict as e:
            self.refusal = str(e)
        if self.user is None:
            return False
        self.credentials["usernames"][username] = {"name": self.user.name, "roles": [self.user.role]}
        return True


class _NoCookie:
    """In place of the library's CookieController."""

    def get_cookie(self) -> None:
        return None

    def set_cookie(self) -> None:
        return None


class _Cookieless(stauth.Authenticate):  # type: ignore[misc]
    """The library's form. Its own constructor would draw the component of its cookie."""

    def __init__(self, model: _DatabaseCredentials) -> None:
        self.path = None
        self.secret_key = model.secret_key
        self.attrs = {"login_sleep_time": 0}
        self.cookie_controller = _NoCookie()
        self.authentication_controller = AuthenticationController(
            {"usernames": {}}, auto_hash=False, secret_key=model.secret_key
        )
        self.authentication_controller.authentication_model = model


def _log_in_form(app: App) -> None:
    st.session_state["authentication_status"] = None  # the library's; ours is the session alone
    model = _DatabaseCredentials(app)
    fields = {"Form name": "Sign in", "Username": "Username", "Password": "Password", "Login": "Sign in"}
    _Cookieless(model).login("main", fields=fields, key="sign_in")
    if model.user is not None:
        _enter(app, model.user)
    elif st.session_state["authentication_status"] is False:
        st.error(escape(model.refusal))
    elif not users.has_users(app):
        st.info("Nobody can sign in yet. Make the first user on this host:", icon=":material/person_add:")
        st.code("postyard users create NAME --name 'Full Name' --role admin", language=None)


def _enter(app: App, user: User) -> None:
    ticket = users.issue_ticket(app, user.id)
    if session.has_routes():
        query = urlencode({"ticket": ticket, "next": _here()})
        session.leave_to(f"{session.SESSION_ROUTE}?{query}")
    st.session_state.clear()  # what somebody before left in this tab is not for the next
    try:
        st.session_state[session.TOKEN] = users.redeem_ticket(app, ticket, st.context.ip_address, None)
    except NotFound as e:
        st.error(escape(str(e)))
        st.stop()
    st.rerun()


def _here() -> str:
    """The page that was asked for, with its query: where the sign-in leads back to."""
    path = quote(urlsplit(st.context.url or "/").path or "/")
    query = urlencode(st.query_params.to_dict())
    return f"{path}?{query}" if query else path


def _card(title: str, under: str) -> Any:
    """A narrow column in the middle, under Postyard's mark."""
    _, middle, _ = st.columns([1, 1.2, 1])
    with middle:
        st.space("large")
        with st.container(horizontal=True, vertical_alignment="center"):
            st.image(str(MARK), width=44)
            st.title(title, anchor=False)
        st.caption(under)
    return middle

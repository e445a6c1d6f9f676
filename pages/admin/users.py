"""Users: who may sign in, as what, and to which tenants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from core import tenants, users
from core.access import Action, Actor, Role
from core.app import App
from core.db.models import User
from core.users import Standing
from pages._ui import format
from pages._ui.actions import ask, asked, report, stop_asking
from pages._ui.runtime import begin
from pages._ui.tables import chip, chips, pick
from pages.admin._user_panel import MADE, ROLES, SEES_ALL, panel, status_of

app, actor = begin("Users", Action.MANAGE_USERS)


def main(app: App, actor: Actor) -> None:
    if asked("add user"):
        _add(app, actor)
    _show_made_password()
    if st.button("Add user", icon=":material/person_add:", type="primary", key="users.add"):
        ask("add user")
        st.rerun()
    found, standings = users.list_users(app, actor), users.standings(app, actor)
    index = _list(app, found, standings)
    if index is None:
        st.caption("Choose a user to change role, tenants or password.")
        return
    panel(app, actor, found[index], standings[found[index].id])


def _show_made_password() -> None:
    if made := st.session_state.pop(MADE, None):
        username, password = made
        with st.container(border=True, key="users.made_password"):
            st.markdown(
                f"**Password of {format.escape(username)}**, shown this once. It is changed at first use."
            )
            st.code(password, language=None)


def _list(app: App, found: Sequence[User], standings: Mapping[int, Standing]) -> int | None:
    rows = [
        {
            "Username": user.username,
            "Name": user.name,
            "Role": format.words(user.role).capitalize(),
            "Tenants": "all" if Role(user.role) in SEES_ALL else ", ".join(standings[user.id].tenant_slugs),
            "Status": chip(status_of(user)),
            "Last seen": format.ago(standings[user.id].last_seen_at, app.now()),
        }
        for user in found
    ]
    # The choice is a row's number: another list is another choice.
    return pick(rows, key=f"users.list.{len(found)}", columns={"Status": chips("Status")})


@st.dialog("Add a user", on_dismiss=stop_asking)
def _add(app: App, actor: Actor) -> None:
    names = {tenant.slug: tenant.name for tenant in tenants.list_tenants(app, actor)}
    with st.form("users.new", border=False):
        name = st.text_input("Name", key="users.new.name", max_chars=100)
        username = st.text_input("Username", key="users.new.username", max_chars=64)
        email = st.text_input("E-mail", key="users.new.email", max_chars=254)
        role = st.selectbox("Role", list(ROLES), index=3, format_func=ROLES.__getitem__, key="users.new.role")
        assigned = st.multiselect("Tenants", names, format_func=names.__getitem__, key="users.new.tenants",
                                  help="For account managers and analysts.")  # fmt: skip
        if not st.form_submit_button("Add user", type="primary", key="users.new.save"):
            return
    with report(f"{name.strip()} may sign in."):
        user, made = users.create(app, actor, username=username, name=name, role=role, email=email,
                                  tenant_slugs=() if role in SEES_ALL else assigned)  # fmt: skip
        st.session_state[MADE] = (user.username, made)


main(app, actor)

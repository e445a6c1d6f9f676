"""One user: role and tenants, password, sessions."""

from __future__ import annotations

import streamlit as st

from core import tenants, users
from core.access import Actor, Role
from core.app import App
from core.db.models import User
from core.users import Standing
from pages._ui import format
from pages._ui.actions import ask, asked, confirm, report
from pages._ui.tables import badge

MADE = "users.made"  # (username, password) until it was shown once
SEES_ALL = (Role.ADMIN, Role.OPERATOR)
ROLES = {
    Role.ADMIN: "Administrator: everything, users too",
    Role.OPERATOR: "Operator: runs every tenant",
    Role.ACCOUNT_MANAGER: "Account manager: runs the tenants assigned",
    Role.ANALYST: "Analyst: reads the tenants assigned",
}


def status_of(user: User) -> str:
    return "disabled" if user.disabled_at else "active"


def panel(app: App, actor: Actor, user: User, standing: Standing) -> None:
    with st.container(border=True, key="users.panel"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.subheader(format.escape(user.name), anchor=False, width="content")
            badge(status_of(user))
            if user.must_change_password:
                st.badge("Must change password", color="orange", icon=":material/key:")
        st.text(f"{user.username}   {user.email or ''}")
        _assignment(app, actor, user, standing)
        with st.container(horizontal=True):
            _reset(app, actor, user)
            _end_sessions(app, actor, user)
            _disable_or_enable(app, actor, user)


def _assignment(app: App, actor: Actor, user: User, standing: Standing) -> None:
    names = {tenant.slug: tenant.name for tenant in tenants.list_tenants(app, actor)}
    with st.form(f"users.assign.{user.username}", border=False):
        role = st.selectbox("Role", list(ROLES), index=list(ROLES).index(Role(user.role)),
                            format_func=ROLES.__getitem__, key=f"users.role.{user.username}")  # fmt: skip
        assigned = st.multiselect(
            "Tenants", names, default=[slug for slug in standing.tenant_slugs if slug in names],
            format_func=names.__getitem__, key=f"users.tenants.{user.username}",
            help="For account managers and analysts; the other roles see every tenant.",
        )  # fmt: skip
        save = st.form_submit_button("Save", key=f"users.save.{user.username}")
    if save:
        with report(f"{user.name} is {format.words(role)} from the next click on."):
            users.assign(
                app, actor, user.username, role=role, tenant_slugs=() if role in SEES_ALL else assigned
            )


def _reset(app: App, actor: Actor, user: User) -> None:
    def act(_reason: str) -> None:
        st.session_state[MADE] = (user.username, users.reset_password(app, actor, user.username))

    if st.button("Reset password", icon=":material/key:", key="users.reset"):
        ask("reset password", user.username)
    if asked("reset password") == user.username:
        confirm("Reset password", f"{user.name} gets a new password, and every open session ends.",
                label="Reset password", act=act, done=f"{user.username} has a new password.")  # fmt: skip


def _end_sessions(app: App, actor: Actor, user: User) -> None:
    if st.button("End sessions", icon=":material/logout:", key="users.end_sessions"):
        with report(f"{user.username} is signed out everywhere."):
            users.revoke_all(app, actor, user.username)


def _disable_or_enable(app: App, actor: Actor, user: User) -> None:
    if user.disabled_at is not None:
        if st.button("Enable", icon=":material/check_circle:", key="users.enable"):
            with report(f"{user.username} can sign in again."):
                users.enable(app, actor, user.username)
        return
    if st.button("Disable", icon=":material/block:", key="users.disable"):
        ask("disable user", user.username)
    if asked("disable user") == user.username:
        confirm("Disable user", f"{user.name} is signed out everywhere and can sign in no more.",
                label="Disable", act=lambda _: users.disable(app, actor, user.username),
                done=f"{user.username} is disabled.")  # fmt: skip

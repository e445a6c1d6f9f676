"""`postyard users`: who may sign in."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

import core.users
from core.access import Actor, Role
from core.app import App
from core.cli.operation import Answer, operation, table
from core.db.models import User


@click.group()
def users() -> None:
    """Who may sign in."""


@users.command("create")
@click.argument("username")
@click.option("--name", required=True)
@click.option("--role", required=True, type=click.Choice([role.value for role in Role]))
@click.option("--email")
@click.option("--tenant", "tenants", multiple=True, metavar="SLUG", help="May be repeated.")
@click.option(
    "--password-stdin", is_flag=True, help="Read the password; otherwise one is made and shown once."
)
@operation
def create(
    app: App,
    actor: Actor,
    username: str,
    name: str,
    role: str,
    email: str | None,
    tenants: Sequence[str],
    password_stdin: bool,
) -> Answer:
    """Let somebody sign in; account managers and analysts see the tenants named only."""
    password = sys.stdin.readline().rstrip("\r\n") if password_stdin else None
    user, made = core.users.create(
        app,
        actor,
        username=username,
        name=name,
        role=Role(role),
        email=email,
        password=password,
        tenant_slugs=tuple(tenants),
    )
    told = f" First password (change it at the first log-in): {made}" if made else ""
    return Answer(as_json(user) | {"password": made}, f"User {user.username} may sign in.{told}")


@users.command("list")
@operation
def list_(app: App, actor: Actor) -> Answer:
    """Everybody who may sign in, or might."""
    found = core.users.list_users(app, actor)
    rows = [(u.username, u.name, u.role, "disabled" if u.disabled_at else "") for u in found]
    return Answer([as_json(u) for u in found], table(("USER", "NAME", "ROLE", ""), rows))


@users.command("disable")
@click.argument("username")
@operation
def disable(app: App, actor: Actor, username: str) -> Answer:
    """End all of somebody's sessions, and let them sign in no more."""
    core.users.disable(app, actor, username)
    return Answer({"disabled": username}, f"{username} can no longer sign in.")


@users.command("enable")
@click.argument("username")
@operation
def enable(app: App, actor: Actor, username: str) -> Answer:
    """Let a disabled user sign in again."""
    core.users.enable(app, actor, username)
    return Answer({"enabled": username}, f"{username} can sign in again.")


def as_json(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "username": user.username,
        "name": user.name,
        "role": user.role,
        "email": user.email,
        "must_change_password": user.must_change_password,
        "disabled_at": user.disabled_at,
    }

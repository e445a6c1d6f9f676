"""Every statement on rows that belong to tenants says which tenant, or which row, it means.

Listens to the database while use cases run: a SELECT, UPDATE or DELETE on such a table without tenant_id, a
campaign or a primary key in its conditions would reach into every tenant.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, select
from sqlalchemy.sql import visitors
from sqlalchemy.sql.elements import ColumnElement

from core.access import Role
from core.app import App
from core.db.base import Base
from core.db.models import Message, Suppression
from core.reports import overview
from tests.integration.test_access_matrix import World, outcome, somebody, world
from tests.use_cases import OF_TENANT

__all__ = ["world"]

OWNED = {
    table.name
    for table in Base.metadata.tables.values()
    if "tenant_id" in table.columns and table.name not in ("audit_entries", "user_tenants", "parked_events")
}
SCOPES = {"tenant_id", "campaign_id", "message_id"}


def scoped(statement: Any) -> bool:
    """Whether each tenant-owned table of the statement is named in a condition by tenant, parent or key."""
    tables = {
        found.name: found for found in visitors.iterate(statement) if getattr(found, "name", None) in OWNED
        and found.__visit_name__ == "table"
    }  # fmt: skip
    conditions = [clause for clause in visitors.iterate(statement) if clause.__visit_name__ == "binary"]
    named: dict[str, set[str]] = {name: set() for name in tables}
    for condition in conditions:
        for column in visitors.iterate(condition):
            table = getattr(getattr(column, "table", None), "name", None)
            if isinstance(column, ColumnElement) and table in named:
                named[table].add(column.key)
    keys = {name: {column.key for column in table.primary_key} for name, table in tables.items()}
    return all(columns & (SCOPES | keys[name]) for name, columns in named.items())


@contextmanager
def watched(app: App) -> Iterator[list[str]]:
    unscoped: list[str] = []

    def look(_connection: Any, statement: Any, *_: Any) -> None:
        if getattr(statement, "is_dml", False) and getattr(statement, "is_insert", False):
            return
        if (getattr(statement, "is_select", False) or getattr(statement, "is_dml", False)) and not scoped(
            statement
        ):
            unscoped.append(str(statement))

    event.listen(app.db.engine, "before_execute", look)
    try:
        yield unscoped
    finally:
        event.remove(app.db.engine, "before_execute", look)


def test_the_watch_sees_what_has_no_scope(world: World) -> None:
    with watched(world.app) as unscoped, world.app.db.read() as session:
        session.execute(select(Message.address).where(Message.address_key == "ann@example.com")).all()
        session.execute(select(Suppression.id)).all()
        session.execute(select(Message.id).where(Message.tenant_id == 1)).all()
        session.get(Message, 1)
    assert len(unscoped) == 2


@pytest.mark.parametrize("name", OF_TENANT)
def test_a_use_case_asks_for_one_tenants_rows_alone(world: World, name: str) -> None:
    call = OF_TENANT[name][1]
    actor = somebody(Role.ADMIN, world)
    with watched(world.app) as unscoped:
        outcome(lambda: call(world.app, actor, world.acme.tenant, world.acme))
    assert unscoped == []


@pytest.mark.parametrize("role", Role)
def test_what_lists_every_tenant_names_those_it_may_show(world: World, role: Role) -> None:
    actor = somebody(role, world)
    with watched(world.app) as unscoped:
        outcome(lambda: overview(world.app, actor))
    assert unscoped == []

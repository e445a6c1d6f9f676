"""Exporting: the list, or what a search leaves of it, as CSV that importing reads again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import select

from core import audit
from core.access import Action, Actor
from core.app import App
from core.db.models import Suppression
from core.spreadsheets import csv_row
from core.suppressions.directory import count_wanted, wanted
from core.tenants import get_tenant

EXPORTED = ("address", "reason", "source", "note", "created_at", "created_by")
EXPORT_BLOCK = 5_000


def export_csv(
    app: App, actor: Actor, tenant_id: int, *, search: str = "", reason: str | None = None
) -> Iterator[str]:
    """The entries as CSV, line by line, in flat memory, formula-safe; what `import_csv` reads. Who took it
    and how many entries it had is in the audit log before the first line leaves."""
    actor.must(Action.EXPORT_SUPPRESSIONS, tenant_id)
    narrowed = {name: given for name, given in (("reason", reason), ("search", search.strip())) if given}
    with app.db.begin() as session:
        get_tenant(session, tenant_id)
        audit.record(
            session, actor, "export suppressions", "suppression list", at=app.now(), tenant_id=tenant_id,
            entries=count_wanted(session, tenant_id, search, reason), **narrowed,
        )  # fmt: skip
    return _exported(app, tenant_id, search, reason)


def _exported(app: App, tenant_id: int, search: str, reason: str | None) -> Iterator[str]:
    yield csv_row(EXPORTED)
    after = ""
    while True:
        query = (
            select(*(getattr(Suppression, name) for name in EXPORTED))
            .where(*wanted(tenant_id, search, reason), Suppression.address > after)
            .order_by(Suppression.address)
            .limit(EXPORT_BLOCK)
        )
        with app.db.read() as session:
            rows = session.execute(query).all()
        for row in rows:
            yield csv_row(value.isoformat() if isinstance(value, datetime) else value for value in row)
        if len(rows) < EXPORT_BLOCK:
            return
        after = rows[-1].address

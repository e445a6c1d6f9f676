"""`postyard suppressions`: addresses a tenant must not write to."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

import core.suppressions
from core import tenants
from core.access import Actor
from core.app import App
from core.cli.operation import (
    Answer,
    file_argument,
    operation,
    pairs,
    rejections_json,
    rejections_text,
    table,
)
from core.db.models import Suppression
from core.db.states import SuppressionReason
from core.errors import InputError


@click.group()
def suppressions() -> None:
    """Addresses a tenant must not write to."""


@suppressions.command("list")
@click.argument("tenant")
@click.option("--search", default="", help="Part of an address.")
@click.option("--reason", type=click.Choice([reason.value for reason in SuppressionReason]))
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
@operation
def list_(app: App, actor: Actor, tenant: str, search: str, reason: str | None, limit: int) -> Answer:
    """Newest first; `export` has them all."""
    tenant_id = tenants.get_by_slug(app, actor, tenant).id
    only = SuppressionReason(reason) if reason else None
    found = core.suppressions.list_suppressions(
        app, actor, tenant_id, search=search, reason=only, limit=limit
    )
    rows = [(s.address, s.reason, s.source, f"{s.created_at:%Y-%m-%d %H:%M}") for s in found]
    return Answer([as_json(s) for s in found], table(("ADDRESS", "REASON", "SOURCE", "SINCE"), rows))


@suppressions.command("add")
@click.argument("tenant")
@click.argument("address")
@click.option("--note", default="", help="Why; people will read it.")
@operation
def add(app: App, actor: Actor, tenant: str, address: str, note: str) -> Answer:
    """Never write to this address again."""
    core.suppressions.add(app, actor, tenants.get_by_slug(app, actor, tenant).id, address, note)
    return Answer({"added": address}, f"{address} is suppressed.")


@suppressions.command("release")
@click.argument("tenant")
@click.argument("address")
@click.option("--reason", required=True, help="Why it may be written to again.")
@operation
def release(app: App, actor: Actor, tenant: str, address: str, reason: str) -> Answer:
    """Let the address be written to again."""
    core.suppressions.release(app, actor, tenants.get_by_slug(app, actor, tenant).id, address, reason)
    return Answer({"released": address}, f"{address} may be written to again.")


@suppressions.command("import")
@click.argument("tenant")
@click.argument("file", type=file_argument)
@click.option("--map", "columns", multiple=True, metavar="FIELD=COLUMN", help="email=E-Mail")
@operation
def import_(app: App, actor: Actor, tenant: str, file: Path, columns: Sequence[str]) -> Answer:
    """Suppress every address of a CSV file."""
    tenant_id = tenants.get_by_slug(app, actor, tenant).id
    done = core.suppressions.import_csv(
        app, actor, tenant_id, file.read_bytes(), file.name, pairs("--map", columns) or None
    )
    value = {"added": done.added, "already": done.already, "rejected": len(done.rejected)}
    head = f"{done.added} added, {done.already} were there already, {len(done.rejected)} rejected."
    return Answer(
        value | {"rejections": rejections_json(done.rejected)}, rejections_text(head, done.rejected)
    )


@suppressions.command("export")
@click.argument("tenant")
@click.option("--output", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Not stdout.")
@operation
def export(app: App, actor: Actor, tenant: str, output: Path | None) -> Answer:
    """The whole list as CSV, which `import` reads again; with --json and no --output as JSON."""
    lines = core.suppressions.export_csv(app, actor, tenants.get_by_slug(app, actor, tenant).id)
    if output is None:
        return Answer(lambda: list(csv.DictReader(io.StringIO("".join(lines), newline=""))), lines)
    try:
        with output.open("w", encoding="utf-8", newline="") as file:
            file.writelines(lines)
    except OSError as e:
        raise InputError(f"Cannot write {output} ({e.strerror}). Name a file that can be written.") from e
    return Answer({"file": str(output)}, f"Written to {output}.")


def as_json(suppression: Suppression) -> dict[str, Any]:
    return {
        "address": suppression.address,
        "reason": suppression.reason,
        "source": suppression.source,
        "note": suppression.note,
        "campaign_id": suppression.campaign_id,
        "created_by": suppression.created_by,
        "created_at": suppression.created_at,
    }

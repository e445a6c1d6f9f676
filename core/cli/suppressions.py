"""`postyard suppressions`: addresses a tenant must not write to."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict
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
from core.recipients import Rejection

reason_option = click.option(
    "--reason", type=click.Choice([reason.value for reason in SuppressionReason]), help="Only such entries."
)


@click.group()
def suppressions() -> None:
    """Addresses a tenant must not write to."""


@suppressions.command("list")
@click.argument("tenant")
@click.option("--search", default="", help="Part of an address.")
@reason_option
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
@operation
def list_(app: App, actor: Actor, tenant: str, search: str, reason: str | None, limit: int) -> Answer:
    """Newest first; `export` has them all."""
    tenant_id = tenants.get_by_slug(app, actor, tenant).id
    found = core.suppressions.list_suppressions(
        app, actor, tenant_id, search=search, reason=reason, limit=limit
    )
    rows = [(s.address, s.reason, s.source, f"{s.created_at:%Y-%m-%d %H:%M}") for s in found]
    return Answer([as_json(s) for s in found], table(("ADDRESS", "REASON", "SOURCE", "SINCE"), rows))


@suppressions.command("add")
@click.argument("tenant")
@click.argument("addresses", nargs=-1, required=True)
@click.option("--note", default="", help="Why; people will read it.")
@click.option("--whole-provider", is_flag=True, help="Also everybody at a big mailbox provider.")
@operation
def add(
    app: App, actor: Actor, tenant: str, addresses: Sequence[str], note: str, whole_provider: bool
) -> Answer:
    """Never write to these again: addresses, or @example.com for everybody at that domain."""
    tenant_id = tenants.get_by_slug(app, actor, tenant).id
    done = core.suppressions.add_several(
        app, actor, tenant_id, "\n".join(addresses), note, whole_provider=whole_provider
    )
    value = {"added": done.added, "already": done.already, "rejected": rejections_json(done.rejected)}
    head = f"{len(done.added)} added, {len(done.already)} were there already."
    return Answer(value, rejections_text(head, done.rejected), ok=not done.rejected)


@suppressions.command("release")
@click.argument("tenant")
@click.argument("addresses", nargs=-1, required=True)
@click.option("--reason", required=True, help="Why they may be written to again.")
@click.option("--recipient-asked", is_flag=True, help="After an unsubscription: the recipient asks for it.")
@operation
def release(
    app: App, actor: Actor, tenant: str, addresses: Sequence[str], reason: str, recipient_asked: bool
) -> Answer:
    """Let addresses be written to again, here and at SES."""
    tenant_id = tenants.get_by_slug(app, actor, tenant).id
    if len(addresses) == 1:
        core.suppressions.release(
            app, actor, tenant_id, addresses[0], reason, recipient_asked=recipient_asked
        )
        return Answer({"released": [*addresses], "kept": {}}, f"{addresses[0]} may be written to again.")
    done = core.suppressions.release_several(
        app, actor, tenant_id, addresses, reason, recipient_asked=recipient_asked
    )
    lines = [f"{len(done.released)} released.", *(f"  {key}: {why}" for key, why in done.kept.items())]
    return Answer({"released": done.released, "kept": done.kept}, "\n".join(lines), ok=not done.kept)


@suppressions.command("import")
@click.argument("tenant")
@click.argument("file", type=file_argument)
@click.option("--map", "columns", multiple=True, metavar="FIELD=COLUMN", help="email=E-Mail")
@click.option("--whole-provider", is_flag=True, help="Also everybody at a big mailbox provider.")
@click.option("--check", is_flag=True, help="Only say what would be added.")
@operation
def import_(
    app: App,
    actor: Actor,
    tenant: str,
    file: Path,
    columns: Sequence[str],
    whole_provider: bool,
    check: bool,
) -> Answer:
    """Suppress every address and @domain of a CSV file; columns reason, note and created_at are kept."""
    tenant_id = tenants.get_by_slug(app, actor, tenant).id
    given = (app, actor, tenant_id, file.read_bytes(), file.name, pairs("--map", columns) or None)
    if check:
        found = core.suppressions.check_import(*given, whole_providers=whole_provider)
        head = f"{found.new} would be added, {found.already} are there already"
        return _imported({"new": found.new, "already": found.already}, head, found.rejected)
    done = core.suppressions.import_csv(*given, whole_providers=whole_provider)
    head = f"{done.added} added, {done.already} were there already"
    return _imported({"added": done.added, "already": done.already}, head, done.rejected)


def _imported(value: dict[str, Any], head: str, rejected: Sequence[Rejection]) -> Answer:
    return Answer(
        value | {"rejected": len(rejected), "rejections": rejections_json(rejected)},
        rejections_text(f"{head}, {len(rejected)} rejected.", rejected),
    )


@suppressions.command("export")
@click.argument("tenant")
@click.option("--search", default="", help="Part of an address.")
@reason_option
@click.option("--output", type=click.Path(dir_okay=False, writable=True, path_type=Path), help="Not stdout.")
@operation
def export(
    app: App, actor: Actor, tenant: str, search: str, reason: str | None, output: Path | None
) -> Answer:
    """The list as CSV, which `import` reads again; with --json and no --output as JSON."""
    tenant_id = tenants.get_by_slug(app, actor, tenant).id
    lines = core.suppressions.export_csv(app, actor, tenant_id, search=search, reason=reason)
    if output is None:
        return Answer(lambda: list(csv.DictReader(io.StringIO("".join(lines), newline=""))), lines)
    try:
        with output.open("w", encoding="utf-8", newline="") as file:
            file.writelines(lines)
    except OSError as e:
        raise InputError(f"Cannot write {output} ({e.strerror}). Name a file that can be written.") from e
    return Answer({"file": str(output)}, f"Written to {output}.")


@suppressions.command("compare")
@click.argument("tenant")
@operation
def compare(app: App, actor: Actor, tenant: str) -> Answer:
    """Compare the list with SES's now, and the account's list with it."""
    found = core.suppressions.compare_now(app, actor, tenants.get_by_slug(app, actor, tenant).id)
    said = ", ".join(f"{number} {kind}" for kind, number in sorted(found.differences.items()))
    rest = " The scheduler compares the rest." if found.is_under_way else ""
    scope = "" if found.is_asked else " SES asks the account's list for this tenant: repair its setup."
    return Answer(
        asdict(found), f"{found.listed} addresses on SES's list; {said or 'no difference'}.{rest}{scope}"
    )


@suppressions.command("differences")
@click.argument("tenant")
@click.option("--account", is_flag=True, help="What stands on SES's list of the whole AWS account.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000))
@operation
def differences(app: App, actor: Actor, tenant: str, account: bool, limit: int) -> Answer:
    """Where our list and SES's do not agree, as last compared."""
    found_tenant = tenants.get_by_slug(app, actor, tenant)
    if account:
        rows = core.suppressions.list_account_differences(app, actor, found_tenant.account_id, limit=limit)
        found = [row.difference for row in rows]
    else:
        found = core.suppressions.list_differences(app, actor, found_tenant.id, limit=limit)
    shown = [(d.id, d.address, d.kind, d.reason, f"{d.found_at:%Y-%m-%d %H:%M}") for d in found]
    value = [
        {name: getattr(d, name) for name in ("id", "address", "kind", "reason", "listed_at", "found_at")}
        for d in found
    ]
    return Answer(value, table(("ID", "ADDRESS", "WHAT", "REASON", "FOUND"), shown))


@suppressions.command("repair")
@click.argument("tenant")
@click.argument("ids", nargs=-1, type=int)
@click.option("--all", "everything", is_flag=True, help="Every difference of the tenant.")
@click.option("--account", is_flag=True, help="Take them off SES's list of the whole AWS account.")
@click.option("--reason", default="", help="With --account: why.")
@operation
def repair(
    app: App,
    actor: Actor,
    tenant: str,
    ids: Sequence[int],
    everything: bool,
    account: bool,
    reason: str,
) -> Answer:
    """Put differences right, by the ids that `differences` shows, or all of a tenant's."""
    found = tenants.get_by_slug(app, actor, tenant)
    if everything != (not ids) or (everything and account):
        raise InputError("Name the ids of differences, or say --all for those of the tenant.")
    if everything:
        done = core.suppressions.repair_all(app, actor, found.id)
        lines = [
            f"{done.repaired} repaired, {done.left} left.",
            *(f"  {k}: {w}" for k, w in done.kept.items()),
        ]
        return Answer(asdict(done), "\n".join(lines), ok=not done.left)
    said = {}
    for each in ids:
        if account:
            address = core.suppressions.release_at_account(app, actor, found.account_id, each, reason)
            said[each] = f"{address} is off the account's list."
        else:
            said[each] = core.suppressions.repair(app, actor, found.id, each)
    return Answer(
        {str(number): done for number, done in said.items()},
        "\n".join(f"{number}: {done}" for number, done in said.items()),
    )


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

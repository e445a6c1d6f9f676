"""`postyard checklist`: what a tenant still needs before its mail goes out well."""

from __future__ import annotations

from dataclasses import asdict

import click

import core.checklist
from core import tenants
from core.access import Actor
from core.app import App
from core.checklist import Item, State
from core.cli.operation import Answer, operation, table


@click.command()
@click.argument("tenant")
@click.option("--prove", is_flag=True, help="First send a test message, whose events must come back.")
@operation
def checklist(app: App, actor: Actor, tenant: str, prove: bool) -> Answer:
    """What a tenant still needs, computed from what is there; exit code 1 while something is to do."""
    tenant_id = tenants.get_by_slug(app, actor, tenant).id
    if prove:
        core.checklist.prove_pipeline(app, actor, tenant_id)
    items = core.checklist.checklist(app, actor, tenant_id)
    return Answer(
        [asdict(item) for item in items],
        table(("STATE", "ITEM", "FOUND"), [(item.state, item.title, _line(item)) for item in items]),
        ok=all(item.state != State.TODO for item in items),
    )


def _line(item: Item) -> str:
    return " ".join(part for part in (item.found, item.advice, *item.others) if part)

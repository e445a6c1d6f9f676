"""`postyard tenants`: customers whose mail is kept apart."""

from __future__ import annotations

from typing import Any

import click

import core.tenants
from core.access import Actor
from core.app import App
from core.cli.operation import Answer, operation, table
from core.db.models import Tenant


@click.group()
def tenants() -> None:
    """Customers whose mail is kept apart."""


@tenants.command("create")
@click.argument("slug")
@click.option("--name", required=True, help="What people call it.")
@click.option("--timezone", default="UTC", show_default=True, help="IANA zone its people think in.")
@operation
def create(app: App, actor: Actor, slug: str, name: str, timezone: str) -> Answer:
    """Make a tenant with all it needs in SES; repeat it after a failure to go on."""
    tenant = core.tenants.create(app, actor, slug=slug, name=name, timezone=timezone)
    return Answer(as_json(tenant), f"Tenant {slug} is ready. Next: postyard senders add {slug} ADDRESS")


@tenants.command("list")
@operation
def list_(app: App, actor: Actor) -> Answer:
    """All tenants and whether they may send."""
    found = core.tenants.list_tenants(app, actor)
    rows = [(t.slug, t.name, _state(t), t.paused_reason) for t in found]
    return Answer([as_json(t) for t in found], table(("TENANT", "NAME", "STATE", "REASON"), rows))


@tenants.command("pause")
@click.argument("slug")
@click.option("--reason", required=True, help="Why; people will read it.")
@operation
def pause(app: App, actor: Actor, slug: str, reason: str) -> Answer:
    """Stop a tenant's mail, also what is queued."""
    tenant = core.tenants.get_by_slug(app, actor, slug)
    core.tenants.pause(app, actor, tenant.id, reason)
    return Answer(as_json(core.tenants.get_by_slug(app, actor, slug)), f"Tenant {slug} is paused.")


@tenants.command("resume")
@click.argument("slug")
@click.option("--reason", required=True, help="What has changed; people will read it.")
@operation
def resume(app: App, actor: Actor, slug: str, reason: str) -> Answer:
    """Let a paused tenant send again; its rates are judged anew from now."""
    tenant = core.tenants.get_by_slug(app, actor, slug)
    core.tenants.resume(app, actor, tenant.id, reason)
    return Answer(as_json(core.tenants.get_by_slug(app, actor, slug)), f"Tenant {slug} may send again.")


def _state(tenant: Tenant) -> str:
    return tenant.sending_status if tenant.provisioned_at else "NOT COMPLETE"


def as_json(tenant: Tenant) -> dict[str, Any]:
    return {
        "id": tenant.id,
        "slug": tenant.slug,
        "name": tenant.name,
        "timezone": tenant.timezone,
        "sending_status": tenant.sending_status,
        "paused_reason": tenant.paused_reason,
        "paused_by": tenant.paused_by,
        "provisioned_at": tenant.provisioned_at,
        "configuration_set": tenant.configuration_set,
        "is_demo": tenant.is_demo,
    }

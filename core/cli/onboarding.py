"""`postyard onboarding`: the page that whoever manages a domain's DNS sees without a log-in."""

from __future__ import annotations

from typing import Any

import click

import core.onboarding
from core import senders, tenants
from core.access import Actor
from core.app import App
from core.cli.operation import Answer, operation, table
from core.db.models import OnboardingLink
from core.errors import NotFound


@click.group()
def onboarding() -> None:
    """Links to a domain's records, for whoever manages its DNS."""


@onboarding.command("link")
@click.argument("tenant")
@click.argument("domain")
@click.option("--days", default=core.onboarding.DAYS, show_default=True, help="How long it is valid.")
@click.option("--note", default="", help="For whom it is.")
@operation
def link(app: App, actor: Actor, tenant: str, domain: str, days: int, note: str) -> Answer:
    """Make a link to DOMAIN's records (a sender's address will do); its address is printed this once."""
    tenant_id = tenants.get_by_slug(app, actor, tenant).id
    identity_id = _identity_id(app, actor, tenant_id, domain.strip().lower())
    made, url = core.onboarding.create_link(app, actor, tenant_id, identity_id, days=days, note=note)
    return Answer(as_json(made) | {"url": url}, f"{url}\nValid until {made.expires_at:%Y-%m-%d %H:%M} UTC.")


@onboarding.command("list")
@click.argument("tenant")
@operation
def list_(app: App, actor: Actor, tenant: str) -> Answer:
    """A tenant's links, whether they still open, and when somebody last did."""
    views = core.onboarding.list_links(app, actor, tenants.get_by_slug(app, actor, tenant).id)
    rows = [
        (v.link.id, v.domain, v.state, f"{v.link.expires_at:%Y-%m-%d}", _opened(v.link), v.link.note)
        for v in views
    ]
    return Answer(
        [as_json(v.link) | {"domain": v.domain, "state": v.state} for v in views],
        table(("LINK", "DOMAIN", "STATE", "EXPIRES", "OPENED", "NOTE"), rows),
    )


@onboarding.command("revoke")
@click.argument("tenant")
@click.argument("link_id", metavar="LINK", type=int)
@operation
def revoke(app: App, actor: Actor, tenant: str, link_id: int) -> Answer:
    """Close the page at once."""
    tenant_id = tenants.get_by_slug(app, actor, tenant).id
    revoked = core.onboarding.revoke_link(app, actor, tenant_id, link_id)
    return Answer(as_json(revoked), f"Link {link_id} does not open any more.")


def _identity_id(app: App, actor: Actor, tenant_id: int, name: str) -> int:
    for view in senders.list_senders(app, actor, tenant_id):
        if name in (view.identity.name, view.sender.address):
            return view.identity.id
    raise NotFound(f"No sender here is on '{name}'. postyard senders list shows them.")


def _opened(shown: OnboardingLink) -> str | None:
    return f"{shown.opened_at:%Y-%m-%d %H:%M}" if shown.opened_at else None


def as_json(shown: OnboardingLink) -> dict[str, Any]:
    return {
        "id": shown.id,
        "note": shown.note,
        "created_by": shown.created_by,
        "created_at": shown.created_at,
        "expires_at": shown.expires_at,
        "revoked_at": shown.revoked_at,
        "revoked_by": shown.revoked_by,
        "opened_at": shown.opened_at,
    }

"""`postyard senders`: From addresses, their DNS records and verification."""

from __future__ import annotations

from typing import Any

import click

import core.senders
from core import tenants
from core.access import Actor
from core.app import App
from core.cli.operation import Answer, operation, table
from core.db.models import Identity, Sender


@click.group()
def senders() -> None:
    """From addresses, their DNS records and verification."""


@senders.command("add")
@click.argument("tenant")
@click.argument("address")
@click.option("--name", default="", help="Shown before the address: NAME <ADDRESS>.")
@operation
def add(app: App, actor: Actor, tenant: str, address: str, name: str) -> Answer:
    """Add a From address; its domain must then be verified."""
    tenant_id = tenants.get_by_slug(app, actor, tenant).id
    sender = core.senders.add(app, actor, tenant_id, address, name)
    return Answer(
        as_json(sender), f"Added {sender.address}. Next: postyard senders records {tenant} {address}"
    )


@senders.command("list")
@click.argument("tenant")
@operation
def list_(app: App, actor: Actor, tenant: str) -> Answer:
    """A tenant's senders and the state of their domains."""
    views = core.senders.list_senders(app, actor, tenants.get_by_slug(app, actor, tenant).id)
    rows = [(v.sender.address, v.identity.verification_status, _star(v.sender)) for v in views]
    return Answer(
        [as_json(v.sender, v.identity) for v in views], table(("ADDRESS", "DOMAIN", "DEFAULT"), rows)
    )


@senders.command("records")
@click.argument("tenant")
@click.argument("address")
@operation
def records(app: App, actor: Actor, tenant: str, address: str) -> Answer:
    """The DNS records that verify the sender's domain."""
    tenant_id, sender = _sender(app, actor, tenant, address)
    found = core.senders.records(app, actor, tenant_id, sender.id)
    rows = [(r.type, r.name, r.value, "required" if r.required else "recommended") for r in found]
    return Answer([r.as_json() for r in found], table(("TYPE", "NAME", "VALUE", ""), rows))


@senders.command("verify")
@click.argument("tenant")
@click.argument("address")
@operation
def verify(app: App, actor: Actor, tenant: str, address: str) -> Answer:
    """Ask SES and DNS now; exit code 1 while the domain is not verified."""
    tenant_id, sender = _sender(app, actor, tenant, address)
    identity = core.senders.verify_now(app, actor, tenant_id, sender.id)
    return Answer(
        as_json(sender, identity),
        _verdict(identity, f"postyard senders records {tenant} {address}"),
        ok=identity.verified_for_sending,
    )


@senders.command("default")
@click.argument("tenant")
@click.argument("address")
@operation
def default(app: App, actor: Actor, tenant: str, address: str) -> Answer:
    """Make it the sender that a new campaign proposes."""
    tenant_id, sender = _sender(app, actor, tenant, address)
    core.senders.set_default(app, actor, tenant_id, sender.id)
    return Answer(as_json(_sender(app, actor, tenant, address)[1]), f"{address} is the default sender.")


@senders.command("remove")
@click.argument("tenant")
@click.argument("address")
@operation
def remove(app: App, actor: Actor, tenant: str, address: str) -> Answer:
    """Remove a sender that no active campaign uses."""
    tenant_id, sender = _sender(app, actor, tenant, address)
    core.senders.remove(app, actor, tenant_id, sender.id)
    return Answer({"removed": sender.address}, f"Removed {sender.address}.")


def _sender(app: App, actor: Actor, tenant: str, address: str) -> tuple[int, Sender]:
    tenant_id = tenants.get_by_slug(app, actor, tenant).id
    return tenant_id, core.senders.by_address(app, actor, tenant_id, address)


def _star(sender: Sender) -> str:
    return "yes" if sender.is_default else ""


def _verdict(identity: Identity, records_command: str) -> str:
    if identity.verified_for_sending:
        return f"{identity.name} is verified."
    return f"{identity.name} is {identity.verification_status}. DNS needs what this prints: {records_command}"


def as_json(sender: Sender, identity: Identity | None = None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "id": sender.id,
        "address": sender.address,
        "display_name": sender.display_name,
        "is_default": sender.is_default,
    }
    if identity is not None:
        shown |= {
            "domain": identity.name,
            "verification_status": identity.verification_status,
            "verified_for_sending": identity.verified_for_sending,
            "dkim_status": identity.dkim_status,
            "error_type": identity.error_type,
            "error_detail": identity.error_detail,
            "checked_at": identity.checked_at,
        }
    return shown

"""`postyard senders`: From addresses, their DNS records and verification."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import click

import core.senders
from core import identities, tenants, zonefiles
from core.access import Actor
from core.app import App
from core.cli.operation import Answer, operation, table
from core.db.models import Identity, Sender
from core.dns import DnsRecord, Finding, Kind, Verdict
from core.senders import Removed

EXPORTS: dict[str, Callable[[str, Sequence[Finding]], str]] = {
    "bind": zonefiles.bind,
    "route53": zonefiles.route53,
    "cloudflare": zonefiles.cloudflare,
}


@click.group()
def senders() -> None:
    """From addresses, their DNS records and verification."""


@senders.command("add")
@click.argument("tenant")
@click.argument("address")
@click.option("--name", default="", help="Shown before the address: NAME <ADDRESS>.")
@click.option("--address-only", is_flag=True, help="Verify the address alone, by a mail: for development.")
@operation
def add(app: App, actor: Actor, tenant: str, address: str, name: str, address_only: bool) -> Answer:
    """Add a From address; its domain must then be verified."""
    tenant_id = tenants.get_by_slug(app, actor, tenant).id
    sender = core.senders.add(app, actor, tenant_id, address, name, own_identity=address_only)
    todo = (
        "click the link in the mail that SES sends to it"
        if address_only
        else (f"postyard senders records {tenant} {sender.address}")
    )
    return Answer(as_json(sender), f"Added {sender.address}. Next: {todo}")


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
@click.option(
    "--format",
    "shape",
    type=click.Choice(["table", *EXPORTS]),
    default="table",
    show_default=True,
    help="As a zone file, Route 53's change batch or Cloudflare's import: what the last check missed.",
)
@operation
def records(app: App, actor: Actor, tenant: str, address: str, shape: str) -> Answer:
    """The DNS records that verify the sender's domain."""
    tenant_id, sender = _sender(app, actor, tenant, address)
    found = core.senders.findings(app, actor, tenant_id, sender.id)
    if shape == "table":
        value = [{**finding.record.as_json(), **finding.as_json()} for finding in found]
        return Answer(value, _findings_table(found))
    exported = EXPORTS[shape](sender.address.rpartition("@")[2], found)
    return Answer({"format": shape, "content": exported}, exported.rstrip("\n"))


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


@senders.command("mail-from")
@click.argument("tenant")
@click.argument("address")
@click.argument("domain", required=False)
@operation
def mail_from(app: App, actor: Actor, tenant: str, address: str, domain: str | None) -> Answer:
    """Let bounces come back to DOMAIN, below the sender's own; without one, to amazonses.com."""
    tenant_id, sender = _sender(app, actor, tenant, address)
    identity = identities.set_mail_from(app, actor, tenant_id, sender.identity_id, domain)
    said = f"Bounces of {identity.name} come back to {identity.mail_from_domain or 'amazonses.com'}."
    more = f" Next: postyard senders records {tenant} {address}" if domain else ""
    return Answer(as_json(sender, identity), said + more)


@senders.command("delete")
@click.argument("tenant")
@click.argument("address")
@click.option("--at-once", is_flag=True, help="Without seven days in which it can be restored.")
@operation
def delete(app: App, actor: Actor, tenant: str, address: str, at_once: bool) -> Answer:
    """Delete a sender that no active campaign uses; prints what may be taken out of DNS."""
    tenant_id = tenants.get_by_slug(app, actor, tenant).id
    sender = core.senders.by_address(app, actor, tenant_id, address, deleted=at_once)
    removed = core.senders.remove(app, actor, tenant_id, sender.id, at_once=at_once, version=sender.version)
    value = {
        "removed": removed.address,
        "gone_at": removed.gone_at,
        "was_default": removed.was_default,
        "records": [record.as_json() for record in removed.records],
    }
    return Answer(value, _told(removed, tenant, at_once=at_once))


# Its name in the first release; scripts may have it.
senders.add_command(
    click.Command("remove", params=delete.params, callback=delete.callback, help=delete.help, hidden=True)
)


@senders.command("deleted")
@click.argument("tenant")
@operation
def deleted(app: App, actor: Actor, tenant: str) -> Answer:
    """Deleted senders that can be restored, and until when."""
    views = core.senders.list_deleted(app, actor, tenants.get_by_slug(app, actor, tenant).id)
    rows = [(v.sender.address, _day(v.restorable_until), v.sender.deleted_by) for v in views]
    value = [{**as_json(v.sender, v.identity), "restorable_until": v.restorable_until} for v in views]
    return Answer(value, table(("ADDRESS", "UNTIL", "DELETED BY"), rows))


@senders.command("restore")
@click.argument("tenant")
@click.argument("address")
@operation
def restore(app: App, actor: Actor, tenant: str, address: str) -> Answer:
    """Take a deletion back."""
    tenant_id = tenants.get_by_slug(app, actor, tenant).id
    sender = core.senders.by_address(app, actor, tenant_id, address, deleted=True)
    core.senders.restore(app, actor, tenant_id, sender.id)
    return Answer(as_json(_sender(app, actor, tenant, address)[1]), f"{sender.address} is back.")


def _told(removed: Removed, tenant: str, *, at_once: bool) -> str:
    lines = [f"Deleted {removed.address}."]
    if not at_once:
        until = _day(removed.gone_at)
        lines.append(f"It can be restored until {until}: postyard senders restore {tenant} {removed.address}")
    if removed.was_default:
        lines.append(f"It was the default. Choose another: postyard senders default {tenant} ADDRESS")
    if removed.records:
        lines += ["These records may be taken out of DNS then:", _records_table(removed.records)]
    return "\n".join(lines)


def _records_table(records: Sequence[DnsRecord]) -> str:
    return table(("TYPE", "NAME", "VALUE"), [(r.type, r.name, r.value) for r in records])


def _findings_table(found: Sequence[Finding]) -> str:
    rows = [
        (f.record.type, f.record.name, _value(f), _need(f.record), f.mistake or f.verdict.value)
        for f in found
    ]
    return table(("TYPE", "NAME", "VALUE", "", "LAST CHECK"), rows)


def _value(finding: Finding) -> str:
    """To publish; of what is found, what stands there."""
    if finding.to_publish is None and finding.verdict is Verdict.FOUND:
        return next(iter(finding.found), finding.record.value)
    return finding.to_publish or "(what is there must be kept: see the Senders page)"


def _need(record: DnsRecord) -> str:
    if record.required:
        return "required"
    return "optional" if record.kind is Kind.OWNERSHIP else "recommended"


def _day(at: datetime | None) -> str:
    return "" if at is None else f"{at:%Y-%m-%d %H:%M} UTC"


def _sender(app: App, actor: Actor, tenant: str, address: str) -> tuple[int, Sender]:
    tenant_id = tenants.get_by_slug(app, actor, tenant).id
    return tenant_id, core.senders.by_address(app, actor, tenant_id, address)


def _star(sender: Sender) -> str:
    return "yes" if sender.is_default else ""


def _verdict(identity: Identity, records_command: str) -> str:
    if identity.verified_for_sending:
        return f"{identity.name} is verified."
    lines = [
        f"{identity.name} is {identity.verification_status}. DNS needs what this prints: {records_command}"
    ]
    lines += [
        f"  {finding['type']} {finding['name']}: {finding['advice']}"
        for finding in identity.dns_findings
        if finding.get("advice")
    ]
    return "\n".join(lines)


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
            "verification_info": identity.verification_info,
            "mail_from_domain": identity.mail_from_domain,
            "mail_from_status": identity.mail_from_status,
            "broken_at": identity.broken_at,
            "broken_reason": identity.broken_reason,
            "checked_at": identity.checked_at,
            "findings": identity.dns_findings,
        }
    return shown

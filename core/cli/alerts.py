"""`postyard alerts`: what a person should know, and where it is sent."""

from __future__ import annotations

from typing import Any, TextIO

import click

import core.alerts
from core import notices, tenants
from core.access import Actor
from core.app import App
from core.cli.operation import Answer, operation, table
from core.db.models import Alert
from core.errors import InputError, NotFound
from core.notices import ChannelKind, ChannelView

of_tenant = click.option("--tenant", metavar="SLUG", help="Of this tenant alone.")


@click.group()
def alerts() -> None:
    """What a person should know, and where it is sent."""


@alerts.command("list")
@of_tenant
@click.option("--all", "past", is_flag=True, help="Also those that are over.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 10_000), help="With --all.")
@operation
def list_(app: App, actor: Actor, tenant: str | None, past: bool, limit: int) -> Answer:
    """Newest first."""
    tenant_id = _tenant_id(app, actor, tenant)
    if past:
        found = core.alerts.list_history(app, actor, tenant_id, limit=limit)
    else:
        found = core.alerts.list_open(app, actor, tenant_id)
    slugs = _slugs(app, actor)
    rows = [
        (
            f"{alert.raised_at:%Y-%m-%d %H:%M}",
            alert.cleared_at and f"{alert.cleared_at:%Y-%m-%d %H:%M}",
            slugs.get(alert.tenant_id),
            alert.kind,
            alert.sentence,
        )
        for alert in found
    ]
    return Answer(
        [_alert_json(alert, slugs) for alert in found],
        table(("SINCE", "UNTIL", "TENANT", "KIND", "WHAT"), rows) if rows else "No alerts: all is well.",
    )


@alerts.command("channels")
@of_tenant
@operation
def channels(app: App, actor: Actor, tenant: str | None) -> Answer:
    """Where alerts are sent, and what became of the last ones."""
    found = notices.list_channels(app, actor, _tenant_id(app, actor, tenant))
    slugs = _slugs(app, actor)
    rows = [
        (
            view.id,
            view.kind,
            slugs.get(view.tenant_id, "all"),
            view.name,
            view.target,
            "yes" if view.is_active else "no",
            view.last_sent_at and f"{view.last_sent_at:%Y-%m-%d %H:%M}",
            view.last_error,
        )
        for view in found
    ]
    return Answer(
        [_channel_json(view, slugs) for view in found],
        table(("ID", "KIND", "TENANT", "NAME", "TO", "ON", "LAST SENT", "ERROR"), rows),
    )


@alerts.command("add")
@of_tenant
@click.option("--email", metavar="ADDRESS", help="Send them to this address.")
@click.option(
    "--webhook",
    type=click.File("r", encoding="utf-8"),
    metavar="FILE",
    help="Post them to the address in this file; - reads it from stdin. It is a secret: no argument.",
)
@click.option("--name", default="", help="As people will see it.")
@operation
def add(
    app: App, actor: Actor, tenant: str | None, email: str | None, webhook: TextIO | None, name: str
) -> Answer:
    """Send alerts to an e-mail address, or to a webhook that takes what Slack's takes."""
    if (email is None) == (webhook is None):
        raise InputError("Give either --email ADDRESS or --webhook FILE.")
    kind = ChannelKind.WEBHOOK if email is None else ChannelKind.EMAIL
    target = email if webhook is None else _read(webhook)
    tenant_id = _tenant_id(app, actor, tenant)
    made = notices.add(app, actor, tenant_id, kind=kind, target=target or "", name=name)
    return Answer(
        {"id": made.id, "kind": made.kind, "name": made.name},
        f"Channel {made.id} is added. Try it: postyard alerts test {made.id}",
    )


@alerts.command("test")
@click.argument("channel", type=int)
@operation
def test(app: App, actor: Actor, channel: int) -> Answer:
    """Send a test there now."""
    tested = notices.send_test(app, actor, _channel(app, actor, channel).tenant_id, channel)
    return Answer({"taken": tested.ok, "said": tested.said}, tested.said, ok=tested.ok)


@alerts.command("remove")
@click.argument("channel", type=int)
@operation
def remove(app: App, actor: Actor, channel: int) -> Answer:
    """Send no more alerts there, and forget its address."""
    notices.remove(app, actor, _channel(app, actor, channel).tenant_id, channel)
    return Answer({"removed": channel}, f"Channel {channel} is removed.")


def _read(file: TextIO) -> str:
    try:
        return file.read(10_000).strip()
    except UnicodeDecodeError as e:
        raise InputError("The file is not UTF-8 text. It holds one line: the webhook's address.") from e


def _channel(app: App, actor: Actor, channel_id: int) -> ChannelView:
    for view in notices.list_channels(app, actor):
        if view.id == channel_id:
            return view
    raise NotFound(f"There is no channel {channel_id}. postyard alerts channels shows them.")


def _tenant_id(app: App, actor: Actor, slug: str | None) -> int | None:
    return None if slug is None else tenants.get_by_slug(app, actor, slug).id


def _slugs(app: App, actor: Actor) -> dict[int | None, str]:
    return {tenant.id: tenant.slug for tenant in tenants.list_tenants(app, actor)}


def _alert_json(alert: Alert, slugs: dict[int | None, str]) -> dict[str, Any]:
    return {
        "id": alert.id,
        "kind": alert.kind,
        "tenant": slugs.get(alert.tenant_id),
        "sentence": alert.sentence,
        "raised_at": alert.raised_at,
        "cleared_at": alert.cleared_at,
    }


def _channel_json(view: ChannelView, slugs: dict[int | None, str]) -> dict[str, Any]:
    return {
        "id": view.id,
        "kind": view.kind,
        "tenant": slugs.get(view.tenant_id),
        "name": view.name,
        "target": view.target,
        "is_active": view.is_active,
        "last_sent_at": view.last_sent_at,
        "last_error": view.last_error,
        "waiting": view.waiting,
        "given_up": view.given_up,
    }

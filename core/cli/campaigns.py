"""`postyard campaigns`: one content to many recipients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

import core.campaigns
from core import senders, tenants
from core.access import Actor
from core.app import App
from core.cli.operation import (
    Answer,
    file_argument,
    operation,
    pairs,
    read_text,
    rejections_json,
    rejections_text,
    table,
)
from core.db.states import MessageStatus
from core.recipients import Rejection


@click.group()
def campaigns() -> None:
    """One content to many recipients."""


@campaigns.command("create")
@click.argument("tenant")
@click.option("--name", required=True)
@click.option("--sender", required=True, help="The From address.")
@click.option("--subject", required=True, help="May hold merge fields: {{first_name}}.")
@click.option("--html", required=True, type=file_argument)
@click.option("--text", type=file_argument, help="Made from the HTML when it is not given.")
@click.option("--csv", required=True, type=file_argument, help="Recipients, one a row, with a header row.")
@click.option(
    "--map", "columns", multiple=True, metavar="FIELD=COLUMN", help="email=E-Mail; may be repeated."
)
@click.option(
    "--fallback", "fallbacks", multiple=True, metavar="FIELD=VALUE", help="For rows without a value."
)
@click.option("--check", is_flag=True, help="Read and check everything, store nothing.")
@operation
def create(
    app: App, actor: Actor, /, tenant: str, name: str, sender: str, check: bool, **given: Any
) -> Answer:
    """Read the recipients and prepare a campaign; `start` sends it.

    Rows that cannot be used are reported and left out. A file that cannot be used (no e-mail column,
    empty, not a CSV) is refused whole, and nothing is stored.
    """
    tenant_id = tenants.get_by_slug(app, actor, tenant).id
    sender_id = senders.by_address(app, actor, tenant_id, sender).id
    upload = _upload(**given)
    if check:
        checked = core.campaigns.check(app, actor, tenant_id, **upload)
        return _counted(None, "Nothing stored. ", len(checked.accepted), checked.rejected, checked.duplicates)
    created = core.campaigns.create(app, actor, tenant_id, name=name, sender_id=sender_id, **upload)
    head = f"Campaign {created.campaign_id}: "
    return _counted(created.campaign_id, head, created.accepted, created.rejected, created.duplicates)


def _upload(
    *,
    subject: str,
    html: Path,
    text: Path | None,
    csv: Path,
    columns: Sequence[str],
    fallbacks: Sequence[str],
) -> dict[str, Any]:
    """The files read and the pairs taken apart: what checking and creating both are given."""
    return {
        "subject": subject,
        "html": read_text(html),
        "text": read_text(text),
        "fallbacks": pairs("--fallback", fallbacks),
        "csv": csv.read_bytes(),
        "filename": csv.name,
        "mapping": pairs("--map", columns),
    }


def _counted(
    campaign_id: int | None,
    head: str,
    accepted: int,
    rejected: Sequence[Rejection],
    duplicates: Sequence[Rejection],
) -> Answer:
    value = {
        "id": campaign_id,
        "accepted": accepted,
        "rejected": len(rejected),
        "duplicates": len(duplicates),
        "rejections": rejections_json(rejected),
    }
    head += f"{accepted} accepted, {len(rejected)} rejected, {len(duplicates)} duplicates."
    return Answer(value, rejections_text(head, rejected))


@campaigns.command("list")
@click.argument("tenant")
@operation
def list_(app: App, actor: Actor, tenant: str) -> Answer:
    """A tenant's campaigns, newest first."""
    views = core.campaigns.list_campaigns(app, actor, tenants.get_by_slug(app, actor, tenant).id)
    rows = [(v.campaign.id, v.campaign.name, v.campaign.status, v.campaign.recipients) for v in views]
    return Answer([as_json(v) for v in views], table(("ID", "NAME", "STATUS", "RECIPIENTS"), rows))


@campaigns.command("start")
@click.argument("campaign", type=int)
@operation
def start(app: App, actor: Actor, campaign: int) -> Answer:
    """Let the scheduler send it."""
    return _move(app, actor, campaign, core.campaigns.start)


@campaigns.command("pause")
@click.argument("campaign", type=int)
@operation
def pause(app: App, actor: Actor, campaign: int) -> Answer:
    """Hold what has not left yet."""
    return _move(app, actor, campaign, core.campaigns.pause)


@campaigns.command("resume")
@click.argument("campaign", type=int)
@operation
def resume(app: App, actor: Actor, campaign: int) -> Answer:
    """Go on with a paused campaign."""
    return _move(app, actor, campaign, core.campaigns.resume)


@campaigns.command("cancel")
@click.argument("campaign", type=int)
@operation
def cancel(app: App, actor: Actor, campaign: int) -> Answer:
    """Never send what has not left yet."""
    return _move(app, actor, campaign, core.campaigns.cancel)


@campaigns.command("status")
@click.argument("campaign", type=int)
@operation
def status(app: App, actor: Actor, campaign: int) -> Answer:
    """Where its messages are; the ten counts always add up to the recipients."""
    return _status(app, actor, core.campaigns.find_tenant_of(app, actor, campaign), campaign)


def _move(app: App, actor: Actor, campaign_id: int, move: Callable[[App, Actor, int, int], object]) -> Answer:
    tenant_id = core.campaigns.find_tenant_of(app, actor, campaign_id)
    move(app, actor, tenant_id, campaign_id)
    return _status(app, actor, tenant_id, campaign_id)


def _status(app: App, actor: Actor, tenant_id: int, campaign_id: int) -> Answer:
    view = core.campaigns.status(app, actor, tenant_id, campaign_id)
    value = as_json(view)
    counts = ", ".join(f"{count} {name}" for name, count in value["counts"].items() if count)
    reason = view.campaign.status_reason or view.held_reason
    because = f" ({reason})" if reason else ""
    return Answer(value, f"Campaign {campaign_id} is {view.campaign.status}{because}: {counts or 'nobody'}.")


def as_json(view: core.campaigns.CampaignView) -> dict[str, Any]:
    """Scripts rely on exactly these keys and all ten counts."""
    return {
        "id": view.campaign.id,
        "status": view.campaign.status,
        "provider": view.campaign.provider,
        "counts": {name.value: view.counts.get(name.value, 0) for name in MessageStatus},
    }

"""`postyard send`: one mail to one recipient."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from core import senders, sending, tenants
from core.access import Actor
from core.app import App
from core.cli.operation import Answer, file_argument, operation, pairs, read_text


@click.command()
@click.argument("tenant")
@click.option("--sender", required=True, help="The From address.")
@click.option("--to", required=True, help="The recipient's address.")
@click.option("--subject", required=True)
@click.option("--html", required=True, type=file_argument)
@click.option("--text", type=file_argument, help="Made from the HTML when it is not given.")
@click.option("--field", "fields", multiple=True, metavar="FIELD=VALUE", help="A merge field's value.")
@operation
def send(
    app: App,
    actor: Actor,
    tenant: str,
    sender: str,
    to: str,
    subject: str,
    html: Path,
    text: Path | None,
    fields: Sequence[str],
) -> Answer:
    """Queue one mail to one recipient; the scheduler sends it at once."""
    tenant_id = tenants.get_by_slug(app, actor, tenant).id
    message_id = sending.send(
        app,
        actor,
        tenant_id,
        sender_id=senders.by_address(app, actor, tenant_id, sender).id,
        to=to,
        subject=subject,
        html=read_text(html),
        text=read_text(text),
        fields=pairs("--field", fields),
    )
    return Answer({"id": message_id, "status": "pending"}, f"Message {message_id} is queued.")

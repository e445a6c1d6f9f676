"""Creating: from an uploaded list to a draft with its recipients."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from core import audit, recipients, suppressions, templates
from core.access import Action, Actor
from core.app import App
from core.campaigns.pace import refuse_impossible
from core.content import MissingField, compile_content
from core.db.models import Campaign, Message
from core.db.states import MessageStatus
from core.errors import InputError
from core.recipients import Checked, Recipient, Rejection
from core.senders import get_sender
from core.tenants import get_tenant

ROWS_PER_INSERT = 2_000
MAX_NAME = 200


@dataclass(frozen=True, slots=True)
class Created:
    """What came of an upload; `rejected` and `duplicates` name line, value and reason of each row."""

    campaign_id: int
    accepted: int
    rejected: list[Rejection]
    duplicates: list[Rejection]


def create(
    app: App,
    actor: Actor,
    tenant_id: int,
    *,
    name: str,
    sender_id: int,
    subject: str,
    html: str,
    text: str = "",
    fallbacks: dict[str, str] | None = None,
    csv: bytes,
    filename: str = "",
    mapping: Mapping[str, str] | None = None,
    rate_per_second: float | None = None,
    send_until: datetime | None = None,
) -> Created:
    """Check list and content, then store a draft with its recipients, all or nothing.

    Raises InputError when the list or content cannot be used; nothing is stored then."""
    actor.must(Action.DRAFT_CAMPAIGN, tenant_id)
    name = _checked_name(name)
    refuse_impossible(rate_per_second, send_until, app.now())
    checked = _checked(app, subject, html, text, fallbacks, csv, filename, mapping)
    accepted, rejected = checked.accepted, checked.rejected
    if not accepted:
        raise InputError(
            f"No row of the list can be used, so there is no campaign. First fault: {_first_fault(rejected)}"
        )
    now = app.now()
    with app.db.begin() as session:
        get_tenant(session, tenant_id)
        sender = get_sender(session, tenant_id, sender_id)
        content = templates.store(session, tenant_id, subject, html, text, fallbacks or {}, now)
        campaign = Campaign(
            tenant_id=tenant_id,
            sender_id=sender.id,
            content_id=content.id,
            name=name,
            recipients=len(accepted),
            rejected=len(rejected),
            csv_sha256=hashlib.sha256(csv).hexdigest(),
            rate_per_second=rate_per_second,
            send_until=send_until,
            created_by=actor.username,
            created_at=now,
        )
        session.add(campaign)
        session.flush()
        for block in _blocks(accepted, ROWS_PER_INSERT):
            session.execute(insert(Message), _rows(session, campaign, actor, block, now))
        audit.record(
            session, actor, "create campaign", f"campaign {campaign.id}", at=now, tenant_id=tenant_id,
            name=name, accepted=len(accepted), rejected=len(rejected), duplicates=len(checked.duplicates),
        )  # fmt: skip
        return Created(campaign.id, len(accepted), rejected, checked.duplicates)


def check(
    app: App,
    actor: Actor,
    tenant_id: int,
    *,
    subject: str,
    html: str,
    text: str = "",
    fallbacks: dict[str, str] | None = None,
    csv: bytes,
    filename: str = "",
    mapping: Mapping[str, str] | None = None,
) -> Checked:
    """What `create` would take and leave out; stores nothing. Raises InputError as `create` does."""
    actor.must(Action.DRAFT_CAMPAIGN, tenant_id)
    return _checked(app, subject, html, text, fallbacks, csv, filename, mapping)


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not name:
        raise InputError("Give the campaign a name, so that others know what it is.", field="name")
    if len(name) > MAX_NAME:
        raise InputError(f"The name is longer than {MAX_NAME} characters. Shorten it.", field="name")
    return name


def always_there(app: App) -> dict[str, str]:
    """Merge fields every recipient of a campaign has, beside {{email}}; with an example of each."""
    return {"unsubscribe_url": f"{app.settings.public_url}/u/…"} if app.settings.public_url else {}


def _checked(
    app: App,
    subject: str,
    html: str,
    text: str,
    fallbacks: dict[str, str] | None,
    csv: bytes,
    filename: str,
    mapping: Mapping[str, str] | None,
) -> Checked:
    """The list against the content. SES answers 200 when a field is missing and tells later, so whoever lacks
    one is rejected here."""
    compiled = compile_content(subject, html, text, fallbacks or {})
    layout = recipients.inspect(csv, filename)
    own_names = recipients.under_own_names(layout, compiled.field_names)
    checked = recipients.check(csv, layout, {**own_names, **(mapping or {})})
    known = always_there(app)
    whole, incomplete = [], []
    for recipient in checked.accepted:
        try:
            compiled.values(recipient.address, {**known, **recipient.fields})
        except MissingField as e:
            incomplete.append(Rejection(recipient.line, recipient.address, str(e)))
        else:
            whole.append(recipient)
    rejected = sorted([*checked.rejected, *incomplete], key=lambda rejection: rejection.line)
    return Checked(whole, rejected, checked.duplicates, checked.padded)


def _first_fault(rejected: list[Rejection]) -> str:
    return f"line {rejected[0].line}: {rejected[0].reason}" if rejected else "the list has no rows."


def _blocks(accepted: list[Recipient], size: int) -> Iterator[list[Recipient]]:
    for first in range(0, len(accepted), size):
        yield accepted[first : first + size]


def _rows(
    session: Session, campaign: Campaign, actor: Actor, block: list[Recipient], now: datetime
) -> list[dict[str, Any]]:
    suppressed = suppressions.suppressed_among(
        session, campaign.tenant_id, [recipient.address_key for recipient in block]
    )
    return [
        {
            "tenant_id": campaign.tenant_id,
            "campaign_id": campaign.id,
            "sender_id": campaign.sender_id,
            "content_id": campaign.content_id,
            "address": recipient.address,
            "address_key": recipient.address_key,
            "fields": recipient.fields,
            "status": MessageStatus.SUPPRESSED if listed else MessageStatus.PENDING,
            "reason": suppressions.told(listed) if listed else None,
            "created_by": actor.username,
            "created_at": now,
            "counts_in_rates": not recipient.address_key.endswith("@simulator.amazonses.com"),
        }
        for recipient in block
        for listed in [suppressed.get(recipient.address_key)]
    ]

"""Campaigns: from an uploaded list to a start, and every state between. Sending happens in core/sending."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from core import audit, recipients, suppressions, templates
from core.access import Action, Actor
from core.app import App
from core.campaigns.views import CampaignView, views_of
from core.content import MissingField, compile_content
from core.db.models import Campaign, Message
from core.db.states import CampaignStatus, MessageStatus, SendingStatus
from core.errors import Conflict, InputError, NotFound, SendingPaused
from core.identities import get_identity, why_not_now
from core.recipients import Checked, Recipient, Rejection
from core.senders import get_sender
from core.tenants import get_tenant

__all__ = [
    "CampaignView",
    "Created",
    "always_there",
    "cancel",
    "check",
    "create",
    "find_tenant_of",
    "get_campaign",
    "list_campaigns",
    "list_messages",
    "pause",
    "resume",
    "start",
    "status",
]

ROWS_PER_INSERT = 2_000
MAX_NAME = 200
LARGEST_ID = 2**31 - 1  # of a PostgreSQL integer

# Who may follow whom; every change of state goes through _move.
MOVES: dict[CampaignStatus, frozenset[CampaignStatus]] = {
    CampaignStatus.DRAFT: frozenset({CampaignStatus.SENDING, CampaignStatus.CANCELLED}),
    CampaignStatus.SCHEDULED: frozenset({CampaignStatus.SENDING, CampaignStatus.CANCELLED}),
    CampaignStatus.SENDING: frozenset({CampaignStatus.PAUSED, CampaignStatus.CANCELLED}),
    CampaignStatus.HOLDING: frozenset(
        {CampaignStatus.SENDING, CampaignStatus.PAUSED, CampaignStatus.CANCELLED}
    ),
    CampaignStatus.PAUSED: frozenset({CampaignStatus.SENDING, CampaignStatus.CANCELLED}),
    CampaignStatus.BLOCKED: frozenset(
        {CampaignStatus.SENDING, CampaignStatus.PAUSED, CampaignStatus.CANCELLED}
    ),
    CampaignStatus.SENT: frozenset(),
    CampaignStatus.CANCELLED: frozenset(),
}
PAUSABLE = frozenset(state for state, after in MOVES.items() if CampaignStatus.PAUSED in after)


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
) -> Created:
    """Check list and content, then store a draft with its recipients, all or nothing.

    Raises InputError when the list or content cannot be used; nothing is stored then."""
    actor.must(Action.DRAFT_CAMPAIGN, tenant_id)
    name = _checked_name(name)
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


def start(app: App, actor: Actor, tenant_id: int, campaign_id: int) -> CampaignView:
    """Let the scheduler send it. Raises InputError (sender not verified), SendingPaused, Conflict."""
    with app.db.begin() as session:
        campaign = _owned(session, actor, tenant_id, campaign_id)
        _must_be_sendable(session, tenant_id, campaign)
        if campaign.status not in (CampaignStatus.DRAFT, CampaignStatus.SCHEDULED):
            raise Conflict(_not_possible(campaign, "started"))
        _move(session, actor, campaign, CampaignStatus.SENDING, "start campaign", app.now())
        campaign.started_at = app.now()
    return status(app, actor, tenant_id, campaign_id)


def pause(app: App, actor: Actor, tenant_id: int, campaign_id: int, reason: str = "") -> CampaignView:
    """Nothing more of it leaves; what is in flight ends within seconds. A blocked one no longer goes on by
    itself."""
    with app.db.begin() as session:
        campaign = _owned(session, actor, tenant_id, campaign_id)
        if campaign.status not in PAUSABLE:
            raise Conflict(_not_possible(campaign, "paused"))
        by = f"Paused by {actor.username}" + (f": {reason}" if reason else "")
        _move(session, actor, campaign, CampaignStatus.PAUSED, "pause campaign", app.now(), reason=by)
    return status(app, actor, tenant_id, campaign_id)


def resume(app: App, actor: Actor, tenant_id: int, campaign_id: int) -> CampaignView:
    """Go on with those who were not written to yet; nobody is written to twice."""
    with app.db.begin() as session:
        campaign = _owned(session, actor, tenant_id, campaign_id)
        if campaign.status not in (CampaignStatus.PAUSED, CampaignStatus.BLOCKED, CampaignStatus.HOLDING):
            raise Conflict(_not_possible(campaign, "resumed"))
        _must_be_sendable(session, tenant_id, campaign)
        _move(session, actor, campaign, CampaignStatus.SENDING, "resume campaign", app.now())
    return status(app, actor, tenant_id, campaign_id)


def cancel(app: App, actor: Actor, tenant_id: int, campaign_id: int) -> CampaignView:
    """End it: those not written to yet become cancelled. Cannot be undone."""
    now = app.now()
    with app.db.begin() as session:
        campaign = _owned(session, actor, tenant_id, campaign_id)
        if CampaignStatus.CANCELLED not in MOVES[CampaignStatus(campaign.status)]:
            raise Conflict(_not_possible(campaign, "cancelled"))
        _move(session, actor, campaign, CampaignStatus.CANCELLED, "cancel campaign", now)
        campaign.finished_at = now
        session.execute(
            update(Message)
            .where(Message.campaign_id == campaign.id, Message.status == MessageStatus.PENDING)
            .values(status=MessageStatus.CANCELLED, reason=f"The campaign was cancelled by {actor.username}.")
        )
    return status(app, actor, tenant_id, campaign_id)


def status(app: App, actor: Actor, tenant_id: int, campaign_id: int) -> CampaignView:
    """The campaign with its ten counts. Raises NotFound."""
    actor.must(Action.SEE_TENANT, tenant_id)
    with app.db.read() as session:
        get_campaign(session, tenant_id, campaign_id)
        return views_of(session, app.now(), tenant_id, campaign_id)[0]


def list_campaigns(app: App, actor: Actor, tenant_id: int) -> list[CampaignView]:
    """Newest first."""
    actor.must(Action.SEE_TENANT, tenant_id)
    with app.db.read() as session:
        return views_of(session, app.now(), tenant_id)


def list_messages(
    app: App,
    actor: Actor,
    tenant_id: int,
    campaign_id: int,
    *,
    status: str | None = None,
    after_id: int = 0,
    limit: int = 100,
) -> list[Message]:
    """Its recipients in the order of the list; `after_id` continues below a message."""
    actor.must(Action.SEE_ADDRESSES, tenant_id)
    query = select(Message).where(Message.campaign_id == campaign_id, Message.tenant_id == tenant_id)
    if status is not None:
        query = query.where(Message.status == status)
    with app.db.read() as session:
        get_campaign(session, tenant_id, campaign_id)
        return list(session.scalars(query.where(Message.id > after_id).order_by(Message.id).limit(limit)))


def find_tenant_of(app: App, actor: Actor, campaign_id: int) -> int:
    """The tenant of a campaign known by its number alone. Raises NotFound, also for another tenant's."""
    if not 0 < campaign_id <= LARGEST_ID:
        raise NotFound(_no_campaign(campaign_id))
    with app.db.read() as session:
        tenant_id = session.scalar(select(Campaign.tenant_id).where(Campaign.id == campaign_id))
    if tenant_id is None or not actor.sees(tenant_id):
        raise NotFound(_no_campaign(campaign_id))
    return tenant_id


def get_campaign(session: Session, tenant_id: int, campaign_id: int) -> Campaign:
    campaign = session.scalar(
        select(Campaign).where(Campaign.id == campaign_id, Campaign.tenant_id == tenant_id)
    )
    if campaign is None:
        raise NotFound(_no_campaign(campaign_id))
    return campaign


def _no_campaign(campaign_id: int) -> str:
    return f"There is no campaign {campaign_id}. The Campaigns page lists them."


def _owned(session: Session, actor: Actor, tenant_id: int, campaign_id: int) -> Campaign:
    actor.must(Action.RUN_CAMPAIGN, tenant_id)
    return get_campaign(session, tenant_id, campaign_id)


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
            "status": MessageStatus.SUPPRESSED if is_suppressed else MessageStatus.PENDING,
            "reason": "The address is on the suppression list." if is_suppressed else None,
            "created_by": actor.username,
            "created_at": now,
            "counts_in_rates": not recipient.address_key.endswith("@simulator.amazonses.com"),
        }
        for recipient in block
        for is_suppressed in [recipient.address_key in suppressed]
    ]


def _must_be_sendable(session: Session, tenant_id: int, campaign: Campaign) -> None:
    tenant = get_tenant(session, tenant_id)
    if tenant.sending_status == SendingStatus.DISABLED:
        raise SendingPaused(f"{tenant.name} is paused: {tenant.paused_reason} Resume the tenant first.")
    if tenant.provisioned_at is None:
        raise InputError(f"{tenant.name} is not set up in Amazon SES yet. Repair it on the Tenants page.")
    sender = get_sender(session, tenant_id, campaign.sender_id, hold=True)
    identity = get_identity(session, tenant_id, sender.identity_id)
    if not identity.verified_for_sending:
        raise InputError(
            f"The sender {sender.address} is not verified. Publish the DNS records of {identity.name} "
            "(Senders page, or: postyard senders records), verify it, then start.",
            field="sender",
        )
    if why_not_now(identity) is not None:
        raise InputError(
            f"DKIM of {identity.name} is not verified, and receivers refuse campaigns without it. Publish "
            "its three CNAME records (Senders page, or: postyard senders records), verify it, then start.",
            field="sender",
        )


def _move(
    session: Session,
    actor: Actor,
    campaign: Campaign,
    to: CampaignStatus,
    action: str,
    at: datetime,
    reason: str | None = None,
) -> None:
    """Change the state, once: a second person who pressed at the same moment is told (Conflict)."""
    if to not in MOVES[CampaignStatus(campaign.status)]:
        raise Conflict(_not_possible(campaign, action))
    changed = session.execute(
        update(Campaign)
        .where(Campaign.id == campaign.id, Campaign.status == campaign.status)
        .values(status=to, status_reason=reason, version=Campaign.version + 1)
    )
    if changed.rowcount != 1:  # type: ignore[attr-defined]  # an UPDATE's result has it
        raise Conflict(f"Somebody else changed “{campaign.name}” just now. Look again.")
    session.refresh(campaign)
    audit.record(
        session,
        actor,
        action,
        f"campaign {campaign.id}",
        at=at,
        tenant_id=campaign.tenant_id,
        name=campaign.name,
    )


def _not_possible(campaign: Campaign, verb: str) -> str:
    return f"“{campaign.name}” is {campaign.status}, so it cannot be {verb}. Reload to see its present state."

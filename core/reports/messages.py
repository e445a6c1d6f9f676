"""Messages: what happened to one address, and the latest events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from core.access import Action, Actor
from core.app import App
from core.db.models import Campaign, Event, Heartbeat, Message, Suppression
from core.db.states import EventType
from core.events.machines import signs_of
from core.reports.rates import campaign_names
from core.suppressions import domain_entry_of


@dataclass(frozen=True, slots=True)
class MessageStory:
    message: Message
    campaign_name: str | None  # None: transactional
    events: list[Event]  # oldest first
    machines: dict[int, str]  # by id those opens and clicks that no person made, and what shows it
    suppression: Suppression | None  # of the address or its domain, the latest; `released_at` None: in force


@dataclass(frozen=True, slots=True)
class RecentEvent:
    """`recipient` is masked and `diagnostic` left out for a role that may not see addresses."""

    event_id: int
    message_id: int
    type: str
    recipient: str
    campaign_name: str | None
    occurred_at: datetime
    received_at: datetime
    bounce_type: str | None
    bounce_subtype: str | None
    diagnostic: str | None


def find_messages(
    app: App, actor: Actor, tenant_id: int, address: str, *, limit: int = 100
) -> list[MessageStory]:
    """What happened to one address, newest message first."""
    actor.must(Action.SEE_ADDRESSES, tenant_id)
    key = address.strip().lower()
    messages_to = (
        select(Message)
        .where(Message.tenant_id == tenant_id, Message.address_key == key)
        .order_by(Message.id.desc())
        .limit(limit)
    )
    with app.db.read() as session:
        messages = list(session.scalars(messages_to))
        events = _events_of(session, tenant_id, [message.id for message in messages])
        names = campaign_names(session, tenant_id, {m.campaign_id for m in messages if m.campaign_id})
        suppression = _latest_suppression(session, tenant_id, key)
    return [
        MessageStory(
            message=message,
            campaign_name=names.get(message.campaign_id or 0),
            events=events[message.id],
            machines=_machines(events[message.id]),
            suppression=suppression,
        )
        for message in messages
    ]


def recent_events(
    app: App, actor: Actor, tenant_id: int, limit: int = 100, types: Sequence[EventType] | None = None
) -> list[RecentEvent]:
    """The latest events, newest first; without those of heartbeats, which are nobody's mail."""
    actor.must(Action.SEE_REPORTS, tenant_id)
    query = (
        select(Event, Campaign.name)
        .join(Message, Message.id == Event.message_id)
        .outerjoin(Campaign, Campaign.id == Message.campaign_id)
        .where(Event.tenant_id == tenant_id, ~exists().where(Heartbeat.message_id == Event.message_id))
        .order_by(Event.id.desc())
        .limit(limit)
    )
    if types is not None:
        query = query.where(Event.type.in_(types))
    plain = actor.may(Action.SEE_ADDRESSES, tenant_id)
    with app.db.read() as session:
        return [_recent(event, name, plain=plain) for event, name in session.execute(query)]


def _events_of(session: Session, tenant_id: int, message_ids: Sequence[int]) -> defaultdict[int, list[Event]]:
    query = (
        select(Event)
        .where(Event.tenant_id == tenant_id, Event.message_id.in_(message_ids))
        .order_by(Event.occurred_at, Event.id)
    )
    found: defaultdict[int, list[Event]] = defaultdict(list)
    for event in session.scalars(query):
        found[event.message_id].append(event)
    return found


def _machines(events: Sequence[Event]) -> dict[int, str]:
    signs = zip(events, signs_of(events), strict=True)
    return {event.id: sign.value for event, sign in signs if sign is not None}


def _latest_suppression(session: Session, tenant_id: int, address_key: str) -> Suppression | None:
    """The address's own entry in force, else its domain's, else its last one that was released."""
    whole_domain = domain_entry_of(address_key)
    of_tenant = Suppression.tenant_id == tenant_id
    in_force = select(Suppression).where(
        of_tenant, Suppression.address.in_([address_key, whole_domain]), Suppression.released_at.is_(None)
    )
    found = {entry.address: entry for entry in session.scalars(in_force)}
    if entry := found.get(address_key) or found.get(whole_domain):
        return entry
    released = select(Suppression).where(
        of_tenant, Suppression.address == address_key, Suppression.released_at.is_not(None)
    )
    return session.scalars(released.order_by(Suppression.id.desc()).limit(1)).first()


def _recent(event: Event, campaign_name: str | None, *, plain: bool) -> RecentEvent:
    return RecentEvent(
        event_id=event.id,
        message_id=event.message_id,
        type=event.type,
        recipient=event.recipient if plain else _masked(event.recipient),
        campaign_name=campaign_name,
        occurred_at=event.occurred_at,
        received_at=event.received_at,
        bounce_type=event.bounce_type,
        bounce_subtype=event.bounce_subtype,
        diagnostic=event.diagnostic if plain else None,  # servers repeat the address in it
    )


def _masked(address: str) -> str:
    name, _, domain = address.rpartition("@")
    return f"{name[:1]}***@{domain}"

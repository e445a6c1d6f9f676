"""Matching: which message an event is about, and whether it may be believed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, literal_column, select
from sqlalchemy.orm import Session

from core.db.many import is_among
from core.db.models import Account, Message, Tenant
from core.db.states import MessageStatus
from core.providers.base import ProviderEvent

LARGEST_ID = 2**63 - 1
SECOND_PROVIDER = "resend"
_MESSAGE: tuple[Any, ...] = (
    Message.id,
    Message.tenant_id,
    Message.campaign_id,
    Message.address_key,
    Message.attempt,
    Message.earlier_attempts,
    Message.status,
    Message.reason,
    Message.provider,
    Message.provider_message_id,
    Message.sent_at,
    Message.armed_at,
    Message.created_at,
    Message.counts_in_rates,
    Message.opened_by,
    Message.clicked_by,
)
_TENANT: tuple[Any, ...] = (Tenant.id, Tenant.slug, Tenant.topic_arn, Tenant.timezone)


class Doubt(StrEnum):
    """Why an event is parked."""

    UNMATCHED = "unmatched"
    WRONG_TENANT = "wrong tenant"
    UNREADABLE = "unreadable"


@dataclass(frozen=True, slots=True)
class Parked:
    event: ProviderEvent
    doubt: Doubt
    tenant_id: int | None  # whose topic it came through: never the tenant it claims to be about


@dataclass(frozen=True, slots=True)
class Matched:
    messages: dict[int, Row[Any]]
    events: dict[int, list[ProviderEvent]]  # by message
    parked: list[Parked]
    zones: dict[int, str]  # time zones, by tenant


def match(session: Session, account: Account | None, events: Sequence[ProviderEvent]) -> Matched:
    """Find the messages and lock them, in the order of their ids, until the transaction ends. No account: the
    events are the second provider's, which has no topics."""
    claimed = {event.uid: _claim(event) for event in events}
    if account is None:
        claimed |= _by_provider_id(session, [event for event in events if not claimed[event.uid]])
    messages = _lock(session, {claim[0] for claim in claimed.values() if claim})
    tenants, by_topic = _tenants(session, account, messages.values(), events)
    found: defaultdict[int, list[ProviderEvent]] = defaultdict(list)
    parked: list[Parked] = []
    for event in {event.uid: event for event in events}.values():
        claim = claimed[event.uid]
        message = messages.get(claim[0]) if claim else None
        owner = by_topic.get(event.topic_arn) if event.topic_arn else None
        if claim is None or message is None:
            parked.append(Parked(event, Doubt.UNMATCHED, owner))
        elif not _belongs(event, account, message, tenants.get(message.tenant_id)):
            parked.append(Parked(event, Doubt.WRONG_TENANT, owner))
        elif not _is_of_attempt(message, claim[1]):
            parked.append(Parked(event, Doubt.UNMATCHED, owner))
        else:
            found[message.id].append(event)
    zones = {tenant.id: tenant.timezone for tenant in tenants.values()}
    return Matched({id_: messages[id_] for id_ in sorted(found)}, found, parked, zones)


def _is_of_attempt(message: Row[Any], attempt: str) -> bool:
    """One that had to be sent again, because nobody knew of the first attempt, is settled by that one's late
    events too, also while it waits. Any other number and attempt may be of a message of the same number that
    a restored database does not know."""
    if attempt in (message.earlier_attempts or "").split():
        return True
    return bool(message.attempt == attempt and message.status != MessageStatus.PENDING)


def _claim(event: ProviderEvent) -> tuple[int, str] | None:
    """Message and attempt that the tag msg_uid names."""
    number, _, attempt = (event.msg_uid or "").partition("-")
    if not (number.isascii() and number.isdigit() and attempt):
        return None
    return (int(number), attempt) if len(number) < 20 and int(number) <= LARGEST_ID else None


def _by_provider_id(session: Session, events: Sequence[ProviderEvent]) -> dict[str, tuple[int, str]]:
    """What events without our tag claim by the id that the second provider gave their message."""
    wanted = {event.provider_message_id for event in events if event.provider_message_id}
    if not wanted:
        return {}
    query = select(Message.id, Message.attempt, Message.provider_message_id).where(
        # Written out, so that the index of these messages alone serves.
        Message.provider == literal_column(f"'{SECOND_PROVIDER}'"),
        Message.provider_message_id.in_(wanted),
        Message.attempt.is_not(None),
    )
    claims = {row.provider_message_id: (row.id, row.attempt) for row in session.execute(query)}
    return {
        event.uid: claims[event.provider_message_id]
        for event in events
        if event.provider_message_id in claims
    }


def _lock(session: Session, ids: Iterable[int]) -> dict[int, Row[Any]]:
    among = is_among(session, Message.id, list(ids))
    query = select(*_MESSAGE).where(among).order_by(Message.id).with_for_update()
    return {row.id: row for row in session.connection().execute(query)}


def _tenants(
    session: Session,
    account: Account | None,
    messages: Iterable[Row[Any]],
    events: Iterable[ProviderEvent],
) -> tuple[dict[int, Row[Any]], dict[str, int]]:
    """The account's tenants that the messages belong to, and the owners of the topics, by ARN."""
    columns = select(*_TENANT)
    if account is not None:
        columns = columns.where(Tenant.account_id == account.id)
    ids = {message.tenant_id for message in messages}
    topics = {event.topic_arn for event in events if event.topic_arn}
    rows = session.execute(columns.where(Tenant.id.in_(ids) | Tenant.topic_arn.in_(topics))).all()
    return {row.id: row for row in rows}, {row.topic_arn: row.id for row in rows if row.topic_arn}


def _is_of_second(event: ProviderEvent, message: Row[Any]) -> bool:
    """What was sent more than once has several ids, of which one is kept."""
    if message.provider != SECOND_PROVIDER:
        return False
    own = message.provider_message_id
    return bool(not own or own == event.provider_message_id or message.earlier_attempts)


def _belongs(
    event: ProviderEvent, account: Account | None, message: Row[Any], tenant: Row[Any] | None
) -> bool:
    """A tag can be written by whoever sends mail through the account; the topic is SES's own word. The second
    provider has none: it is believed about mail that it was given, by the id that it gave."""
    if tenant is None or (account is None and not _is_of_second(event, message)):
        return False
    if account is not None and event.topic_arn and event.topic_arn != tenant.topic_arn:
        return False
    return not event.tenant_tag or bool(event.tenant_tag == tenant.slug)

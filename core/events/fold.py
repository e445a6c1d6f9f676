"""Fold: what all events of one message together say, whatever their order, number of copies or blocks.

Nothing here looks at the message's earlier state. That is what makes late, doubled and overtaking events
harmless: the same set of events always folds into the same standing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from core.db.states import BounceType, EventType, MessageStatus
from core.events.machines import By, made_by

NO_COMPLAINT = "not-spam"
# The address was on a list, so nothing was sent. Neither AWS nor we count these (developer guide, bounce
# types); "Suppressed", SES's global list, does count.
LISTED = {
    "OnTenantSuppressionList": "SES did not send it: the address is on the tenant's suppression list there.",
    "OnAccountSuppressionList": "It was not sent: the address is on the provider account's suppression list.",
    "EmailValidationSuppressed": "SES did not send it: its address validation found the address bad.",
}


class Kind(StrEnum):
    """What one event amounts to."""

    SENT = "sent"
    DELIVERED = "delivered"
    PERMANENT = "permanent bounce"
    LISTED = "listed"
    TRANSIENT = "transient bounce"
    COMPLAINT = "complaint"
    DELAYED = "delayed"
    OPENED = "opened"
    CLICKED = "clicked"
    REJECTED = "rejected"
    UNRENDERED = "unrendered"
    ACCEPTED = "accepted"  # says no more than that the provider took the message


KIND_OF_TYPE = {
    EventType.SEND: Kind.SENT,
    EventType.DELIVERY: Kind.DELIVERED,
    EventType.DELIVERY_DELAY: Kind.DELAYED,
    EventType.OPEN: Kind.OPENED,
    EventType.CLICK: Kind.CLICKED,
    EventType.REJECT: Kind.REJECTED,
    EventType.RENDERING_FAILURE: Kind.UNRENDERED,
    EventType.SUBSCRIPTION: Kind.ACCEPTED,
}


class Moment(NamedTuple):
    """The earliest event of its kind; bounces of one moment in a fixed order."""

    at: datetime
    bounce_type: str
    bounce_subtype: str


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a message stands by its events. `status` None: they do not even say that it was accepted."""

    status: MessageStatus | None
    reason: str | None
    sent_at: datetime | None
    delivered_at: datetime | None
    bounced_at: datetime | None
    complained_at: datetime | None
    delayed_at: datetime | None
    opened_at: datetime | None
    clicked_at: datetime | None
    opened_by: By | None  # a person, as soon as one did; so with clicks
    clicked_by: By | None
    bounce_type: str | None
    bounce_subtype: str | None


def kind_of(event: Any) -> Kind | None:
    """Of a ProviderEvent or an event's row; None: it moves nothing (an unknown type, a `not-spam`)."""
    if event.type == EventType.BOUNCE:
        if event.bounce_subtype in LISTED:
            return Kind.LISTED
        return Kind.PERMANENT if event.bounce_type == BounceType.PERMANENT else Kind.TRANSIENT
    if event.type == EventType.COMPLAINT:
        return Kind.ACCEPTED if event.feedback_type == NO_COMPLAINT else Kind.COMPLAINT
    return KIND_OF_TYPE.get(event.type)


def fold(events: Iterable[Any]) -> Standing:
    """The standing that these events, all of one message, prove."""
    events = list(events)
    first: dict[Kind, Moment] = {}
    for event in events:
        if kind := kind_of(event):
            moment = Moment(event.occurred_at, event.bounce_type or "", event.bounce_subtype or "")
            first[kind] = min(moment, first.get(kind, moment))
    bounce = first.get(Kind.PERMANENT) or first.get(Kind.LISTED) or first.get(Kind.TRANSIENT)
    status, reason = _status(first)
    opened_by, clicked_by = made_by(events)
    return Standing(
        status=status,
        reason=reason,
        sent_at=_at(first, Kind.SENT),
        delivered_at=_at(first, Kind.DELIVERED),
        bounced_at=bounce.at if bounce else None,
        complained_at=_at(first, Kind.COMPLAINT),
        delayed_at=_at(first, Kind.DELAYED),
        opened_at=_at(first, Kind.OPENED),
        clicked_at=_at(first, Kind.CLICKED),
        opened_by=opened_by,
        clicked_by=clicked_by,
        bounce_type=(bounce.bounce_type or None) if bounce else None,
        bounce_subtype=(bounce.bounce_subtype or None) if bounce else None,
    )


def _at(first: dict[Kind, Moment], kind: Kind) -> datetime | None:
    return first[kind].at if kind in first else None


def _status(first: dict[Kind, Moment]) -> tuple[MessageStatus | None, str | None]:
    """By precedence, never by arrival: a transient bounce after delivery is an out-of-office answer, one
    without is the end of the provider's tries; a delivery after a permanent bounce does not undo it."""
    for kind, status in _PRECEDENCE:
        if kind in first:
            return status, _reason(kind, first[kind])
    return (MessageStatus.SENT, None) if first else (None, None)


_PRECEDENCE = (
    (Kind.COMPLAINT, MessageStatus.COMPLAINED),
    (Kind.PERMANENT, MessageStatus.BOUNCED),
    (Kind.LISTED, MessageStatus.SUPPRESSED),
    (Kind.DELIVERED, MessageStatus.DELIVERED),
    (Kind.REJECTED, MessageStatus.FAILED),
    (Kind.UNRENDERED, MessageStatus.FAILED),
    (Kind.TRANSIENT, MessageStatus.BOUNCED),
)


def _reason(kind: Kind, moment: Moment) -> str | None:
    """In our words: what a receiving server said stays in the events."""
    subtype = moment.bounce_subtype or "no reason given"
    return {
        Kind.COMPLAINT: "The recipient reported it as spam.",
        Kind.PERMANENT: f"The address cannot be delivered to ({subtype}).",
        Kind.LISTED: LISTED.get(subtype),
        Kind.REJECTED: "The provider accepted it, then refused to send it.",
        Kind.UNRENDERED: "SES could not fill in its template: a merge field was missing.",
        Kind.TRANSIENT: f"The provider gave up after several tries ({subtype}).",
    }.get(kind)

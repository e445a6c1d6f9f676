"""Ingest: one transaction per block in which events and everything that follows from them stand or fall."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.orm import Session

from core import reputation, suppressions, tenants
from core.access import SYSTEM
from core.app import App
from core.db.models import Account, Event, Message
from core.db.states import SuppressionReason
from core.db.upsert import insert
from core.events import counting, parking
from core.events.fold import Kind, Standing, fold, kind_of
from core.events.matching import Doubt, Matched, Parked, match
from core.providers.base import ProviderEvent
from core.suppressions import Provenance

BLOCK = 500
_EVENT: tuple[Any, ...] = (Event.message_id, *counting.EVENT)


@dataclass(frozen=True, slots=True)
class Ingested:
    """`stored` events are new; what is neither stored nor parked was there already."""

    stored: int = 0
    known: int = 0
    unmatched: int = 0
    wrong_tenant: int = 0
    unreadable: int = 0
    suppressed: int = 0
    paused_tenants: tuple[int, ...] = ()

    def __add__(self, other: Ingested) -> Ingested:
        return Ingested(
            self.stored + other.stored,
            self.known + other.known,
            self.unmatched + other.unmatched,
            self.wrong_tenant + other.wrong_tenant,
            self.unreadable + other.unreadable,
            self.suppressed + other.suppressed,
            self.paused_tenants + other.paused_tenants,
        )


def ingest(
    app: App,
    account: Account | None,
    events: Sequence[ProviderEvent],
    unreadable: Sequence[str] = (),
    noticed: Collection[str] = (),
) -> Ingested:
    """Store events that came through the account's queue, or from the second provider (no account), with all
    their effects; any of them twice is the same as once. `unreadable`: bodies that no parser understood, kept
    as they are. `noticed`: ARNs of tenants that SES has sent a notice about."""
    total = Ingested()
    for block in _blocks(events):
        with app.db.begin() as session:
            done, parked = apply(session, account, block, app.now())
            parking.park(session, account, parked, app.now())
        total += done
    if unreadable:
        with app.db.begin() as session:
            parking.park_unreadable(session, account, unreadable, app.now())
        total += Ingested(unreadable=len(unreadable))
    if noticed:
        with app.db.begin() as session:
            tenants.mark_reputation_due(session, noticed)
    return total


def retry_parked_due(app: App) -> str:
    """Try again what could not be matched: the message may have been restored or armed since."""
    with app.db.read() as session:
        accounts = list(session.scalars(select(Account).order_by(Account.id)))
    tried = matched = 0
    for account in (*accounts, None):
        while True:
            with app.db.begin() as session:
                rows = parking.due(session, account, app.now(), BLOCK)
                events = [parking.event_of(row) for row in rows]
                _, still_parked = apply(session, account, events, app.now())
                matched += parking.settle(rows, still_parked, app.now())
            tried += len(rows)
            if len(rows) < BLOCK:
                break
    return f"{matched} of {tried} parked events found their message"


def apply(
    session: Session, account: Account | None, events: Sequence[ProviderEvent], at: datetime
) -> tuple[Ingested, list[Parked]]:
    """Everything that follows from the events, but for parking what remains."""
    matched = match(session, account, events)
    before = _stored_events(session, matched.messages)
    new = _insert_events(session, matched, at)
    changes = counting.Changes()
    moved = []
    for message_id, fresh in new.items():
        message = matched.messages[message_id]
        after: list[Any] = [*before[message_id], *(event for event, _ in fresh)]
        standing, zone = fold(after), matched.zones[message.tenant_id]
        counted = counting.tally(before[message_id], message)
        changes.move(message, zone, counted, counting.tally(after, standing))
        moved.append(_row(message, standing, fresh[0][0].provider_message_id))
    _update_messages(session, moved)
    suppressed = _suppress(session, matched.messages, new, at)
    held = reputation.lock(session, {outcome.tenant_id for outcome in changes.outcomes})
    counting.write(session, changes)
    paused = tuple(verdict.tenant_id for verdict in reputation.judge(session, held, changes.outcomes, at))
    return _summary(matched, sum(map(len, new.values())), suppressed, paused), matched.parked


def _blocks(events: Sequence[ProviderEvent]) -> Iterator[Sequence[ProviderEvent]]:
    return (events[start : start + BLOCK] for start in range(0, len(events), BLOCK))


def _stored_events(session: Session, messages: Mapping[int, Row[Any]]) -> defaultdict[int, list[Row[Any]]]:
    """What the messages' events were before this block, by message."""
    query = select(*_EVENT).where(Event.message_id.in_(list(messages)))
    found: defaultdict[int, list[Row[Any]]] = defaultdict(list)
    for row in session.execute(query) if messages else ():
        found[row.message_id].append(row)
    return found


def _insert_events(
    session: Session, matched: Matched, at: datetime
) -> dict[int, list[tuple[ProviderEvent, int]]]:
    """Insert those that are not there yet; returns them with their row's id, by message."""
    rows = [
        _event_row(event, message, at)
        for message_id, message in matched.messages.items()
        for event in matched.events[message_id]
    ]
    if not rows:
        return {}
    statement = insert(session, Event).on_conflict_do_nothing(index_elements=["uid"])
    inserted = session.connection().execute(statement.returning(Event.uid, Event.id), rows)
    ids = {row.uid: row.id for row in inserted}
    new = {}
    for message_id in matched.messages:
        fresh = [(event, ids[event.uid]) for event in matched.events[message_id] if event.uid in ids]
        if fresh:
            new[message_id] = fresh
    return new


def _event_row(event: ProviderEvent, message: Row[Any], at: datetime) -> dict[str, Any]:
    return {
        "uid": event.uid,
        "tenant_id": message.tenant_id,
        "message_id": message.id,
        "type": event.type.value,
        "recipient": _storable(event.recipient),
        "occurred_at": event.occurred_at,
        "received_at": at,
        "bounce_type": event.bounce_type.value if event.bounce_type else None,
        "bounce_subtype": _storable(event.bounce_subtype),
        "feedback_type": _storable(event.feedback_type),
        "counts_in_rates": event.counts_in_rates,
        "diagnostic": _storable(event.diagnostic),
        "link": _storable(event.link),
        "user_agent": _storable(event.user_agent),
        "ip_address": _storable(event.ip_address),
        "bot_likely": event.bot_likely,
        "raw": _storable(event.raw),
    }


def _storable(text: str | None) -> str | None:
    """PostgreSQL keeps no NUL in a text; a receiving server's answer may have one."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}") if text and "\x00" in text else text


def _row(message: Row[Any], standing: Standing, provider_message_id: str) -> dict[str, Any]:
    """The message's new values. An event is SES's word that it has the message: it beats our own record."""
    says = standing.status is not None
    times = [at for at in (message.sent_at, standing.sent_at) if at is not None]
    return {
        "of_id": message.id,
        "status": standing.status if says else message.status,
        "reason": standing.reason if says else message.reason,
        "provider_message_id": message.provider_message_id or provider_message_id,
        "sent_at": min(times, default=None),
        "delivered_at": standing.delivered_at,
        "bounced_at": standing.bounced_at,
        "complained_at": standing.complained_at,
        "delayed_at": standing.delayed_at,
        "opened_at": standing.opened_at,
        "clicked_at": standing.clicked_at,
        "opened_by": standing.opened_by,
        "clicked_by": standing.clicked_by,
        "bounce_type": standing.bounce_type,
        "bounce_subtype": standing.bounce_subtype,
    }


def _update_messages(session: Session, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    values: dict[str, Any] = {name: bindparam(name) for name in rows[0] if name != "of_id"}
    session.connection().execute(update(Message).where(Message.id == bindparam("of_id")).values(values), rows)


def _suppress(
    session: Session,
    messages: Mapping[int, Row[Any]],
    new: Mapping[int, list[tuple[ProviderEvent, int]]],
    at: datetime,
) -> int:
    """The addresses of new permanent bounces and complaints, each for its own tenant."""
    wanted: defaultdict[int, dict[str, Provenance]] = defaultdict(dict)
    for message_id, fresh in new.items():
        message = messages[message_id]
        addresses = wanted[message.tenant_id]
        for event, event_id in fresh:
            reason = _SUPPRESSES.get(kind_of(event))
            if reason is None or (message.address_key in addresses and reason != SuppressionReason.COMPLAINT):
                continue
            addresses[message.address_key] = Provenance(
                reason=reason,
                source="event",
                created_by=SYSTEM.username,
                note=_storable(event.bounce_subtype or event.feedback_type) or "",
                campaign_id=message.campaign_id,
                event_id=event_id,
            )
    return sum(
        len(suppressions.suppress(session, tenant_id, addresses, at))
        for tenant_id, addresses in sorted(wanted.items())
    )


_SUPPRESSES: dict[Kind | None, SuppressionReason] = {
    Kind.PERMANENT: SuppressionReason.BOUNCE,
    Kind.LISTED: SuppressionReason.BOUNCE,
    Kind.COMPLAINT: SuppressionReason.COMPLAINT,
}


def _summary(matched: Matched, stored: int, suppressed: int, paused: tuple[int, ...]) -> Ingested:
    doubts = [entry.doubt for entry in matched.parked]
    return Ingested(
        stored=stored,
        known=sum(map(len, matched.events.values())) - stored,
        unmatched=doubts.count(Doubt.UNMATCHED),
        wrong_tenant=doubts.count(Doubt.WRONG_TENANT),
        suppressed=suppressed,
        paused_tenants=paused,
    )

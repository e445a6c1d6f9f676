"""Ingest: one transaction per block in which events and everything that follows from them stand or fall."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from core import reputation, suppressions, tenants
from core.access import SYSTEM
from core.app import App
from core.db.many import is_among
from core.db.models import Account, Event
from core.db.states import SuppressionReason
from core.events import counting, parking, writing
from core.events.fold import Kind, Standing, fold, kind_of
from core.events.matching import Doubt, Matched, Parked, match
from core.providers.base import ProviderEvent
from core.reputation import brake
from core.suppressions import Provenance

BLOCK = 500
_EVENT: tuple[Any, ...] = (Event.uid, Event.message_id, *counting.EVENT)


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
    new = _insert_events(session, matched, before, at)
    changes = counting.Changes()
    moved = []
    for message_id, fresh in new.items():
        message, stored = matched.messages[message_id], before[message_id]
        after: list[Any] = [*stored, *fresh]
        standing, zone = fold(after), matched.zones[message.tenant_id]
        changes.move(message, zone, counting.tally(stored, message), counting.tally(after, standing))
        moved.append(_moved(message, standing, fresh[0].provider_message_id))
    writing.update_messages(session, moved)
    suppressed = _suppress(session, matched.messages, new, at)
    held = reputation.lock(session, {outcome.tenant_id for outcome in changes.outcomes})
    counting.write(session, changes)
    paused = tuple(verdict.tenant_id for verdict in reputation.judge(session, held, changes.outcomes, at))
    if account is not None and changes.judged:
        paused += brake.apply(session, account.id, at)
    return _summary(matched, sum(map(len, new.values())), suppressed, paused), matched.parked


def _blocks(events: Sequence[ProviderEvent]) -> Iterator[Sequence[ProviderEvent]]:
    return (events[start : start + BLOCK] for start in range(0, len(events), BLOCK))


def _stored_events(session: Session, messages: Mapping[int, Row[Any]]) -> defaultdict[int, list[Row[Any]]]:
    """What the messages' events were before this block, by message."""
    query = select(*_EVENT).where(is_among(session, Event.message_id, list(messages)))
    found: defaultdict[int, list[Row[Any]]] = defaultdict(list)
    for row in session.connection().execute(query) if messages else ():
        found[row.message_id].append(row)
    return found


def _insert_events(
    session: Session, matched: Matched, before: Mapping[int, Sequence[Any]], at: datetime
) -> dict[int, list[ProviderEvent]]:
    """Insert those that are not there yet; returns them by message. Its row is held: nobody else's come
    meanwhile."""
    new: dict[int, list[ProviderEvent]] = {}
    rows = []
    for message_id, message in matched.messages.items():
        known = {event.uid for event in before[message_id]}
        if fresh := [event for event in matched.events[message_id] if event.uid not in known]:
            new[message_id] = fresh
            rows += [_event_row(event, message, at) for event in fresh]
    if writing.insert_events(session, rows) < len(rows):
        _drop_others(session, new)
    return new


def _drop_others(session: Session, new: dict[int, list[ProviderEvent]]) -> None:
    """Those whose uid is another message's event: whoever can write to the topic made them up."""
    uids = [event.uid for fresh in new.values() for event in fresh]
    query = select(Event.uid, Event.message_id).where(is_among(session, Event.uid, uids))
    owner = {row.uid: row.message_id for row in session.execute(query)}
    for message_id in list(new):
        new[message_id] = [event for event in new[message_id] if owner[event.uid] == message_id]
        if not new[message_id]:
            del new[message_id]


def _event_row(event: ProviderEvent, message: Row[Any], at: datetime) -> writing.Row:
    if event.occurred_at.tzinfo is None:
        raise ValueError("a time without a zone cannot be stored")
    return (
        event.uid,
        message.tenant_id,
        message.id,
        event.type.value,
        _storable(event.recipient),
        event.occurred_at,
        at,
        event.bounce_type.value if event.bounce_type else None,
        _storable(event.bounce_subtype),
        _storable(event.feedback_type),
        event.counts_in_rates,
        _storable(event.diagnostic),
        _storable(event.link),
        _storable(event.user_agent),
        _storable(event.ip_address),
        event.bot_likely,
        _storable(event.raw),
    )


def _storable(text: str | None) -> str | None:
    """PostgreSQL keeps no NUL in a text; a receiving server's answer may have one."""
    return text.replace("\x00", "\N{REPLACEMENT CHARACTER}") if text and "\x00" in text else text


def _moved(message: Row[Any], standing: Standing, provider_message_id: str) -> writing.Row:
    """The message's new values. An event is SES's word that it has the message: it beats our own record."""
    says = standing.status is not None
    times = [at for at in (message.sent_at, standing.sent_at) if at is not None]
    return (
        standing.status if says else message.status,
        standing.reason if says else message.reason,
        message.provider_message_id or provider_message_id,
        min(times, default=None),
        standing.delivered_at,
        standing.bounced_at,
        standing.complained_at,
        standing.delayed_at,
        standing.opened_at,
        standing.clicked_at,
        standing.opened_by,
        standing.clicked_by,
        standing.bounce_type,
        standing.bounce_subtype,
        message.id,
    )


def _suppress(
    session: Session,
    messages: Mapping[int, Row[Any]],
    new: Mapping[int, list[ProviderEvent]],
    at: datetime,
) -> int:
    """The addresses of new permanent bounces and complaints, each for its own tenant."""
    telling = [
        (messages[message_id], event, reason)
        for message_id, fresh in new.items()
        for event in fresh
        if (reason := _SUPPRESSES.get(kind_of(event))) is not None
    ]
    if not telling:
        return 0
    ids = _ids(session, [event.uid for _, event, _ in telling])
    wanted: defaultdict[int, dict[str, Provenance]] = defaultdict(dict)
    for message, event, reason in telling:
        addresses = wanted[message.tenant_id]
        if message.address_key not in addresses or reason == SuppressionReason.COMPLAINT:
            addresses[message.address_key] = Provenance(
                reason=reason,
                source="event",
                created_by=SYSTEM.username,
                note=_storable(event.bounce_subtype or event.feedback_type) or "",
                campaign_id=message.campaign_id,
                event_id=ids[event.uid],
            )
    return sum(
        len(suppressions.suppress(session, tenant_id, addresses, at))
        for tenant_id, addresses in sorted(wanted.items())
    )


def _ids(session: Session, uids: Sequence[str]) -> dict[str, int]:
    query = select(Event.uid, Event.id).where(is_among(session, Event.uid, uids))
    return {row.uid: row.id for row in session.execute(query)}


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

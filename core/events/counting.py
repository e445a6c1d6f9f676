"""Counting: the daily rollups, moved by what each message's events newly amount to.

A message is counted once per column, on the day of its tenant's time zone it was armed on, whatever day its
events come. The columns delivered, permanent_bounces and transient_bounces are shares of one whole: a message
is in one of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db.models import DailyCount, DomainCount, DomainTotal, Event, Message, Tenant
from core.db.upsert import insert
from core.events.fold import Kind, kind_of
from core.events.machines import By, made_by
from core.tenants.limits import zone_of

COLUMNS = (
    "sent",
    "delivered",
    "permanent_bounces",
    "transient_bounces",
    "complaints",
    "opened",
    "clicked",
    "opened_by_machine",
    "clicked_by_machine",
    "rejected",
)
# What is to be known of an event to count it.
EVENT: tuple[Any, ...] = (
    Event.type,
    Event.occurred_at,
    Event.bounce_type,
    Event.bounce_subtype,
    Event.feedback_type,
    Event.counts_in_rates,
    Event.link,
    Event.user_agent,
    Event.ip_address,
    Event.bot_likely,
)
Tally = tuple[int, ...]
NOTHING: Tally = (0,) * len(COLUMNS)


class DayKey(NamedTuple):
    """Of a DailyCount."""

    tenant_id: int
    day: date
    campaign_id: int


class DomainKey(NamedTuple):
    """Of a DomainCount."""

    tenant_id: int
    domain: str
    day: date


class Outcome(NamedTuple):
    """One message's step in its tenant's stream of outcomes: what it adds to each number, 1, 0 or -1. Only
    `delivered` can fall: a bounce after the delivery takes it back, and is no second outcome."""

    tenant_id: int
    campaign_id: int  # 0: transactional
    domain: str  # the recipient's
    armed_at: datetime
    outcomes: int
    permanent_bounces: int
    delivered: int
    complaints: int


def _zeros() -> defaultdict[Any, list[int]]:
    return defaultdict(lambda: [*NOTHING])


@dataclass(slots=True, eq=False)
class Counted:
    """Messages by day and campaign, the same by recipient domain and day, and all that were sent to each."""

    daily: defaultdict[DayKey, list[int]] = field(default_factory=_zeros)
    domains: defaultdict[DomainKey, list[int]] = field(default_factory=_zeros)
    totals: defaultdict[tuple[int, str], list[int]] = field(
        default_factory=lambda: defaultdict(lambda: [0])
    )  # by tenant and domain

    def __eq__(self, other: object) -> bool:
        """Rows of zeros say nothing."""
        return isinstance(other, Counted) and self._numbers() == other._numbers()

    def _numbers(self) -> list[dict[Any, list[int]]]:
        tables: tuple[Mapping[Any, list[int]], ...] = (self.daily, self.domains, self.totals)
        return [{key: row for key, row in rows.items() if any(row)} for rows in tables]

    def add(self, message: Any, zone: str, counts: Sequence[int]) -> None:
        """`zone`: the tenant's time zone."""
        day = _armed_at(message).astimezone(zone_of(zone)).date()
        of_day = self.daily[DayKey(message.tenant_id, day, message.campaign_id or 0)]
        of_domain = self.domains[DomainKey(message.tenant_id, _domain(message), day)]
        for n, count in enumerate(counts):
            if count:
                of_day[n] += count
                of_domain[n] += count
        self.totals[message.tenant_id, _domain(message)][0] += counts[0]


def _armed_at(message: Any) -> datetime:
    armed_at: datetime = message.armed_at or message.created_at
    return armed_at


def _domain(message: Any) -> str:
    return str(message.address_key.rpartition("@")[2])


def tally(events: Iterable[Any], made: Any = None) -> Tally:
    """What one message's events add to COLUMNS: 0 or 1 each. `made`: what says by whom it was opened and
    clicked, a Standing, or the message as it was counted, by whatever rules; None: the events do."""
    events = list(events)
    made = made or made_by(events)
    kinds = {kind_of(event) for event in events if event.counts_in_rates}
    bounced = Kind.PERMANENT in kinds
    delivered = Kind.DELIVERED in kinds and not bounced
    return (
        int(Kind.SENT in kinds),
        int(delivered),
        int(bounced),
        int(Kind.TRANSIENT in kinds and not bounced and not delivered),
        int(Kind.COMPLAINT in kinds),
        int(made.opened_by == By.PERSON),
        int(made.clicked_by == By.PERSON),
        int(made.opened_by == By.MACHINE),
        int(made.clicked_by == By.MACHINE),
        int(Kind.REJECTED in kinds or Kind.UNRENDERED in kinds),
    )


def outcome_of(message: Any, moved: Sequence[int]) -> Outcome | None:
    """The message's step, from what it newly adds to COLUMNS; None where it is none."""
    _, delivered, bounced, transient, complaints, *_ = moved
    if not (delivered or bounced or transient or complaints):
        return None
    campaign_id, outcomes = message.campaign_id or 0, delivered + bounced + transient
    return Outcome(
        message.tenant_id, campaign_id, _domain(message), _armed_at(message),
        outcomes, bounced, delivered, complaints,
    )  # fmt: skip


@dataclass(slots=True, eq=False)
class Changes(Counted):
    """What one transaction adds to the rollups; `outcomes` in the order its messages are moved."""

    outcomes: list[Outcome] = field(default_factory=list)
    judged: defaultdict[int, set[int]] = field(default_factory=lambda: defaultdict(set))

    def move(self, message: Any, zone: str, before: Tally, after: Tally) -> None:
        if before == after or not message.counts_in_rates:
            return
        moved = [now - then for now, then in zip(after, before, strict=True)]
        self.add(message, zone, moved)
        if outcome := outcome_of(message, moved):
            self.outcomes.append(outcome)
        if (after[2], after[4]) > (before[2], before[4]):
            self.judged[message.tenant_id].add(message.campaign_id or 0)


def write(session: Session, changes: Counted) -> None:
    """Add the changes, in one order everywhere, so that two writers never wait for each other in a circle."""
    _add(session, DailyCount, changes.daily, COLUMNS)
    _add(session, DomainCount, changes.domains, COLUMNS)
    _add(session, DomainTotal, changes.totals, ("sent",))


def _add(session: Session, table: Any, changes: Mapping[Any, list[int]], columns: tuple[str, ...]) -> None:
    keys = [column.name for column in table.__table__.primary_key]
    rows = [
        {**dict(zip(keys, key, strict=True)), **dict(zip(columns, counts, strict=True))}
        for key, counts in sorted(changes.items())
        if any(counts)
    ]
    if not rows:
        return
    statement = insert(session, table)
    added = {name: getattr(table, name) + statement.excluded[name] for name in columns}
    session.connection().execute(statement.on_conflict_do_update(index_elements=keys, set_=added), rows)


def recount(session: Session, tenant_id: int) -> Counted:
    """The rollups as the events say they must be: the check of what `write` kept."""
    query = (
        select(
            Message.id,
            Message.tenant_id,
            Message.campaign_id,
            Message.address_key,
            Message.armed_at,
            Message.created_at,
            Tenant.timezone,
            *EVENT,
        )
        .join(Message, Message.id == Event.message_id)
        .join(Tenant, Tenant.id == Message.tenant_id)
        .where(Event.tenant_id == tenant_id, Message.counts_in_rates)
    )
    events = defaultdict(list)
    for row in session.execute(query):
        events[row.id].append(row)
    counted = Counted()
    for rows in events.values():
        counted.add(rows[0], rows[0].timezone, tally(rows))
    return counted


def kept(session: Session, tenant_id: int) -> Counted:
    """The rollups as they are stored."""
    counted = Counted()
    for day in session.scalars(select(DailyCount).where(DailyCount.tenant_id == tenant_id)):
        counted.daily[DayKey(tenant_id, day.day, day.campaign_id)] = _row(day)
    for domain in session.scalars(select(DomainCount).where(DomainCount.tenant_id == tenant_id)):
        counted.domains[DomainKey(tenant_id, domain.domain, domain.day)] = _row(domain)
    for total in session.scalars(select(DomainTotal).where(DomainTotal.tenant_id == tenant_id)):
        counted.totals[tenant_id, total.domain] = [total.sent]
    return counted


def _row(counts: Any) -> list[int]:
    return [getattr(counts, name) for name in COLUMNS]

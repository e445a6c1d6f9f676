"""A tenant's ninety days as ingest leaves them: what was counted of so many messages, and the messages."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from sqlalchemy import insert, select, text
from sqlalchemy.orm import Session

from bench import fill
from core import audit
from core.access import SYSTEM
from core.db.engine import Database
from core.db.models import Campaign, DailyCount, DomainCount, DomainTotal, Message, Tenant

DAYS, CAMPAIGNS, DOMAINS = 90, 200, 5_000
TRANSACTIONAL_SHARE = 0.05
PAUSES = 4
ROWS_AT_ONCE = 10_000
MESSAGES_AT_ONCE = 500_000
LARGE = (
    "gmail.com",
    "yahoo.com",
    "outlook.com",
    "hotmail.com",
    "icloud.com",
    "gmx.de",
    "web.de",
    "yahoo.co.uk",
)
# Of what was sent, in the order of the columns; the rest is nobody's.
SHARES = {
    "sent": 1.0,
    "delivered": 0.975,
    "permanent_bounces": 0.012,
    "transient_bounces": 0.008,
    "complaints": 0.0004,
    "opened": 0.28,
    "clicked": 0.03,
    "opened_by_machine": 0.19,
    "clicked_by_machine": 0.02,
    "rejected": 0.0,
}


@dataclass(frozen=True, slots=True)
class Past:
    """`rows`: write the messages, too, not only what was counted of them."""

    messages: int
    rows: bool = False


def write(db: Database, past: Past) -> None:
    """Migrate an empty database and write all of it, for one tenant."""
    fill.fill(db, fill.Filling(14.0, (1,)))
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=DAYS - 1 - n) for n in range(DAYS)]
    with db.begin() as session:
        tenant = session.scalars(select(Tenant)).one()
        first = session.scalars(select(Campaign)).one()
        campaigns = _campaigns(session, first, days)
        _insert(session, DailyCount, _by_campaign(tenant.id, campaigns, past.messages, days))
        by_domain = _by_domain(past.messages, days)
        _insert(session, DomainCount, _by_domain_and_day(tenant.id, by_domain))
        _insert(session, DomainTotal, _totals(tenant.id, by_domain))
        _pause(session, tenant, days)
    if past.rows:
        _messages(db, first.id, campaigns, past.messages)


def domains() -> list[str]:
    return [*LARGE, *(f"shop{n}.example.com" for n in range(DOMAINS - len(LARGE)))]


def _campaigns(session: Session, first: Campaign, days: list[date]) -> list[int]:
    """In the order of the days they were sent on."""
    names = ("tenant_id", "sender_id", "content_id", "status", "created_by", "created_at", "started_at")
    rows = [
        {**{name: getattr(first, name) for name in names}, "name": f"Week {n}"} for n in range(1, CAMPAIGNS)
    ]
    ids = session.scalars(insert(Campaign).returning(Campaign.id, sort_by_parameter_order=True), rows)
    return [first.id, *ids]


def _by_campaign(
    tenant_id: int, campaigns: list[int], messages: int, days: list[date]
) -> Iterator[dict[str, Any]]:
    transactional = round(messages * TRANSACTIONAL_SHARE)
    for day in days:
        yield {"tenant_id": tenant_id, "day": day, "campaign_id": 0, **_counts(transactional / DAYS)}
    for n, campaign_id in enumerate(campaigns):
        day = days[n * DAYS // CAMPAIGNS]
        counts = _counts((messages - transactional) / CAMPAIGNS)
        yield {"tenant_id": tenant_id, "day": day, "campaign_id": campaign_id, **counts}


def _by_domain(messages: int, days: list[date]) -> Counter[tuple[str, date]]:
    """Messages by recipient domain and day: Zipf's law, each message by chance."""
    rng, names = Random(1), domains()
    weights = [1 / rank for rank in range(1, DOMAINS + 1)]
    if messages <= 100_000:
        return Counter(
            zip(rng.choices(names, weights, k=messages), rng.choices(days, k=messages), strict=True)
        )
    found: Counter[tuple[str, date]] = Counter()
    for name, weight in zip(names, weights, strict=True):
        mean = messages * weight / sum(weights) / DAYS
        for day in days:
            if drawn := max(0, round(rng.gauss(mean, math.sqrt(mean)))):
                found[name, day] = drawn
    return found


def _by_domain_and_day(tenant_id: int, found: Counter[tuple[str, date]]) -> Iterator[dict[str, Any]]:
    for (domain, day), messages in sorted(found.items()):
        yield {"tenant_id": tenant_id, "domain": domain, "day": day, **_counts(messages)}


def _totals(tenant_id: int, found: Counter[tuple[str, date]]) -> Iterator[dict[str, Any]]:
    totals: Counter[str] = Counter()
    for (domain, _), messages in found.items():
        totals[domain] += messages
    for domain, messages in totals.items():
        yield {"tenant_id": tenant_id, "domain": domain, "sent": messages}


def _counts(messages: float) -> dict[str, int]:
    return {name: round(share * messages) for name, share in SHARES.items()}


def _insert(session: Session, table: Any, rows: Iterator[dict[str, Any]]) -> None:
    while block := list(itertools.islice(rows, ROWS_AT_ONCE)):
        session.connection().execute(insert(table.__table__), block)


def _pause(session: Session, tenant: Tenant, days: list[date]) -> None:
    for n in range(PAUSES):
        at = datetime.combine(days[n * 20 + 5], datetime.min.time(), tzinfo=UTC)
        for action in ("pause tenant", "resume tenant"):
            audit.record(session, SYSTEM, action, tenant.slug, at=at, tenant_id=tenant.id, signal="bounce")


def _messages(db: Database, campaign_id: int, campaigns: list[int], messages: int) -> None:
    """Narrow ones, made by the database itself out of the one that is there, campaign by campaign."""
    with db.read() as session:
        one = session.scalars(select(Message).where(Message.campaign_id == campaign_id)).one()
    columns = [column for column in Message.__table__.columns if column.key != "id"]
    names = ", ".join(column.key for column in columns)
    written = {"campaign_id": "CAST(:first AS INTEGER) + n / :each", "status": "'delivered'"}
    written |= {"address": "'r' || n || '@example.com'", "address_key": "'r' || n || '@example.com'"}
    values = ", ".join(written.get(column.key, f"m.{column.key}") for column in columns)
    series = (
        "WITH RECURSIVE s(n) AS (SELECT :since UNION ALL SELECT n + 1 FROM s WHERE n + 1 < :until)"
        if db.is_sqlite
        else "WITH s AS (SELECT generate_series(CAST(:since AS BIGINT), :until - 1) AS n)"
    )
    statement = f"{series} SELECT {values} FROM s, messages m WHERE m.id = :one"
    statement = f"INSERT INTO messages ({names}) {statement}"
    each = math.ceil(messages / len(campaigns))
    for since in range(0, messages, MESSAGES_AT_ONCE):
        with fill.quickly(db) as session:
            until = min(messages, since + MESSAGES_AT_ONCE)
            session.execute(
                text(statement),
                {"first": campaigns[0], "each": each, "since": since, "until": until, "one": one.id},
            )

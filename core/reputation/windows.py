"""Windows: where each tenant's stream of outcomes stands, kept between blocks.

Only what newly became of mail armed since the tenant's last resume moves it, so that an event told twice
moves nothing. Whoever reads or writes here holds the tenant's row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Row, bindparam, delete, func, or_, select, update
from sqlalchemy.orm import Session

from core.db.models import CampaignReputation, DeliveredHour, OutcomeBucket, Tenant, TenantReputation
from core.db.upsert import insert
from core.reputation import maturity
from core.reputation.rule import Signal, rule_of
from core.reputation.stream import LARGEST_WINDOW, TRANSACTIONAL, Bucket, Hour, Outcome, Scope, Stream

RECENT = timedelta(days=1)  # a campaign whose last outcome is older keeps no warning open
_CAMPAIGN_COLUMNS = ("outcomes", "permanent_bounces", "delivered", "complaints")
_STREAM_COLUMNS = (
    "outcomes",
    "delivered",
    "matured",
    "bounce_cusum",
    "drift_outcomes",
    "drift_bounces",
    "complaint_cusum",
)


class Step(Outcome, Protocol):
    """An outcome of a certain tenant's mail."""

    @property
    def tenant_id(self) -> int: ...
    @property
    def armed_at(self) -> datetime: ...


@dataclass(slots=True)
class Standing:
    """One tenant in one transaction: its stream, and what the block adds to what is kept of it."""

    tenant: Row[Any]
    steps: list[Step]
    stream: Stream = field(default_factory=lambda: Stream(rule_of()))
    first_bucket: int = 0  # the newest, before the block

    @property
    def is_bad(self) -> bool:
        return any(step.permanent_bounces or step.complaints for step in self.steps)

    @property
    def complained(self) -> bool:
        return any(step.complaints for step in self.steps)


def hour_of(armed_at: datetime) -> datetime:
    return armed_at.replace(minute=0, second=0, microsecond=0)


def standings(
    session: Session,
    tenants: Mapping[int, Row[Any]],
    steps: Iterable[Step],
    warned: Mapping[int, set[Signal]],
    at: datetime,
) -> list[Standing]:
    """Of these locked tenants, in the order of their ids, with the steps that count."""
    found = {tenant_id: Standing(tenant, []) for tenant_id, tenant in sorted(tenants.items())}
    for step in steps:
        resumed_at = found[step.tenant_id].tenant.resumed_at
        if resumed_at is None or step.armed_at >= resumed_at:
            found[step.tenant_id].steps.append(step)
    query = select(TenantReputation).where(TenantReputation.tenant_id.in_(found))
    kept = {row.tenant_id: row for row in session.execute(query.with_only_columns(*_columns())).all()}
    for tenant_id, standing in found.items():
        _load(session, standing, kept.get(tenant_id), warned.get(tenant_id, set()), at)
    return list(found.values())


def write(session: Session, standings: Sequence[Standing], at: datetime) -> None:
    """Keep what was fed: a few statements, however many tenants there are."""
    moved = [standing for standing in standings if standing.steps]
    if not moved:
        return
    rows = [
        {"tenant_id": one.tenant.id, **{name: getattr(one.stream, name) for name in _STREAM_COLUMNS}}
        for one in moved
    ]
    _upsert(session, TenantReputation, rows, replaced=_STREAM_COLUMNS)
    _add_outcomes(session, moved, at)
    _keep_probation(session, moved)
    for standing in moved:
        if standing.is_bad:
            _keep_bad_news(session, standing)


def _columns() -> list[Any]:
    return [getattr(TenantReputation, name) for name in ("tenant_id", *_STREAM_COLUMNS)]


def _load(
    session: Session, standing: Standing, kept: Row[Any] | None, warned: set[Signal], at: datetime
) -> None:
    """Good news alone need no more than the stream's totals."""
    tenant = standing.tenant
    totals = {name: getattr(kept, name) for name in _STREAM_COLUMNS} if kept else {}
    stream = Stream(
        rule_of(tenant), **totals, probation_left=tenant.probation_left, warned=warned,
        buckets=_buckets(session, tenant.id, totals.get("outcomes", 0)) if standing.is_bad or warned else {},
    )  # fmt: skip
    standing.stream, standing.first_bucket = stream, stream.bucket
    if standing.is_bad or warned:
        stream.campaigns = _campaigns(session, standing, at if warned else None)
    if standing.complained or Signal.COMPLAINT in warned:
        _load_hours(session, stream, tenant.id, at)


def _buckets(session: Session, tenant_id: int, outcomes: int) -> dict[int, Bucket]:
    newest = max(0, outcomes - 1) // 100
    query = select(OutcomeBucket.number, OutcomeBucket.permanent_bounces, OutcomeBucket.domains).where(
        OutcomeBucket.tenant_id == tenant_id, OutcomeBucket.number > newest - LARGEST_WINDOW
    )
    return {number: Bucket(bounces, dict(domains)) for number, bounces, domains in session.execute(query)}


def _campaigns(session: Session, standing: Standing, warned_at: datetime | None) -> dict[int, Scope]:
    """Those of the steps; for who is warned also those that had outcomes lately."""
    ids = {step.campaign_id for step in standing.steps} - {TRANSACTIONAL}
    wanted: ColumnElement[bool] = CampaignReputation.campaign_id.in_(ids)
    if warned_at is not None:
        wanted = or_(wanted, CampaignReputation.last_at > warned_at - RECENT)
    columns = [getattr(CampaignReputation, name) for name in ("campaign_id", *_CAMPAIGN_COLUMNS, "domains")]
    query = select(*columns).where(CampaignReputation.tenant_id == standing.tenant.id, wanted)
    return {row.campaign_id: _scope(row) for row in session.execute(query)}


def _scope(row: Row[Any]) -> Scope:
    counts = {name: getattr(row, name) for name in _CAMPAIGN_COLUMNS}
    return Scope(**counts, domains=dict(row.domains))


def _load_hours(session: Session, stream: Stream, tenant_id: int, at: datetime) -> None:
    stream.weight = weight = maturity.weight_at(at, maturity.median_hours(session))
    mine = [DeliveredHour.tenant_id == tenant_id, DeliveredHour.hour_at > at - maturity.KEPT_FOR]
    query = select(
        DeliveredHour.hour_at, func.sum(DeliveredHour.delivered), func.sum(DeliveredHour.complaints)
    )
    for hour_at, delivered, complaints in session.execute(query.where(*mine).group_by(DeliveredHour.hour_at)):
        stream.hours[hour_at] = Hour(int(delivered), int(complaints))
        stream.immature += (1 - weight(hour_at)) * int(delivered)
    by_campaign = select(DeliveredHour.campaign_id, DeliveredHour.hour_at, DeliveredHour.delivered)
    by_campaign = by_campaign.where(*mine, DeliveredHour.campaign_id.in_(stream.campaigns))
    for row in session.execute(by_campaign):
        stream.campaigns[row.campaign_id].immature += (1 - weight(row.hour_at)) * row.delivered


def _add_outcomes(session: Session, moved: Sequence[Standing], at: datetime) -> None:
    campaigns: defaultdict[tuple[int, int], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    hours: defaultdict[tuple[int, int, datetime], list[int]] = defaultdict(lambda: [0, 0])
    for standing in moved:
        for step in standing.steps:
            if step.campaign_id != TRANSACTIONAL:
                campaign = campaigns[step.campaign_id, step.tenant_id]
                campaign[0] += step.outcomes
                campaign[1] += step.permanent_bounces
                campaign[2] += step.delivered
                campaign[3] += step.complaints
            if step.delivered or step.complaints:
                hour = hours[step.tenant_id, step.campaign_id, hour_of(step.armed_at)]
                hour[0] += step.delivered
                hour[1] += step.complaints
    _upsert(
        session,
        CampaignReputation,
        [
            {"campaign_id": key[0], "tenant_id": key[1], "domains": {}, "last_at": at}
            | dict(zip(_CAMPAIGN_COLUMNS, counts, strict=True))
            for key, counts in sorted(campaigns.items())
        ],
        added=_CAMPAIGN_COLUMNS,
        replaced=("last_at",),
    )
    _upsert(
        session,
        DeliveredHour,
        [
            {"tenant_id": key[0], "campaign_id": key[1], "hour_at": key[2]}
            | {"delivered": delivered, "complaints": complaints}
            for key, (delivered, complaints) in sorted(hours.items())
        ],
        added=("delivered", "complaints"),
    )


def _keep_probation(session: Session, moved: Sequence[Standing]) -> None:
    left = [
        {"of_id": one.tenant.id, "left": one.stream.probation_left}
        for one in moved
        if one.stream.probation_left != one.tenant.probation_left
    ]
    if left:
        statement = update(Tenant).where(Tenant.id == bindparam("of_id"))
        session.connection().execute(statement.values(probation_left=bindparam("left")), left)


def _keep_bad_news(session: Session, standing: Standing) -> None:
    """The buckets of the block, and where the campaigns' bounces went."""
    stream, tenant_id = standing.stream, standing.tenant.id
    rows = [
        {"tenant_id": tenant_id, "number": number}
        | {"permanent_bounces": bucket.permanent_bounces, "domains": bucket.domains}
        for number, bucket in sorted(stream.buckets.items())
        if number >= standing.first_bucket
    ]
    _upsert(session, OutcomeBucket, rows, replaced=("permanent_bounces", "domains"))
    if stream.bucket > standing.first_bucket:
        old = OutcomeBucket.number <= stream.bucket - LARGEST_WINDOW
        session.execute(delete(OutcomeBucket).where(OutcomeBucket.tenant_id == tenant_id, old))
    bounced = sorted(
        {step.campaign_id for step in standing.steps if step.permanent_bounces} - {TRANSACTIONAL}
    )
    domains = [{"of_id": id_, "tenant": tenant_id, "by": stream.campaigns[id_].domains} for id_ in bounced]
    if domains:
        statement = update(CampaignReputation).where(
            CampaignReputation.campaign_id == bindparam("of_id"),
            CampaignReputation.tenant_id == bindparam("tenant"),
        )
        session.connection().execute(statement.values(domains=bindparam("by")), domains)


def _upsert(
    session: Session,
    table: Any,
    rows: list[dict[str, Any]],
    *,
    added: Sequence[str] = (),
    replaced: Sequence[str] = (),
) -> None:
    if not rows:
        return
    statement = insert(session, table)
    values = {name: getattr(table, name) + statement.excluded[name] for name in added}
    values |= {name: statement.excluded[name] for name in replaced}
    keys = [column.name for column in table.__table__.primary_key]
    session.connection().execute(statement.on_conflict_do_update(index_elements=keys, set_=values), rows)

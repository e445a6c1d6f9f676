"""Windows: where each tenant's stream of outcomes stands, kept between blocks.

Only what newly became of mail armed since the tenant's last resume moves it, so that an event told twice
moves nothing. Whoever reads or writes here holds the tenant's row.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Row, bindparam, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from core.db.models import CampaignReputation, DeliveredHour, OutcomeBucket, Tenant, TenantReputation
from core.reputation import maturity
from core.reputation.rule import Signal, rule_of
from core.reputation.stream import LARGEST_WINDOW, TRANSACTIONAL, Bucket, Hour, Outcome, Scope, Stream

_streams: Any = TenantReputation.__table__.c
_outcomes: Any = OutcomeBucket.__table__.c
_campaign: Any = CampaignReputation.__table__.c
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
_KEPT = select(_streams.tenant_id, *(_streams[name] for name in _STREAM_COLUMNS)).where(
    _streams.tenant_id.in_(bindparam("ids", expanding=True))
)
_BUCKETS = select(_outcomes.number, _outcomes.permanent_bounces, _outcomes.domains).where(
    _outcomes.tenant_id == bindparam("of_id"), _outcomes.number > bindparam("oldest")
)
_CAMPAIGNS: Any = select(
    _campaign.campaign_id, *(_campaign[name] for name in _CAMPAIGN_COLUMNS), _campaign.domains
)


class Step(Outcome, Protocol):
    """An outcome of a certain tenant's mail."""

    @property
    def tenant_id(self) -> int: ...
    @property
    def armed_at(self) -> datetime: ...


@dataclass(slots=True)
class Run:
    """Steps that come one after the other, of one campaign and hour; good: deliveries and nothing else."""

    campaign_id: int
    hour_at: datetime
    is_good: bool
    steps: list[Step]


@dataclass(slots=True)
class Standing:
    """One tenant in one transaction: its stream, and what the block adds to what is kept of it."""

    tenant: Row[Any]
    steps: list[Step]
    stream: Stream = field(default_factory=lambda: Stream(rule_of()))
    first_bucket: int = 0  # the newest, before the block
    runs: list[Run] = field(default_factory=list)  # the steps
    is_bad: bool = False
    complained: bool = False

    def take_stock(self) -> None:
        """Of all steps."""
        self.runs = _runs(self.steps)
        others = [step for run in self.runs if not run.is_good for step in run.steps]
        self.complained = any(step.complaints for step in others)
        self.is_bad = self.complained or any(step.permanent_bounces for step in others)


def hour_of(armed_at: datetime) -> datetime:
    return armed_at.replace(minute=0, second=0, microsecond=0)


def _runs(steps: Iterable[Step]) -> list[Run]:
    runs: list[Run] = []
    before: tuple[int, datetime, bool] | None = None
    for step in steps:
        is_good = step.delivered == step.outcomes == 1 and not step.complaints
        like = step.campaign_id, step.armed_at, is_good
        if like != before:  # mail is armed by the hundred: nearly all of a block is of one moment
            before = like
            runs.append(Run(step.campaign_id, hour_of(step.armed_at), is_good, []))
        runs[-1].steps.append(step)
    return runs


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
    rows = session.connection().execute(_KEPT, {"ids": list(found)})
    kept = {row.tenant_id: row for row in rows}
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


def _load(
    session: Session, standing: Standing, kept: Row[Any] | None, warned: set[Signal], at: datetime
) -> None:
    """Good news alone need no more than the stream's totals."""
    standing.take_stock()
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
    rows = session.connection().execute(_BUCKETS, {"of_id": tenant_id, "oldest": newest - LARGEST_WINDOW})
    return {number: Bucket(bounces, dict(domains)) for number, bounces, domains in rows}


def _campaigns(session: Session, standing: Standing, warned_at: datetime | None) -> dict[int, Scope]:
    """Those of the steps; for who is warned also those that had outcomes lately."""
    ids = {step.campaign_id for step in standing.steps} - {TRANSACTIONAL}
    wanted: ColumnElement[bool] = CampaignReputation.campaign_id.in_(ids)
    if warned_at is not None:
        wanted = or_(wanted, CampaignReputation.last_at > warned_at - RECENT)
    query = _CAMPAIGNS.where(CampaignReputation.tenant_id == standing.tenant.id, wanted)
    return {row.campaign_id: _scope(row) for row in session.connection().execute(query)}


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
        for run in standing.runs:
            counts = _counts(run)
            if run.campaign_id != TRANSACTIONAL:
                campaign = campaigns[run.campaign_id, standing.tenant.id]
                for n, count in enumerate(counts):
                    campaign[n] += count
            if counts[2] or counts[3]:
                hour = hours[standing.tenant.id, run.campaign_id, run.hour_at]
                hour[0] += counts[2]
                hour[1] += counts[3]
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


def _counts(run: Run) -> tuple[int, int, int, int]:
    """In the order of _CAMPAIGN_COLUMNS."""
    if run.is_good:
        return len(run.steps), 0, len(run.steps), 0
    steps = run.steps
    return (
        sum(step.outcomes for step in steps),
        sum(step.permanent_bounces for step in steps),
        sum(step.delivered for step in steps),
        sum(step.complaints for step in steps),
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
    added: tuple[str, ...] = (),
    replaced: tuple[str, ...] = (),
) -> None:
    if rows:
        connection = session.connection()
        connection.execute(_upsert_into(connection.dialect.name, table, added, replaced), rows)


@cache
def _upsert_into(dialect: str, table: Any, added: tuple[str, ...], replaced: tuple[str, ...]) -> Any:
    """Built once: to build it costs more than to run it."""
    statement = (postgresql.insert if dialect == "postgresql" else sqlite.insert)(table)
    values = {name: getattr(table, name) + statement.excluded[name] for name in added}
    values |= {name: statement.excluded[name] for name in replaced}
    keys = [column.name for column in table.__table__.primary_key]
    return statement.on_conflict_do_update(index_elements=keys, set_=values)

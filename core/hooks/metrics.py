"""Metrics: what Prometheus reads. Few series, whatever is sent and whoever sends: no label is a name of
anybody's, and everything is read from counters and rollups, never from messages."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from core import __version__, events
from core.app import App
from core.db.models import Alert, DailyCount, ParkedEvent, Tenant, Worker

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
READ_EVERY_SECONDS = 10.0
RECENT = timedelta(days=1)
OUTCOMES = (
    "sent",
    "delivered",
    "permanent_bounces",
    "transient_bounces",
    "complaints",
    "rejected",
)
_BUCKETS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


class Meters:
    """What this process has answered since it started, and what the database says. Safe for threads."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self._registry)
        self._hooks = Counter(
            "postyard_hook_requests",
            "Requests to the hooks, by what became of them.",
            ["hook", "result"],
            registry=self._registry,
        )
        self._seconds = Histogram(
            "postyard_request_seconds",
            "From a request's first byte to the end of its answer.",
            ["room", "status"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._lock = threading.Lock()
        self._read: list[GaugeMetricFamily] = []
        self._read_at: float | None = None

    def hook(self, hook: str, result: str) -> None:
        self._hooks.labels(hook, result).inc()

    def answered(self, room: str, status: int, seconds: float) -> None:
        self._seconds.labels(room, f"{status // 100}xx").observe(seconds)

    def text(self, app: App) -> bytes:
        """What the database says is up to READ_EVERY_SECONDS old: however many ask, it is asked as often."""
        with self._lock:
            now = app.clock.monotonic()
            if self._read_at is None or now - self._read_at >= READ_EVERY_SECONDS:
                self._read, self._read_at = list(read(app)), now
            families = self._read
        kept = CollectorRegistry(auto_describe=False)
        kept.register(_Families(families))
        return generate_latest(self._registry) + generate_latest(kept)


class _Families(Collector):
    def __init__(self, families: Iterable[GaugeMetricFamily]) -> None:
        self._families = families

    def collect(self) -> Iterator[GaugeMetricFamily]:
        yield from self._families


def read(app: App) -> Iterator[GaugeMetricFamily]:
    """What the database says now; that it is away, when it is."""
    yield _family("postyard_version_info", "Which version this is.", {__version__: 1}, "version")
    try:
        with app.db.read() as session:
            found = [*_events(app, session), *_scheduler(app, session), *_counts(app, session)]
    except SQLAlchemyError:
        yield _family("postyard_database_up", "Whether the database answers.", 0)
        return
    yield _family("postyard_database_up", "Whether the database answers.", 1)
    yield from found


def _events(app: App, session: Session) -> Iterator[GaugeMetricFamily]:
    """As schedulers measured it last."""
    accounts = events.measured(session, app.now())
    lags = [account.seconds for account in accounts if account.seconds is not None]
    if lags:
        yield _family("postyard_event_lag_seconds", "Age of the oldest event that is not stored.", max(lags))
    yield _family(
        "postyard_event_lag_stale",
        "Accounts whose lag no scheduler has measured of late.",
        sum(account.is_stale for account in accounts),
    )
    waiting = sum(account.waiting or 0 for account in accounts)
    yield _family("postyard_events_waiting", "Messages in the event queues, as SQS estimates.", waiting)
    dead = sum(account.dead_letters or 0 for account in accounts)
    yield _family("postyard_dead_letters", "Messages in the dead-letter queues, as SQS estimates.", dead)
    parked = select(ParkedEvent.reason, func.count()).where(ParkedEvent.resolved_at.is_(None))
    yield _family(
        "postyard_parked_events",
        "Events that nobody could match, believe or read.",
        _pairs(session, parked.group_by(ParkedEvent.reason)),
        "reason",
    )


def _scheduler(app: App, session: Session) -> Iterator[GaugeMetricFamily]:
    beat_at = session.scalar(select(func.max(Worker.beat_at)))
    if beat_at is not None:
        age = max(0.0, (app.now() - beat_at).total_seconds())
        yield _family("postyard_scheduler_beat_age_seconds", "Since a scheduler last said it lives.", age)


def _counts(app: App, session: Session) -> Iterator[GaugeMetricFamily]:
    alerts = select(Alert.kind, func.count()).where(Alert.cleared_at.is_(None)).group_by(Alert.kind)
    yield _family("postyard_open_alerts", "Alerts that are open.", _pairs(session, alerts), "kind")
    tenants = select(Tenant.sending_status, func.count()).group_by(Tenant.sending_status)
    yield _family("postyard_tenants", "Tenants by sending status.", _pairs(session, tenants), "status")
    since = app.now().date() - RECENT
    sums = [func.coalesce(func.sum(getattr(DailyCount, name)), 0) for name in OUTCOMES]
    # By tenant, so that the rollup's key finds the days: it is small beside all that ever was.
    recent = select(*sums).join(Tenant, DailyCount.tenant_id == Tenant.id).where(DailyCount.day >= since)
    yield _family(
        "postyard_recent_messages",
        "Messages armed yesterday or today, in their tenants' days, by what became of them.",
        dict(zip(OUTCOMES, session.execute(recent).one(), strict=True)),
        "outcome",
    )


def _pairs(session: Session, query: Any) -> dict[str, float]:
    return {str(label): count for label, count in session.execute(query)}


def _family(
    name: str, text: str, values: float | dict[str, float], label: str | None = None
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label] if label else [])
    for key, value in values.items() if isinstance(values, dict) else [("", values)]:
        family.add_metric([key] if label else [], float(value))
    return family

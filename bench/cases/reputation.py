"""The Reputation page: what its reads take of the server, ten million messages against ten thousand."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from bench import rollups
from bench.cases.setting import Setting
from bench.rollups import Past
from bench.table import Row
from core import access, reports, reputation
from core.app import App, build_app
from core.db.engine import Database
from core.db.models import Tenant
from core.settings import Settings

FEW, MANY = 10_000, 10_000_000
DAYS, WINDOW_DAYS = 90, 7  # the longest range of the page, and the days before it that its first point needs
TIMES = 25


def reputation_page(setting: Setting) -> Iterator[Row]:
    """With `--quick` the ten million are counted but not written: no read of the page touches a message."""
    rows = not setting.quick
    with _page(setting, Past(FEW, rows)) as small, _page(setting, Past(MANY, rows)) as large:
        taken = [_medians(large, small) for _ in range(setting.rounds)]
    yield Row(
        case="reputation_page",
        ours=_milliseconds([many for many, _ in taken]),
        ceiling=_milliseconds([few for _, few in taken]),
        ratios=tuple(many / few for many, few in taken),
        target=1.5,
        at_most=True,
        note=f"{MANY:,} messages / {FEW:,}" + ("" if rows else ", rollups only"),
    )


@contextmanager
def _page(setting: Setting, past: Past) -> Iterator[Callable[[], object]]:
    name = f"reputation_{past.messages}"
    url = setting.place.prepare(name, functools.partial(rollups.write, past=past))
    db = Database(url)
    try:
        yield functools.partial(read_page, replace(build_app(Settings.load(database_url=url)), db=db))
    finally:
        db.dispose()
        setting.place.drop(name)


def read_page(app: App) -> list[object]:
    """Everything the page asks for, of the longest range it offers."""
    with app.db.read() as session:
        tenant = session.scalars(select(Tenant)).one()
    until = datetime.now(UTC).date()
    since = until - timedelta(days=DAYS - 1)
    of_tenant = (app, access.SYSTEM, tenant.id)
    return [
        reports.rates(*of_tenant, since=since - timedelta(days=WINDOW_DAYS), until=until),
        reports.pauses(*of_tenant, since=since),
        reports.by_campaign(*of_tenant, since=since, until=until),
        reports.by_domain(*of_tenant, since=since, until=until),
        reports.by_provider(*of_tenant, since=since, until=until),
        reputation.limits(tenant),
    ]


def _medians(large: Callable[[], object], small: Callable[[], object]) -> tuple[float, float]:
    """Of reads that take turns, so that what else the machine does falls on both."""
    pairs = [(_seconds(large), _seconds(small)) for _ in range(TIMES)]
    return statistics.median(many for many, _ in pairs), statistics.median(few for _, few in pairs)


def _seconds(read: Callable[[], object]) -> float:
    begun = time.perf_counter()
    read()
    return time.perf_counter() - begun


def _milliseconds(seconds: list[float]) -> str:
    return f"{statistics.median(seconds) * 1000:.1f} ms"

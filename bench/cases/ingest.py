"""Ingest: from SQS to the last delete against the same client without a database, and against one by one."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import update

from bench import events, fill, table
from bench.cases.setting import Setting
from bench.children import Done, Run, measured
from bench.stub import Options
from bench.table import Row
from core.db.engine import Database
from core.db.models import Account, Message, Tenant
from core.db.states import MessageStatus, ProviderName

MESSAGES = 8_000  # about 19,200 events
ONE_BY_ONE = 1_000  # events
TEMPLATE = "ingest"
FILLING = fill.Filling(1_000_000.0, (MESSAGES,))


def ingest_end_to_end(setting: Setting) -> Iterator[Row]:
    options = Options(events_of=MESSAGES)
    with _prepared(setting, f"{setting.endpoint.url}/queue"):
        pairs = [
            (_run(setting, "receive", options), _run(setting, "poll", options)) for _ in range(setting.rounds)
        ]
    rates = [
        tuple(done.stub["queue"]["deleted"] / done.stub["queue"]["seconds"] for done in pair)
        for pair in pairs
    ]
    yield _row("ingest_end_to_end", rates, 0.90 if setting.is_sqlite else 0.80)


def ingest_vs_one_by_one(setting: Setting) -> Iterator[Row]:
    few = {"messages": MESSAGES, "events": ONE_BY_ONE}
    with _prepared(setting, ""):
        pairs = [
            (_run(setting, "one_by_one", Options(), few), _run(setting, "blocks", Options(), few))
            for _ in range(setting.rounds)
        ]
    yield _row("ingest_vs_one_by_one", [(a.per_second, b.per_second) for a, b in pairs], 20)


def _run(setting: Setting, shape: str, stub: Options, options: Mapping[str, Any] | None = None) -> Done:
    with setting.place.copied(TEMPLATE) as url:
        empty = (lambda: _is_empty(setting, stub)) if shape == "poll" else None
        done = measured(setting.endpoint, Run(shape, url, stub, options or {}), empty)
    if stub.events_of and done.stub["queue"]["deleted"] != events.count(stub.events_of):
        raise SystemExit(f"{shape} left events in the queue: {done.stub['queue']}")
    return done


def _is_empty(setting: Setting, stub: Options) -> bool:
    deleted: int = setting.endpoint.stats()["queue"]["deleted"]
    return deleted >= events.count(stub.events_of)


def _row(case: str, rates: list[tuple[float, ...]], target: float) -> Row:
    return Row(
        case=case,
        ours=table.per_second([ours for _, ours in rates]),
        ceiling=table.per_second([other for other, _ in rates]),
        ratios=tuple(ours / other for other, ours in rates),
        target=target,
    )


@contextmanager
def _prepared(setting: Setting, queue_url: str) -> Iterator[None]:
    setting.place.prepare(TEMPLATE, functools.partial(_fill, queue_url=queue_url))
    try:
        yield
    finally:
        setting.place.drop(TEMPLATE)


def _fill(db: Database, queue_url: str) -> None:
    """All of the campaign's mail has left."""
    fill.fill(db, FILLING)
    with db.begin() as session:
        session.execute(update(Account).values(queue_url=queue_url or None))
        session.execute(update(Tenant).values(topic_arn=events.TOPIC))
        session.execute(
            update(Message).values(
                status=MessageStatus.SENT,
                attempt=events.ATTEMPT,
                provider=ProviderName.SES,
                armed_at=Message.created_at,
                sent_at=Message.created_at,
            )
        )

"""Recounting: new rules count old opens and clicks again, and the rollups are right at any moment of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from core import events
from core.app import build_app
from core.db.models import Event, Installation, Message
from core.db.states import EventType
from core.events import counting
from core.events.machines import RULES, By, MadeBy, made_by
from core.events.recounting import EVENTS_AT_ONCE, LOOK_BACK, RUN_SECONDS
from core.providers.base import ProviderEvent
from core.settings import Settings
from tests.ledger import Ledger, new_account, new_ledger


@dataclass
class Hurried:
    """A clock by which a run has time for one block."""

    ticks: int = field(default=0)

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        self.ticks += 1
        return self.ticks * RUN_SECONDS * 0.6

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here waits")


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    app = build_app(settings)
    with app.db.begin() as session:
        session.add(Installation(id=1, name="here", counting_rules=RULES))
    yield new_ledger(app, new_account(app), "acme")
    app.db.dispose()


def test_new_rules_count_old_opens_and_clicks_again(ledger: Ledger) -> None:
    machine, person = _opened_by_a_machine_and_a_person(ledger)
    _counted_otherwise(ledger, machine, MadeBy(By.PERSON, None))
    assert (ledger.total("opened"), ledger.total("opened_by_machine")) == (2, 0)

    assert "1 of 2 messages" in events.recount_due(ledger.app)

    assert (ledger.total("opened"), ledger.total("opened_by_machine")) == (1, 1)
    assert (ledger.look(machine).opened_by, ledger.look(person).opened_by) == (By.MACHINE, By.PERSON)
    _check(ledger)
    assert _installation(ledger) == (RULES, None)
    assert "newest rules" in events.recount_due(ledger.app)


def test_a_recount_that_was_cut_off_goes_on_where_it_was(ledger: Ledger) -> None:
    """Between its blocks everything is as each message says of itself, and events come in as ever."""
    machine, person = _opened_by_a_machine_and_a_person(ledger)
    _move_events(ledger, person, EVENTS_AT_ONCE)
    for message in (machine, person):
        _counted_otherwise(ledger, message, MadeBy(None, None))
    hurried = replace(ledger.app, clock=Hurried())

    assert "so far" in events.recount_due(hurried)
    assert (ledger.total("opened"), ledger.total("opened_by_machine")) == (0, 1)

    events.ingest(ledger.app, ledger.account, [ledger.says(person, EventType.CLICK, link="https://a.io/")])
    events.ingest(
        ledger.app, ledger.account, [ledger.says(machine, EventType.OPEN, user_agent="Thunderbird")]
    )
    _check(ledger)
    for _ in range(3):
        events.recount_due(hurried)
    assert _installation(ledger) == (RULES, None)
    assert (ledger.total("opened"), ledger.total("clicked")) == (2, 1)
    _check(ledger)


def test_rules_that_change_during_a_recount_begin_it_anew(ledger: Ledger) -> None:
    machine, _ = _opened_by_a_machine_and_a_person(ledger)
    _counted_otherwise(ledger, machine, MadeBy(By.PERSON, None))
    with ledger.app.db.begin() as session:
        session.execute(update(Installation).values(counting_rules=RULES - 1, recounted_event=10**9))
    events.recount_due(ledger.app)
    assert ledger.look(machine).opened_by == By.MACHINE
    _check(ledger)


def test_what_came_longer_ago_stays_as_it_was_counted(ledger: Ledger) -> None:
    machine, _ = _opened_by_a_machine_and_a_person(ledger)
    _counted_otherwise(ledger, machine, MadeBy(By.PERSON, None))
    with ledger.app.db.begin() as session:
        session.execute(update(Event).values(received_at=datetime.now(UTC) - LOOK_BACK - timedelta(days=1)))
    events.recount_due(ledger.app)
    assert (ledger.total("opened"), ledger.total("opened_by_machine")) == (2, 0)


def test_a_recount_and_an_ingest_at_once_end_right(ledger: Ledger) -> None:
    messages = ledger.add_messages([f"reader{n}@example.com" for n in range(40)])
    events.ingest(ledger.app, ledger.account, [_machine_opens(ledger, message) for message in messages])
    for message in messages:
        _counted_otherwise(ledger, message, MadeBy(By.PERSON, None))
    late = [ledger.says(m, EventType.CLICK, link="https://a.io/") for m in messages]
    late += [ledger.says(m, EventType.OPEN, user_agent="Thunderbird") for m in messages[:20]]
    ingesting = threading.Thread(
        target=lambda: [events.ingest(ledger.app, ledger.account, late[n::8]) for n in range(8)]
    )
    ingesting.start()
    events.recount_due(ledger.app)
    ingesting.join()
    events.recount_due(ledger.app)
    assert (ledger.total("opened"), ledger.total("opened_by_machine"), ledger.total("clicked")) == (
        20,
        20,
        40,
    )
    _check(ledger)


def _opened_by_a_machine_and_a_person(ledger: Ledger) -> list[Message]:
    machine, person = ledger.add_messages(["ann@example.com", "bo@example.net"])
    opens = [_machine_opens(ledger, machine), ledger.says(person, EventType.OPEN, user_agent="Thunderbird")]
    events.ingest(ledger.app, ledger.account, opens)
    return [machine, person]


def _machine_opens(ledger: Ledger, message: Message) -> ProviderEvent:
    return ledger.says(message, EventType.OPEN, bot_likely=True)


def _counted_otherwise(ledger: Ledger, message: Message, old: MadeBy) -> None:
    """As if rules of old had counted it so."""
    with ledger.app.db.begin() as session:
        told = session.scalars(select(Event).where(Event.message_id == message.id)).all()
        changes = counting.Changes()
        now, then = counting.tally(told, made_by(told)), counting.tally(told, old)
        changes.move(message, ledger.tenant.timezone, now, then)
        counting.write(session, changes)
        values: dict[str, Any] = old._asdict()
        session.execute(update(Message).where(Message.id == message.id).values(**values))
        session.execute(update(Installation).values(counting_rules=0))


def _move_events(ledger: Ledger, message: Message, by: int) -> None:
    with ledger.app.db.begin() as session:
        session.execute(update(Event).where(Event.message_id == message.id).values(id=Event.id + by))
        if not ledger.app.db.is_sqlite:
            session.connection().exec_driver_sql(f"ALTER SEQUENCE events_id_seq RESTART WITH {by + 100}")


def _check(ledger: Ledger) -> None:
    with ledger.app.db.read() as session:
        assert ledger.counts() == counting.recount(session, ledger.tenant.id)


def _installation(ledger: Ledger) -> tuple[int, int | None]:
    with ledger.app.db.read() as session:
        row = session.get_one(Installation, 1)
        return row.counting_rules, row.recounted_event

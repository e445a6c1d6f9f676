"""The engine: what `begin` and `read` promise on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, StatementError

from core.db.engine import Database
from core.db.models import Account
from core.errors import ConfigurationError

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def db(database_url: str) -> Iterator[Database]:
    db = Database(database_url)
    yield db
    db.dispose()


def add_account(db: Database) -> None:
    with db.begin() as session:
        session.add(Account(name="platform", region="eu-west-1", created_at=NOON, sent_last_24_hours=0))


def test_no_update_is_lost_between_threads(db: Database) -> None:
    """Read, then write, in one transaction: with SQLite's own BEGIN three quarters of them would be."""
    add_account(db)

    def count_one(_: int) -> None:
        with db.begin() as session:
            account = session.scalars(select(Account).with_for_update()).one()
            account.sent_last_24_hours += 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(count_one, range(100)))
    with db.read() as session:
        assert session.scalars(select(Account.sent_last_24_hours)).one() == 100


def test_what_raises_leaves_nothing(db: Database) -> None:
    def add_and_fail() -> None:
        with db.begin() as session:
            session.add(Account(name="platform", region="eu-west-1", created_at=NOON))
            session.flush()
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError):
        add_and_fail()
    with db.read() as session:
        assert session.scalars(select(Account)).all() == []


def test_what_is_changed_while_reading_is_dropped(db: Database) -> None:
    add_account(db)
    with db.read() as session:
        session.scalars(select(Account)).one().region = "us-east-1"
    with db.read() as session:
        assert session.scalars(select(Account.region)).one() == "eu-west-1"


def test_times_come_back_in_utc_and_need_a_zone(db: Database) -> None:
    add_account(db)
    with db.read() as session:
        assert session.scalars(select(Account.created_at)).one() == NOON
    with pytest.raises(StatementError, match="without a zone"), db.begin() as session:
        session.scalars(select(Account)).one().checked_at = datetime(2026, 5, 1, 12)


def test_an_error_shows_no_values(db: Database) -> None:
    with pytest.raises(DBAPIError) as refused, db.read() as session:
        session.execute(text("SELECT :address FROM nowhere"), {"address": "CANARY"})
    assert "CANARY" not in str(refused.value)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_database_that_does_not_answer_is_named_without_its_password(database_url: str) -> None:
    away = Database("postgresql+psycopg://postyard:CANARY@127.0.0.1:1/postyard")
    with pytest.raises(ConfigurationError, match="does not answer") as refused:
        away.check()
    assert "CANARY" not in str(refused.value)

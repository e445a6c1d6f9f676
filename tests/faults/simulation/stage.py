"""Stage: the account, tenants and drafts that every schedule begins with, made once per process."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import insert, select, text

from core import access, campaigns
from core.app import App
from core.db import migrate
from core.db.base import Base
from core.db.models import Account, Identity, Sender, Tenant
from core.settings import Settings
from core.suppressions import unsubscribe_token
from tests.faults.simulation.database import SimulatedDatabase
from tests.faults.simulation.world import BEGINNING

SLUGS = ("acme", "globex")
DRAFTS = (4, 6, 10)  # recipients, for each tenant
KEY = "k" * 40
URL = "https://mail.example.com"
TOPIC = "arn:aws:sns:eu-west-1:123456789012:postyard-{}-events"


class Beginning:
    """The clock while the stage is set."""

    def now(self) -> datetime:
        return BEGINNING

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing waits yet")


class Stage:
    """A database of two tenants with drafts, as often as one wants it anew; and a look past the product."""

    def __init__(self, url: str, directory: Path) -> None:
        self.directory = directory
        self.settings = Settings(
            database_url=url, data_dir=directory, secret_key=KEY, public_url=URL, send_threads=2
        )
        self.db = SimulatedDatabase(url)
        self._set_up()

    def anew(self) -> None:
        raise NotImplementedError

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Also what writes; at once and for good."""
        raise NotImplementedError

    def link_of(self, tenant_id: int, message_id: int) -> str:
        return f"{URL}/u/{unsubscribe_token(KEY.encode(), tenant_id, message_id)}"

    def close(self) -> None:
        self.db.dispose()

    def _set_up(self) -> None:
        app = App(self.settings, self.db, providers=None, clock=Beginning())  # type: ignore[arg-type]
        with self.db.begin() as session:
            account = Account(
                name="platform", region="eu-west-1", created_at=BEGINNING, checked_at=BEGINNING,
                max_send_rate=100, max_24_hour_send=50_000, production_access=True, sending_enabled=True,
            )  # fmt: skip
            session.add(account)
        for slug in SLUGS:
            tenant_id, sender_id = self._add_tenant(account.id, slug)
            for size in DRAFTS:
                people = [f"person{number}@example.com" for number in range(size)]
                rows = "\n".join(f"{address},of {address}" for address in people)
                campaigns.create(
                    app, access.SYSTEM, tenant_id, name=f"To {size}", sender_id=sender_id,
                    subject="News", html="<p>Mail {{whose}}</p>", csv=f"email,whose\n{rows}".encode(),
                )  # fmt: skip

    def _add_tenant(self, account_id: int, slug: str) -> tuple[int, int]:
        with self.db.begin() as session:
            tenant = Tenant(
                account_id=account_id, slug=slug, name=slug.title(), configuration_set=f"set-{slug}",
                topic_arn=TOPIC.format(slug), ses_tenant_arn=f"arn:aws:ses:eu-west-1:1:tenant/{slug}",
                provisioned_at=BEGINNING, created_at=BEGINNING,
            )  # fmt: skip
            session.add(tenant)
            session.flush()
            identity = Identity(
                tenant_id=tenant.id, name=f"{slug}-mail.io", verification_status="SUCCESS",
                verified_for_sending=True, dkim_status="SUCCESS", created_at=BEGINNING,
            )  # fmt: skip
            session.add(identity)
            session.flush()
            sender = Sender(
                tenant_id=tenant.id, identity_id=identity.id, address=f"news@{slug}-mail.io",
                created_at=BEGINNING,
            )  # fmt: skip
            session.add(sender)
            session.flush()
            return tenant.id, sender.id


class SqliteStage(Stage):
    def __init__(self, directory: Path) -> None:
        self._path = directory / "postyard.db"
        self._looker: sqlite3.Connection | None = None
        migrate_once = SimulatedDatabase(f"sqlite:///{self._path}")
        migrate.upgrade(migrate_once)
        migrate_once.dispose()
        super().__init__(f"sqlite:///{self._path}", directory)
        self.db.dispose()
        self._kept = directory / "kept.db"
        with sqlite3.connect(self._path) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        shutil.copyfile(self._path, self._kept)

    def anew(self) -> None:
        self.close()
        for beside in ("-wal", "-shm"):
            self._path.with_name(self._path.name + beside).unlink(missing_ok=True)
        shutil.copyfile(self._kept, self._path)
        self._looker = sqlite3.connect(self._path, isolation_level=None)
        self._looker.execute("PRAGMA synchronous = OFF")

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        assert self._looker is not None
        return self._looker.execute(sql).fetchall()

    def close(self) -> None:
        super().close()
        if self._looker is not None:
            self._looker.close()
            self._looker = None


class PostgresStage(Stage):
    """`url`: of a migrated, empty database."""

    def __init__(self, url: str, directory: Path) -> None:
        super().__init__(url, directory)
        with self.db.read() as session:
            self._kept = {
                table: [dict(row) for row in session.execute(select(table)).mappings()]
                for table in Base.metadata.sorted_tables
            }
        address = self.db.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._looker = psycopg.connect(address, autocommit=True)

    def anew(self) -> None:
        names = ", ".join(f'"{table.name}"' for table in self._kept)
        with self.db.begin() as session:
            session.execute(text(f"TRUNCATE {names}"))
            for table, rows in self._kept.items():
                if rows:
                    session.execute(insert(table), rows)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        cursor = self._looker.execute(sql)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        super().close()
        self._looker.close()


def in_memory() -> Path | None:
    """Where a file costs nothing, if there is such a place."""
    shared = Path("/dev/shm")
    return shared if os.access(shared, os.W_OK) else None


@contextmanager
def sqlite_stage(directory: Path) -> Iterator[SqliteStage]:
    stage = SqliteStage(directory)
    try:
        yield stage
    finally:
        stage.close()

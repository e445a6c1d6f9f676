"""Engine: one database, SQLite or PostgreSQL, and its transactions."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DatabaseError, InterfaceError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from core.errors import ConfigurationError

BUSY_TIMEOUT_MS = 10_000
# The database is away, locked, or has dropped the connection: trying again later is right.
AWAY = (OperationalError, InterfaceError)


class Database:
    """`begin()` to write, `read()` to read; a transaction never spans a provider call or a page's widget."""

    def __init__(self, url: str, *, pool_size: int = 20) -> None:
        self.is_sqlite = url.startswith("sqlite")
        self.engine = _create_engine(url, pool_size)
        self._writers = sessionmaker(
            self.engine.execution_options(postyard_write=True), expire_on_commit=False
        )
        self._lazy_writers = sessionmaker(
            self.engine.execution_options(postyard_write=True, postyard_lazy=True), expire_on_commit=False
        )
        # SQLite has one writer; waiting for the file's lock is sleeping and asking again, so the threads of
        # one process take turns here first (re-entrant: a nested begin fails loudly instead of hanging).
        self._write_turn = threading.RLock() if self.is_sqlite else contextlib.nullcontext()
        self._readers = sessionmaker(self.engine, expire_on_commit=False)

    @contextmanager
    def begin(self, *, power_cut_may_undo: bool = False) -> Iterator[Session]:
        """A transaction that may write: commits at the end, rolls back on raise. `power_cut_may_undo`: its
        commit does not wait for the disk; the next one that does keeps it, too."""
        writers = self._lazy_writers if power_cut_may_undo else self._writers
        with self._write_turn, writers.begin() as session:
            if power_cut_may_undo and not self.is_sqlite:
                session.execute(text("SET LOCAL synchronous_commit = off"))
            yield session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A consistent view that never takes the write lock; what is changed in it is dropped."""
        with self._readers() as session:
            yield session

    def check(self) -> None:
        """Raise ConfigurationError when the database does not answer."""
        try:
            with self.engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except (OperationalError, DatabaseError) as e:
            shown = self.engine.url.render_as_string(hide_password=True)
            raise ConfigurationError(
                f"The database at {shown} does not answer. "
                "Check POSTYARD_DATABASE_URL, and that the server is running."
            ) from e

    def dispose(self) -> None:
        self.engine.dispose()


def _create_engine(url: str, pool_size: int) -> Engine:
    options: dict[str, Any] = {
        "json_serializer": lambda value: orjson.dumps(value).decode(),
        "json_deserializer": orjson.loads,
        "pool_size": pool_size,
        "max_overflow": 10,
        "hide_parameters": True,  # an error names the statement, never an address or a hash
    }
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True, **options)
    if database := make_url(url).database:
        _make_private(Path(database))
    engine = create_engine(url, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000}, **options)
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _make_private(database: Path) -> None:
    """A new file is its user's alone; SQLite gives the journals beside it the same rights."""
    _make_directory(database)
    if str(database) != ":memory:" and not database.exists():
        with contextlib.suppress(OSError):  # check() says what is wrong
            database.touch(mode=0o600)


def _make_directory(database: Path) -> None:
    directory = database.absolute().parent
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise ConfigurationError(
            f"The database cannot be kept in {directory} ({e.strerror}). "
            "Point POSTYARD_DATABASE_URL at a directory that can be written."
        ) from e


def _configure_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver must not begin transactions by itself
    for pragma in (
        "journal_mode = WAL",
        "foreign_keys = ON",
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # BEGIN DEFERRED that later writes fails with "database is locked" at once, whatever the time-out:
    # the lock is taken at the start (reliability: 150 of 200 updates lost without it).
    options = connection.get_execution_options()
    if not options.get("postyard_write", False):
        connection.exec_driver_sql("BEGIN")
        return
    # FULL: what a power cut takes back of a claim would be sent a second time.
    wait = "NORMAL" if options.get("postyard_lazy", False) else "FULL"
    connection.exec_driver_sql(f"PRAGMA synchronous = {wait}")
    connection.exec_driver_sql("BEGIN IMMEDIATE")

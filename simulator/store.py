"""SQLite behind the simulator: written by one thread in blocks; a request waits at most for one of them.

What a request changed is on disk (as far as a killed process goes) before it is answered.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import sqlite3
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

log = logging.getLogger(__name__)

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], Any]
Rows = dict[str, list[tuple[Any, ...]]]  # by table

SCHEMA = """
CREATE TABLE IF NOT EXISTS resources (
    kind TEXT NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS contents (
    id TEXT PRIMARY KEY, subject TEXT NOT NULL, html TEXT NOT NULL, text TEXT NOT NULL,
    template INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS messages (
    id INTEGER PRIMARY KEY, message_id TEXT NOT NULL, at REAL NOT NULL, sender TEXT NOT NULL,
    recipient TEXT NOT NULL, recipient_key TEXT NOT NULL, counted INTEGER NOT NULL, tenant TEXT NOT NULL,
    configuration_set TEXT NOT NULL, content_id TEXT NOT NULL, fields TEXT NOT NULL, tags TEXT NOT NULL,
    headers TEXT NOT NULL, outcome TEXT NOT NULL, provider TEXT NOT NULL DEFAULT 'ses',
    reply_to TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS messages_recipient ON messages (recipient_key);
CREATE INDEX IF NOT EXISTS messages_tenant ON messages (tenant);
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY, due REAL NOT NULL, target TEXT NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL
);
"""
TABLES = ("resources", "contents", "messages", "outbox")
# Columns that databases of earlier versions lack; they stand last in every database.
ADDED = {
    "provider": "ALTER TABLE messages ADD COLUMN provider TEXT NOT NULL DEFAULT 'ses'",
    "reply_to": "ALTER TABLE messages ADD COLUMN reply_to TEXT NOT NULL DEFAULT ''",
}


class MessageRow(NamedTuple):
    """A row of the mail log, its columns in order."""

    id: int
    message_id: str
    at: float
    sender: str
    recipient: str
    recipient_key: str
    counted: int  # in SES's quota
    tenant: str
    configuration_set: str
    content_id: str
    fields: str
    tags: str
    headers: str
    outcome: str
    provider: str = "ses"
    reply_to: str = ""


def everything(db: sqlite3.Connection) -> Rows:
    return {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in TABLES}  # noqa: S608 - ours


class Store:
    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / "simulator.db"
        with self._connect() as connection:
            connection.executescript(SCHEMA)
            held = {row[1] for row in connection.execute("PRAGMA table_info(messages)")}
            for column, statement in ADDED.items():
                if column not in held:
                    connection.execute(statement)
        connection.close()
        self._jobs: queue.SimpleQueue[tuple[Job, Future[Any] | None] | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write, name="store", daemon=True)
        self._writer.start()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None)
        connection.execute("PRAGMA journal_mode=WAL")
        # A killed process loses nothing; a machine that loses power may, which no simulator needs to survive.
        connection.execute("PRAGMA synchronous=OFF")
        return connection

    def do(self, job: Job) -> None:
        """Queue a write; `flushed` tells when it is done."""
        self._jobs.put((job, None))

    def put(self, kind: str, key: str, body: bytes) -> None:
        self.do(lambda db: db.execute("INSERT OR REPLACE INTO resources VALUES (?, ?, ?)", (kind, key, body)))

    def remove(self, kind: str, key: str) -> None:
        self.do(lambda db: db.execute("DELETE FROM resources WHERE kind = ? AND key = ?", (kind, key)))

    def insert(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Rows of one of the tables above, every column in order."""
        if not rows:
            return
        marks = ", ".join("?" * len(rows[0]))
        statement = f"INSERT OR IGNORE INTO {table} VALUES ({marks})"  # noqa: S608 - our own table names
        self.do(lambda db: db.executemany(statement, rows))

    def drop_events(self, ids: Iterable[int]) -> None:
        gone = [(number,) for number in ids]
        self.do(lambda db: db.executemany("DELETE FROM outbox WHERE id = ?", gone))

    def clear(self) -> None:
        for table in TABLES:
            self.do(lambda db, table=table: db.execute(f"DELETE FROM {table}"))  # type: ignore[misc]  # noqa: S608

    async def flushed(self) -> None:
        """Returns when everything queued so far is written."""
        await self.read(lambda db: None)

    async def read(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """Runs on the writer's thread, after everything queued so far."""
        return await asyncio.wrap_future(self._submit(query))

    def read_now(self, query: Callable[[sqlite3.Connection], T]) -> T:
        """The same for code outside the event loop; blocks."""
        return self._submit(query).result()

    def _submit(self, query: Callable[[sqlite3.Connection], T]) -> Future[T]:
        answer: Future[T] = Future()
        self._jobs.put((query, answer))
        return answer

    def close(self) -> None:
        self._jobs.put(None)
        self._writer.join()

    def _write(self) -> None:
        connection = self._connect()
        while (first := self._jobs.get()) is not None:
            block = [first]
            stop = False
            while not self._jobs.empty():
                job = self._jobs.get()
                if job is None:
                    stop = True
                    break
                block.append(job)
            _run_block(connection, block)
            if stop:
                break
        connection.close()


def _run_block(connection: sqlite3.Connection, block: list[tuple[Job, Future[Any] | None]]) -> None:
    """One transaction; whoever waits is told only after its commit."""
    answers: list[tuple[Future[Any], Any]] = []
    try:
        connection.execute("BEGIN")
        for job, waiting in block:
            result = job(connection)
            if waiting is not None:
                answers.append((waiting, result))
        connection.execute("COMMIT")
    except sqlite3.Error as e:
        log.error("The simulator could not write its state: %s", e)
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        for _, waiting in block:
            if waiting is not None and not waiting.cancelled():
                waiting.set_exception(e)
        return
    for waiting, result in answers:
        if waiting.set_running_or_notify_cancel():
            waiting.set_result(result)

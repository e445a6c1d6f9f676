"""Writing: a block's events and what they make of their messages, in one statement each, without objects.

A provider brings several events for each mail: what one costs here decides how many a scheduler keeps up
with. Rows are tuples in the order of the columns; SQLite takes them one after the other without leaving its
own code, PostgreSQL all as one JSON parameter.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from core.db.models import Base, Event, Message

EVENT_COLUMNS = (
    "uid",
    "tenant_id",
    "message_id",
    "type",
    "recipient",
    "occurred_at",
    "received_at",
    "bounce_type",
    "bounce_subtype",
    "feedback_type",
    "counts_in_rates",
    "diagnostic",
    "link",
    "user_agent",
    "ip_address",
    "bot_likely",
    "raw",
)
MESSAGE_COLUMNS = (
    "status",
    "reason",
    "provider_message_id",
    "sent_at",
    "delivered_at",
    "bounced_at",
    "complained_at",
    "delayed_at",
    "opened_at",
    "clicked_at",
    "opened_by",
    "clicked_by",
    "bounce_type",
    "bounce_subtype",
)
Row = tuple[Any, ...]


def insert_events(session: Session, rows: Sequence[Row]) -> int:
    """EVENT_COLUMNS each; returns how many were new by their uid."""
    return _written(session, _INSERT, rows)


def update_messages(session: Session, rows: Sequence[Row]) -> None:
    """MESSAGE_COLUMNS each, and the message's id."""
    _written(session, _UPDATE, rows)


def _written(session: Session, statements: dict[str, str], rows: Sequence[Row]) -> int:
    if not rows:
        return 0
    connection = session.connection()
    dialect = connection.dialect.name
    given: Any = _plain(rows) if dialect == "sqlite" else (orjson.dumps(rows).decode(),)
    return int(connection.exec_driver_sql(statements[dialect], given).rowcount)


def _plain(rows: Sequence[Row]) -> list[Row]:
    """With times as SQLAlchemy writes them on SQLite; few are told apart in a block, so each is made once."""
    written: dict[Any, Any] = {}
    plain = []
    for row in rows:
        values = []
        for value in row:
            if type(value) is datetime:
                text = written.get(value)
                if text is None:
                    text = written[value] = value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
                value = text
            values.append(value)
        plain.append(tuple(values))
    return plain


def _insert() -> dict[str, str]:
    names, marks = ", ".join(EVENT_COLUMNS), ", ".join("?" * len(EVENT_COLUMNS))
    into, once = f"INSERT INTO events ({names})", "ON CONFLICT (uid) DO NOTHING"
    return {
        "sqlite": f"{into} VALUES ({marks}) {once}",
        "postgresql": f"{into} SELECT {_picked(Event, EVENT_COLUMNS)} ORDER BY uid {once}",
    }


def _update() -> dict[str, str]:
    marks = ", ".join(f"{name} = ?" for name in MESSAGE_COLUMNS)
    moves = ", ".join(f"{name} = told.{name}" for name in MESSAGE_COLUMNS)
    told = f"(SELECT {_picked(Message, (*MESSAGE_COLUMNS, 'id'))}) AS told"
    return {
        "sqlite": f"UPDATE messages SET {marks} WHERE id = ?",  # noqa: S608  names of ours
        "postgresql": f"UPDATE messages SET {moves} FROM {told} WHERE messages.id = told.id",  # noqa: S608
    }


def _picked(table: type[Base], names: Sequence[str]) -> str:
    """Each by its place in a row of the one parameter."""
    picked = (f"CAST(value ->> {n} AS {_type(table, name)}) AS {name}" for n, name in enumerate(names))
    return f"{', '.join(picked)} FROM jsonb_array_elements(CAST(%s AS JSONB))"


def _type(table: type[Base], name: str) -> str:
    return str(table.__table__.c[name].type.compile(_POSTGRESQL))


_POSTGRESQL: Any = postgresql.dialect()  # type: ignore[no-untyped-call]
_INSERT, _UPDATE = _insert(), _update()

"""What SES and Resend accepted, message by message: GET /_sim/messages."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from simulator.clock import iso_micros
from simulator.content import rendered
from simulator.errors import ControlError
from simulator.http import Send

if TYPE_CHECKING:
    from simulator.world import World

CHUNK = 200
_COLUMNS = (
    "m.id, m.message_id, m.at, m.sender, m.recipient, m.tenant, m.configuration_set, m.fields, m.tags,"
    " m.headers, m.outcome, m.provider, m.reply_to, c.subject, c.html, c.text, c.template"
)

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """Sent in chunks, so that a whole campaign's log neither fills memory nor stops the event loop."""

    world: World
    tenant: str | None
    to: str | None
    after: int
    limit: int | None

    async def send(self, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"application/json")],
            }
        )
        await _body(send, b'{"messages":[')
        left, after, first = self.limit, self.after, True
        while left is None or left > 0:
            size = CHUNK if left is None else min(CHUNK, left)
            rows = await self._rows(after, size)
            if rows:
                chunk = b",".join(orjson.dumps(_message(row)) for row in rows)
                await _body(send, chunk if first else b"," + chunk)
                after, first = rows[-1][0], False
            left = None if left is None else left - len(rows)
            if len(rows) < size:
                break
        more = self.limit is not None and bool(await self._rows(after, 1))
        following = b"%d" % after if more else b"null"
        await send({"type": "http.response.body", "body": b'],"next":%s}' % following})

    async def _rows(self, after: int, limit: int) -> list[Row]:
        conditions, values = ["m.id > ?"], [after]
        if self.tenant is not None:
            conditions.append("m.tenant = ?")
            values.append(self.tenant)  # type: ignore[arg-type]
        if self.to is not None:
            conditions.append("m.recipient_key = ?")
            values.append(self.to.lower())  # type: ignore[arg-type]
        statement = (
            f"SELECT {_COLUMNS} FROM messages m JOIN contents c ON c.id = m.content_id"  # noqa: S608 - constants
            f" WHERE {' AND '.join(conditions)} ORDER BY m.id LIMIT ?"
        )

        def query(db: sqlite3.Connection) -> list[Row]:
            return db.execute(statement, [*values, limit]).fetchall()

        return await self.world.store.read(query)


async def listing(world: World, parameters: Mapping[str, str]) -> Listing:
    if unknown := set(parameters) - {"tenant", "to", "after", "limit"}:
        raise ControlError(
            f"Messages are asked for by tenant, to, after and limit, not {', '.join(unknown)}."
        )
    limit = parameters.get("limit")
    return Listing(
        world=world,
        tenant=parameters.get("tenant"),
        to=parameters.get("to"),
        after=number(parameters, "after"),
        limit=None if limit is None else number(parameters, "limit"),
    )


def number(parameters: Mapping[str, str], name: str) -> int:
    text = parameters.get(name, "0")
    if not text.isdigit():
        raise ControlError(f"{name} is a whole number.")
    return int(text)


async def _body(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})


def _message(row: Row) -> dict[str, Any]:
    number, message_id, at, sender, recipient, tenant, configuration_set, fields, tags, headers = row[:10]
    outcome, provider, reply_to, subject, html, text, template = row[10:]
    if template:
        subject, html, text = rendered(subject, html, text, orjson.loads(fields))
    return {
        "id": number,
        "message_id": message_id,
        "provider": provider,
        "from": sender,
        "reply_to": reply_to or None,
        "to": recipient,
        "subject": subject,
        "html": html,
        "text": text,
        "tags": orjson.loads(tags),
        "headers": orjson.loads(headers),
        "tenant": tenant or None,
        "configuration_set": configuration_set or None,
        "time": iso_micros(at),
        "outcome": outcome,
    }

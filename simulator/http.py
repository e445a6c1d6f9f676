"""The little of HTTP that the simulator's own paths need, over ASGI."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self
from urllib.parse import parse_qs

import orjson

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class BodyTooLarge(Exception):
    """More than the limit was sent."""


class Request:
    def __init__(self, scope: Scope, receive: Receive) -> None:
        self.method: str = scope["method"]
        raw = scope.get("raw_path") or scope["path"].encode()
        self.raw_path: str = raw.decode("latin-1").partition("?")[0]
        self.path: str = scope["path"]
        self.query: str = scope["query_string"].decode("latin-1")
        self.client: str = (scope.get("client") or ("127.0.0.1",))[0]
        self._scope = scope
        self._receive = receive
        self._body: bytes | None = None

    @cached_property
    def headers(self) -> dict[str, str]:
        return {
            name.decode("latin-1").lower(): value.decode("latin-1") for name, value in self._scope["headers"]
        }

    @cached_property
    def parameters(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(self.query).items()}

    async def body(self, limit: int) -> bytes:
        if self._body is None:
            chunks, size, more = [], 0, True
            while more:
                message = await self._receive()
                chunks.append(message.get("body", b""))
                size += len(chunks[-1])
                if size > limit:
                    raise BodyTooLarge
                more = message.get("more_body", False)
            self._body = b"".join(chunks)
        return self._body

    def replay(self) -> Receive:
        """A `receive` that gives the body already read to somebody else."""
        given = False

        async def receive() -> Message:
            nonlocal given
            if given:
                return await self._receive()
            given = True
            return {"type": "http.request", "body": self._body or b"", "more_body": False}

        return receive


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, status: int, value: Any, headers: dict[str, str] | None = None) -> Self:
        return cls(status, orjson.dumps(value), headers or {})

    async def send(self, send: Send) -> None:
        headers = {
            "content-type": "application/json",
            "content-length": str(len(self.body)),
            "x-amzn-requestid": str(uuid.uuid4()),
            **self.headers,
        }
        wire = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": wire})
        await send({"type": "http.response.body", "body": self.body})


async def drop_connection(send: Send) -> None:
    """Close the client's connection without a word. ASGI has no such thing: it is uvicorn's transport."""
    cycle = getattr(send, "__self__", None)
    if cycle is None:
        return
    cycle.transport.abort()
    while not cycle.disconnected:  # or uvicorn would answer 500 in our stead
        await asyncio.sleep(0)

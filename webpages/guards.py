"""Guards: what stands before every route of webhooks.py: headers, and how much one kind of request may take.

Requests come in rooms. Each has places, threads and a largest body of its own, so that whatever is thrown at
one of them, the others go on: unsubscribing works while somebody floods the hooks.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import NamedTuple

from anyio import CapacityLimiter
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 64 * 1024
BODY_SECONDS = 10.0
ANSWER_SECONDS = 10.0
FULL_RETRY = {"Retry-After": "5"}
HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
    b"x-robots-tag": b"noindex, nofollow",
    b"content-security-policy": (
        b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; "
        b"frame-ancestors 'none'; base-uri 'none'"
    ),
}
HSTS = (b"strict-transport-security", b"max-age=31536000")


class Room(NamedTuple):
    """`places`: requests under way at once; `threads`: of these, how many work on something, each with a
    connection to the database at most. A body that is not read is not waited for either."""

    name: str
    prefix: str
    places: int
    threads: int
    body_bytes: int
    reads_body: bool = False


# What SNS delivers is 256 KiB at most (SNS quotas), written as a text within JSON: quotation marks double.
HOOKS = Room("hooks", "/webhooks/", places=64, threads=6, body_bytes=1024 * 1024, reads_body=True)
ONBOARDING = Room("onboarding", "/onboarding/", places=128, threads=8, body_bytes=MAX_BODY_BYTES)
UNSUBSCRIBING = Room("unsubscribing", "/u/", places=512, threads=8, body_bytes=MAX_BODY_BYTES)
REST = Room("rest", "/", places=128, threads=4, body_bytes=MAX_BODY_BYTES)
# Together no more threads than the database has connections for: 26 of 30.
ROOMS = (HOOKS, ONBOARDING, UNSUBSCRIBING, REST)


def room_of(path: str) -> Room:
    return next((room for room in ROOMS if path.startswith(room.prefix)), REST)


def thread_limits() -> dict[str, CapacityLimiter]:
    """By room; to be made where the event loop runs."""
    return {room.name: CapacityLimiter(room.threads) for room in ROOMS}


class SecurityHeaders:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                hsts = [HSTS] if scope["app"].state.postyard.settings.public_url.startswith("https:") else []
                message["headers"] = [*message["headers"], *HEADERS.items(), *hsts]
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class Rooms:
    """Answers 503 at once, before the body is read, when a room has no place; tells the meters of each
    answer. Whoever does not take its answer gives its place back."""

    def __init__(self, app: ASGIApp, seconds: float = ANSWER_SECONDS) -> None:
        self._app = app
        self._seconds = seconds
        self._taken: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        room, began, status, is_heard = room_of(scope["path"]), time.monotonic(), 500, True

        async def heard(message: Message) -> None:
            nonlocal status, is_heard
            status = message.get("status", status)
            is_heard = is_heard and await self._is_taken(send, message)

        self._taken[room.name] += 1
        try:
            if self._taken[room.name] > room.places:
                await refusal("Busy.", 503, FULL_RETRY)(scope, receive, heard)
            else:
                await self._app(scope, receive, heard)
        finally:
            self._taken[room.name] -= 1
            scope["app"].state.meters.answered(room.name, status, time.monotonic() - began)

    async def _is_taken(self, send: Send, message: Message) -> bool:
        try:
            async with asyncio.timeout(self._seconds):
                await send(message)
        except TimeoutError:
            return False
        return True


class BodyLimit:
    """Reads the body, where one is wanted, before anything else sees it; answers 413 as soon as it is too
    large for its room, 408 when it does not come. Where none is wanted nobody can hold a place with one."""

    def __init__(self, app: ASGIApp, seconds: float = BODY_SECONDS) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        room = room_of(scope["path"])
        try:
            async with asyncio.timeout(self._seconds):
                body = None if _announced(scope) > room.body_bytes else await _body_of(receive, room)
        except TimeoutError:
            await refusal("Too slow.", 408)(scope, receive, send)
            return
        if body is None:
            await refusal("Too large.", 413)(scope, receive, send)
            return

        async def whole() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, whole, send)


def _announced(scope: Scope) -> int:
    written = dict(scope["headers"]).get(b"content-length", b"0")
    return int(written) if written.isdigit() and len(written) < 20 else 0


async def _body_of(receive: Receive, room: Room) -> bytes | None:
    """All of it, or None as soon as it is too large; a client that left has sent what it sent."""
    body, more = bytearray(), room.reads_body
    while more and len(body) <= room.body_bytes:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body) if len(body) <= room.body_bytes else None


def refusal(sentence: str, status: int, headers: dict[str, str] | None = None) -> Response:
    """Ends the connection: what is still on its way is not read."""
    return PlainTextResponse(
        f"{sentence}\n", status_code=status, headers={"Connection": "close", **(headers or {})}
    )

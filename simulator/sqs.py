"""Around MiniStack's answers: queues topped up before a receive, their true depth told, changes saved.

Requests themselves are MiniStack's to answer.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson

from simulator import bus, query, ses
from simulator.errors import SesError
from simulator.faults import ERROR, THROTTLE
from simulator.http import Message, Request, Response, Scope, Send

if TYPE_CHECKING:
    from simulator.world import World

log = logging.getLogger(__name__)

MAX_BODY = 16 * 1024 * 1024
SAVE_EVERY = 0.1
_QUIET = frozenset(
    {
        "ReceiveMessage",
        "DeleteMessage",
        "DeleteMessageBatch",
        "ChangeMessageVisibility",
        "ChangeMessageVisibilityBatch",
        "GetQueueAttributes",
        "GetQueueUrl",
        "GetCallerIdentity",
    }
)
_DEPTH = "ApproximateNumberOfMessages"


async def pass_on(world: World, request: Request, scope: Scope, send: Send) -> None:
    """Hand a request to MiniStack; faults strike it only when they name its operation."""
    body = await request.body(MAX_BODY)
    operation = _operation(request, body)
    if await ses.struck(world, operation, send, by_name=True):
        return
    if fault := world.faults.strike((THROTTLE, ERROR), operation, by_name=True):
        await _refusal(request, ses.fault_error(fault)).send(send)
        return
    if operation == "ReceiveMessage":
        _top_up(world, body)
    if operation == "GetQueueAttributes":
        send = _with_backlog(world, body, send)
    await bus.app(scope, request.replay(), send)
    if operation not in _QUIET:
        world.bus.changed = True


def _operation(request: Request, body: bytes) -> str:
    """From X-Amz-Target (JSON protocols) or the form field Action (query protocol)."""
    target = request.headers.get("x-amz-target", "")
    if target:
        return target.rpartition(".")[2]
    form = parse_qs(body[:4096].decode("latin-1"))
    return (form.get("Action") or [request.parameters.get("Action", "")])[0]


def _refusal(request: Request, error: SesError) -> Response:
    """In the protocol of the request: JSON where it named a target, XML for the older services."""
    status = error.status or 500
    if "x-amz-target" in request.headers:
        content = {"__type": error.code, "message": error.message}
        return Response.json(status, content, {"x-amzn-errortype": error.code})
    return query.refusal(status, error.code, error.message)


def _queue(world: World, body: bytes) -> bus.Queue | None:
    try:
        url = orjson.loads(body).get("QueueUrl", "")
    except (orjson.JSONDecodeError, AttributeError):
        return None
    return world.bus.queue_named(url)


def _top_up(world: World, body: bytes) -> None:
    queue = _queue(world, body)
    if queue is not None:
        world.outbox.top_up(queue)


def _with_backlog(world: World, body: bytes, send: Send) -> Send:
    """A queue's depth includes the events that are due for it and not in it yet."""
    queue = _queue(world, body)
    extra = world.outbox.backlog(queue) if queue is not None else 0
    held: list[Message] = []

    async def corrected(message: Message) -> None:
        if message["type"] == "http.response.start":
            held.append(message)
            return
        start = held.pop()
        content = _corrected(message.get("body", b""), extra)
        names = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
        start["headers"] = [*names, (b"content-length", str(len(content)).encode())]
        await send(start)
        await send({**message, "body": content})

    return corrected if extra else send


def _corrected(body: bytes, extra: int) -> bytes:
    value: Any = orjson.loads(body)
    attributes = value.get("Attributes") or {}
    if _DEPTH in attributes:
        attributes[_DEPTH] = str(int(attributes[_DEPTH]) + extra)
    return orjson.dumps(value)


async def save_changes(world: World) -> None:
    """Topics, queues and rules are on disk a tenth of a second after they changed."""
    while True:
        await asyncio.sleep(SAVE_EVERY)
        if not world.bus.changed:
            continue
        world.bus.changed = False
        try:
            world.bus.save(world.outbox.fed())
        except Exception:
            log.error("Topics and queues could not be saved.", exc_info=True)

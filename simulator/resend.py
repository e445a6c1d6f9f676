"""Resend's API under /resend: sending one mail or a hundred, idempotency keys, its rate limit.

Of what it accepts the mail log tells, and webhooks where the scenario names an address for them.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from simulator import content, ses
from simulator.delivery import Block
from simulator.faults import ACCEPT_THEN_TIME_OUT, ERROR, THROTTLE, Fault
from simulator.http import Request, Response, Send, drop_connection
from simulator.resend_rules import ResendError, check, invalid, recipients, sender_domain
from simulator.state import Answered
from simulator.store import MessageRow

if TYPE_CHECKING:
    from simulator.world import World

PREFIX = "/resend/"
SEND, BATCH = "resend.emails", "resend.batch"  # as faults name them
OPERATIONS = {"emails": SEND, "emails/batch": BATCH}
MAX_BATCH = 100
MAX_BODY = 40 * 1024 * 1024
KEY_SECONDS = 86_400.0
_API_KEY = re.compile(r"Bearer re_[A-Za-z0-9_]+")
_FAULT_NAMES = {THROTTLE: "rate_limit_exceeded", ERROR: "internal_server_error"}
TOO_FAST = "Too many requests. You can only make {limit:g} requests per second."


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what it asks for."""

    world: World
    operation: str
    headers: dict[str, str]
    body: bytes

    @property
    def key(self) -> str:
        return self.headers.get("idempotency-key", "")

    def answer(self) -> dict[str, Any]:
        """The same key and body get the same answer for 24 hours. Raises ResendError."""
        now = self.world.clock.now()
        held = self.world.resend_answered.get(self.key) if self.key else None
        digest = hashlib.blake2b(self.operation.encode() + self.body, digest_size=16).hexdigest()
        if held and held.at > now - KEY_SECONDS:
            if held.digest != digest:
                raise ResendError(
                    409,
                    "invalid_idempotent_request",
                    "Same idempotency key used with a different request payload.",
                )
            return held.answer
        answer = _send(self.world, self._read(), one=self.operation == SEND)
        if self.key:
            self.world.resend_answered.put(self.key, Answered(self.key, digest, now, answer))
        return answer

    def _read(self) -> list[Any | ResendError]:
        """The mails, and in place of those that a permissive batch leaves out, why."""
        try:
            value = orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise ResendError(400, "validation_error", "The request body is not JSON.") from None
        if self.operation == SEND:
            return self._checked([value], permissive=False)
        if not isinstance(value, list) or not 1 <= len(value) <= MAX_BATCH:
            raise invalid(f"A batch is an array of 1 to {MAX_BATCH} emails.")
        return self._checked(value, permissive=self.headers.get("x-batch-validation") == "permissive")

    def _checked(self, mails: list[Any], *, permissive: bool) -> list[Any | ResendError]:
        self._check_domains(mails)
        found: list[Any | ResendError] = []
        for mail in mails:
            try:
                self._strike_entry()
                check(mail)
                found.append(mail)
            except ResendError as e:
                if not permissive:
                    raise
                found.append(e)
        return found

    def _check_domains(self, mails: list[Any]) -> None:
        for domain in filter(None, map(sender_domain, mails)):
            if domain not in self.world.scenario.resend_domains:
                raise ResendError(
                    403,
                    "validation_error",
                    f"The {domain} domain is not verified. Please, add and verify your domain on "
                    "https://resend.com/domains",
                )

    def _strike_entry(self) -> None:
        faults = self.world.faults
        if faults.any and faults.strike((ERROR,), self.operation, entry=True, by_name=True):
            raise invalid("The simulator was told to refuse this email.")


async def answer(world: World, request: Request, send: Send) -> Response | None:
    """None: the connection was dropped, as a fault asked."""
    operation = OPERATIONS.get(request.path.removeprefix(PREFIX))
    if operation is None:
        return _refusal(ResendError(404, "not_found", "The requested endpoint does not exist."))
    if request.method != "POST":
        return _refusal(
            ResendError(405, "method_not_allowed", "Method is not allowed for the requested path.")
        )
    exchange = Exchange(world, operation, request.headers, await request.body(MAX_BODY))
    try:
        _admit(exchange)
    except ResendError as e:
        return _refusal(e)
    world.resend_under_way.add(exchange.key)
    try:
        if await ses.struck(world, operation, send, by_name=True):
            return None
        return await _answered(exchange, send)
    finally:
        world.resend_under_way.discard(exchange.key)


def _admit(exchange: Exchange) -> None:
    """What is asked before the mail is looked at: key, rate, idempotency key."""
    world, headers = exchange.world, exchange.headers
    if "authorization" not in headers:
        raise ResendError(401, "missing_api_key", "Missing API Key")
    if not _API_KEY.fullmatch(headers["authorization"]):
        raise ResendError(403, "invalid_api_key", "API key is invalid")
    limit = world.scenario.resend_calls_per_second
    if limit and not world.resend_limit.take(world.clock.now(), limit):
        raise ResendError(429, "rate_limit_exceeded", TOO_FAST.format(limit=limit))
    if len(exchange.key) > 256:
        raise ResendError(400, "invalid_idempotency_key", "The key must be between 1-256 chars.")
    if exchange.key and exchange.key in world.resend_under_way:
        raise ResendError(
            409,
            "concurrent_idempotent_requests",
            "Same idempotency key used while original request is still in progress.",
        )


async def _answered(exchange: Exchange, send: Send) -> Response | None:
    world, operation = exchange.world, exchange.operation
    try:
        if fault := world.faults.strike((THROTTLE, ERROR), operation, by_name=True):
            raise _fault_error(fault)
        value = exchange.answer()
    except ResendError as e:
        return _refusal(e)
    await world.store.flushed()
    exchange.world.resend_under_way.discard(exchange.key)  # Resend has answered, whatever becomes of that
    if fault := world.faults.strike((ACCEPT_THEN_TIME_OUT,), operation, by_name=True):
        await asyncio.sleep(fault.seconds or 0.0)
        await drop_connection(send)
        return None
    return Response.json(200, value)


def _fault_error(fault: Fault) -> ResendError:
    status = 429 if fault.kind == THROTTLE else fault.status
    return ResendError(status, fault.code or _FAULT_NAMES[fault.kind], "The simulator was told to fail.")


def _refusal(error: ResendError) -> Response:
    headers = {"retry-after": "1"} if error.name == "rate_limit_exceeded" else {}
    content = {"statusCode": error.status, "name": error.name, "message": error.message}
    return Response.json(error.status, content, headers)


def _send(world: World, mails: list[Any | ResendError], *, one: bool) -> dict[str, Any]:
    block, rows, errors = Block(world), [], []
    for index, mail in enumerate(mails):
        if isinstance(mail, ResendError):
            errors.append({"index": index, "message": mail.message})
        else:
            rows.append({"id": _accept(world, block, mail)})
    block.write()
    if one:
        return rows[0]
    return {"data": rows, "errors": errors} if errors else {"data": rows}


def _accept(world: World, block: Block, mail: dict[str, Any]) -> str:
    """Into the mail log. Nothing of it counts in SES's quota, and SES tells nothing of it."""
    world.last_message += 1
    to, tags = recipients(mail), {tag["name"]: tag["value"] for tag in mail.get("tags") or ()}
    parts = content.plain(mail["subject"], mail.get("html") or "", mail.get("text") or "")
    reply_to, fate = mail.get("reply_to") or [], world.scenario.fate_of(to[0])
    row = MessageRow(
        id=world.last_message,
        message_id=str(uuid.uuid4()),
        at=world.clock.now(),
        sender=mail["from"],
        recipient=", ".join(to),
        recipient_key=to[0].lower(),
        counted=0,
        tenant="",
        configuration_set="",
        content_id=parts.id,
        fields="{}",
        tags=orjson.dumps(tags).decode(),
        headers=orjson.dumps(mail.get("headers") or {}).decode(),
        outcome=fate.outcome,
        provider="resend",
        reply_to=reply_to if isinstance(reply_to, str) else ", ".join(reply_to),
    )
    block.log(parts, row)
    world.resend_webhooks.plan(world, row, mail["subject"], fate)
    return row.message_id

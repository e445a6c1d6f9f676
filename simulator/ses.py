"""SES v2 on the wire: a request is an operation of botocore's model, its result or refusal the answer."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from simulator import configuration, identities, recommendations, sending, suppression, tenants
from simulator.errors import SesError, bad_request
from simulator.faults import ACCEPT_THEN_TIME_OUT, ERROR, LATENCY, REFUSE_CONNECTION, THROTTLE, Fault
from simulator.http import Request, Response, Send, drop_connection
from simulator.settings import DEFAULT_REGION
from simulator.world import Call, World

Implementation = Callable[[World, Call], dict[str, Any]]

OPERATIONS: dict[str, Implementation] = {
    **configuration.OPERATIONS,
    **identities.OPERATIONS,
    **recommendations.OPERATIONS,
    **sending.OPERATIONS,
    **suppression.OPERATIONS,
    **tenants.OPERATIONS,
}
PREFIX = "/v2/email"
MAX_BODY = 64 * 1024 * 1024
READING = ("Get", "List")
_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d{8}/([a-z0-9-]+)/")
_DEFAULT_LATENCY = 1.0
RATE_EXCEEDED = "Rate exceeded"


def credential(headers: dict[str, str]) -> tuple[str, str]:
    """(access key, region) of a signed request; the signature itself is not checked."""
    found = _CREDENTIAL.search(headers.get("authorization", ""))
    return (found.group(1), found.group(2)) if found else ("anonymous", DEFAULT_REGION)


async def answer(world: World, request: Request, send: Send) -> Response | None:
    """None: the connection was dropped, as a fault asked."""
    matched = world.model.match(request.method, request.raw_path)
    if matched is None:
        return refusal(world, SesError("UnknownOperationException", "This operation does not exist.", 404))
    operation, uri = matched

    def perform(body: bytes) -> Response:
        implementation = OPERATIONS.get(operation.name)
        if implementation is None:
            raise SesError(
                "UnknownOperationException", f"The simulator does not implement {operation.name}.", 501
            )
        values = operation.read(uri, request.query, _json(body))
        if faults := operation.faults(values):
            raise bad_request(_validation(faults))
        access_key, region = credential(request.headers)
        call = Call(operation.name, values, region, access_key, request.client, len(body))
        return Response.json(200, implementation(world, call))

    return await Exchange(
        world, request, send, operation.name, perform, lambda error: refusal(world, error)
    ).attend()


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request to SES and its answer, in whichever protocol."""

    world: World
    request: Request
    send: Send
    operation: str
    perform: Callable[[bytes], Response]
    refuse: Callable[[SesError], Response]

    async def attend(self) -> Response | None:
        """Control operations are kept in mind and may be too fast. None: the connection was dropped."""
        if self.operation in sending.OPERATIONS:
            return await self._answered()
        call = self.world.calls.begin(self.operation, self.world.clock.now())
        per_second = self.world.scenario.control_calls_per_second
        region = credential(self.request.headers)[1]
        answered: Response | None
        if per_second and self.world.calls.too_soon(call, region, per_second):
            answered = self.refuse(SesError("TooManyRequestsException", RATE_EXCEEDED, 429))
        else:
            answered = await self._answered()
        call.status = answered.status if answered else 0
        return answered

    async def _answered(self) -> Response | None:
        world, name = self.world, self.operation
        if await struck(world, name, self.send):
            return None
        try:
            _refuse_by_fault(world, name)
            result = self.perform(await self.request.body(MAX_BODY))
        except SesError as e:
            return self.refuse(e)
        if not name.startswith(READING):
            await world.store.flushed()
        if fault := world.faults.strike((ACCEPT_THEN_TIME_OUT,), name):
            await asyncio.sleep(fault.seconds or 0.0)
            await drop_connection(self.send)
            return None
        return result


async def struck(world: World, name: str, send: Send, *, by_name: bool = False) -> bool:
    """Faults of the network: True when the connection is gone."""
    if not world.faults.any:
        return False
    if fault := world.faults.strike((LATENCY,), name, by_name=by_name):
        await asyncio.sleep(_DEFAULT_LATENCY if fault.seconds is None else fault.seconds)
    if world.faults.strike((REFUSE_CONNECTION,), name, by_name=by_name):
        await drop_connection(send)
        return True
    return False


def _refuse_by_fault(world: World, name: str) -> None:
    fault = world.faults.strike((THROTTLE, ERROR), name) if world.faults.any else None
    if fault:
        raise fault_error(fault)


def fault_error(fault: Fault) -> SesError:
    if fault.kind == THROTTLE:
        return SesError(fault.code or "TooManyRequestsException", sending.TOO_FAST, 429)
    return SesError(
        fault.code or "InternalServiceErrorException", "The simulator was told to fail.", fault.status
    )


def _json(body: bytes) -> dict[str, Any]:
    if not body:
        return {}
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise SesError("SerializationException", "The request body is not JSON.", 400) from None
    if not isinstance(value, dict):
        raise SesError("SerializationException", "The request body is not a JSON object.", 400)
    return value


def _validation(faults: list[str]) -> str:
    word = "error" if len(faults) == 1 else "errors"
    return f"{len(faults)} validation {word} detected: {'; '.join(faults)}"


def refusal(world: World, error: SesError) -> Response:
    status = error.status or world.model.statuses.get(error.code, 400)
    name = "Message" if error.code == "AccessDeniedException" else "message"
    return Response.json(status, {name: error.message}, {"x-amzn-errortype": error.code})

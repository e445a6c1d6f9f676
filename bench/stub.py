"""An SES that only answers: fast, as late as it is told to, and with a memory of what it accepted when.

    python -m bench.stub

Prints its port, ends when its standard input does. Speaks SendBulkEmail, SendEmail and GetAccount of SES v2
and what hands out a queue of SQS; `POST /reset` takes Options as JSON and forgets everything, `GET /stats`
tells what happened since.
"""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from bench.queue import Queue

try:  # a third faster; the ratios do not need it
    from uvloop import new_event_loop
except ImportError:
    from asyncio import new_event_loop  # type: ignore[assignment]

Answer = tuple[int, Any]
_SQS = b"AmazonSQS."
_HEADS = {200: b"HTTP/1.1 200 OK", 404: b"HTTP/1.1 404 Not Found", 429: b"HTTP/1.1 429 Too Many Requests"}


@dataclass(frozen=True, slots=True)
class Options:
    latency_ms: float = 0.0
    throttled: int = 0  # per mille of a bulk call's entries: ACCOUNT_THROTTLED inside HTTP 200
    refused: int = 0  # per mille of all calls: HTTP 429
    rate: float = 1_000_000.0  # what GetAccount tells, and the worst second is compared with
    keep: bool = False  # remember whom each mail went to
    events_of: int = 0  # messages whose events wait in the queue
    seed: int = 1


@dataclass(slots=True)
class Share:
    """What one SES tenant got: recipients accepted, and when the first and the last."""

    accepted: int = 0
    first_at: float = 0.0
    last_at: float = 0.0


@dataclass(slots=True)
class Memory:
    """Of one run. A call's recipients are accepted when all of its request has arrived."""

    options: Options
    calls: int = 0
    accepted: int = 0
    throttled: int = 0
    refused: int = 0
    received_bytes: int = 0
    cpu_before: float = field(default_factory=time.process_time)
    times: array[float] = field(default_factory=lambda: array("d"))
    counts: array[int] = field(default_factory=lambda: array("L"))
    tenants: dict[str, Share] = field(default_factory=dict)
    kept: Counter[str] = field(default_factory=Counter)

    def accept(self, tenant: str, addresses: Sequence[str]) -> None:
        if not addresses:
            return
        now, count = time.monotonic(), len(addresses)
        self.accepted += count
        self.times.append(now)
        self.counts.append(count)
        share = self.tenants.get(tenant)
        if share is None:
            share = self.tenants[tenant] = Share(first_at=now)
        share.accepted += count
        share.last_at = now
        if self.options.keep:
            self.kept.update(addresses)

    def stats(self) -> dict[str, Any]:
        """Times are monotonic seconds, all of one clock; `worst_second`: most accepted in any one."""
        worst = worst_second(self.times, self.counts)
        return {
            "calls": self.calls,
            "accepted": self.accepted,
            "throttled": self.throttled,
            "refused": self.refused,
            "received_bytes": self.received_bytes,
            "worst_second": worst,
            "worst_second_of_rate": worst / self.options.rate,
            "first_at": self.times[0] if self.times else 0.0,
            "last_at": self.times[-1] if self.times else 0.0,
            "recipients": len(self.kept),
            "repeated": sum(count > 1 for count in self.kept.values()),
            "tenants": {
                name: {"accepted": share.accepted, "first_at": share.first_at, "last_at": share.last_at}
                for name, share in self.tenants.items()
            },
            "cpu_seconds": time.process_time() - self.cpu_before,
        }


def worst_second(times: Sequence[float], counts: Sequence[int]) -> int:
    """The largest sum of counts in any window of one second, its end not included; times ascend."""
    most = inside = first = 0
    for now, count in zip(times, counts, strict=True):
        inside += count
        while times[first] <= now - 1.0:
            inside -= counts[first]
            first += 1
        most = max(most, inside)
    return most


class Ses:
    """What each request is answered: (HTTP status, JSON)."""

    def __init__(self) -> None:
        self._numbered = 0
        self._routes: dict[bytes, Callable[[bytes], Answer]] = {
            b"POST /v2/email/outbound-bulk-emails": self._send_bulk,
            b"POST /v2/email/outbound-emails": self._send,
            b"GET /v2/email/account": self._account,
            b"GET /stats": self._stats,
            b"POST /reset": self._reset,
        }
        self._begin(Options())

    def answer(self, call: bytes, body: bytes) -> Answer:
        if call.startswith(_SQS):
            return self._queue.answer(call[len(_SQS) :].decode(), body)
        route = self._routes.get(call)
        return (404, {"message": "This stub has no such operation."}) if route is None else route(body)

    def delay(self, call: bytes) -> float:
        """Seconds until the answer leaves; who asks how the stub is does not wait."""
        return self._seconds if call.startswith((b"POST /v2", _SQS)) else 0.0

    def _begin(self, options: Options) -> None:
        self._memory = Memory(options)
        self._random = random.Random(options.seed)
        self._seconds = options.latency_ms / 1000
        self._queue = Queue(options.events_of, options.seed)

    def _send_bulk(self, body: bytes) -> Answer:
        if self._refuses(body):
            return _too_many()
        request = orjson.loads(body)
        results, addresses = [], []
        for entry in request["BulkEmailEntries"]:
            if self._happens(self._memory.options.throttled):
                self._memory.throttled += 1
                results.append({"Status": "ACCOUNT_THROTTLED", "Error": "Maximum sending rate exceeded."})
                continue
            results.append({"Status": "SUCCESS", "MessageId": self._message_id()})
            addresses.append(entry["Destination"]["ToAddresses"][0])
        self._memory.accept(request.get("TenantName", ""), addresses)
        return 200, {"BulkEmailEntryResults": results}

    def _send(self, body: bytes) -> Answer:
        if self._refuses(body) or self._happens(self._memory.options.throttled):
            return _too_many()
        request = orjson.loads(body)
        self._memory.accept(request.get("TenantName", ""), request["Destination"]["ToAddresses"])
        return 200, {"MessageId": self._message_id()}

    def _account(self, _body: bytes) -> Answer:
        quota = {
            "Max24HourSend": -1.0,
            "MaxSendRate": self._memory.options.rate,
            "SentLast24Hours": float(self._memory.accepted),
        }
        return 200, {
            "SendQuota": quota,
            "SendingEnabled": True,
            "ProductionAccessEnabled": True,
            "EnforcementStatus": "HEALTHY",
        }

    def _stats(self, _body: bytes) -> Answer:
        return 200, self._memory.stats() | {"queue": self._queue.stats()}

    def _reset(self, body: bytes) -> Answer:
        self._begin(Options(**orjson.loads(body or b"{}")))
        return 200, {}

    def _refuses(self, body: bytes) -> bool:
        self._memory.calls += 1
        self._memory.received_bytes += len(body)
        refused = self._happens(self._memory.options.refused)
        self._memory.refused += refused
        return refused

    def _happens(self, per_mille: int) -> bool:
        return per_mille > 0 and self._random.random() * 1000 < per_mille

    def _message_id(self) -> str:
        self._numbered += 1
        return f"010e0199f1c2d3e4-5b6a7c8d-9e0f-4a1b-8c2d-{self._numbered:012x}-000000"


def _too_many() -> Answer:
    return 429, {"__type": "TooManyRequestsException", "message": "Maximum sending rate exceeded."}


class Connection(asyncio.Protocol):
    """HTTP/1.1 as boto3 speaks it: a length with every body, the connection stays open."""

    def __init__(self, ses: Ses) -> None:
        self._ses = ses
        self._arrived = bytearray()
        self._call = b""
        self._body_at = self._ends_at = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._arrived += data
        while self._is_whole():
            body = bytes(self._arrived[self._body_at : self._ends_at])
            del self._arrived[: self._ends_at]
            self._ends_at = 0
            reply = _reply(*self._ses.answer(self._call, body))
            if delay := self._ses.delay(self._call):
                asyncio.get_running_loop().call_later(delay, self._transport.write, reply)
            else:
                self._transport.write(reply)

    def _is_whole(self) -> bool:
        if not self._ends_at:
            end = self._arrived.find(b"\r\n\r\n")
            if end < 0:
                return False
            lines = bytes(self._arrived[:end]).split(b"\r\n")
            self._call = _called(lines)
            self._body_at = end + 4
            self._ends_at = self._body_at + _length(lines)
        return len(self._arrived) >= self._ends_at


def _called(lines: list[bytes]) -> bytes:
    """Method and path; of SQS the operation that a header names."""
    line = lines[0].rpartition(b" ")[0]
    targets = (line[14:].strip() for line in lines if line[:13].lower() == b"x-amz-target:")
    return next(targets, line)


def _length(lines: list[bytes]) -> int:
    return next((int(line[15:]) for line in lines if line[:15].lower() == b"content-length:"), 0)


def _reply(status: int, answer: Any) -> bytes:
    body = orjson.dumps(answer)
    error = b"\r\nx-amzn-ErrorType: TooManyRequestsException" if status == 429 else b""
    head = b"%b\r\nContent-Type: application/json%b\r\nContent-Length: %d\r\n\r\n"
    return head % (_HEADS[status], error, len(body)) + body


async def serve() -> None:
    ses, loop, ended = Ses(), asyncio.get_running_loop(), asyncio.Event()

    def wait_for_the_end() -> None:
        sys.stdin.buffer.read()
        loop.call_soon_threadsafe(ended.set)

    server = await loop.create_server(lambda: Connection(ses), "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    threading.Thread(target=wait_for_the_end, daemon=True).start()
    await ended.wait()


def main() -> int:
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(serve())
    return 0


if __name__ == "__main__":
    sys.exit(main())

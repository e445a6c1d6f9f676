"""One question to one name server: over UDP, over TCP when the answer is cut short, never beyond the time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode

TRIES_SECONDS = (1.0, 1.5)  # a datagram may be lost once
PAYLOAD = 1232  # the UDP size that crosses every network unfragmented (DNS flag day 2020)


class Why(StrEnum):
    """Why there is no answer; the first is the most telling of several servers' reasons."""

    LOOP = "loop"
    FAILED = "failed"
    REFUSED = "refused"
    CUT_SHORT = "cut short"
    LAME = "lame"
    UNREACHABLE = "unreachable"
    SILENT = "silent"
    LATE = "late"


class Unanswered(Exception):
    def __init__(self, why: Why, detail: str = "") -> None:
        super().__init__(why, detail)
        self.why = why
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Server:
    address: str
    port: int = 53

    def __str__(self) -> str:
        if self.port == 53:
            return self.address
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


class Deadline:
    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        return self._at - time.monotonic()


def ask(
    server: Server, name: dns.name.Name, kind: str, *, recurse: bool, deadline: Deadline
) -> dns.message.QueryMessage:
    """The server's answer, or its plain "no such name". Raises Unanswered for everything else."""
    query = dns.message.make_query(name, kind, use_edns=0, payload=PAYLOAD)
    if not recurse:
        query.flags &= ~dns.flags.RD
    reply = _over_udp(server, query, deadline)
    if reply.rcode() in (dns.rcode.FORMERR, dns.rcode.NOTIMP):
        query.use_edns(False)  # older than EDNS
        reply = _over_udp(server, query, deadline)
    if reply.rcode() == dns.rcode.REFUSED:
        raise Unanswered(Why.REFUSED)
    if reply.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        raise Unanswered(Why.FAILED, dns.rcode.to_text(reply.rcode()))
    if not isinstance(reply, dns.message.QueryMessage):
        raise Unanswered(Why.FAILED, "an answer that is none")
    return reply


def _over_udp(server: Server, query: dns.message.Message, deadline: Deadline) -> dns.message.Message:
    if deadline.left() <= 0:
        raise Unanswered(Why.LATE)
    for seconds in TRIES_SECONDS:
        try:
            return dns.query.udp(
                query,
                server.address,
                timeout=min(seconds, max(0.0, deadline.left())),
                port=server.port,
                ignore_unexpected=True,
                raise_on_truncation=True,
                ignore_errors=True,
            )
        except dns.message.Truncated:
            return _over_tcp(server, query, deadline)
        except dns.exception.Timeout:
            continue
        except (OSError, dns.exception.DNSException) as e:
            raise Unanswered(Why.UNREACHABLE, str(e)) from e
    raise Unanswered(Why.SILENT)


def _over_tcp(server: Server, query: dns.message.Message, deadline: Deadline) -> dns.message.Message:
    seconds = min(sum(TRIES_SECONDS), max(0.0, deadline.left()))
    try:
        return dns.query.tcp(query, server.address, timeout=seconds, port=server.port)
    except (OSError, EOFError, dns.exception.DNSException) as e:
        raise Unanswered(Why.CUT_SHORT) from e

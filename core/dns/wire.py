"""One question to one name server: over UDP, over TCP when the answer is cut short, never beyond the time.
No answer is read that would take long: whoever owns a domain chooses what its servers send."""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass, field
from enum import StrEnum

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode

TRIES_SECONDS = (1.0, 1.5)  # a datagram may be lost once
PAYLOAD = 1232  # the UDP size that crosses every network unfragmented (DNS flag day 2020)
MOST_OCTETS = 16_384  # of an answer
MOST_RECORDS = 200  # of each of its sections
MOST_STRANGERS = 20  # datagrams on one question's port that do not answer it


class Why(StrEnum):
    """Why there is no answer; the first is the most telling of several servers' reasons."""

    LOOP = "loop"
    FAILED = "failed"
    REFUSED = "refused"
    TOO_LARGE = "too large"
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
    """`name`: what people are told; an address may be of a network that is nobody else's business."""

    address: str
    port: int = 53
    name: str = field(default="a DNS server", compare=False)

    def __str__(self) -> str:
        return self.name


class Deadline:
    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        return self._at - time.monotonic()


def ask(
    server: Server,
    name: dns.name.Name,
    kind: str,
    *,
    recurse: bool,
    deadline: Deadline,
    unchecked: bool = False,
) -> dns.message.QueryMessage:
    """The server's answer, or its plain "no such name". `unchecked`: a resolver is to answer though DNSSEC
    signatures are broken. Raises Unanswered for everything else."""
    query = dns.message.make_query(name, kind, use_edns=0, payload=PAYLOAD)
    if not recurse:
        query.flags &= ~dns.flags.RD
    if unchecked:
        query.flags |= dns.flags.CD
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
            return _datagram(server, query, Deadline(min(seconds, deadline.left())), deadline)
        except dns.message.Truncated:
            return _over_tcp(server, query, deadline)
        except TimeoutError:
            continue
        except OSError as e:
            raise Unanswered(Why.UNREACHABLE) from e
    raise Unanswered(Why.SILENT)


def _datagram(
    server: Server, query: dns.message.Message, until: Deadline, deadline: Deadline
) -> dns.message.Message:
    """Raises TimeoutError when nothing came that answers the question."""
    with _socket(server, socket.SOCK_DGRAM, until) as asking:
        asking.send(query.to_wire())
        for _ in range(MOST_STRANGERS):
            asking.settimeout(_seconds(until))
            octets = asking.recv(65_535)
            if octets[:2] != struct.pack("!H", query.id):
                continue
            if reply := _parsed(octets, query, deadline):
                return reply
    raise TimeoutError


def _over_tcp(server: Server, query: dns.message.Message, deadline: Deadline) -> dns.message.Message:
    until = Deadline(min(sum(TRIES_SECONDS), deadline.left()))
    octets = query.to_wire()
    try:
        with _socket(server, socket.SOCK_STREAM, until) as asking:
            asking.sendall(struct.pack("!H", len(octets)) + octets)
            [length] = struct.unpack("!H", _received(asking, 2, until))
            if length > MOST_OCTETS:
                raise Unanswered(Why.TOO_LARGE)
            reply = _parsed(_received(asking, length, until), query, deadline)
    except (OSError, EOFError, dns.message.Truncated) as e:
        raise Unanswered(Why.CUT_SHORT) from e
    if reply is None:
        raise Unanswered(Why.CUT_SHORT)
    return reply


def _parsed(octets: bytes, query: dns.message.Message, deadline: Deadline) -> dns.message.Message | None:
    """None: it answers something else, or nothing. Looks at the size before it takes the time to read."""
    if len(octets) < 12:
        return None
    if len(octets) > MOST_OCTETS or max(struct.unpack_from("!3H", octets, 6)) > MOST_RECORDS:
        raise Unanswered(Why.TOO_LARGE)
    if deadline.left() <= 0:
        raise Unanswered(Why.LATE)
    try:
        reply = dns.message.from_wire(octets, raise_on_truncation=True)
    except dns.message.Truncated:
        raise
    except dns.exception.DNSException:
        return None
    return reply if query.is_response(reply) else None


def _socket(server: Server, kind: socket.SocketKind, until: Deadline) -> socket.socket:
    family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
    asking = socket.socket(family, kind)
    try:
        asking.settimeout(_seconds(until))
        asking.connect((server.address, server.port))
    except OSError:
        asking.close()
        raise
    return asking


def _received(asking: socket.socket, length: int, until: Deadline) -> bytes:
    octets = b""
    while len(octets) < length:
        asking.settimeout(_seconds(until))
        more = asking.recv(length - len(octets))
        if not more:
            raise EOFError
        octets += more
    return octets


def _seconds(until: Deadline) -> float:
    left = until.left()
    if left <= 0:
        raise TimeoutError
    return left

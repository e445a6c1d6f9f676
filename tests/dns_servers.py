"""Small DNS servers on this host: one that holds a zone, and ones that err."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Zone = dict[tuple[str, str], list[str]]
Reply = Callable[[dns.message.Message], dns.message.Message | None]


def holding(zone: Zone, *, flags: int = dns.flags.AA) -> Reply:
    """A server of the zone."""

    def reply(query: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(query)
        answer.flags |= flags
        [question] = query.question
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        for each in (kind, "CNAME"):
            if values := zone.get((name, each)):
                answer.answer.append(dns.rrset.from_text(question.name, 60, "IN", each, *values))
                return answer
        if not any(known == name for known, _ in zone):
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer

    return reply


def failing(query: dns.message.Message) -> dns.message.Message:
    reply = dns.message.make_response(query)
    reply.set_rcode(dns.rcode.SERVFAIL)
    return reply


def silent(_query: dns.message.Message) -> None:
    return None


@contextmanager
def server(reply: Reply) -> Iterator[str]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(0.02)
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                try:
                    wire, asker = listening.recvfrom(4096)
                except TimeoutError:
                    continue
                if answer := reply(dns.message.from_wire(wire)):
                    listening.sendto(answer.to_wire(), asker)

        with _running(serve, stop):
            yield f"127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def tcp_server(values: Callable[[str], bytes]) -> Iterator[str]:
    """Cuts every answer over UDP short. Over TCP it gives what `values` makes of the type that was asked for:
    an answer section, as it goes over the wire and made once, so that it costs the server nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
        tcp.bind(("127.0.0.1", 0))
        tcp.listen(512)
        tcp.settimeout(0.02)
        port = tcp.getsockname()[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.1", port))
            udp.settimeout(0.02)
            stop = threading.Event()
            with (
                _running(lambda: _cut_short(udp, stop), stop),
                _running(lambda: _take(tcp, stop, values), stop),
            ):
                yield f"127.0.0.1:{port}"


def txt_records(count: int, length: int) -> bytes:
    """Of the name that was asked for, as an answer section."""
    rows = []
    for number in range(count):
        text = f"{number:05d}".ljust(length, "x").encode()
        rows.append(b"\xc0\x0c" + struct.pack("!HHIHB", 16, 1, 60, len(text) + 1, len(text)) + text)
    return b"".join(rows)


def _cut_short(udp: socket.socket, stop: threading.Event) -> None:
    while not stop.is_set():
        with suppress(TimeoutError):
            query, asker = udp.recvfrom(4096)
            udp.sendto(_header(query, 0, dns.flags.TC) + _question(query), asker)


def _take(tcp: socket.socket, stop: threading.Event, values: Callable[[str], bytes]) -> None:
    while not stop.is_set():
        with suppress(OSError):
            connection, _ = tcp.accept()
            with connection:
                connection.settimeout(1.0)
                query = connection.recv(4096)[2:]
                kind = dns.rdatatype.to_text(dns.message.from_wire(query).question[0].rdtype)
                answer = values(kind)
                count = _count(answer)
                wire = _header(query, count, 0) + _question(query) + answer
                connection.sendall(struct.pack("!H", len(wire)) + wire)


def _header(query: bytes, answers: int, flags: int) -> bytes:
    return query[:2] + struct.pack("!5H", dns.flags.QR | dns.flags.AA | flags, 1, answers, 0, 0)


def _question(query: bytes) -> bytes:
    end = query.index(b"\0", 12) + 5
    return query[12:end]


def _count(answer: bytes) -> int:
    at = count = 0
    while at < len(answer):
        at += 12 + struct.unpack_from("!H", answer, at + 10)[0]
        count += 1
    return count


@contextmanager
def _running(serve: Callable[[], None], stop: threading.Event) -> Iterator[None]:
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()

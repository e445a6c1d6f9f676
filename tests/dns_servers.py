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
    with _datagrams() as listening:
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
def tcp_server(rows: bytes) -> Iterator[str]:
    """Cuts every answer over UDP short. Over TCP it gives the rows, as `txt_rows` makes them, to whatever is
    asked; they are made once, so that it costs the server nothing."""
    stop = threading.Event()
    udp, tcp = _on_one_port()
    with udp, tcp:
        tcp.listen(512)
        tcp.settimeout(0.02)
        with _running(lambda: _cut_short(udp, stop), stop), _running(lambda: _take(tcp, stop, rows), stop):
            yield f"127.0.0.1:{udp.getsockname()[1]}"


def txt_rows(*values: str) -> bytes:
    """TXT records of the name that was asked for, as they go over the wire."""
    return b"".join(b"\xc0\x0c" + struct.pack("!HHI", 16, 1, 60) + _strings(value) for value in values)


def _strings(value: str) -> bytes:
    octets = value.encode()
    parts = [octets[at : at + 255] for at in range(0, len(octets), 255)]
    held = b"".join(bytes([len(part)]) + part for part in parts)
    return struct.pack("!H", len(held)) + held


def _on_one_port() -> tuple[socket.socket, socket.socket]:
    """A port that is free for one protocol may be taken for the other."""
    while True:
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tcp.bind(("127.0.0.1", 0))
        with suppress(OSError):
            udp.bind(tcp.getsockname())
            udp.settimeout(0.02)
            return udp, tcp
        tcp.close()
        udp.close()


@contextmanager
def _datagrams() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.settimeout(0.02)
        yield listening


def _cut_short(udp: socket.socket, stop: threading.Event) -> None:
    while not stop.is_set():
        with suppress(TimeoutError):
            query, asker = udp.recvfrom(4096)
            udp.sendto(_header(query, 0, dns.flags.TC) + _question(query), asker)


def _take(tcp: socket.socket, stop: threading.Event, rows: bytes) -> None:
    count = rows.count(b"\xc0\x0c\0\x10\0\1")
    while not stop.is_set():
        with suppress(OSError):
            connection, _ = tcp.accept()
            with connection:
                connection.settimeout(1.0)
                query = connection.recv(4096)[2:]
                wire = _header(query, count, 0) + _question(query) + rows
                connection.sendall(struct.pack("!H", len(wire)) + wire)


def _header(query: bytes, answers: int, flags: int) -> bytes:
    return query[:2] + struct.pack("!5H", dns.flags.QR | dns.flags.AA | flags, 1, answers, 0, 0)


def _question(query: bytes) -> bytes:
    end = query.index(b"\0", 12) + 5
    return query[12:end]


@contextmanager
def _running(serve: Callable[[], None], stop: threading.Event) -> Iterator[None]:
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()

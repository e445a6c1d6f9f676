"""The simulated internet's DNS server, over UDP and TCP: every domain's own servers and everybody's resolver.

A query that asks for recursion (RD) is answered as a resolver answers, one that does not as the zone's own
server does; they differ where a cache is stale or aliases go round.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from simulator.dns_faults import REFUSE, SERVFAIL, SILENT, STALE, TRUNCATE, DnsFault, DnsFaults
from simulator.zone import Resolution, RRset, Zone, folded

log = logging.getLogger(__name__)

UDP_SIZE = 1232
_IDLE_SECONDS = 10.0


class NoAnswer(Exception):
    """Nothing is sent back. `hang_up`: a TCP connection is closed as well."""

    def __init__(self, *, hang_up: bool) -> None:
        super().__init__()
        self.hang_up = hang_up


def answer(zone: Zone, faults: DnsFaults, query: dns.message.Message, *, tcp: bool) -> dns.message.Message:
    """Authoritative for every zone; raises NoAnswer when a fault keeps the server silent."""
    reply = dns.message.make_response(query, recursion_available=True)
    if not query.question:
        reply.set_rcode(dns.rcode.FORMERR)
        return reply
    question = query.question[0]
    kind = dns.rdatatype.to_text(question.rdtype)
    name = folded(question.name.to_text())
    recursive = bool(query.flags & dns.flags.RD)
    fault = faults.strike(name, kind, recursive=recursive)
    if fault is not None and fault.kind == STALE:
        _recall(reply, zone, fault, name, kind)
        return reply
    if fault is not None and _struck(reply, fault, tcp=tcp):
        return reply
    reply.flags |= dns.flags.AA
    _fill(reply, zone, zone.resolve(name, kind), kind, recursive=recursive)
    return reply


def _recall(reply: dns.message.Message, zone: Zone, fault: DnsFault, name: str, kind: str) -> None:
    """What a resolver still remembers, for as long as it will."""
    if fault.values:
        reply.answer.append(_rrset(name, kind, RRset(fault.values, fault.ttl)))
        return
    apex = zone.apex(name)
    reply.authority.append(_rrset(apex, "SOA", RRset(zone.soa(apex).values, fault.ttl)))


def _struck(reply: dns.message.Message, fault: DnsFault, *, tcp: bool) -> bool:
    """Whether the reply is made by the fault; if not, the zone answers as always."""
    if fault.kind == SILENT:
        raise NoAnswer(hang_up=False)
    if fault.kind == TRUNCATE:
        if tcp and not fault.tcp:
            raise NoAnswer(hang_up=True)
        reply.flags |= 0 if tcp else dns.flags.TC
        return not tcp
    reply.set_rcode({REFUSE: dns.rcode.REFUSED, SERVFAIL: dns.rcode.SERVFAIL}[fault.kind])
    return True


def _fill(
    reply: dns.message.Message, zone: Zone, resolution: Resolution, kind: str, *, recursive: bool
) -> None:
    for name, alias in resolution.aliases:
        reply.answer.append(_rrset(name, "CNAME", alias))
    if resolution.endless:
        if recursive:  # resolvers give up; the zone's own server shows what it has
            reply.set_rcode(dns.rcode.SERVFAIL)
        return
    if resolution.found:
        reply.answer.append(_rrset(resolution.name, kind, resolution.found))
        return
    if not resolution.exists:
        reply.set_rcode(dns.rcode.NXDOMAIN)
    apex = zone.apex(resolution.name)
    soa = zone.soa(apex)
    kept = min(soa.ttl, int(soa.values[0].split()[-1]))  # of what is not there (RFC 2308)
    reply.authority.append(_rrset(apex, "SOA", RRset(soa.values, kept)))


def _rrset(name: str, kind: str, held: RRset) -> dns.rrset.RRset:
    return dns.rrset.from_text_list(dns.name.from_text(name), held.ttl, "IN", kind, held.values)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, server: Server) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        try:
            reply = self._server.reply(data, tcp=False)
        except NoAnswer:
            return
        if self._transport:
            self._transport.sendto(reply, addr)


class Server:
    """Both sockets on one port; `close` ends them."""

    def __init__(self, zone: Zone, faults: DnsFaults) -> None:
        self._zone = zone
        self._faults = faults
        self._udp: asyncio.BaseTransport | None = None
        self._tcp: asyncio.Server | None = None

    async def start(self, udp: socket.socket, tcp: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self), sock=udp)
        self._tcp = await asyncio.start_server(self._converse, sock=tcp)

    def close(self) -> None:
        if self._udp:
            self._udp.close()
        if self._tcp:
            self._tcp.close()

    def reply(self, data: bytes, *, tcp: bool) -> bytes:
        """The answer on the wire; NoAnswer to what cannot be read, too."""
        try:
            query = dns.message.from_wire(data)
            reply = answer(self._zone, self._faults, query, tcp=tcp)
        except (dns.exception.DNSException, ValueError) as e:
            log.info("A DNS query could not be read: %s", e)
            raise NoAnswer(hang_up=True) from None
        size = 65_535 if tcp else min(UDP_SIZE, max(512, query.payload))
        try:
            return reply.to_wire(max_size=size)
        except dns.exception.TooBig:
            short = dns.message.make_response(query, recursion_available=True)
            short.flags |= dns.flags.TC
            return short.to_wire()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Queries on one TCP connection, one after another, each behind its length."""
        try:
            while True:
                header = await asyncio.wait_for(reader.readexactly(2), _IDLE_SECONDS)
                data = await asyncio.wait_for(reader.readexactly(*struct.unpack("!H", header)), _IDLE_SECONDS)
                await self._answer(data, writer)
        except (asyncio.IncompleteReadError, TimeoutError, ConnectionError):
            return
        finally:
            writer.close()

    async def _answer(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        try:
            reply = self.reply(data, tcp=True)
        except NoAnswer as e:
            if e.hang_up:
                raise ConnectionAbortedError from None
            return
        writer.write(struct.pack("!H", len(reply)) + reply)
        await writer.drain()

"""The simulated internet's DNS: a zone that the control API fills, and a server over UDP and TCP."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import orjson

from simulator.errors import ControlError

if TYPE_CHECKING:
    from simulator.store import Store

log = logging.getLogger(__name__)

TTL = 60
CNAME_STEPS = 8
UDP_SIZE = 1232
_IDLE_SECONDS = 10.0


class Zone:
    """RRsets by name and type, names in lower case; every name with a record has a zone around it."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sets: dict[tuple[str, str], list[str]] = {}
        self._names: dict[str, int] = {}  # how many RRsets are at or below a name

    def load(self, key: str, body: bytes) -> None:
        name, _, kind = key.partition(" ")
        self._keep(name, kind, orjson.loads(body))

    def clear(self) -> None:
        self._sets.clear()
        self._names.clear()

    def put(self, records: Iterable[dict[str, Any]]) -> None:
        """Entries of one name and type together become its RRset; what it held before is gone."""
        grouped: dict[tuple[str, str], list[str]] = {}
        for record in records:
            name, kind = _key(record)
            value = _value(kind, record.get("value"))
            values = grouped.setdefault((name, kind), [])
            if value not in values:
                values.append(value)
        for (name, kind), values in grouped.items():
            self._keep(name, kind, values)
            self._store.put("dns", f"{name} {kind}", orjson.dumps(values))

    def remove(self, records: Iterable[dict[str, Any]]) -> None:
        """The whole RRset, or only the value when one is given."""
        for record in list(records):
            name, kind = _key(record)
            held = self._sets.get((name, kind), [])
            value = record.get("value")
            left = [] if value in (None, "") else [each for each in held if each != _value(kind, value)]
            if left:
                self._keep(name, kind, left)
                self._store.put("dns", f"{name} {kind}", orjson.dumps(left))
            elif held:
                del self._sets[(name, kind)]
                self._count(name, -1)
                self._store.remove("dns", f"{name} {kind}")

    def values(self, name: str, kind: str) -> list[str]:
        return self._sets.get((_folded(name), kind), [])

    def exists(self, name: str) -> bool:
        """Whether there is a record at this name or below it."""
        return self._names.get(_folded(name), 0) > 0

    def types_at(self, name: str) -> list[str]:
        return [kind for held, kind in self._sets if held == _folded(name)]

    def listed(self) -> list[dict[str, str]]:
        return [
            {"type": kind, "name": name, "value": value}
            for (name, kind), values in sorted(self._sets.items())
            for value in values
        ]

    def apex(self, name: str) -> str:
        """The zone a name is in: where a SOA was put, or else its last two labels."""
        labels = _folded(name).split(".")
        for start in range(len(labels)):
            if (".".join(labels[start:]), "SOA") in self._sets:
                return ".".join(labels[start:])
        return ".".join(labels[-2:])

    def lookup(self, name: str, kind: str) -> list[str]:
        """Values of an RRset, with the SOA and NS (and the server's address) every zone has by itself."""
        held = self.values(name, kind)
        apex = self.apex(name)
        if held or not self.exists(apex):
            return held
        if name == apex and kind == "SOA":
            return [soa(apex)]
        if name == apex and kind == "NS":
            return [f"ns1.{apex}.", f"ns2.{apex}."]
        if kind == "A" and name in (f"ns1.{apex}", f"ns2.{apex}"):
            return ["127.0.0.1"]
        return []

    def known(self, name: str) -> bool:
        apex = self.apex(name)
        return self.exists(name) or (self.exists(apex) and name in (f"ns1.{apex}", f"ns2.{apex}"))

    def _keep(self, name: str, kind: str, values: list[str]) -> None:
        if (name, kind) not in self._sets:
            self._count(name, 1)
        self._sets[(name, kind)] = values

    def _count(self, name: str, change: int) -> None:
        labels = name.split(".")
        for start in range(len(labels)):
            suffix = ".".join(labels[start:])
            self._names[suffix] = self._names.get(suffix, 0) + change


def soa(apex: str) -> str:
    return f"ns1.{apex}. hostmaster.{apex}. 2026010101 7200 900 1209600 {TTL}"


def _folded(name: str) -> str:
    return name.rstrip(".").lower()


def _key(record: Any) -> tuple[str, str]:
    if not isinstance(record, dict) or not record.get("name") or not record.get("type"):
        raise ControlError('A DNS record is an object with "type", "name" and "value".')
    name, kind = _folded(str(record["name"])), str(record["type"]).upper()
    try:
        dns.name.from_text(name)
        dns.rdatatype.from_text(kind)
    except dns.exception.DNSException as e:
        raise ControlError(f"{kind} {name} is not a DNS name and type: {e}.") from None
    return name, kind


def _value(kind: str, value: Any) -> str:
    """In presentation form, checked by dnspython; a TXT value may come with or without its quotes."""
    if not isinstance(value, str) or not value.strip():
        raise ControlError(f'The {kind} record has no "value".')
    text = value.strip()
    if kind == "TXT" and not text.startswith('"'):
        text = " ".join(_quoted(text[at : at + 255]) for at in range(0, len(text), 255))
    elif kind in ("CNAME", "NS") and not text.endswith("."):
        text += "."
    elif kind == "MX" and not text.endswith("."):
        text = f"10 {text}." if " " not in text else text + "."
    try:
        kept = dns.rdatatype.from_text(kind)
        rdata = dns.rdata.from_text(dns.rdataclass.IN, kept, text, dns.name.root, relativize=False)
    except dns.exception.DNSException as e:
        raise ControlError(f"{value!r} is not the value of a {kind} record: {e}.") from None
    return rdata.to_text()


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def answer(zone: Zone, query: dns.message.Message) -> dns.message.Message:
    """The server's answer: authoritative for every zone that has a record, NXDOMAIN for the rest."""
    reply = dns.message.make_response(query, recursion_available=True)
    if not query.question:
        reply.set_rcode(dns.rcode.FORMERR)
        return reply
    reply.flags |= dns.flags.AA
    question = query.question[0]
    kind = dns.rdatatype.to_text(question.rdtype)
    name = _folded(question.name.to_text())
    for _ in range(CNAME_STEPS):
        values = zone.lookup(name, kind)
        if values:
            reply.answer.append(_rrset(name, kind, values))
            return reply
        alias = zone.lookup(name, "CNAME")
        if not alias:
            break
        reply.answer.append(_rrset(name, "CNAME", alias))
        name = _folded(alias[0])
    if not zone.known(name) and not zone.exists(name):
        reply.set_rcode(dns.rcode.NXDOMAIN)
    apex = zone.apex(name)
    reply.authority.append(_rrset(apex, "SOA", zone.lookup(apex, "SOA") or [soa(apex)]))
    return reply


def _rrset(name: str, kind: str, values: list[str]) -> dns.rrset.RRset:
    return dns.rrset.from_text_list(dns.name.from_text(name), TTL, "IN", kind, values)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        reply = _answer_wire(self._zone, data, UDP_SIZE)
        if reply and self._transport:
            self._transport.sendto(reply, addr)


def _answer_wire(zone: Zone, data: bytes, limit: int) -> bytes | None:
    try:
        query = dns.message.from_wire(data)
        reply = answer(zone, query)
    except (dns.exception.DNSException, ValueError) as e:
        log.info("A DNS query could not be read: %s", e)
        return None
    size = min(limit, max(512, query.payload)) if limit == UDP_SIZE else limit
    try:
        return reply.to_wire(max_size=size)
    except dns.exception.TooBig:
        short = dns.message.make_response(query, recursion_available=True)
        short.flags |= dns.flags.TC
        return short.to_wire()


class Server:
    """Both sockets on one port; `close` ends them."""

    def __init__(self, zone: Zone) -> None:
        self._zone = zone
        self._udp: asyncio.BaseTransport | None = None
        self._tcp: asyncio.Server | None = None

    async def start(self, udp: socket.socket, tcp: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        self._udp, _ = await loop.create_datagram_endpoint(lambda: _Udp(self._zone), sock=udp)
        self._tcp = await asyncio.start_server(self._converse, sock=tcp)

    def close(self) -> None:
        if self._udp:
            self._udp.close()
        if self._tcp:
            self._tcp.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Queries on one TCP connection, one after another, each behind its length."""
        try:
            while True:
                header = await asyncio.wait_for(reader.readexactly(2), _IDLE_SECONDS)
                data = await asyncio.wait_for(reader.readexactly(*struct.unpack("!H", header)), _IDLE_SECONDS)
                reply = _answer_wire(self._zone, data, 65_535)
                if reply is None:
                    return
                writer.write(struct.pack("!H", len(reply)) + reply)
                await writer.drain()
        except (asyncio.IncompleteReadError, TimeoutError, ConnectionError):
            return
        finally:
            writer.close()

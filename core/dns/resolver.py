"""DNS: what a domain's own servers say about the records a sender needs."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.nameserver
import dns.rdatatype
import dns.resolver

from core.errors import ConfigurationError

TIMEOUT_SECONDS = 3.0  # of one question, whatever it takes


@dataclass(frozen=True, slots=True)
class Answer:
    """`error`: why nobody can tell; no values and no error: the record does not exist."""

    values: tuple[str, ...] = ()
    error: str | None = None


class Resolver:
    """Asks the given servers (host:port, comma-separated), or else each name's authoritative ones; where
    those cannot be found, the system's. Safe for threads."""

    def __init__(self, servers: str = "") -> None:
        self._fixed = _resolver([_nameserver(server) for server in servers.split(",") if server.strip()])

    def lookup(self, name: str, type: str) -> Answer:
        """Never raises; ends within 10 seconds, 3 where the servers are given."""
        try:
            resolver = self._fixed or _authoritative(name)
            found = resolver.resolve(name, type, search=False, lifetime=TIMEOUT_SECONDS)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return Answer()
        except dns.exception.DNSException as e:
            return Answer(error=_why(e))
        except OSError as e:
            return Answer(error=f"No name server could be reached ({e.strerror or e}).")
        return Answer(values=tuple(sorted(_written(record) for record in found)))


def _written(record: Any) -> str:
    if record.rdtype == dns.rdatatype.TXT:
        return b"".join(record.strings).decode("utf-8", "replace")
    if record.rdtype == dns.rdatatype.CNAME:
        return str(record.target.to_text(omit_final_dot=True))
    if record.rdtype == dns.rdatatype.MX:
        return f"{record.preference} {record.exchange.to_text(omit_final_dot=True)}"
    return str(record.to_text())


def _authoritative(name: str) -> dns.resolver.Resolver:
    """A resolver of the servers that hold the name's zone; the system's when they cannot be found."""
    system = dns.resolver.Resolver()
    try:
        zone = dns.resolver.zone_for_name(name, resolver=system, lifetime=TIMEOUT_SECONDS)
        servers = [str(record.target) for record in system.resolve(zone, "NS", search=False, lifetime=2.0)]
    except dns.exception.DNSException:
        return system
    addresses = [address for server in sorted(servers)[:2] for address in _addresses(server, system)]
    return _resolver([dns.nameserver.Do53Nameserver(address) for address in addresses]) or system


def _addresses(server: str, system: dns.resolver.Resolver) -> list[str]:
    """Public ones alone: whoever owns a domain chooses its servers' addresses, and must not choose ours."""
    try:
        found = [str(record) for record in system.resolve(server, "A", search=False, lifetime=1.0)]
    except dns.exception.DNSException:
        return []
    return [address for address in found if ipaddress.ip_address(address).is_global]


def _resolver(nameservers: list[dns.nameserver.Nameserver]) -> dns.resolver.Resolver | None:
    if not nameservers:
        return None
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = list(nameservers)
    resolver.timeout = 1.0  # of one try: two servers, or one twice, fit into a look-up's time
    return resolver


def _nameserver(written: str) -> dns.nameserver.Nameserver:
    host, _, port = written.strip().rpartition(":") if ":" in written else (written.strip(), "", "53")
    try:
        address = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0][4][0]
    except (OSError, ValueError) as e:
        raise ConfigurationError(
            f"POSTYARD_DNS_SERVERS: '{written.strip()}' is no server. Write host:port, comma-separated."
        ) from e
    return dns.nameserver.Do53Nameserver(str(address), int(port))


def _why(error: dns.exception.DNSException) -> str:
    if isinstance(error, dns.exception.Timeout):
        return "The domain's name servers did not answer in time."
    if isinstance(error, dns.resolver.NoNameservers):
        return "The domain's name servers refused or failed to answer."
    return f"The domain cannot be looked up ({type(error).__name__})."

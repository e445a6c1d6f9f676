"""Whom to ask: the servers an installation names, or else each domain's own."""

from __future__ import annotations

import socket
from functools import cache

import dns.inet
import dns.resolver
from publicsuffixlist import PublicSuffixList

from core.dns.answers import Answer
from core.dns.look import Look
from core.dns.wire import Server
from core.errors import ConfigurationError

LOOKUP_SECONDS = 8.0


class Resolver:
    """Asks the given servers (host:port, comma-separated), or else each name's authoritative ones, found
    through the system's resolver. Safe for threads."""

    def __init__(self, servers: str = "") -> None:
        written = [each.strip() for each in servers.split(",") if each.strip()]
        self._fixed = tuple(_server(each, f"DNS server {number}") for number, each in enumerate(written, 1))

    def look(self, domain: str, *, seconds: float) -> Look:
        """A look whose questions end within so many seconds, with the domain's zone found."""
        domain = domain.lower().rstrip(".")
        look = Look(domain, self._fixed or _system_servers(), fixed=bool(self._fixed), seconds=seconds)
        look.find_zone(registrable(domain))
        return look

    def lookup(self, name: str, type: str) -> Answer:
        """One answer, for whoever needs no more. Never raises."""
        with self.look(name, seconds=LOOKUP_SECONDS) as look:
            return look.ask(name, type)


def registrable(domain: str) -> str:
    """What its owner registered: acme-mail.io of news.acme-mail.io; DMARC's organisational domain."""
    return _suffixes().privatesuffix(domain) or domain


@cache
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()  # the list in the package: never fetched


def _system_servers() -> tuple[Server, ...]:
    try:
        system = dns.resolver.Resolver()
    except dns.resolver.NoResolverConfiguration:
        return ()
    addresses = [str(each) for each in system.nameservers if dns.inet.is_address(str(each))]
    return tuple(Server(address, system.port, "the DNS resolver") for address in addresses)


def _server(written: str, name: str) -> Server:
    host, _, port = written.rpartition(":") if ":" in written else (written, "", "53")
    try:
        address = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0][4][0]
    except (OSError, ValueError) as e:
        raise ConfigurationError(
            f"POSTYARD_DNS_SERVERS: '{written}' is no server. Write host:port, comma-separated."
        ) from e
    return Server(str(address), int(port), name)

"""Sentences for questions that got no answer. Servers are called by their names: an address, and above all
that of an installation's own resolver, is not for a page that strangers see."""

from __future__ import annotations

from collections.abc import Sequence

from core.dns.answers import Answer
from core.dns.wire import Server, Unanswered, Why

NO_RESOLVER = "This host has no DNS resolver: give it one, or set POSTYARD_DNS_SERVERS."

OF_ZONES = {
    Why.LOOP: "The CNAME records lead in a circle ({detail}): remove one of them.",
    Why.FAILED: "The name servers of {zone} fail ({servers}: {detail}): whoever runs them must repair it.",
    Why.REFUSED: "The name servers of {zone} refuse to answer ({servers}): the domain is not set up there.",
    Why.TOO_LARGE: "What the name servers of {zone} answer is too large to be read ({servers}: more than 200 "
    "records or 16 kB): take out what nobody needs any more.",
    Why.CUT_SHORT: "The name servers of {zone} cut their answers short and take no question over TCP "
    "({servers}): they must be reached on TCP port 53 too.",
    Why.LAME: "The servers that {zone} is delegated to do not have it ({servers}): correct that at the "
    "registrar.",
    Why.UNREACHABLE: "The name servers of {zone} could not be reached ({servers}).",
    Why.SILENT: "The name servers of {zone} did not answer in time ({servers}).",
    Why.LATE: "The name servers of {zone} took so long that there was no time to ask for this record.",
}
OF_RESOLVERS = {
    Why.LOOP: OF_ZONES[Why.LOOP],
    Why.FAILED: "DNS resolvers fail over {zone} ({detail}): most often its DNSSEC signatures are broken, so "
    "renew them or switch DNSSEC off at the registrar.",
    Why.TOO_LARGE: "What DNS answers for {zone} is too large to be read: more than 200 records or 16 kB.",
}
ELSE_OF_RESOLVERS = "The DNS resolver of this installation could not look up {zone} ({detail})."


def of_zone(e: Unanswered, zone: str, servers: Sequence[Server]) -> Answer:
    return _answer(e, OF_ZONES[e.why], zone, ", ".join(str(server) for server in servers))


def of_resolvers(e: Unanswered, name: str) -> Answer:
    return _answer(e, OF_RESOLVERS.get(e.why, ELSE_OF_RESOLVERS), name, "")


def _answer(e: Unanswered, sentence: str, zone: str, servers: str) -> Answer:
    words = sentence.format(zone=zone, servers=servers, detail=e.detail or e.why.value)
    return Answer(error=words, circle=e.detail if e.why is Why.LOOP else "", failed=e.why is Why.FAILED)

"""What a server answered, as the doctor reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdatatype

from core.dns.wire import Unanswered, Why


@dataclass(frozen=True, slots=True)
class Answer:
    """`error`: why nobody can tell; no values and no error: the record does not exist, and `exists` tells
    whether anything else is at or below the name. `alias`: where the name's CNAME points, which led to the
    values; `circle`: the names its CNAME goes round. `failed`: the
    server said so, rather than nothing. `seconds`: how long resolvers may keep this answer."""

    values: tuple[str, ...] = ()
    error: str | None = None
    exists: bool = True
    alias: str = ""
    circle: str = ""
    failed: bool = False
    seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """`further`: the name outside of this answer at which a CNAME goes on."""

    answer: Answer
    authoritative: bool
    further: dns.name.Name | None = None


def read(message: dns.message.QueryMessage) -> Reply:
    """Raises Unanswered for an answer that contradicts itself and for a circle of CNAMEs."""
    try:
        chain = message.resolve_chaining()
    except dns.message.ChainTooLong as e:
        raise Unanswered(Why.LOOP, circle(message)) from e
    except dns.exception.DNSException as e:
        raise Unanswered(Why.FAILED, "an answer that contradicts itself") from e
    answer = Answer(
        values=tuple(sorted({written(rdata) for rdata in chain.answer or ()})),
        exists=message.rcode() != dns.rcode.NXDOMAIN or bool(chain.cnames),
        alias=plain(chain.cnames[0][0].target) if chain.cnames else "",
        seconds=_seconds(message, chain),
    )
    open_end = chain.answer is None and bool(chain.cnames)
    authoritative = bool(message.flags & dns.flags.AA)
    return Reply(answer, authoritative, chain.canonical_name if open_end else None)


def _seconds(message: dns.message.QueryMessage, chain: dns.message.ChainingResult) -> int:
    """Of what is not there: the SOA's own time, which a resolver counts down (RFC 2308 section 5)."""
    soas = [rrset.ttl for rrset in message.authority if rrset.rdtype == dns.rdatatype.SOA]
    return int(chain.minimum_ttl if chain.answer is not None or not soas else min(soas))


def circle(message: dns.message.QueryMessage) -> str:
    """a -> b -> a"""
    targets = {rrset.name: rrset[0].target for rrset in message.answer if rrset.rdtype == dns.rdatatype.CNAME}
    at, way = message.question[0].name, []
    while at in targets and at not in way:
        way.append(at)
        at = targets[at]
    return " → ".join(plain(name) for name in [*way, at])


def written(record: Any) -> str:
    """As somebody types it: the strings of a TXT record joined, names without the last dot."""
    if record.rdtype == dns.rdatatype.TXT:
        return b"".join(record.strings).decode("utf-8", "replace")
    if record.rdtype in (dns.rdatatype.CNAME, dns.rdatatype.NS):
        return plain(record.target)
    if record.rdtype == dns.rdatatype.MX:
        return f"{record.preference} {plain(record.exchange)}"
    return str(record.to_text())


def plain(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True)

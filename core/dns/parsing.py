"""checkdmarc, which parses SPF and DMARC, with this look at DNS behind it and no other network."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.resolver
from dns.rdtypes.ANY.TXT import TXT

from core.dns.look import Look

SES = "amazonses.com"
SES_SPF = "v=spf1 -all"  # in place of Amazon's own, which lists addresses and needs no further look-up
LONGEST = 4000  # characters of a record that is read at all; what mail servers take is far shorter
_EXPLANATION = re.compile(r"(?i)(?<=\s)exp=\S*")
_VERSION = re.compile(r"(?i)^v=spf1\b")


@cache
def library() -> Any:
    """checkdmarc, imported when the first record is judged: it takes a third of a second."""
    import checkdmarc.dmarc
    import checkdmarc.spf
    import checkdmarc.utils

    # Its cache is the process's and lasts half an hour; a check must see what DNS holds now.
    checkdmarc.utils.DNS_CACHE.max_age = -1e9
    checkdmarc.utils.DNS_CACHE.max_len = 1
    return checkdmarc


def readable(text: str) -> str:
    """Without exp=, which only explains refusals and which the library would look up by itself; the version,
    which may be written in capitals (RFC 7208 section 12), as the library wants it."""
    return _VERSION.sub("v=spf1", _EXPLANATION.sub("", text)).strip()


def said(error: Exception, prefix: str) -> str:
    """The library's words about a record that it cannot read, for people who do not know its grammar."""
    words = " ".join(str(error).removeprefix(prefix).split()).rstrip(".")
    if "end_of_statement" not in words:
        return words
    return f"it goes wrong at the arrow, where a separator may be missing: {words.partition(' in: ')[2]}"


class NobodyAnsweredError(dns.exception.DNSException):
    """Nobody could be asked."""


class LibraryResolver(dns.resolver.Resolver):
    """What the library takes for a resolver. `asked`: whose SPF or DMARC it wanted; `empty`: names that hold
    nothing; `unanswered`: names that nobody answers for, which the library takes for empty ones."""

    def __init__(self, look: Look) -> None:
        super().__init__(configure=False)
        self._look = look
        self.asked: list[str] = []
        self.empty: list[str] = []
        self.unanswered: list[str] = []

    def resolve(self, qname: Any, rdtype: Any = "A", *_: Any, **__: Any) -> Any:
        name, kind = str(qname).lower().rstrip("."), str(rdtype)
        if kind in ("SPF", "CNAME"):  # the first is no longer read by anybody, the second is judged elsewhere
            raise dns.resolver.NoAnswer
        if kind == "TXT" and name == SES:
            return [_txt(SES_SPF)]
        if kind == "TXT":
            self.asked.append(name)
        answer = self._look.ask(name, kind)
        if answer.error is not None:
            self.unanswered.append(name)
            raise NobodyAnsweredError
        if not answer.values:
            self.empty.append(name)
        if not answer.exists:
            raise dns.resolver.NXDOMAIN
        records = [_record(kind, value) for value in answer.values if len(value) <= LONGEST]
        if not records:
            raise dns.resolver.NoAnswer
        return records


def _record(kind: str, value: str) -> Any:
    if kind == "TXT":
        return _txt(readable(value) if value.lower().startswith("v=spf1") else value)
    text = f"{value}." if kind == "MX" else value
    return dns.rdata.from_text("IN", kind, text)


def _txt(value: str) -> TXT:
    octets = value.encode()
    parts = [octets[at : at + 255] for at in range(0, len(octets), 255)]
    return TXT(dns.rdataclass.IN, dns.rdatatype.TXT, parts or [b""])

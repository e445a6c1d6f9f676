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
NO_WIDTH = "\u200b\u2060\ufeff"  # written by word processors, and by nobody else
ODD_SPACES = {"\t": "a tab", "\n": "a line break", "\r": "a line break", "\xa0": "a no-break space"}
LONGEST = 4000  # characters of a record that is read at all; what mail servers take is far shorter
_EXPLANATION = re.compile(r"(?i)(?<=\s)exp=\S*")
_VERSION = re.compile(r"(?i)^v=spf1\b")
_OWN_NAME = re.compile(r"(?i)%\{d\}")
_HOSTS = ("A", "AAAA")
MOST_LOOKUPS = 10  # RFC 7208 section 4.6.4


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


def readable(text: str, name: str) -> str:
    """Without exp=, which only explains refusals and which the library would look up by itself; the version,
    which may be written in capitals (RFC 7208 section 12), as the library wants it; the macro for the name
    that holds the record filled in, which the library does not."""
    return _OWN_NAME.sub(name, _VERSION.sub("v=spf1", _EXPLANATION.sub("", text)), count=MOST_LOOKUPS).strip()


def odd_space(text: str, allowed: str = " ") -> str:
    """What looks like a space in the text and is none to a mail server, by its name."""
    odd = next((sign for sign in text if _is_space(sign) and sign not in allowed), "")
    return ODD_SPACES.get(odd, f"the invisible sign U+{ord(odd):04X}") if odd else ""


def with_plain_spaces(text: str) -> str:
    return " ".join("".join(" " if _is_space(sign) else sign for sign in text).split())


def _is_space(sign: str) -> bool:
    return sign.isspace() or sign in NO_WIDTH


def said(error: Exception, prefix: str) -> str:
    """The library's words about a record that it cannot read, for people who do not know its grammar."""
    words = " ".join(str(error).removeprefix(prefix).split()).rstrip(".")
    if "end_of_statement" not in words:
        return words
    return f"it goes wrong at the arrow, where a separator may be missing: {words.partition(' in: ')[2]}"


class NobodyAnsweredError(dns.exception.DNSException):
    """Nobody could be asked."""


class Nobody(dns.resolver.Resolver):
    """A resolver for the library where it needs none: it looks up what only leads to warnings."""

    def __init__(self) -> None:
        super().__init__(configure=False)

    def resolve(self, *_: Any, **__: Any) -> Any:
        raise dns.resolver.NoAnswer


class LibraryResolver(dns.resolver.Resolver):
    """What the library takes for a resolver. `asked`: whose SPF it wanted; `unanswered`: names that nobody
    answers for, which the library takes for empty ones."""

    def __init__(self, look: Look) -> None:
        super().__init__(configure=False)
        self._look = look
        self.asked: list[str] = []
        self.unanswered: list[str] = []

    def resolve(self, qname: Any, rdtype: Any = "A", *_: Any, **__: Any) -> Any:
        name, kind = str(qname).lower().rstrip("."), str(rdtype)
        if kind in ("SPF", "CNAME"):  # the first is no longer read by anybody, the second is judged elsewhere
            raise dns.resolver.NoAnswer
        if kind == "TXT" and name == SES:
            return [_txt(SES_SPF)]
        if kind == "TXT":
            self._count(name)
        answer = self._look.ask(name, kind)
        if answer.error is not None:
            self.unanswered.append(name)
            raise NobodyAnsweredError
        # A host without one kind of address may have the other, whatever careless servers say of the name.
        if not answer.exists and kind not in _HOSTS:
            raise dns.resolver.NXDOMAIN
        records = [_record(kind, value, name) for value in answer.values if len(value) <= LONGEST]
        if not records:
            raise dns.resolver.NoAnswer
        return records

    def _count(self, name: str) -> None:
        """The library counts on the way back, and includes that never end have none."""
        self.asked.append(name)
        if len(self.asked) > MOST_LOOKUPS:
            raise library().spf.SPFTooManyDNSLookups("too many", dns_lookups=len(self.asked))


def _record(kind: str, value: str, name: str) -> Any:
    if kind == "TXT":
        is_spf = value.lower().startswith("v=spf1")
        return _txt(_as_mail_servers_split(readable(value, name)) if is_spf else value)
    text = f"{value}." if kind == "MX" else value
    return dns.rdata.from_text("IN", kind, text)


def _as_mail_servers_split(text: str) -> str:
    """At spaces only: the library splits at other signs too, and would miss that they break the record."""
    return "".join("\ufffd" if _is_space(sign) and sign != " " else sign for sign in text)


def _txt(value: str) -> TXT:
    octets = value.encode()
    parts = [octets[at : at + 255] for at in range(0, len(octets), 255)]
    return TXT(dns.rdataclass.IN, dns.rdatatype.TXT, parts or [b""])

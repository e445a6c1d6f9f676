"""What a domain's DNS should hold, and what was found there instead."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

_SPF = re.compile(r"(?i)v=spf1(?= |\Z)")
_DMARC = re.compile(r"(?i)v[ \t]*=[ \t]*dmarc1(?=[ \t;]|\Z)")


class Kind(StrEnum):
    """What a record is for; of the TXT records at one name there is one of each kind."""

    DKIM = "dkim"
    OWNERSHIP = "ownership"  # _amazonses., SES's older proof
    SPF = "spf"
    DMARC = "dmarc"
    MX = "mx"
    OTHER = "other"


class Verdict(StrEnum):
    FOUND = "found"
    MISSING = "missing"
    DIFFERENT = "different"
    UNKNOWN = "unknown"


class Mistake(StrEnum):
    """What is wrong, as a word that is stored; the sentence beside it says what to do."""

    NOT_CHECKED = "not checked"
    NO_ANSWER = "no answer"
    NO_ZONE = "no zone"
    NOTHING_THERE = "nothing there"
    SERVERS_DISAGREE = "servers disagree"
    RESOLVERS_FAIL = "resolvers fail"
    STALE = "stale"
    NAME_DOUBLED = "name doubled"
    NAME_SHORT = "name short"
    ZONE_APPENDED = "zone appended"
    PROXIED = "proxied"
    ADDRESS = "address"
    TXT_INSTEAD = "txt instead of cname"
    TOKENS_SWAPPED = "tokens swapped"
    OTHER_IDENTITY = "other identity"
    OTHER_OWNERSHIP = "other ownership"
    OTHER_ZONE = "other signing zone"
    PARTIAL = "partial"
    CNAME_IN_THE_WAY = "cname in the way"
    CNAME_LOOP = "cname loop"
    WILDCARD = "wildcard"
    OTHER_VALUE = "other value"
    QUOTES = "quotes"
    SPLIT = "split"
    ODD_SPACE = "odd space"
    TWO_SPF = "two spf"
    SPF_WITHOUT_SES = "spf without ses"
    SPF_FULL = "spf full"
    SPF_LOOKUPS = "spf look-ups"
    SPF_VOID_LOOKUPS = "spf void look-ups"
    SPF_LOOP = "spf loop"
    SPF_SYNTAX = "spf syntax"
    SPF_AFTER_ALL = "spf after all"
    SPF_OPEN = "spf open"
    SPF_REDIRECT = "spf redirect"
    SPF_REDIRECT_MACRO = "spf redirect macro"
    SPF_INCLUDE = "spf include"
    SPF_OPEN_INCLUDE = "spf open include"
    DMARC_INHERITED = "dmarc inherited"
    TWO_DMARC = "two dmarc"
    DMARC_SYNTAX = "dmarc syntax"
    DMARC_PLACE = "dmarc place"
    DMARC_STRICT_SPF = "dmarc strict spf"
    DMARC_REPORTS = "dmarc reports"
    DMARC_BEFORE_DKIM = "dmarc before dkim"
    TWO_MX = "two mx"
    MX_OTHER_REGION = "mx other region"
    MX_OTHER_HOST = "mx other host"
    MX_SHARED = "mx shared"
    MX_PRIORITY = "mx priority"


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """A record the tenant's DNS should hold."""

    type: str  # CNAME, TXT, MX
    name: str
    value: str
    purpose: str
    required: bool
    optional_note: str = ""

    @property
    def kind(self) -> Kind:
        if self.type == "CNAME":
            return Kind.DKIM
        if self.type == "MX":
            return Kind.MX
        if self.name.lower().startswith("_amazonses."):
            return Kind.OWNERSHIP
        return kind_of(self.value)

    @property
    def key(self) -> str:
        """Stays when the expected value changes; unique among the records of a domain."""
        return f"{self.type} {self.name} {self.kind}"

    def as_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "type": self.type,
            "name": self.name,
            "value": self.value,
            "purpose": self.purpose,
            "required": self.required,
            "optional_note": self.optional_note,
        }


@dataclass(frozen=True, slots=True)
class Finding:
    """`advice`: the sentence that helps. A record may be found and still carry one: a warning.

    `better`: what to publish instead of the expected value, because something is there that must be kept.
    `ttl_seconds`: how long resolvers may go on with what is there. `others`: further values of the same name
    and type that have nothing to do with the record and must stay. `whole`: `found` and `others` are all
    there is, as it is: nothing was cut, and no sign stands for one that cannot be shown."""

    record: DnsRecord
    found: tuple[str, ...]
    verdict: Verdict
    mistake: str = ""
    advice: str = ""
    better: str | None = None
    ttl_seconds: int | None = None
    others: tuple[str, ...] = ()
    whole: bool = True

    @property
    def to_publish(self) -> str | None:
        """The value to enter. None where something is there that only its owner can weigh: the expected value
        in its place would shut out whoever else sends, a mail server or a website."""
        if self.better is not None:
            return self.better
        if self.verdict is Verdict.FOUND:
            return self.record.value if self.record.value in self.found else None
        return None if self._is_in_use() else self.record.value

    def _is_in_use(self) -> bool:
        if self.mistake == Mistake.CNAME_IN_THE_WAY:
            return True
        if self.record.kind in (Kind.SPF, Kind.DMARC):
            there = bool(self.found) and self.verdict is not Verdict.MISSING
            return there or self.mistake == Mistake.SERVERS_DISAGREE
        if self.record.kind is not Kind.MX or self.verdict is not Verdict.DIFFERENT:
            return False
        return any(is_foreign_mx(value) for value in self.found)

    def as_json(self) -> dict[str, Any]:
        return {
            "key": self.record.key,
            "type": self.record.type,
            "name": self.record.name,
            "purpose": self.record.purpose,
            "required": self.record.required,
            "expected": self.record.value,
            "found": list(self.found),
            "verdict": self.verdict.value,
            "mistake": str(self.mistake),
            "advice": self.advice,
            "better": self.better,
            "ttl_seconds": self.ttl_seconds,
            "others": list(self.others),
            "whole": self.whole,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], record: DnsRecord | None = None) -> Finding:
        """`record`: what is expected today, where that is known; else what was expected then."""
        return cls(
            record or _record_of(stored),
            tuple(stored.get("found") or ()),
            Verdict(stored.get("verdict") or Verdict.UNKNOWN),
            mistake=stored.get("mistake") or "",
            advice=stored.get("advice") or "",
            better=stored.get("better"),
            ttl_seconds=stored.get("ttl_seconds"),
            others=tuple(stored.get("others") or ()),
            whole=stored.get("whole") is not False,
        )


def is_foreign_mx(value: str) -> bool:
    """A mail server of somebody's: neither SES's, well written or not, nor "no mail here" (RFC 7505)."""
    host = value.lower().partition(" ")[2].strip().rstrip(".")
    return bool(host) and not ("feedback-smtp." in host and ".amazonses.com" in host)


def kind_of(value: str) -> Kind:
    """SPF and DMARC by the version a TXT value begins with (RFC 7208 section 4.5, RFC 9989 section 4.8)."""
    if _SPF.match(value):
        return Kind.SPF
    return Kind.DMARC if _DMARC.match(value) else Kind.OTHER


def _record_of(stored: Mapping[str, Any]) -> DnsRecord:
    return DnsRecord(
        type=stored["type"],
        name=stored["name"],
        value=stored["expected"],
        purpose=stored.get("purpose", ""),
        required=bool(stored.get("required")),
    )

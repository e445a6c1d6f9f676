"""What is still to be published, as files that DNS providers take: a BIND zone file, a Route 53 change batch
and a file to import into Cloudflare."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dns.exception
import dns.name

from core.dns import Finding, Kind, Mistake, Verdict

TTL_SECONDS = 300  # short, so that a mistake is soon forgotten
STRING_BYTES = 255  # of one string of a TXT record (RFC 1035 section 3.3)
CONTEXT = "for sending mail through Amazon SES"
WAITING = (Mistake.SERVERS_DISAGREE, Mistake.RESOLVERS_FAIL)  # published already
LEAST_KEPT, MOST_KEPT = 60, 86_400  # seconds of what is there already that are kept


@dataclass(frozen=True, slots=True)
class Entry:
    """A record to publish. `old`: values of the same type that must go; `others`: those that must stay, None
    where nobody knows them."""

    finding: Finding
    value: str
    old: tuple[str, ...]
    others: tuple[str, ...] | None

    @property
    def line(self) -> str:
        record = self.finding.record
        return _line(record.name, record.type, self.value)


def bind(domain: str, findings: Sequence[Finding], checked_at: datetime | None = None) -> str:
    """Lines to append to the zone's file, or to import: both only add. What must be changed is a remark,
    because a second SPF record undoes the first and a second CNAME keeps a zone from loading."""
    return _zone_file(f"; {_asked(checked_at)}Records of {domain} {CONTEXT}.", findings, tags={})


def cloudflare(domain: str, findings: Sequence[Finding], checked_at: datetime | None = None) -> str:
    """For Import and Export, with the tag of its own exports that keeps the proxy off."""
    records = f"Records of {domain} {CONTEXT}. Import them as DNS only, without the proxy."
    head = f"; {_asked(checked_at)}{records}"
    return _zone_file(head, findings, tags={"CNAME": " ; cf_tags=cf-proxied:false"})


def route53(domain: str, findings: Sequence[Finding], checked_at: datetime | None = None) -> str:
    """A ChangeBatch of ChangeResourceRecordSets. UPSERT replaces all values of a name and type, so it is used
    only where all are known; CREATE fails where anything is there."""
    changes: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in _entries(findings):
        record = entry.finding.record
        name = _absolute(record.name)
        values = [entry.value, *(entry.others or ())]
        known = changes.setdefault((name, record.type), _change(name, record.type, _ttl(entry.finding)))
        held = known["ResourceRecordSet"]["ResourceRecords"]
        held += [{"Value": text} for value in values if (text := _amazon(record.type, value))]
        if entry.others is not None and (entry.old or entry.others):
            known["Action"] = "UPSERT"
    for change in changes.values():
        rrset = change["ResourceRecordSet"]
        rrset["ResourceRecords"] = list({each["Value"]: each for each in rrset["ResourceRecords"]}.values())
    comment = f"{_asked(checked_at)}Records of {domain} {CONTEXT}"[:256]
    batch = {"Comment": comment, "Changes": list(changes.values())}
    return json.dumps(batch, indent=2) + "\n"


def _asked(checked_at: datetime | None) -> str:
    """Of what was there then: a file may be used much later."""
    return f"As of {checked_at.day} {checked_at:%b %Y, %H:%M} UTC. " if checked_at else ""


def _ttl(finding: Finding) -> int:
    """That of the values which are there, where it is known."""
    known = finding.ttl_seconds
    return min(max(known, LEAST_KEPT), MOST_KEPT) if known else TTL_SECONDS


def _zone_file(head: str, findings: Sequence[Finding], tags: Mapping[str, str]) -> str:
    lines = [head]
    for entry in _entries(findings):
        if entry.old:
            name, kind = entry.finding.record.name, _type_of_old(entry)
            lines += [f"; Change: {_line(name, kind, value)}" for value in entry.old]
            lines.append(f"; into: {entry.line}")
        elif _could_make_a_second(entry):
            lines.append(f"; Only if there is no such record yet: {entry.line}")
        else:
            lines.append(entry.line + tags.get(entry.finding.record.type, ""))
    lines += _by_hand(findings)
    return "".join(f"{_on_one_line(line)}\n" for line in lines)


def _on_one_line(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _entries(findings: Sequence[Finding]) -> list[Entry]:
    entries = []
    for finding in _open(findings):
        value = finding.to_publish
        if value is not None:
            entries.append(_entry(finding, value))
    return entries


def _open(findings: Sequence[Finding]) -> list[Finding]:
    return [each for each in findings if each.verdict is not Verdict.FOUND and each.mistake not in WAITING]


def _entry(finding: Finding, value: str) -> Entry:
    if finding.verdict is Verdict.UNKNOWN:
        return Entry(finding, value, (), None)
    if finding.verdict is Verdict.MISSING:  # what was found is elsewhere, or a wildcard's
        return Entry(finding, value, (), _known(finding, finding.others))
    if finding.record.kind is Kind.OWNERSHIP and finding.mistake != Mistake.QUOTES:
        tokens = (*finding.found, *finding.others)  # of other accounts of its owner's
        return Entry(finding, value, (), _known(finding, tokens))
    return Entry(finding, value, finding.found, _known(finding, finding.others))


def _known(finding: Finding, values: tuple[str, ...]) -> tuple[str, ...] | None:
    """None where they cannot be written again as they are."""
    return values if finding.whole and not any("\ufffd" in each for each in values) else None


def _by_hand(findings: Sequence[Finding]) -> list[str]:
    """What is there can be corrected only by somebody who knows what it is for."""
    return [
        f"; By hand, {each.record.type} {each.record.name}: {' '.join(each.advice.split())}"
        for each in _open(findings)
        if each.to_publish is None
    ]


def _could_make_a_second(entry: Entry) -> bool:
    unknown = entry.finding.verdict is Verdict.UNKNOWN
    return unknown and entry.finding.record.kind in (Kind.SPF, Kind.DMARC)


def _type_of_old(entry: Entry) -> str:
    """Of what was found, which may stand where a CNAME should."""
    mistake = entry.finding.mistake
    if mistake in (Mistake.ADDRESS, Mistake.PROXIED):
        return "AAAA" if ":" in entry.old[0] else "A"
    return "TXT" if mistake == Mistake.TXT_INSTEAD else entry.finding.record.type


def _change(name: str, kind: str, ttl: int) -> dict[str, Any]:
    rrset = {"Name": name, "Type": kind, "TTL": ttl, "ResourceRecords": []}
    return {"Action": "CREATE", "ResourceRecordSet": rrset}


def _line(name: str, kind: str, value: str) -> str:
    return f"{_absolute(name)} {TTL_SECONDS} IN {kind} {_written(kind, value, _decimal)}"


def _amazon(kind: str, value: str) -> str:
    """Route 53 escapes in octal: Developer Guide, "Supported DNS record types", TXT."""
    return _written(kind, value, _octal)


def _written(kind: str, value: str, escape: Callable[[int], str]) -> str:
    if kind == "TXT":
        octets = value.encode()
        parts = [octets[at : at + STRING_BYTES] for at in range(0, len(octets), STRING_BYTES)] or [b""]
        return " ".join('"' + "".join(map(escape, part)) + '"' for part in parts)
    if kind == "MX":
        priority, _, host = value.partition(" ")
        return f"{priority} {_absolute(host)}"
    return _absolute(value) if kind == "CNAME" else value


def _decimal(octet: int) -> str:
    if octet in b'"\\':
        return "\\" + chr(octet)
    return chr(octet) if 32 <= octet < 127 else f"\\{octet:03d}"


def _octal(octet: int) -> str:
    if octet == ord('"'):
        return '\\"'
    return chr(octet) if 32 <= octet < 127 and octet != ord("\\") else f"\\{octet:03o}"


def _absolute(name: str) -> str:
    """In ASCII, with the dot at the end that keeps a provider from appending the zone."""
    labels = name.strip().rstrip(".").split(".")
    return ".".join(_label(label) for label in labels) + "."


def _label(label: str) -> str:
    """What stands there already may be no name that anybody could register: its bytes, then."""
    if not label.isascii():
        try:
            return dns.name.IDNA_2008_UTS_46.encode(label).decode()
        except (dns.exception.DNSException, UnicodeError):
            return "".join(f"\\{octet:03d}" for octet in label.encode("utf-8", "replace"))
    return label

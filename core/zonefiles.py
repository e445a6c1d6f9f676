"""What is still to be published, as files that DNS providers take: a BIND zone file, a Route 53 change batch
and a file to import into Cloudflare."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dns.name

from core.dns import Finding, Kind, Mistake, Verdict

TTL_SECONDS = 300  # short, so that a mistake is soon forgotten
STRING_BYTES = 255  # of one string of a TXT record (RFC 1035 section 3.3)
CONTEXT = "for sending mail through Amazon SES"
WAITING = (Mistake.SERVERS_DISAGREE, Mistake.RESOLVERS_FAIL)  # published already
# The values found are of no use to anybody else, so publishing means replacing them.
REPLACED = (Mistake.TWO_MX, Mistake.MX_OTHER_REGION, Mistake.MX_PRIORITY, Mistake.ZONE_APPENDED)


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


def bind(domain: str, findings: Sequence[Finding]) -> str:
    """Lines to append to the zone's file, or to import: both only add. What must be changed is a remark,
    because a second SPF record undoes the first and a second CNAME keeps a zone from loading."""
    return _zone_file(f"; Records of {domain} {CONTEXT}.", findings, tags={})


def cloudflare(domain: str, findings: Sequence[Finding]) -> str:
    """For Import and Export, with the tag of its own exports that keeps the proxy off."""
    head = f"; Records of {domain} {CONTEXT}. Import them as DNS only, without the proxy."
    return _zone_file(head, findings, tags={"CNAME": " ; cf_tags=cf-proxied:false"})


def route53(domain: str, findings: Sequence[Finding]) -> str:
    """A ChangeBatch of ChangeResourceRecordSets. UPSERT replaces all values of a name and type, so it is used
    only where all are known; CREATE fails where anything is there."""
    changes: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in _entries(findings):
        record = entry.finding.record
        name = _absolute(record.name)
        values = [entry.value, *(entry.others or ())]
        known = changes.setdefault((name, record.type), _change(name, record.type))
        held = known["ResourceRecordSet"]["ResourceRecords"]
        held += [{"Value": text} for value in values if (text := _amazon(record.type, value))]
        if entry.others is not None and (entry.old or entry.others):
            known["Action"] = "UPSERT"
    for change in changes.values():
        rrset = change["ResourceRecordSet"]
        rrset["ResourceRecords"] = list({each["Value"]: each for each in rrset["ResourceRecords"]}.values())
    batch = {"Comment": f"Records of {domain} {CONTEXT}"[:256], "Changes": list(changes.values())}
    return json.dumps(batch, indent=2) + "\n"


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
    return "".join(" ".join(line.split("\n")).replace("\r", " ") + "\n" for line in lines)


def _entries(findings: Sequence[Finding]) -> list[Entry]:
    open_ones = [
        each for each in findings if each.verdict is not Verdict.FOUND and each.mistake not in WAITING
    ]
    return [_entry(each) for each in open_ones if not _needs_a_person(each)]


def _entry(finding: Finding) -> Entry:
    value = finding.better or finding.record.value
    if finding.verdict is Verdict.UNKNOWN:
        return Entry(finding, value, (), None)
    others = None if any("\ufffd" in each for each in finding.others) else finding.others
    if finding.verdict is Verdict.MISSING:  # what was found is elsewhere, or a wildcard's
        return Entry(finding, value, (), others)
    if finding.record.kind is Kind.OWNERSHIP and finding.mistake != Mistake.QUOTES:
        return Entry(
            finding, value, (), (*finding.found, *finding.others)
        )  # of another account of its owner's
    if finding.record.type == "MX" and finding.mistake not in REPLACED:
        return Entry(finding, value, finding.found, None)
    return Entry(finding, value, finding.found, others)


def _needs_a_person(finding: Finding) -> bool:
    """What is there can be corrected only by somebody who knows what it is for."""
    if finding.verdict is not Verdict.DIFFERENT or finding.better is not None:
        return False
    return finding.record.kind in (Kind.SPF, Kind.DMARC) or finding.mistake == Mistake.CNAME_IN_THE_WAY


def _by_hand(findings: Sequence[Finding]) -> list[str]:
    by_hand = [each for each in findings if each.verdict is not Verdict.FOUND and _needs_a_person(each)]
    return [
        f"; By hand, {each.record.type} {each.record.name}: {' '.join(each.advice.split())}"
        for each in by_hand
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


def _change(name: str, kind: str) -> dict[str, Any]:
    rrset = {"Name": name, "Type": kind, "TTL": TTL_SECONDS, "ResourceRecords": []}
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
    if label.isascii():
        return label
    return dns.name.IDNA_2008_UTS_46.encode(label).decode()

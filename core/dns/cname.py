"""Judging a CNAME of SES's DKIM keys."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from core.dns.advice import finding, good, nothing_there
from core.dns.answers import Answer
from core.dns.case import Case, appended_zone, astray, from_wildcard, wildcard
from core.dns.records import DnsRecord, Finding, Kind, Mistake, Verdict

# https://www.cloudflare.com/ips/
CLOUDFLARE = [
    ipaddress.ip_network(network)
    for network in (
        *("173.245.48.0/20", "103.21.244.0/22", "103.22.200.0/22", "103.31.4.0/22", "141.101.64.0/18"),
        *("108.162.192.0/18", "190.93.240.0/20", "188.114.96.0/20", "197.234.240.0/22", "198.41.128.0/17"),
        *("162.158.0.0/15", "104.16.0.0/13", "104.24.0.0/14", "172.64.0.0/13", "131.0.72.0/22"),
        *("2400:cb00::/32", "2606:4700::/32", "2803:f800::/32", "2405:b500::/32", "2405:8100::/32"),
        *("2a06:98c0::/29", "2c0f:f248::/32"),
    )
]


def judge(case: Case, record: DnsRecord, answer: Answer) -> Finding:
    values = answer.values
    if not values:
        return _absent(case, record, answer)
    if _same(values[0], record.value):
        return good(record, values)
    if from_wildcard(case, record.name, "CNAME", answer):
        return wildcard(record, answer)
    return _elsewhere(case, record, values[0])


def note_partial(findings: Sequence[Finding]) -> list[Finding]:
    """Of the DKIM records some are there: what is missing of them was forgotten, not delayed."""
    dkim = [each for each in findings if each.record.kind is Kind.DKIM]
    there = sum(each.verdict is Verdict.FOUND for each in dkim)
    return [_partial(each, there, len(dkim)) if there else each for each in findings]


def _partial(missing: Finding, there: int, of: int) -> Finding:
    if missing.record.kind is not Kind.DKIM or missing.mistake != Mistake.NOTHING_THERE:
        return missing
    return finding(missing.record, Verdict.MISSING, (), Mistake.PARTIAL, there=str(there), of=str(of))


def _elsewhere(case: Case, record: DnsRecord, value: str) -> Finding:
    mistake, words = _named(case, record, value)
    return finding(record, Verdict.DIFFERENT, (value,), mistake, **words)


def _named(case: Case, record: DnsRecord, value: str) -> tuple[Mistake, dict[str, str]]:
    if zone := appended_zone(case, value, record.value):
        return Mistake.ZONE_APPENDED, {"zone": zone}
    owners = [each.name for each in case.of_kind(Kind.DKIM) if _same(each.value, value)]
    if owners:
        return Mistake.TOKENS_SWAPPED, {"owner": owners[0]}
    if value.lower().startswith(_token_of(record)):
        return Mistake.OTHER_ZONE, {}
    if value.lower().endswith(".amazonses.com"):
        return Mistake.OTHER_IDENTITY, {}
    followed = case.look.ask(record.name, "TXT")
    return (Mistake.CNAME_LOOP, {"way": followed.circle}) if followed.circle else (Mistake.OTHER_VALUE, {})


def _absent(case: Case, record: DnsRecord, answer: Answer) -> Finding:
    beside = _other_type(case, record) if answer.exists else None
    return beside or astray(case, record, [_token_of(record)]) or nothing_there(record)


def _other_type(case: Case, record: DnsRecord) -> Finding | None:
    kinds = ("A", "AAAA", "TXT")
    answers = case.look.ask_all((record.name, kind) for kind in kinds)
    for kind, answer in zip(kinds, answers, strict=True):
        if answer.values and from_wildcard(case, record.name, kind, answer):
            return wildcard(record, answer)
        if answer.values:
            return finding(record, Verdict.DIFFERENT, answer.values, _instead(kind, answer.values[0]))
    return None


def _instead(kind: str, value: str) -> Mistake:
    if kind == "TXT":
        return Mistake.TXT_INSTEAD
    address = ipaddress.ip_address(value)
    proxied = any(address in network for network in CLOUDFLARE if network.version == address.version)
    return Mistake.PROXIED if proxied else Mistake.ADDRESS


def _token_of(record: DnsRecord) -> str:
    return record.value.partition(".")[0].lower() + "."


def _same(one: str, other: str) -> bool:
    return one.lower().rstrip(".") == other.lower().rstrip(".")

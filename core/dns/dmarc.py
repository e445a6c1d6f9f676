"""Judging DMARC (RFC 7489, RFC 9989) of a domain that sends through SES."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from core.dns.advice import finding, good
from core.dns.case import Case
from core.dns.parsing import LONGEST, LibraryResolver, Nobody, library, odd_space, said, with_plain_spaces
from core.dns.records import DnsRecord, Finding, Kind, Mistake, Verdict, kind_of
from core.dns.resolver import registrable

STRICT_POLICIES = ("quarantine", "reject")
MAY_SEPARATE = " \t"  # RFC 9989 section 4.8
MOST_DESTINATIONS = 5  # of reports, that are looked up
_Tags = Mapping[str, Mapping[str, Any]]


def judge(case: Case, record: DnsRecord, texts: tuple[str, ...]) -> Finding:
    if len(texts) > 1:
        return finding(record, Verdict.DIFFERENT, texts, Mistake.TWO_DMARC, count=str(len(texts)))
    if odd_space(texts[0], MAY_SEPARATE):
        return oddly_spaced(record, texts[0])
    tags, error = _read(texts[0], case.domain)
    if error:
        return finding(record, Verdict.DIFFERENT, texts, Mistake.DMARC_SYNTAX, error=error)
    return _effects(case, record, texts, tags)


def oddly_spaced(record: DnsRecord, text: str) -> Finding:
    better, odd = with_plain_spaces(text), odd_space(text, MAY_SEPARATE) or odd_space(text)
    return finding(record, Verdict.DIFFERENT, (text,), Mistake.ODD_SPACE, better=better, odd=odd)


def elsewhere(case: Case, record: DnsRecord) -> Finding | None:
    """At a name where no receiver looks."""
    places = [case.domain, f"dmarc.{case.domain}", f"_dmarc._dmarc.{case.domain}"]
    for place, answer in zip(places, case.look.ask_all((place, "TXT") for place in places), strict=True):
        texts = tuple(value for value in answer.values if kind_of(value) is Kind.DMARC)
        if texts:
            return finding(record, Verdict.MISSING, texts, Mistake.DMARC_PLACE, there=place)
    return None


def inherited(case: Case, record: DnsRecord) -> Finding | None:
    """A domain without a record has that of its organisational domain, with sp= as the policy."""
    parent = registrable(case.domain)
    if parent == case.domain:
        return None
    values = case.look.ask(f"_dmarc.{parent}", "TXT").values
    texts = tuple(value for value in values if kind_of(value) is Kind.DMARC)
    tags, error = _read(texts[0], parent) if len(texts) == 1 else ({}, "not one")
    if error:
        return None
    policy = tags["sp"]["value"]
    if policy in STRICT_POLICIES and _lacks_dkim(case):
        return finding(record, Verdict.FOUND, texts, Mistake.DMARC_BEFORE_DKIM, policy=policy)
    return finding(record, Verdict.FOUND, texts, Mistake.DMARC_INHERITED, parent=parent, policy=policy)


def _read(text: str, domain: str) -> tuple[_Tags, str]:
    """The tags, or why there are none."""
    if odd := odd_space(text, MAY_SEPARATE):
        return {}, f"it holds {odd}"
    if len(text) > LONGEST:
        return {}, f"it has {len(text)} characters"
    dmarc = library().dmarc
    try:
        tags = dmarc.parse_dmarc_record(
            text.replace("\t", " "), domain, resolver=Nobody(), ignore_unrelated_records=True
        )["tags"]
    except dmarc.DMARCError as e:
        return {}, said(e, "Error: ")
    if not tags["p"]["explicit"]:
        return {}, "it has no policy, such as p=none"
    return tags, ""


def _effects(case: Case, record: DnsRecord, texts: tuple[str, ...], tags: _Tags) -> Finding:
    """Of a record in order, the first of what its owner may not have meant."""
    policy = tags["p"]["value"]
    if policy in STRICT_POLICIES and _lacks_dkim(case):
        return finding(record, Verdict.FOUND, texts, Mistake.DMARC_BEFORE_DKIM, policy=policy)
    mail_from = [each.name for each in case.of_kind(Kind.MX)]
    if tags["aspf"]["value"] == "s" and mail_from:
        words = {"domain": case.domain, "mail_from": mail_from[0]}
        return finding(record, Verdict.FOUND, texts, Mistake.DMARC_STRICT_SPF, **words)
    if address := _unauthorised(case, tags):
        words = {"domain": case.domain, "address": address, "destination": address.rpartition("@")[2]}
        return finding(record, Verdict.FOUND, texts, Mistake.DMARC_REPORTS, **words)
    return good(record, texts)


def _lacks_dkim(case: Case) -> bool:
    """Known to lack one of the records; an error is no knowledge."""
    dkim = case.of_kind(Kind.DKIM)
    answers = case.look.ask_all((record.name, record.type) for record in dkim)
    return any(
        answer.error is None and record.value.lower() not in map(str.lower, answer.values)
        for record, answer in zip(dkim, answers, strict=True)
    )


def _unauthorised(case: Case, tags: _Tags) -> str:
    """The first address for reports in a domain that has not agreed to receive them."""
    reports = tags.get("rua", {}).get("value") or []
    addresses = [each["address"] for each in reports if each["scheme"] == "mailto"]
    return next((address for address in addresses[:MOST_DESTINATIONS] if _refuses(case, address)), "")


def _refuses(case: Case, address: str) -> bool:
    dmarc, resolver = library().dmarc, LibraryResolver(case.look)
    try:
        dmarc.verify_dmarc_report_destination(
            case.domain, address.rpartition("@")[2], resolver=resolver, ignore_unrelated_records=True
        )
    except dmarc.UnverifiedDMARCURIDestination:
        return not resolver.unanswered
    return False

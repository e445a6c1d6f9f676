"""What a judge of one record works with, and the mistakes that any record may have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from core.dns.advice import finding
from core.dns.answers import Answer
from core.dns.look import Look
from core.dns.records import DnsRecord, Finding, Kind, Mistake, Verdict

NOBODY = "postyard-asks-for-wildcards"  # a name that nobody gave a record


@dataclass(frozen=True, slots=True)
class Case:
    """A domain, all that it should hold, and the look at what it holds."""

    domain: str
    records: tuple[DnsRecord, ...]
    look: Look

    def of_kind(self, kind: Kind) -> list[DnsRecord]:
        return [record for record in self.records if record.kind is kind]


def from_wildcard(case: Case, name: str, kind: str, answer: Answer) -> bool:
    """Whether the answer is what any name beside this one gets."""
    if name.lower() == case.look.zone or not (answer.values or answer.alias):
        return False
    anyones = case.look.ask(f"{NOBODY}.{name.partition('.')[2]}", kind)
    return (anyones.values, anyones.alias) == (answer.values, answer.alias)


def wildcard(record: DnsRecord, answer: Answer, better: str | None = None) -> Finding:
    values = answer.values or (answer.alias,)
    return finding(record, Verdict.MISSING, values, Mistake.WILDCARD, better=better)


def in_the_way(case: Case, record: DnsRecord, answer: Answer) -> Finding:
    way = _way_past_cname(case, record).format(alias=answer.alias, type=record.type, value=record.value)
    words = {"alias": answer.alias, "way": way}
    return finding(record, Verdict.DIFFERENT, answer.values, Mistake.CNAME_IN_THE_WAY, **words)


def _way_past_cname(case: Case, record: DnsRecord) -> str:
    """A CNAME is there for something: a website, a provider. What it serves is not to be switched off."""
    if record.name in [each.name for each in case.of_kind(Kind.MX)]:
        return (
            "choose another MAIL FROM domain, or, if nothing uses the CNAME any more, remove it and add the "
            "{type} record {value}"
        )
    if record.kind is Kind.SPF:
        return (
            "keep the CNAME if a website or mail uses it. SPF cannot stand there and is not needed when the "
            "MAIL FROM domain is set up"
        )
    if record.kind is Kind.DMARC:
        return (
            "whoever runs {alias} has no DMARC record there now. Ask them for it if they look after your "
            "DMARC, or else put the {type} record {value} in place of the CNAME"
        )
    return "if nothing uses the CNAME any more, remove it and add the {type} record {value}"


def appended_zone(case: Case, value: str, expected: str) -> str | None:
    """What stands behind the expected host because its last dot was missing."""
    ends = (case.look.zone, case.domain)
    return next((end for end in ends if value.lower() == f"{expected.lower()}.{end}"), None)


def astray(case: Case, record: DnsRecord, expected: Iterable[str]) -> Finding | None:
    """The record, known by how its value begins, at a name that a DNS form made of the one typed in."""
    begins = tuple(each.lower() for each in expected)
    places = [*_doubled(case, record), *_shortened(case, record)]
    answers = case.look.ask_all((name, record.type) for name, _ in places)
    for (name, mistake), answer in zip(places, answers, strict=True):
        values = tuple(value for value in answer.values if value.lower().strip('"').startswith(begins))
        if values and not answer.alias and not from_wildcard(case, name, record.type, answer):
            words = {"there": name, "typed": _typed(case, record), "zone": case.look.zone}
            return finding(record, Verdict.MISSING, values, mistake, **words)
    return None


def _typed(case: Case, record: DnsRecord) -> str:
    """The name as it is entered where the provider adds the zone."""
    return "@" if record.name == case.look.zone else record.name.removesuffix(f".{case.look.zone}")


def _doubled(case: Case, record: DnsRecord) -> list[tuple[str, Mistake]]:
    ends = dict.fromkeys((case.look.zone, case.domain))
    return [(f"{record.name}.{end}", Mistake.NAME_DOUBLED) for end in ends]


def _shortened(case: Case, record: DnsRecord) -> list[tuple[str, Mistake]]:
    """Where somebody left out news of news.acme-mail.io. What else is up there is the parent's own."""
    if case.domain == case.look.zone or record.kind not in (Kind.DKIM, Kind.OWNERSHIP):
        return []
    return [(f"{record.name.removesuffix(case.domain)}{case.look.zone}", Mistake.NAME_SHORT)]

"""Judging the one MX record of a MAIL FROM domain."""

from __future__ import annotations

import re

from core.dns.advice import finding, good, listed, nothing_there
from core.dns.answers import Answer
from core.dns.case import Case, appended_zone, astray, from_wildcard, in_the_way, wildcard
from core.dns.records import DnsRecord, Finding, Mistake, Verdict, is_foreign_mx

FEEDBACK = re.compile(r"feedback-smtp\.([a-z0-9-]+)\.amazonses\.com")
_PRIORITY_TYPED = re.compile(r"[0-9]+(\\032| )+")


def judge(case: Case, record: DnsRecord, answer: Answer) -> Finding:
    values, wanted = answer.values, host_of(record.value)
    if len(values) == 1 and host_of(values[0]) == wanted:
        return good(record, values)
    if from_wildcard(case, record.name, "MX", answer):
        return wildcard(record, answer)
    if answer.alias:
        return in_the_way(case, record, answer)
    if not values:
        return astray(case, record, [f"{priority} {wanted}" for priority in range(101)]) or nothing_there(
            record
        )
    if any(is_foreign_mx(value) for value in values):
        return _foreign(record, values, wanted)
    if len(values) > 1 and any(host_of(value) == wanted for value in values):
        surplus = tuple(value for value in values if host_of(value) != wanted) or values[1:]
        words = {"count": str(len(values)), "surplus": listed(surplus)}
        return finding(record, Verdict.DIFFERENT, values, Mistake.TWO_MX, **words)
    mistake, words = _named(case, values[0], wanted)
    return finding(record, Verdict.DIFFERENT, values, mistake, **words)


def _foreign(record: DnsRecord, values: tuple[str, ...], wanted: str) -> Finding:
    """Somebody's mail server, which is never to be taken away for ours."""
    if not any(host_of(value) == wanted for value in values):
        return finding(record, Verdict.DIFFERENT, values, Mistake.MX_OTHER_HOST)
    foreign = listed(tuple(value for value in values if is_foreign_mx(value)))
    return finding(record, Verdict.DIFFERENT, values, Mistake.MX_SHARED, foreign=foreign)


def host_of(value: str) -> str:
    """Of `10 mail.acme-mail.io`; SES looks at the host alone."""
    return value.lower().partition(" ")[2].strip().rstrip(".")


def is_ses(value: str) -> bool:
    return FEEDBACK.fullmatch(host_of(value)) is not None


def _named(case: Case, value: str, wanted: str) -> tuple[Mistake, dict[str, str]]:
    host = host_of(value)
    if zone := appended_zone(case, host, wanted):
        return Mistake.ZONE_APPENDED, {"zone": zone, "value": wanted}
    if region := FEEDBACK.fullmatch(host):
        return Mistake.MX_OTHER_REGION, {"region": region[1]}
    if _PRIORITY_TYPED.match(host):
        return Mistake.MX_PRIORITY, {}
    return Mistake.OTHER_VALUE, {}

"""The doctor: each record's verdict, its mistake by name, and one sentence that fixes it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from core.dns.records import DnsRecord, Finding, Mistake, Verdict
from core.dns.resolver import Answer, Resolver

PARALLEL = 8


def diagnose(
    domain: str, records: Sequence[DnsRecord], resolver: Resolver, *, within_seconds: float = 10.0
) -> list[Finding]:
    """One finding per record, in order. Never raises; an error is `unknown`, never `found`."""
    return judge(records, resolver)


def mail_from_taken(domain: str, resolver: Resolver) -> str | None:
    """Why the name cannot be a MAIL FROM domain; None when it is free, or when nobody can tell."""
    alias = resolver.lookup(domain, "CNAME").values
    if alias:
        return f"{domain} is a CNAME to {alias[0]}: choose another name, nothing can stand beside a CNAME."
    others = [value for value in resolver.lookup(domain, "MX").values if not _is_ses(value)]
    if others:
        return (
            f"{domain} receives mail already (MX {others[0]}): choose a name that is used for nothing else."
        )
    if addresses := resolver.lookup(domain, "A").values:
        return f"{domain} is a host already (A {addresses[0]}): choose a name that is used for nothing else."
    return None


def _is_ses(mx: str) -> bool:
    host = mx.lower().split()[-1]
    return host.startswith("feedback-smtp.") and host.endswith(".amazonses.com")


def judge(records: Sequence[DnsRecord], resolver: Resolver) -> list[Finding]:
    """One finding per record, in order, asked in parallel. An error is `unknown`, never `found`."""
    if not records:
        return []
    with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
        answers = pool.map(lambda record: resolver.lookup(record.name, record.type), records)
        return [_finding(record, answer) for record, answer in zip(records, answers, strict=True)]


def _finding(record: DnsRecord, answer: Answer) -> Finding:
    if answer.error is not None:
        advice = f"{answer.error} Nothing is known about this record now; check again in some minutes."
        return Finding(record, (), Verdict.UNKNOWN, Mistake.NO_ANSWER, advice)
    relevant = _relevant(record, answer.values)
    if not relevant:
        return Finding(
            record,
            (),
            Verdict.MISSING,
            Mistake.NOTHING_THERE,
            f"Add this {record.type} record at your DNS provider.",
        )
    if len(relevant) > 1:
        advice = f"There are {len(relevant)} such records; keep one and remove the others."
        return Finding(record, relevant, Verdict.DIFFERENT, Mistake.TWO_VALUES, advice)
    if not _agrees(record, relevant[0]):
        return Finding(record, relevant, Verdict.DIFFERENT, Mistake.OTHER_VALUE, _difference(record))
    return Finding(record, relevant, Verdict.FOUND)


def _relevant(record: DnsRecord, values: tuple[str, ...]) -> tuple[str, ...]:
    """A name may hold many TXT records; those of the same kind (v=spf1, v=DMARC1) are compared."""
    kind = _kind(record.value)
    if record.type != "TXT" or not kind:
        return values
    return tuple(value for value in values if _kind(value) == kind)


def _agrees(record: DnsRecord, value: str) -> bool:
    if record.type != "TXT":
        return _host(value) == _host(record.value)
    if _kind(record.value) == "v=spf1":
        return "include:amazonses.com" in value.lower().split()
    if _kind(record.value) == "v=dmarc1":
        return "p=" in value.lower()  # a stricter policy than ours is the owner's good right
    return value.strip() == record.value.strip()


def _difference(record: DnsRecord) -> str:
    if _kind(record.value) == "v=spf1":
        return "Add include:amazonses.com to the SPF record that is there; do not add a second one."
    return "Change the value to the expected one."


def _kind(value: str) -> str:
    word = value.strip().lower().replace(";", " ").split(" ", 1)[0]
    return word if word.startswith("v=") else ""


def _host(value: str) -> str:
    return " ".join(value.lower().split()).rstrip(".")

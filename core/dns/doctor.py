"""The doctor: each record's verdict, its mistake by name, and one sentence that fixes it."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from core.dns import cname, mx, text
from core.dns.advice import finding, listed, unknown
from core.dns.answers import Answer
from core.dns.bounds import bounded, visible
from core.dns.case import Case, from_wildcard
from core.dns.look import Look, View
from core.dns.records import DnsRecord, Finding, Mistake, Verdict
from core.dns.resolver import Resolver, registrable

JUDGES = {"CNAME": cname.judge, "MX": mx.judge, "TXT": text.judge}
MAIL_FROM_SECONDS = 5.0
ASKING = 0.8  # of a check's time; the rest is for judging the last answers
NO_TIME = "The answers took so long that there was no time left for this record."


def diagnose(
    domain: str, records: Sequence[DnsRecord], resolver: Resolver, *, within_seconds: float = 10.0
) -> list[Finding]:
    """One finding per record, in order. Never raises; an error is `unknown`, never `found`."""
    if not records:
        return []
    with resolver.look(domain, seconds=within_seconds * ASKING) as look:
        if not look.registered:
            return [_without_zone(record, registrable(domain)) for record in records]
        look.begin((record.name, record.type) for record in records)
        case = Case(look.domain, tuple(records), look)
        with ThreadPoolExecutor(len(records), thread_name_prefix="judge") as pool:
            findings = list(pool.map(lambda record: _judge(case, record), records))
        return bounded(_as_resolvers_see(look, cname.note_partial(findings)))


def mail_from_taken(domain: str, resolver: Resolver) -> str | None:
    """Why the name cannot be a MAIL FROM domain; None when it is free, or when nobody can tell."""
    kinds = ("MX", "A", "AAAA")
    with resolver.look(domain, seconds=MAIL_FROM_SECONDS) as look:
        case = Case(look.domain, (), look)
        answers = dict(zip(kinds, look.ask_all((domain, kind) for kind in kinds), strict=True))
        own = {
            kind: answer
            for kind, answer in answers.items()
            if not answer.error and not from_wildcard(case, domain, kind, answer)
        }
    used = _use_of(domain, own)
    return None if used is None else visible(used)


def _use_of(domain: str, answers: dict[str, Answer]) -> str | None:
    elsewhere = "Choose a name that is used for nothing else."
    for kind, answer in answers.items():
        if answer.alias:
            return f"{domain} is a CNAME to {answer.alias}, and nothing can stand beside a CNAME. {elsewhere}"
        taken = [value for value in answer.values if kind != "MX" or not mx.is_ses(value)]
        if taken and kind == "MX":
            return f"{domain} receives mail already (MX {taken[0]}). {elsewhere}"
        if taken:
            return f"{domain} is a host already ({kind} {taken[0]}). {elsewhere}"
    return None


def _without_zone(record: DnsRecord, zone: str) -> Finding:
    return finding(record, Verdict.MISSING, (), Mistake.NO_ZONE, zone=zone)


def _judge(case: Case, record: DnsRecord) -> Finding:
    """What every server of the zone holds; a record that only some hold is not there yet."""
    views = case.look.views(record.name, record.type)
    findings = [_judge_view(case, record, view.answer) for view in views]
    right = [view for view, made in zip(views, findings, strict=True) if made.verdict is Verdict.FOUND]
    if not right or len(right) == len(views):
        return findings[0]
    wrong, behind = next(
        (view, made) for view, made in zip(views, findings, strict=True) if made.verdict is not Verdict.FOUND
    )
    words = {"right": _named(right[0]), "wrong": _named(wrong)}
    made = finding(record, behind.verdict, wrong.answer.values, Mistake.SERVERS_DISAGREE, **words)
    return replace(made, others=behind.others)


def _named(view: View) -> str:
    return ", ".join(str(server) for server in view.servers)


def _judge_view(case: Case, record: DnsRecord, answer: Answer) -> Finding:
    if case.look.is_over and answer.error is None:
        return unknown(record, NO_TIME)
    if answer.circle:
        return finding(record, Verdict.UNKNOWN, (), Mistake.CNAME_LOOP, way=answer.circle)
    if answer.error is not None:
        return unknown(record, answer.error)
    made = JUDGES[record.type](case, record, answer)
    stays_a_while = made.verdict is Verdict.DIFFERENT or (made.verdict is Verdict.MISSING and made.others)
    return replace(made, ttl_seconds=answer.seconds) if stays_a_while else made


def _as_resolvers_see(look: Look, findings: Sequence[Finding]) -> list[Finding]:
    """Asked only for what the zone's servers have: an earlier question would plant the "does not exist" that
    this looks for."""
    seen = [made for made in findings if made.verdict is Verdict.FOUND and not made.mistake]
    answers = look.resolver_answers((made.record.name, made.record.type) for made in seen)
    by_key = {made.record.key: answer for made, answer in zip(seen, answers, strict=True)}
    return [
        _compared(made, by_key[made.record.key]) if made.record.key in by_key else made for made in findings
    ]


def _compared(made: Finding, answer: Answer) -> Finding:
    if answer.failed:
        return finding(made.record, Verdict.UNKNOWN, made.found, Mistake.RESOLVERS_FAIL)
    old = _of_record(made, answer.values)
    if answer.error is not None or {each.lower() for each in old} == {each.lower() for each in made.found}:
        return made
    seconds = answer.seconds or 0
    wait = f"another {_duration(seconds)}"
    stale = finding(
        made.record,
        Verdict.FOUND,
        made.found,
        Mistake.STALE,
        old=listed(old) if old else "that there is none",
        wait=wait,
    )
    return replace(stale, ttl_seconds=seconds, others=made.others)


def _of_record(made: Finding, values: tuple[str, ...]) -> tuple[str, ...]:
    if made.record.type != "TXT":
        return values
    return tuple(value for value in values if text.is_meant(made.record, value))


def _duration(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} seconds"
    return f"{round(seconds / 60)} minutes" if seconds < 2 * 3600 else f"{round(seconds / 3600)} hours"

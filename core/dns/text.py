"""Judging TXT records: SPF, DMARC and SES's proof of ownership, among whatever else the name holds."""

from __future__ import annotations

from dataclasses import replace

from core.dns import dmarc, spf
from core.dns.advice import finding, good, nothing_there
from core.dns.answers import Answer
from core.dns.case import Case, astray, from_wildcard, in_the_way, wildcard
from core.dns.parsing import odd_space, with_plain_spaces
from core.dns.records import DnsRecord, Finding, Kind, Mistake, Verdict, kind_of

QUOTATION_MARKS = "\"'“”„‟«»‘’"  # word processors' too
BEGINS = {Kind.SPF: "v=spf1", Kind.DMARC: "v=DMARC1"}
ALMOST = {Kind.SPF: "spf1", Kind.DMARC: "dmarc"}


def judge(case: Case, record: DnsRecord, answer: Answer) -> Finding:
    texts = tuple(value for value in answer.values if is_meant(record, value))
    rest = tuple(value for value in answer.values if value not in texts)
    made = _present(case, record, texts, rest) if texts else _absent(case, record, answer)
    if made.verdict is Verdict.FOUND or made.verdict is Verdict.UNKNOWN:
        return replace(made, others=rest)
    if from_wildcard(case, record.name, "TXT", answer):
        # One that lacks SES names others, who send for this name as well.
        return wildcard(record, answer, made.better) if made.mistake not in _CERTAIN else made
    if answer.alias:
        return in_the_way(case, record, answer) if made.mistake not in _CERTAIN else made
    return replace(made, others=tuple(value for value in rest if value not in made.found))


# Mistakes that are about another name, where a wildcard or an alias at this one explains nothing.
_CERTAIN = (Mistake.NAME_DOUBLED, Mistake.NAME_SHORT, Mistake.DMARC_PLACE)


def is_meant(record: DnsRecord, value: str) -> bool:
    if record.kind in BEGINS:
        return kind_of(value) is record.kind
    return record.kind is Kind.OWNERSHIP or value == record.value


def _present(case: Case, record: DnsRecord, texts: tuple[str, ...], rest: tuple[str, ...]) -> Finding:
    if record.kind is Kind.SPF:
        return spf.judge(case, record, texts, rest)
    if record.kind is Kind.DMARC:
        return dmarc.judge(case, record, texts)
    if record.value in texts:
        return good(record, texts)
    if quoted := _quoted(case, record, texts):
        return quoted
    return finding(record, Verdict.DIFFERENT, texts, Mistake.OTHER_OWNERSHIP)


def _absent(case: Case, record: DnsRecord, answer: Answer) -> Finding:
    typed = _quoted(case, record, answer.values) or _almost(case, record, answer.values)
    if typed:
        return typed
    if record.kind is Kind.DMARC and (placed := dmarc.elsewhere(case, record)):
        return placed
    if strayed := astray(case, record, [BEGINS.get(record.kind, record.value)]):
        return strayed
    if record.kind is Kind.DMARC and (parents := dmarc.inherited(case, record)):
        return parents
    return nothing_there(record)


def _quoted(case: Case, record: DnsRecord, values: tuple[str, ...]) -> Finding | None:
    for value in values:
        bare = value.strip().strip(QUOTATION_MARKS).strip()
        if bare == value.strip() or not _is_wanted(record, bare):
            continue
        better = spf.better_of(case, record, [bare]) if record.kind is Kind.SPF else bare
        return finding(record, Verdict.DIFFERENT, (value,), Mistake.QUOTES, better=better, instead=bare)
    return None


def _is_wanted(record: DnsRecord, value: str) -> bool:
    return kind_of(value) is record.kind if record.kind in BEGINS else value == record.value


def _almost(case: Case, record: DnsRecord, values: tuple[str, ...]) -> Finding | None:
    """What was meant to be the record, but does not begin as it must."""
    if record.kind not in BEGINS:
        return None
    typed = tuple(value for value in values if ALMOST[record.kind] in value.lower())
    if not typed:
        return None
    odd = next((value for value in typed if kind_of(with_plain_spaces(value)) is record.kind), None)
    if odd is not None and odd_space(odd):
        return (
            spf.oddly_spaced(case, record, odd)
            if record.kind is Kind.SPF
            else dmarc.oddly_spaced(record, odd)
        )
    mistake = Mistake.SPF_SYNTAX if record.kind is Kind.SPF else Mistake.DMARC_SYNTAX
    error = f"it must begin with {BEGINS[record.kind]}"
    return finding(record, Verdict.DIFFERENT, typed, mistake, error=error)

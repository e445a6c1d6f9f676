"""Judging SPF (RFC 7208), and writing the record that keeps what is there and names SES too."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.dns.advice import finding, good, unknown
from core.dns.case import Case
from core.dns.look import Look
from core.dns.parsing import LONGEST, SES, LibraryResolver, library, readable, said
from core.dns.records import DnsRecord, Finding, Mistake, Verdict

INCLUDE_SES = f"include:{SES}"
FRAGMENT = re.compile(
    r'[\s"]*(?:[+?~-]?(?:include:|exists:|ip4:|ip6:|a[:/]|mx[:/]|(?:a|mx|all)(?=\s|"|$))|redirect=)',
    re.IGNORECASE,
)
IN_ONE = f"their mechanisms in one record, with {INCLUDE_SES} before the all at its end"
IN_IT = f"the same with {INCLUDE_SES} before the all at its end"
_ALL = re.compile(r"[+?~-]?all", re.IGNORECASE)
_SOFTEST_FIRST = "?~-"


@dataclass(frozen=True, slots=True)
class Reading:
    """A record as the library understands it. `culprits`: the names that the mistake is about."""

    mistake: Mistake | None = None
    error: str = ""
    culprits: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()
    names_ses: bool = False
    lets_all: bool = False
    redirect: str = ""
    costs: Mapping[str, int] = field(default_factory=dict)


def judge(case: Case, record: DnsRecord, texts: tuple[str, ...], rest: Sequence[str]) -> Finding:
    """`texts`: the SPF records at the name; `rest`: the other TXT values there."""
    if len(texts) > 1:
        better = better_of(case, record, texts)
        count = str(len(texts))
        return finding(
            record, Verdict.DIFFERENT, texts, Mistake.TWO_SPF, better=better, instead=IN_ONE, count=count
        )
    reading = read(texts[0], record.name, case.look)
    fragments = tuple(text for text in rest if FRAGMENT.match(text))
    if fragments and not (reading.names_ses and reading.mistake is None):
        pieces = texts + fragments
        better = better_of(case, record, pieces)
        return finding(record, Verdict.DIFFERENT, pieces, Mistake.SPLIT, better=better, instead=IN_ONE)
    if reading.unanswered and reading.mistake is not Mistake.SPF_SYNTAX:
        names = ", ".join(reading.unanswered[:3])
        return unknown(record, f"The SPF record names {names}, which could not be looked up.", texts)
    if reading.mistake is not None:
        return _broken(case, record, texts, reading, reading.mistake)
    return _readable(case, record, texts, reading)


def read(text: str, name: str, look: Look) -> Reading:
    if len(text) > LONGEST:
        return Reading(Mistake.SPF_SYNTAX, error=f"it has {len(text)} characters")
    spf, resolver = library().spf, LibraryResolver(look)
    try:
        parsed = spf.parse_spf_record(readable(text), name, resolver=resolver)["parsed"]
    except spf.SPFError as e:
        return _failed(e, text, name, look, resolver)
    return Reading(
        unanswered=tuple(resolver.unanswered),
        names_ses=_names_ses(parsed),
        lets_all=parsed["all"] == "pass",
        redirect=(parsed["redirect"] or {}).get("domain", ""),
    )


def merged(texts: Iterable[str], without: Collection[str] = ()) -> str:
    """One record of the mechanisms of all, less those about the names in `without`, with SES before the one
    all at its end."""
    terms = list(dict.fromkeys(term for text in texts for term in text.strip('" ').split()))
    terms = [
        term
        for term in terms
        if not term.lower().startswith("v=spf1") and not _is_about(term, {SES, *without})
    ]
    ends = [term.lower() for term in terms if _ALL.fullmatch(term)]
    modifiers = [term for term in terms if re.match(r"(?i)(redirect|exp)=", term)]
    mechanisms = [term for term in terms if term not in modifiers and not _ALL.fullmatch(term)]
    redirects = [term for term in modifiers if term.lower().startswith("redirect=")]
    if not ends and len(redirects) == 1:
        return " ".join(["v=spf1", *mechanisms, INCLUDE_SES, *modifiers])
    included = [] if len(list(texts)) == 1 else [f"include:{term.partition('=')[2]}" for term in redirects]
    explained = [term for term in modifiers if term not in redirects][:1]
    return " ".join(["v=spf1", *mechanisms, *included, INCLUDE_SES, *explained, _softest(ends)])


def _readable(case: Case, record: DnsRecord, texts: tuple[str, ...], reading: Reading) -> Finding:
    mistake = _weakness(texts[0], reading)
    if mistake is None:
        return good(record, texts)
    better = better_of(case, record, texts)
    if better is None and not reading.names_ses:
        fuller = read(merged(texts), record.name, case.look)
        if fuller.mistake is Mistake.SPF_LOOKUPS:
            return finding(record, Verdict.DIFFERENT, texts, Mistake.SPF_FULL, costs=_costs(fuller))
    works = mistake is Mistake.SPF_AFTER_ALL and reading.names_ses
    return finding(
        record,
        Verdict.FOUND if works else Verdict.DIFFERENT,
        texts,
        mistake,
        better=better,
        instead=IN_IT,
        culprits=reading.redirect,
    )


def _weakness(text: str, reading: Reading) -> Mistake | None:
    if reading.lets_all:
        return Mistake.SPF_OPEN
    behind = _mechanisms_after_all(text)
    if behind and (reading.names_ses or INCLUDE_SES in behind):
        return Mistake.SPF_AFTER_ALL
    if reading.names_ses:
        return None
    return Mistake.SPF_REDIRECT if reading.redirect else Mistake.SPF_WITHOUT_SES


def _broken(
    case: Case, record: DnsRecord, texts: tuple[str, ...], reading: Reading, mistake: Mistake
) -> Finding:
    # An include that leads nowhere may be a slip of the pen for somebody who does send for the domain: only
    # its owner knows, so no record without it is offered.
    may_drop = reading.culprits and mistake is not Mistake.SPF_INCLUDE
    better = better_of(case, record, texts, reading.culprits) if may_drop else None
    words = {"error": reading.error, "culprits": ", ".join(reading.culprits), "costs": _costs(reading)}
    return finding(record, Verdict.DIFFERENT, texts, mistake, better=better, **words)


def better_of(
    case: Case, record: DnsRecord, texts: Sequence[str], without: Collection[str] = ()
) -> str | None:
    """None where the merged record would have a mistake of its own."""
    candidate = merged(texts, without)
    return None if read(candidate, record.name, case.look).mistake else candidate


def _failed(e: Any, text: str, name: str, look: Look, resolver: LibraryResolver) -> Reading:
    spf = library().spf
    unanswered = tuple(resolver.unanswered)
    if isinstance(e, spf.SPFTooManyDNSLookups):
        return Reading(Mistake.SPF_LOOKUPS, unanswered=unanswered, costs=_dearest(text, name, look))
    if isinstance(e, spf.SPFTooManyVoidDNSLookups):
        return Reading(Mistake.SPF_VOID_LOOKUPS, culprits=tuple(resolver.empty), unanswered=unanswered)
    if isinstance(e, spf.SPFIncludeLoop | spf.SPFRedirectLoop):
        return Reading(Mistake.SPF_LOOP, culprits=(_way_into_loop(str(e)),), unanswered=unanswered)
    if isinstance(e, spf.SPFSyntaxError) and not resolver.asked:  # it reads all of a record before it asks
        return Reading(Mistake.SPF_SYNTAX, error=said(e, f"{name}: "))
    culprits = resolver.asked[-1:]
    return Reading(Mistake.SPF_INCLUDE, culprits=tuple(culprits), unanswered=unanswered)


def _way_into_loop(message: str) -> str:
    """Of "Include loop: a -> b -> a" the b, which a must not include; of "Redirect loop: a" the a."""
    names = message.partition(": ")[2].split(" -> ")
    return names[1] if len(names) > 1 else names[0]


def _dearest(text: str, name: str, look: Look) -> dict[str, int]:
    """The look-ups of each include by itself, as far as they can be counted."""
    spf, costs = library().spf, {}
    for term in [term for term in text.split() if term.lower().startswith("include:")]:
        try:
            alone = spf.parse_spf_record(f"v=spf1 {term} ~all", name, resolver=LibraryResolver(look))
        except spf.SPFError:
            continue
        costs[term] = alone["dns_lookups"]
    return {term: count for term, count in costs.items() if count > 1}


def _costs(reading: Reading) -> str:
    dearest = sorted(reading.costs.items(), key=lambda item: (-item[1], item[0]))[:3]
    return f" ({', '.join(f'{term} takes {count}' for term, count in dearest)})" if dearest else ""


def _names_ses(parsed: Mapping[str, Any] | None) -> bool:
    if parsed is None:
        return False
    included = [
        each for each in parsed["mechanisms"] if each["mechanism"] == "include" and each["action"] == "pass"
    ]
    if any(each["value"].rstrip(".") == SES or _names_ses(each.get("parsed")) for each in included):
        return True
    return _names_ses((parsed["redirect"] or {}).get("parsed"))


def _mechanisms_after_all(text: str) -> list[str]:
    terms = text.lower().split()
    first = next((at for at, term in enumerate(terms) if _ALL.fullmatch(term)), len(terms))
    return [term for term in terms[first + 1 :] if "=" not in term and not _ALL.fullmatch(term)]


def _is_about(term: str, names: Collection[str]) -> bool:
    target = re.split(r"[:=]", term.lower(), maxsplit=1)
    return len(target) == 2 and target[1].partition("/")[0].rstrip(".") in names


def _softest(ends: Sequence[str]) -> str:
    """Of several alls the one that loses no mail; +all is never kept."""
    qualifiers = [end[0] for end in ends if end[0] in _SOFTEST_FIRST]
    return f"{min(qualifiers, key=_SOFTEST_FIRST.index)}all" if qualifiers else "~all"

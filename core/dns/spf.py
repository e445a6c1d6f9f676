"""Judging SPF (RFC 7208), and writing the record that keeps what is there and names SES too."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.dns.advice import finding, good, unknown
from core.dns.case import Case
from core.dns.look import Look
from core.dns.parsing import (
    LONGEST,
    MOST_LOOKUPS,
    SES,
    LibraryResolver,
    library,
    odd_space,
    readable,
    said,
    with_plain_spaces,
)
from core.dns.records import DnsRecord, Finding, Kind, Mistake, Verdict, kind_of

INCLUDE_SES = f"include:{SES}"
FRAGMENT = re.compile(
    r'[\s"]*(?:[+?~-]?(?:include:|exists:|ip4:|ip6:|a[:/]|mx[:/]|(?:a|mx|all)(?=\s|"|$))|redirect=)',
    re.IGNORECASE,
)
ALONE = f"({INCLUDE_SES} alone would shut out whoever else sends for the domain)"
IN_ONE = f"their mechanisms in one record, with {INCLUDE_SES} before the all at its end {ALONE}"
IN_IT = f"the same with {INCLUDE_SES} before the all at its end {ALONE}"
MOST_NAMED = 5
MOST_COUNTED = 20  # of a record's includes
_TERM = re.compile(r"(?i)[+?~-]?(a|mx|ptr|include)(?::([^/]+))?(?:/.*)?")
_REDIRECT = re.compile(r"(?i)(?<=\s)redirect=(\S+)")
_ALL = re.compile(r"[+?~-]?all", re.IGNORECASE)
_SOFTEST_FIRST = "?~-"


@dataclass(frozen=True, slots=True)
class Reading:
    """A record as the library understands it. `culprits`: the names that the mistake is about."""

    mistake: Mistake | None = None
    error: str = ""
    culprits: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()
    opened_by: str = ""  # an include that lets everybody send
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
    if odd_space(texts[0]):
        return oddly_spaced(case, record, texts[0])
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


def oddly_spaced(case: Case, record: DnsRecord, text: str) -> Finding:
    plain = with_plain_spaces(text)
    reading = read(plain, record.name, case.look)
    is_right = reading.mistake is None and _weakness(plain, reading) is None
    better = plain if is_right else better_of(case, record, [plain])
    odd = odd_space(text)
    return finding(
        record, Verdict.DIFFERENT, (text,), Mistake.ODD_SPACE, better=better, instead=IN_IT, odd=odd
    )


def read(text: str, name: str, look: Look) -> Reading:
    if len(text) > LONGEST:
        return Reading(Mistake.SPF_SYNTAX, error=f"it has {len(text)} characters")
    spf, resolver = library().spf, LibraryResolver(look)
    try:
        parsed = spf.parse_spf_record(readable(text, name), name, resolver=resolver)["parsed"]
    except spf.SPFError as e:
        return _failed(e, text, name, look, resolver)
    return Reading(
        unanswered=tuple(resolver.unanswered),
        names_ses=_names_ses(parsed),
        lets_all=parsed["all"] == "pass",
        opened_by=_opened_by(parsed),
        redirect=_redirect(text, parsed),
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
    if mistake is Mistake.SPF_OPEN_INCLUDE:
        return finding(record, Verdict.FOUND, texts, mistake, culprits=reading.opened_by)
    better = better_of(case, record, texts)
    if better is None and not reading.names_ses:
        fuller = read(merged(texts), record.name, case.look)
        if fuller.mistake is Mistake.SPF_LOOKUPS:
            return finding(record, Verdict.DIFFERENT, texts, Mistake.SPF_FULL, costs=_costs(fuller))
    works = mistake is Mistake.SPF_AFTER_ALL and reading.names_ses
    verdict = Verdict.FOUND if works else Verdict.DIFFERENT
    return finding(record, verdict, texts, mistake, better=better, instead=IN_IT, culprits=reading.redirect)


def _weakness(text: str, reading: Reading) -> Mistake | None:
    if reading.lets_all and not reading.redirect:
        return Mistake.SPF_OPEN
    behind = _mechanisms_after_all(text)
    if behind and (reading.names_ses or INCLUDE_SES in behind):
        return Mistake.SPF_AFTER_ALL
    if reading.names_ses:
        return Mistake.SPF_OPEN_INCLUDE if reading.opened_by else None
    if not reading.redirect:
        return Mistake.SPF_WITHOUT_SES
    return Mistake.SPF_REDIRECT_MACRO if "%" in reading.redirect else Mistake.SPF_REDIRECT


def _broken(
    case: Case, record: DnsRecord, texts: tuple[str, ...], reading: Reading, mistake: Mistake
) -> Finding:
    # What leads nowhere may be a slip of the pen for somebody who does send for the domain, and what leads in
    # a circle may name others on its way: only its owner knows, so no record without it is offered. The name
    # that includes itself says nothing by that.
    says_nothing = mistake is Mistake.SPF_LOOP and reading.culprits == (record.name,)
    better = better_of(case, record, texts, (record.name, "%{d}")) if says_nothing else None
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
        culprits = tuple(dict.fromkeys(_dead(text, name, look, {name})))
        return Reading(Mistake.SPF_VOID_LOOKUPS, culprits=culprits[:MOST_NAMED], unanswered=unanswered)
    if isinstance(e, spf.SPFIncludeLoop | spf.SPFRedirectLoop):
        return Reading(Mistake.SPF_LOOP, culprits=(_way_into_loop(str(e)),), unanswered=unanswered)
    if isinstance(e, spf.SPFSyntaxError) and not resolver.asked:  # it reads all of a record before it asks
        return Reading(Mistake.SPF_SYNTAX, error=said(e, f"{name}: "))
    return Reading(Mistake.SPF_INCLUDE, culprits=tuple(resolver.asked[-1:]), unanswered=unanswered)


def _dead(text: str, name: str, look: Look, seen: set[str]) -> Iterator[str]:
    """What the record's terms name in vain, in its includes too: hosts with neither kind of address, and
    names without mail server."""
    terms = [match for term in readable(text, name).split() if (match := _TERM.fullmatch(term))]
    for kind, target in [(match[1].lower(), (match[2] or name).lower()) for match in terms[:MOST_LOOKUPS]]:
        if "%" in target or target == SES:
            continue
        if kind != "include":
            answers = look.ask_all((target, each) for each in (["MX"] if kind == "mx" else ["A", "AAAA"]))
            yield from [target] * all(not answer.values and answer.error is None for answer in answers)
        elif target not in seen and len(seen) <= MOST_LOOKUPS:
            seen.add(target)
            for value in look.ask(target, "TXT").values:
                yield from _dead(value, target, look, seen) if kind_of(value) is Kind.SPF else ()


def _way_into_loop(message: str) -> str:
    """Of "Include loop: a -> b -> a" the b, which a must not include; of "Redirect loop: a" the a."""
    names = message.partition(": ")[2].split(" -> ")
    return names[1] if len(names) > 1 else names[0]


def _dearest(text: str, name: str, look: Look) -> dict[str, int]:
    """The look-ups of each include by itself, as far as they can be counted."""
    spf, costs = library().spf, {}
    includes = [term for term in readable(text, name).split() if term.lower().startswith("include:")]
    for term in includes[:MOST_COUNTED]:
        if look.is_over:
            break
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


def _opened_by(parsed: Mapping[str, Any] | None) -> str:
    """An include that ends in +all, by itself or by another that it includes; or the redirect."""
    redirect = (parsed or {}).get("redirect") or {}
    if (redirect.get("parsed") or {}).get("all") == "pass":
        return str(redirect["domain"])
    for each in (parsed or {}).get("mechanisms", ()):
        if each["mechanism"] != "include" or each["action"] != "pass":
            continue
        included = each.get("parsed") or {}
        if included.get("all") == "pass" or _opened_by(included):
            return str(each["value"])
    return ""


def _redirect(text: str, parsed: Mapping[str, Any]) -> str:
    """Where the record hands over to. Of a name made of macros the library tells only the record's own."""
    written = _REDIRECT.search(text)
    if parsed["redirect"] is None or written is None:
        return ""
    return written[1] if parsed["redirect"]["record"] is None else str(parsed["redirect"]["domain"])


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

"""The onboarding page: a domain's records for somebody who manages its DNS and has never heard of Postyard.

What DNS answers is somebody else's text: it goes through `shown`, as everything does that is not ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from core.dns import DnsRecord, Finding, Kind, Mistake, Verdict
from core.identities.names import registrable
from core.onboarding import Page
from webpages.layout import is_plain, page, shown

MAX_COPIED = 4000  # longer than any value a DNS provider's form takes
MAX_ANSWERS = 5
DOWNLOADS = (
    ("bind", "BIND zone file", "For BIND, PowerDNS, and most providers that import a zone."),
    ("route53", "Route 53", "A change batch for: aws route53 change-resource-record-sets"),
    ("cloudflare", "Cloudflare", "DNS › Records › Import and export. Every record unproxied."),
)
VERDICTS = {
    Verdict.FOUND: ("good", "✓ Found"),
    Verdict.MISSING: ("bad", "✕ Not there yet"),
    Verdict.DIFFERENT: ("odd", "! Needs a change"),
    Verdict.UNKNOWN: ("none", "? Could not be checked"),
}
REMARK = ("odd", "✓ Found, with a remark")
NOT_CHECKED = ("none", "Not checked yet")
NOT_THERE = ("none", "Not there")


@dataclass(frozen=True, slots=True)
class Overall:
    """How far the domain is. `color` is a class of page.css."""

    color: str
    headline: str
    sentence: str


def render(page_: Page, *, here: str, root: str = "", notice: str = "") -> str:
    """`here`: the page's own path, token and all; `notice`: what became of what was just asked for."""
    domain = shown(page_.domain)
    body = (
        f'<header><img src="{root}/assets/icon.svg" alt="">Postyard · DNS set-up</header><main>'
        f"<h1>DNS records for <span>{domain}</span></h1>"
        f'<p class="lead">{domain} is being set up to send e-mail through Amazon SES. Please add the records '
        "below where its DNS is managed: they prove that this mail may come from the domain, and change "
        "nothing about the mail you receive or your website.</p>"
        f"{_notice(notice)}{_state(page_, here)}{_records(page_)}{_downloads(page_, here)}{_notes(page_)}"
        '</main><footer><p class="quiet">This page needs no log-in and shows these records only. It works '
        f"until {_day(page_.expires_at)}; pass its address on to nobody but those who look after the "
        "domain.</p></footer>"
    )
    return page(f"DNS records for {page_.domain}", body, root=root, wide=True)


def overall(page_: Page) -> Overall:
    """Where the domain stands, in the words of somebody who only sees its DNS."""
    required = [finding for finding in page_.records if finding.record.required]
    missing = [finding for finding in required if finding.verdict != Verdict.FOUND]
    if not page_.records:
        return Overall("none", "The records are not known yet", "Amazon SES has not named them. Look again.")
    if page_.verified:
        return _of_verified(page_, missing)
    if all(finding.mistake == Mistake.NOT_CHECKED for finding in page_.records):
        return Overall("calm", "Not checked yet", "Add the records below, then let them be checked here.")
    if not missing:
        return Overall(
            "calm",
            "All required records are in place",
            "Amazon SES now looks for them itself: mostly within minutes, at times it takes hours. Leave the "
            "records where they are; nothing else is left for you to do.",
        )
    if all(finding.verdict == Verdict.UNKNOWN for finding in missing):
        return Overall(
            "none",
            "DNS could not be asked for every record",
            "That says nothing about the records. Check again in a few minutes.",
        )
    count = f"{len(missing)} of {len(required)} required records"
    return Overall(
        "odd",
        f"{count} {'is' if len(missing) == 1 else 'are'} not right yet",
        "Each record below says what to do. When it is done, check again to see whether it worked.",
    )


def _of_verified(page_: Page, missing: Sequence[Finding]) -> Overall:
    if [finding for finding in missing if finding.verdict != Verdict.UNKNOWN]:
        return Overall(
            "bad",
            "A required record is not there any more",
            "The domain is verified, but Amazon SES will stop sending for it when it notices. Put the record "
            "back as it stands below.",
        )
    open_ = [
        finding
        for finding in page_.records
        if finding.verdict in (Verdict.MISSING, Verdict.DIFFERENT) and not _is_optional(finding)
    ]
    if open_:
        return Overall(
            "good",
            "The domain is verified",
            f"Mail can be sent. {len(open_)} recommended {_plural(len(open_), 'record')} below would keep "
            "more of it out of spam folders.",
        )
    return Overall(
        "good",
        "Everything is in place",
        "The domain is verified and nothing is left to do. Leave the records where they are for as long as "
        "mail is sent.",
    )


def _notice(notice: str) -> str:
    return f'<p class="notice odd" role="alert">{shown(notice)}</p>' if notice else ""


def _state(page_: Page, here: str) -> str:
    state = overall(page_)
    wait = page_.seconds_until_check
    checked = "Not checked yet"
    if page_.checked_at is not None:
        checked = f"Last checked {_ago(page_.checked_at, page_.shown_at)}<br>{_moment(page_.checked_at)}"
    note = f'<span class="wait-note"><br>Can be checked again in {wait} s</span>' if wait else ""
    return (
        f'<section class="state {state.color}" aria-label="State"><div><h2>{shown(state.headline)}</h2>'
        f"<p>{shown(state.sentence)}</p></div>"
        f'<div class="check"><form method="post" action="{here}/check">'
        f'<button type="submit" data-wait="{wait}">Check again</button></form>'
        f'<p class="quiet">{checked}{note}</p></div></section>'
    )


def _records(page_: Page) -> str:
    required = [finding for finding in page_.records if finding.record.required]
    optional = [finding for finding in page_.records if _is_optional(finding)]
    others = [finding for finding in page_.records if finding not in (*required, *optional)]
    return "".join(
        (
            _group("Required", "They verify the domain: without them nothing can be sent.", required),
            _group("Recommended", "They keep the mail out of spam folders.", others),
            _group("Optional", "Not needed where the required ones are in place.", optional),
        )
    )


def _is_optional(finding: Finding) -> bool:
    return finding.record.kind is Kind.OWNERSHIP


def _group(title: str, sentence: str, findings: Sequence[Finding]) -> str:
    if not findings:
        return ""
    found = sum(finding.verdict == Verdict.FOUND for finding in findings)
    cards = "".join(_card(finding, title_) for finding, title_ in _titled(findings))
    return (
        f"<section><h2>{title}</h2>"
        f'<p class="quiet">{sentence} {found} of {len(findings)} in place.</p>{cards}</section>'
    )


def _titled(findings: Sequence[Finding]) -> Iterator[tuple[Finding, str]]:
    """Records of one purpose are told apart by a number."""
    purposes = [finding.record.purpose for finding in findings]
    for position, finding in enumerate(findings):
        purpose = finding.record.purpose
        number = f" ({purposes[: position + 1].count(purpose)} of {purposes.count(purpose)})"
        yield finding, purpose + (number if purposes.count(purpose) > 1 else "")


def _card(finding: Finding, title: str) -> str:
    """Open while there is something to do."""
    color, words = _verdict(finding)
    is_done = finding.verdict == Verdict.FOUND and not finding.advice
    is_open = "" if is_done or _is_optional(finding) else " open"
    tag = f'<span class="tag">{shown(finding.record.type)}</span>'
    return (
        f'<details class="card record"{is_open}><summary>{tag}'
        f'<h3>{shown(title)}</h3><span class="badge {color}">{words}</span></summary>'
        f'<div class="body">{_advice(finding, color)}{_note(finding)}<dl>{_name(finding.record)}'
        f"{_value(finding)}{_answers(finding)}</dl></div></details>"
    )


def _note(finding: Finding) -> str:
    """Why it is asked for; that it is not required stands above already."""
    note = finding.record.optional_note.removeprefix("Recommended.").removeprefix("Optional:").strip()
    if not note or finding.verdict == Verdict.FOUND:
        return ""
    return f'<p class="quiet note">{shown(note[:1].upper() + note[1:])}</p>'


def _verdict(finding: Finding) -> tuple[str, str]:
    if finding.mistake == Mistake.NOT_CHECKED:
        return NOT_CHECKED
    if finding.verdict == Verdict.FOUND and finding.advice:
        return REMARK
    if finding.verdict == Verdict.MISSING and not finding.record.required:
        return NOT_THERE if _is_optional(finding) else ("odd", VERDICTS[Verdict.MISSING][1])
    return VERDICTS[finding.verdict]


def _advice(finding: Finding, color: str) -> str:
    if not finding.advice or finding.mistake == Mistake.NOT_CHECKED:
        return ""
    return f'<p class="advice {color}">{shown(finding.advice, 1200)}</p>'


def _name(record: DnsRecord) -> str:
    """Whole, and as most providers' forms want it: they add the registered domain by themselves, and then
    have it twice."""
    zone = registrable(record.name)
    short = record.name.removesuffix(zone).rstrip(".") or "@"
    return (
        f"<dt>Name</dt><dd>{_field(record.name, 'the name')}"
        f'<p class="quiet">If your provider adds “.{shown(zone)}” by itself, enter only:</p>'
        f"{_field(short, 'the short name')}</dd>"
    )


def _value(finding: Finding) -> str:
    """What to publish, where that is sure. Most forms ask for the priority of an MX on its own."""
    record, value = finding.record, finding.to_publish
    if value is None and finding.verdict == Verdict.FOUND:
        return ""  # another that serves as well, and stands below
    if value is None:
        return "<dt>Value</dt><dd>What is there must be kept: follow the advice above.</dd>"
    if finding.better and (len(value) > MAX_COPIED or not is_plain(value)):
        return "<dt>Value</dt><dd>Too long or too strange to be shown: follow the advice above.</dd>"
    if record.kind == Kind.MX and value.count(" ") == 1:
        priority, host = value.split(" ")
        return (
            f"<dt>Priority</dt><dd>{_field(priority, 'the priority')}</dd>"
            f"<dt>Mail server</dt><dd>{_field(host, 'the mail server')}</dd>"
        )
    remark = ""
    if value != record.value and finding.verdict != Verdict.MISSING:
        remark = '<p class="quiet">Put it in the place of the value that is there now.</p>'
    elif finding.others and finding.verdict != Verdict.FOUND:
        there = f"{len(finding.others)} other {record.type} {_plural(len(finding.others), 'value')}"
        remark = f'<p class="quiet">Leave the {there} of this name as {_are(finding.others)}.</p>'
    return f"<dt>Value</dt><dd>{_field(value, 'the value')}{remark}</dd>"


def _field(value: str, what: str) -> str:
    return f'<div class="value"><code>{shown(value, MAX_COPIED)}</code>{_copy(value, what)}</div>'


def _copy(value: str, what: str) -> str:
    """Hidden until the script is there that makes it work."""
    return (
        f'<button type="button" data-copy="{shown(value, MAX_COPIED)}" aria-label="Copy {what}" '
        'aria-live="polite" hidden>Copy</button>'
    )


def _answers(finding: Finding) -> str:
    if finding.mistake == Mistake.NOT_CHECKED:
        return ""
    if finding.found:
        answers = "".join(f"<code>{shown(value)}</code>" for value in finding.found[:MAX_ANSWERS])
        if len(finding.found) > MAX_ANSWERS:
            answers += f'<p class="quiet">and {len(finding.found) - MAX_ANSWERS} more</p>'
    else:
        answers = '<p class="quiet">nothing</p>' if finding.verdict != Verdict.UNKNOWN else ""
    ttl = ""
    if finding.ttl_seconds and finding.verdict != Verdict.FOUND:
        ttl = f'<p class="quiet">Others may go on seeing this for {_duration(finding.ttl_seconds)}.</p>'
    return f'<dt>DNS answers now</dt><dd class="answers">{answers}{ttl}</dd>' if answers + ttl else ""


def _downloads(page_: Page, here: str) -> str:
    if all(finding.verdict == Verdict.FOUND for finding in page_.records):
        return ""
    cards = "".join(
        f'<div class="card"><a class="button plain" href="{here}/{path}" download>{name}</a>'
        f'<p class="quiet">{shown(hint)}</p></div>'
        for path, name, hint in DOWNLOADS
    )
    return (
        '<section><h2>Or import them</h2><p class="quiet">Each file holds what is not in place yet and '
        f'leaves alone what is.</p><div class="downloads">{cards}</div></section>'
    )


def _notes(page_: Page) -> str:
    domain = shown(page_.domain)
    return (
        '<section><h2>Good to know</h2><ul class="notes">'
        "<li>DNS changes can take up to 72 hours to be seen everywhere; most are seen within an hour.</li>"
        "<li>The records are checked every few hours without you, and once more whenever you ask here.</li>"
        f"<li>Add values as they are, without quotation marks; where {domain} is behind a proxy, as at "
        "Cloudflare, leave these names out of it (“DNS only”).</li></ul></section>"
    )


def _are(things: Sequence[object]) -> str:
    return "it is" if len(things) == 1 else "they are"


def _plural(number: int, noun: str) -> str:
    return noun if number == 1 else f"{noun}s"


def _moment(at: datetime) -> str:
    return f'<time datetime="{at.isoformat()}">{at.day} {at:%b %Y, %H:%M} UTC</time>'


def _day(at: datetime) -> str:
    return f'<time datetime="{at.isoformat()}">{at.day} {at:%B %Y}</time>'


def _ago(at: datetime, now: datetime) -> str:
    seconds = (now - at).total_seconds()
    return "just now" if seconds < 10 else f"{_duration(seconds)} ago"


def _duration(seconds: float) -> str:
    for size, unit in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{int(seconds // size)} {_plural(int(seconds // size), unit)}"
    return f"{int(seconds)} {_plural(int(seconds), 'second')}"

"""DNS records: what to publish for a domain, each value ready to copy, and what DNS answers today."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import streamlit as st

from core.dns import DnsRecord, Finding, Kind, Mistake, Verdict
from pages._ui.format import Status, escape, status
from pages.sending._readable import readable, visible

NOT_CHECKED = Status("Not checked yet", "gray", ":material/schedule:")
NO_ANSWER = Status("DNS did not answer", "gray", ":material/help:")
LOOK_AT_IT = Status("Found, look at it", "orange", ":material/warning:")
NOTHING_TO_DO = (Mistake.DMARC_INHERITED, Mistake.STALE)
SHOWN_ANSWERS = 5
SHOWN_CHARACTERS = 600
ONLY_SPF = (
    "Only if there is no SPF record yet: a second one makes receivers ignore both. To one that is there, add "
    "`include:amazonses.com` instead."
)


def draw_findings(domain: str, findings: Sequence[Finding], *, is_done: bool = False) -> None:
    """`is_done`: nothing is left to be published."""
    _draw_instructions(domain, is_done)
    for advice in dict.fromkeys(each.advice for each in findings if each.mistake == Mistake.NO_ZONE):
        st.warning(escape(visible(advice)), icon=":material/public_off:")
    required, recommended, optional = grouped(findings)
    _draw_group(domain, "DKIM", "Required: verifies the domain and signs its mail", required)
    _draw_group(
        domain, "SPF, DMARC and MAIL FROM", "Recommended: mailbox providers look for them", recommended
    )
    if optional:
        with st.expander(f"Optional: Amazon SES's older way · {_counted(optional)}", key="records_optional"):
            _draw_all(domain, optional)


def _draw_instructions(domain: str, is_done: bool) -> None:
    if is_done:
        st.caption("Everything is published. Leave the records where they are for as long as mail is sent.")
    else:
        st.caption(
            "Add these records where the domain's DNS is managed. Many providers add the domain to a name by "
            f"themselves: then leave `.{domain}` out there. DNS changes can take up to 72 hours to be seen "
            "everywhere; most are seen within an hour."
        )
    if readable(domain) != domain:
        st.caption(f"`{domain}` is how DNS writes {escape(readable(domain))}.")


def grouped(findings: Iterable[Finding]) -> tuple[list[Finding], list[Finding], list[Finding]]:
    """Required, recommended, optional."""
    required, recommended, optional = [], [], []
    for finding in findings:
        if finding.record.kind is Kind.OWNERSHIP:
            optional.append(finding)
        else:
            (required if finding.record.required else recommended).append(finding)
    return required, recommended, optional


def _draw_group(domain: str, title: str, why: str, findings: list[Finding]) -> None:
    if not findings:
        return
    st.subheader(title, anchor=False)
    st.caption(f"{why} · {_counted(findings)}")
    _draw_all(domain, findings)


def _counted(findings: list[Finding]) -> str:
    if all(finding.mistake == Mistake.NOT_CHECKED for finding in findings):
        return "not checked yet"
    found = sum(finding.verdict == Verdict.FOUND for finding in findings)
    return f"{found} of {len(findings)} found"


def _draw_all(domain: str, findings: list[Finding]) -> None:
    for finding in findings:
        _draw_finding(domain, finding)


def _draw_finding(domain: str, finding: Finding) -> None:
    record, state = finding.record, _state(finding)
    with st.container(border=True, gap="xsmall", key=f"record_{record.key}"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.badge(record.type, color="gray")
            st.badge(state.label, color=state.color, icon=state.icon)  # type: ignore[arg-type]
            st.text(record.purpose, width="stretch")
        _draw_line("Name", record.name)
        if value := _value(finding):
            _draw_line("Value", visible(value))
        for note in _notes(finding):
            st.caption(note)
        if finding.verdict == Verdict.UNKNOWN and record.kind is Kind.SPF and record.name == domain:
            st.warning(ONLY_SPF, icon=":material/warning:")
        _draw_answer(finding)


def _value(finding: Finding) -> str | None:
    """To copy; of what is found, what stands there. What stands elsewhere is shown as an answer."""
    if finding.mistake == Mistake.DMARC_INHERITED:
        return None
    if finding.to_publish is None and finding.verdict == Verdict.FOUND:
        return next(iter(finding.found), finding.record.value)
    return finding.to_publish


def draw_record(record: DnsRecord, key: str) -> None:
    """One to read and to copy, whatever DNS says of it."""
    with st.container(border=True, gap="xsmall", key=f"record_{key}_{record.key}"):
        st.badge(record.type, color="gray")
        _draw_line("Name", record.name)
        _draw_line("Value", record.value)


def _draw_line(label: str, value: str) -> None:
    named, copied = st.columns([1, 9], vertical_alignment="center", gap="xsmall")
    named.caption(label)
    copied.code(value, language=None, wrap_lines=True)


def _notes(finding: Finding) -> Iterable[str]:
    """Beside the value."""
    note = finding.record.optional_note.removeprefix("Recommended.").strip()
    if note and finding.verdict != Verdict.FOUND:
        yield escape(note)
    if finding.better:
        yield "This value keeps what is published there already."
    if _value(finding) is None and finding.verdict != Verdict.FOUND:
        yield "No value to copy: what is there must be kept, or its owner must decide about it."
    if finding.record.type == "MX":
        yield "Where the form asks for a priority of its own: the number goes there."


def _state(finding: Finding) -> Status:
    if finding.verdict == Verdict.UNKNOWN:
        return NOT_CHECKED if finding.mistake == Mistake.NOT_CHECKED else NO_ANSWER
    if finding.verdict == Verdict.FOUND and finding.mistake and finding.mistake not in NOTHING_TO_DO:
        return LOOK_AT_IT
    return status(finding.verdict)


def _draw_answer(finding: Finding) -> None:
    """What DNS says instead, and the sentence that mends it."""
    if finding.mistake == Mistake.NOT_CHECKED or (finding.verdict == Verdict.FOUND and not finding.mistake):
        return
    for answer in finding.found[:SHOWN_ANSWERS]:
        cut = answer if len(answer) <= SHOWN_CHARACTERS else f"{answer[:SHOWN_CHARACTERS]}…"
        _draw_line("DNS says", visible(cut))
    if len(finding.found) > SHOWN_ANSWERS:
        st.caption(f"DNS says {len(finding.found) - SHOWN_ANSWERS} more.")
    if finding.advice and finding.mistake != Mistake.NO_ZONE:
        _draw_advice(finding, escape(visible(finding.advice)))


def _draw_advice(finding: Finding, advice: str) -> None:
    if finding.mistake in NOTHING_TO_DO:
        st.caption(f":material/info: {advice}")
    elif finding.verdict == Verdict.UNKNOWN or finding.mistake == Mistake.NOTHING_THERE:
        st.caption(advice)
    else:
        st.warning(advice, icon=":material/build:")

"""DNS records: what to publish for a domain, each value ready to copy, and what DNS answers today."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import streamlit as st

from core.dns import Finding, Kind, Mistake, Verdict
from pages._ui.format import Status, escape, status

NOT_CHECKED = Status("Not checked yet", "gray", ":material/schedule:")
NO_ANSWER = Status("DNS did not answer", "gray", ":material/help:")
LOOK_AT_IT = Status("Found, look at it", "orange", ":material/warning:")
SHOWN_ANSWERS = 5
SHOWN_CHARACTERS = 600


def draw_findings(domain: str, findings: Sequence[Finding]) -> None:
    st.caption(
        "Add these records where the domain's DNS is managed. Many providers add the domain to a name by "
        f"themselves: then leave `.{domain}` out there. DNS changes can take up to 72 hours to be seen "
        "everywhere; most are seen within an hour."
    )
    required, recommended, optional = grouped(findings)
    _draw_group("DKIM", "Required: verifies the domain and signs its mail", required)
    _draw_group("SPF, DMARC and MAIL FROM", "Recommended: mailbox providers look for them", recommended)
    if optional:
        with st.expander(f"Optional: Amazon SES's older way · {_counted(optional)}", key="records_optional"):
            _draw_all(optional)


def grouped(findings: Iterable[Finding]) -> tuple[list[Finding], list[Finding], list[Finding]]:
    """Required, recommended, optional."""
    required, recommended, optional = [], [], []
    for finding in findings:
        if finding.record.kind is Kind.OWNERSHIP:
            optional.append(finding)
        else:
            (required if finding.record.required else recommended).append(finding)
    return required, recommended, optional


def _draw_group(title: str, why: str, findings: list[Finding]) -> None:
    if not findings:
        return
    st.subheader(title, anchor=False)
    st.caption(f"{why} · {_counted(findings)}")
    _draw_all(findings)


def _counted(findings: list[Finding]) -> str:
    found = sum(finding.verdict == Verdict.FOUND for finding in findings)
    return f"{found} of {len(findings)} found"


def _draw_all(findings: list[Finding]) -> None:
    for finding in findings:
        _draw_record(finding)


def _draw_record(finding: Finding) -> None:
    record, state = finding.record, _state(finding)
    with st.container(border=True, gap="xsmall", key=f"record_{record.key}"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.badge(record.type, color="gray")
            st.badge(state.label, color=state.color, icon=state.icon)  # type: ignore[arg-type]
            st.text(record.purpose, width="stretch")
        _draw_line("Name", record.name)
        _draw_line("Value", finding.better or record.value)
        note = record.optional_note.removeprefix("Recommended.").strip()
        if note and finding.verdict != Verdict.FOUND:
            st.caption(escape(note))
        if finding.better:
            st.caption("This value keeps what is published there already.")
        if record.type == "MX":
            st.caption("Where the form asks for a priority of its own: the number goes there.")
        _draw_answer(finding)


def _draw_line(label: str, value: str) -> None:
    named, copied = st.columns([1, 9], vertical_alignment="center", gap="xsmall")
    named.caption(label)
    copied.code(value, language=None, wrap_lines=True)


def _state(finding: Finding) -> Status:
    if finding.verdict == Verdict.UNKNOWN:
        return NOT_CHECKED if finding.mistake == Mistake.NOT_CHECKED else NO_ANSWER
    if finding.verdict == Verdict.FOUND and finding.mistake:
        return LOOK_AT_IT
    return status(finding.verdict)


def _draw_answer(finding: Finding) -> None:
    """What DNS says instead, and the sentence that mends it."""
    if finding.mistake == Mistake.NOT_CHECKED or (finding.verdict == Verdict.FOUND and not finding.mistake):
        return
    for answer in finding.found[:SHOWN_ANSWERS]:
        _draw_line("DNS says", visible(answer))
    if len(finding.found) > SHOWN_ANSWERS:
        st.caption(f"DNS says {len(finding.found) - SHOWN_ANSWERS} more.")
    if finding.advice and (finding.verdict == Verdict.UNKNOWN or finding.mistake == Mistake.NOTHING_THERE):
        st.caption(escape(finding.advice))
    elif finding.advice:
        st.warning(escape(finding.advice), icon=":material/build:")


def visible(answer: str) -> str:
    """Strangers write these: no sign in them may hide, turn or break what stands beside it."""
    cut = answer if len(answer) <= SHOWN_CHARACTERS else f"{answer[:SHOWN_CHARACTERS]}…"
    return "".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in cut)

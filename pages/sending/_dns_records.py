"""DNS records: what to publish for a domain, each value ready to copy, and what DNS answers today."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from core.identities import DnsRecord
from pages._ui.format import Status, status

NOT_CHECKED = Status("Not checked yet", "gray", ":material/schedule:")
NO_ANSWER = Status("DNS did not answer", "gray", ":material/help:")


def draw_records(records: Sequence[DnsRecord], findings: Mapping[str, Any], *, step: str = "") -> None:
    st.caption(
        f"{step}Add these records where the domain's DNS is managed. "
        "DNS changes can take up to 72 hours to be seen everywhere; most are seen within an hour."
    )
    for record in records:
        _draw_record(record, findings.get(record.name) or {})


def _draw_record(record: DnsRecord, finding: Mapping[str, Any]) -> None:
    state = _state(finding.get("verdict", ""))
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.badge(record.type, color="gray")
            st.text(record.purpose, width="stretch")
            if not record.required:
                st.badge("Recommended", color="blue")
            st.badge(state.label, color=state.color, icon=state.icon)
        name, value = st.columns([2, 3])
        name.caption("Name")
        name.code(record.name, language=None, wrap_lines=True)
        value.caption("Value")
        value.code(record.value, language=None, wrap_lines=True)
        _draw_finding(finding)


def _state(verdict: str) -> Status:
    if not verdict:
        return NOT_CHECKED
    return NO_ANSWER if verdict == "unknown" else status(verdict)


def _draw_finding(finding: Mapping[str, Any]) -> None:
    if finding.get("verdict") in (None, "", "found"):
        return
    found = finding.get("found") or []
    if found:
        st.caption("DNS answers now")
        for answer in [found] if isinstance(found, str) else found:
            st.code(answer, language=None, wrap_lines=True)
    if advice := finding.get("advice"):
        st.text(advice)

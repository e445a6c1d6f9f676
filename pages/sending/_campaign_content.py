"""Campaign content: name, sender, subject and parts of a new campaign, as they are typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import streamlit as st

from core.content import CompiledContent, compile_content
from core.senders import SenderView


@dataclass(frozen=True, slots=True)
class Draft:
    """What is typed so far; the text part may stay empty."""

    name: str
    sender: SenderView
    subject: str
    html: str
    text: str

    def missing(self) -> list[str]:
        parts = {
            "a name": self.name,
            "a subject": self.subject,
            "an HTML or text part": self.html or self.text,
        }
        return [part for part, value in parts.items() if not value.strip()]

    def compiled(self, fallbacks: Mapping[str, str]) -> CompiledContent:
        return compile_content(self.subject, self.html, self.text, dict(fallbacks))


def ask_content(choices: Sequence[SenderView]) -> Draft:
    st.subheader("What it says", anchor=False)
    name = st.text_input("Campaign name", key="campaign.new.name", placeholder="November newsletter")
    by_id = {view.sender.id: view for view in choices}
    sender = by_id[
        st.selectbox(
            "From",
            list(by_id),
            format_func=lambda sender_id: _sender_label(by_id[sender_id]),
            index=_default_of(choices),
            key="campaign.new.sender",
        )
    ]
    _draw_domain_state(sender)
    subject = st.text_input("Subject", key="campaign.new.subject", placeholder="Hello {{first_name}}")
    html = st.text_area(
        "HTML part", key="campaign.new.html", height=220, placeholder="<p>Hello {{first_name}}</p>"
    )
    st.file_uploader(
        "or take the HTML from a file",
        type=["html", "htm"],
        max_upload_size=1,
        key="campaign.new.html_file",
        on_change=_take_html,
    )
    text = st.text_area(
        "Text part",
        key="campaign.new.text",
        height=100,
        placeholder="Left empty, it is made from the HTML part",
    )
    st.caption(
        "`{{first_name}}`, `{{email}}` and every column of the file can be used in subject and parts; "
        "`{{unsubscribe_url}}` is each reader's own link to unsubscribe."
    )
    return Draft(name, sender, subject, html, text)


def from_line(view: SenderView) -> str:
    address, name = view.sender.address, view.sender.display_name
    return f"{name} <{address}>" if name else address


def _sender_label(view: SenderView) -> str:
    shown = from_line(view)
    return shown if view.identity.verified_for_sending else f"{shown} (domain not verified)"


def _default_of(choices: Sequence[SenderView]) -> int:
    return next((i for i, view in enumerate(choices) if view.sender.is_default), 0)


def _draw_domain_state(view: SenderView) -> None:
    if view.identity.verified_for_sending:
        st.badge("Domain verified", color="green", icon=":material/verified:")
        return
    st.warning(
        "This sender's domain is not verified: the campaign can be prepared, and its page then says whether "
        "it can start, and which way.",
        icon=":material/gpp_maybe:",
    )


def _take_html() -> None:
    upload = st.session_state.get("campaign.new.html_file")
    if upload is not None:
        st.session_state["campaign.new.html"] = upload.getvalue().decode("utf-8-sig", errors="replace")

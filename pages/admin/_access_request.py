"""Production access: where the request stands, and the form that asks AWS for it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import streamlit as st

from core import accounts
from core.access import Action, Actor
from core.app import App
from core.db.models import Account
from pages._ui import format
from pages._ui.actions import ask, asked, confirm, report

REQUEST = "request production access"
MAIL_TYPES = {
    "MARKETING": "Marketing: newsletters, offers",
    "TRANSACTIONAL": "Transactional: orders, accounts",
}
LABELS = {
    "mail_type": "Kind of mail",
    "website_url": "Website",
    "use_case": "Use case",
    "contact_language": "AWS answers in",
    "contacts": "Who else AWS may write to",
}
LANGUAGES = {"EN": "English", "JA": "Japanese"}
LOOKED_AT = """
- **A website that works** and shows who you are, with a privacy policy.
- **How people came onto the lists**: double opt-in, bought lists are refused.
- **What becomes of bounces, complaints and unsubscribes**: Postyard suppresses each at once and pauses
  a tenant whose rates rise; say so.
- **How much and how often**: messages a day, and to whom.
- **A verified domain** with SPF, DKIM and DMARC.
"""
USE_CASE = """We send newsletters for … to people who subscribed at … (double opt-in), about … messages a day.
Bounces and complaints are suppressed at once; each mail carries a one-click unsubscribe."""


def access_request(app: App, actor: Actor, account: Account) -> None:
    if account.production_access:
        return
    st.space("xsmall")
    st.markdown("**Production access**")
    _standing(app, account)
    if account.review_status == "PENDING":
        return
    if not actor.may(Action.MANAGE_ACCOUNTS):
        st.caption("An administrator can request production access here.")
        return
    _form(app, actor, account)


def _standing(app: App, account: Account) -> None:
    case = f" (case {format.escape(account.review_case_id)})" if account.review_case_id else ""
    asked_by = ""
    if account.access_requested_at is not None:
        who = format.escape(account.access_requested_by or "somebody")
        asked_by = f" Asked by {who}, {format.moment(account.access_requested_at)} UTC."
    if account.review_status == "PENDING":
        st.info(f"AWS is reviewing the request{case}.{asked_by}", icon=":material/hourglass_top:")
        _what_was_asked(account)
    elif account.review_status in ("DENIED", "FAILED"):
        st.error(f"AWS did not grant production access{case}.{asked_by} Its answer is in the support case; "
                 "put right what it names and ask again.", icon=":material/block:")  # fmt: skip
    else:
        st.markdown(
            "Without it SES sends 200 messages a day, one a second, only to addresses it has verified."
        )


def _what_was_asked(account: Account) -> None:
    with st.expander("What was asked"):
        for name, label in LABELS.items():
            value = account.access_request.get(name) or ""
            if shown := ", ".join(map(str, value)) if isinstance(value, list) else str(value):
                st.caption(label)
                st.markdown(format.escape(shown))


def _form(app: App, actor: Actor, account: Account) -> None:
    form, told = st.columns([3, 2])
    with told, st.container(border=True):
        st.markdown("**What AWS looks at**")
        st.markdown(LOOKED_AT)
        st.caption("AWS answers in about a day, by e-mail and in a support case.")
    with form, st.form("accounts.request", border=False):
        typed = _fields(account.access_request)
        if st.form_submit_button("Request production access", type="primary", key="accounts.request.save"):
            with report(rerun=False):
                accounts.checked_request(**typed)
                ask(REQUEST, account.id)
    if asked(REQUEST) == account.id:
        confirm(
            "Send the request to AWS?",
            f"AWS reviews it for account {account.aws_account_id} in {account.region} and all its tenants; "
            "it cannot be changed meanwhile.",
            label="Send to AWS",
            act=lambda _: accounts.request_production_access(app, actor, account.id, **typed),
            done="The request is with AWS. Its answer is shown here.",
        )


def _fields(before: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed, beginning with what was asked the last time."""
    mail_type = st.radio(
        LABELS["mail_type"], list(MAIL_TYPES), _position(MAIL_TYPES, before.get("mail_type")),
        format_func=MAIL_TYPES.__getitem__, key="accounts.request.type",
    )  # fmt: skip
    website = st.text_input(
        LABELS["website_url"], before.get("website_url", ""), placeholder="https://acme-mail.io",
        max_chars=1000, key="accounts.request.website",
    )  # fmt: skip
    use_case = st.text_area(LABELS["use_case"], before.get("use_case", ""), placeholder=USE_CASE, height=160,
                            max_chars=5000, key="accounts.request.use_case")  # fmt: skip
    language = st.selectbox(
        LABELS["contact_language"], list(LANGUAGES), _position(LANGUAGES, before.get("contact_language")),
        format_func=LANGUAGES.__getitem__, key="accounts.request.language",
    )  # fmt: skip
    contacts = st.text_input(LABELS["contacts"], ", ".join(before.get("contacts", [])),
                             help="Up to four addresses, separated by commas.",
                             key="accounts.request.contacts")  # fmt: skip
    return {
        "mail_type": mail_type,
        "website_url": website,
        "use_case": use_case,
        "contact_language": language,
        "contacts": re.split(r"[\s,;]+", contacts),
    }


def _position(options: Mapping[str, str], value: object) -> int:
    return list(options).index(str(value)) if value in options else 0

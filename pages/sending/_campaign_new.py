"""New campaign: what it says, who gets it, the check; nothing is stored before "Create campaign"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from core import campaigns, content, senders
from core.access import Actor
from core.app import App
from core.campaigns import Created
from core.content import CompiledContent
from core.db.models import Tenant
from pages._ui.actions import flash, report
from pages._ui.format import plural
from pages.sending import _campaign_check as file_check
from pages.sending._campaign_check import Check
from pages.sending._campaign_content import Draft, ask_content, from_line
from pages.sending._campaign_pace import Pace, ask_pace
from pages.sending._preview import draw_mail

PREVIEWED = 5
MAX_UPLOAD_MB = 50


def draw_new(app: App, actor: Actor, tenant: Tenant) -> None:
    choices = senders.list_senders(app, actor, tenant.id)
    if not choices:
        st.info("A campaign is sent from a sender, and there is none yet.", icon=":material/info:")
        st.page_link("pages/sending/senders.py", label="Add a sender", icon=":material/add:")
        return
    known = campaigns.always_there(app)
    form, preview = st.columns([3, 2], gap="large")
    with form:
        draft = ask_content(choices)
        compiled = _compile(draft)
        check = _ask_recipients(compiled.field_names - known.keys() if compiled else frozenset())
        st.subheader("How fast, and until when", anchor=False)
        pace = ask_pace(tenant, "campaign.new")
    if check is not None:  # below both: reasons need the whole width
        file_check.draw_result(check)
    fallbacks = file_check.choose_fallbacks(compiled, check, known) if compiled and check else {}
    _draw_create(app, actor, tenant, draft, check, fallbacks, pace)
    with preview:
        _draw_preview(draft, check, fallbacks, known)


def _compile(draft: Draft) -> CompiledContent | None:
    """None while the content is unfinished, or when it cannot be used (which is said)."""
    compiled = None
    if not draft.missing():
        with report(rerun=False):
            compiled = draft.compiled({})
    return compiled


def _ask_recipients(used: frozenset[str]) -> Check | None:
    st.subheader("Who gets it", anchor=False)
    upload = st.file_uploader(
        "CSV file with one recipient per row",
        type=["csv", "txt"],
        max_upload_size=MAX_UPLOAD_MB,
        key="campaign.new.csv",
        help="Any delimiter and encoding; the first row names the columns.",
    )
    if upload is None:
        return None
    layout = check = None
    with report(rerun=False):
        layout = file_check.inspected(upload.getvalue(), upload.name)
    if layout is None:
        return None
    file_check.draw_layout(layout)
    mapping = file_check.choose_mapping(layout, used)
    with report(rerun=False):
        check = file_check.checked(upload.getvalue(), upload.name, tuple(mapping.items()))
    return check


def _draw_create(
    app: App,
    actor: Actor,
    tenant: Tenant,
    draft: Draft,
    check: Check | None,
    fallbacks: Mapping[str, str],
    pace: Pace,
) -> None:
    st.divider()
    missing = draft.missing()
    if check is None:
        missing.append("a file of recipients")
    if missing:
        st.caption(f"Still needed: {', '.join(missing)}.")
    ready = not missing and check is not None and bool(check.checked.accepted)
    if not st.button("Create campaign", type="primary", key="campaign.new.create", disabled=not ready):
        return
    upload: Any = st.session_state["campaign.new.csv"]
    created = None
    with report(rerun=False):
        created = campaigns.create(
            app,
            actor,
            tenant.id,
            name=draft.name,
            sender_id=draft.sender.sender.id,
            subject=draft.subject,
            html=draft.html,
            text=draft.text,
            fallbacks=dict(fallbacks),
            csv=upload.getvalue(),
            filename=upload.name,
            mapping=check.mapping if check else None,
            rate_per_second=pace.rate_per_second,
            send_until=pace.send_until,
        )
    if created is not None:
        flash(_created(draft.name, created))
        st.query_params["campaign"] = str(created.campaign_id)
        st.rerun()


def _created(name: str, created: Created) -> str:
    said = f"Created {name} with {plural(created.accepted, 'recipient')}"
    if created.rejected:
        said += f"; {plural(len(created.rejected), 'row')} of the file could not be used"
    return f"{said}. Nothing is sent before it is started."


def _draw_preview(
    draft: Draft, check: Check | None, fallbacks: Mapping[str, str], known: Mapping[str, str]
) -> None:
    st.subheader("Preview", anchor=False)
    if draft.missing():
        st.caption("The mail is shown here as soon as there is a name, a subject and a part.")
        return
    if check is None or not check.checked.accepted:
        st.caption("Add the recipients to see the mail as each of them will get it.")
        return
    first = check.checked.accepted[:PREVIEWED]
    position = st.pagination(len(first), key="campaign.new.preview_page") if len(first) > 1 else 1
    recipient = first[position - 1]
    mail = None
    with report(rerun=False):
        compiled = draft.compiled(fallbacks)
        mail = content.render(compiled, compiled.values(recipient.address, {**known, **recipient.fields}))
    if mail is not None:
        draw_mail(from_line(draft.sender), recipient.address, *mail)

"""A chosen entry: where it came from, what happened to the address before, and letting it go."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core import suppressions
from core.access import Actor
from core.app import App
from core.db.models import Event, Suppression, Tenant
from core.suppressions import Story
from pages._ui.actions import ask, report
from pages._ui.format import escape, moment, plural, status
from pages._ui.tables import badge
from pages.deliverability import _suppression_dialogs as dialogs

_SOURCES = {
    "event": "SES reported it",
    "manual": "added by hand",
    "import": "imported",
    "unsubscribe": "the recipient unsubscribed",
    "ses": "taken over from SES's list",
}


def draw_chosen(app: App, actor: Actor, tenant: Tenant, chosen: Sequence[Suppression]) -> None:
    if len(chosen) == 1:
        _draw_one(app, actor, tenant, chosen[0])
    elif chosen and all(dialogs.may_release(actor, tenant, entry) for entry in chosen):
        addresses = tuple(entry.address for entry in chosen)
        label = f"Release these {len(chosen)}"
        if st.button(label, key="suppressions.release", icon=":material/undo:"):
            ask(dialogs.RELEASE, addresses)
    elif chosen:
        st.caption(f"{len(chosen)} entries chosen.")
        for entry in chosen:
            dialogs.say_who_may(actor, tenant, entry)


def _draw_one(app: App, actor: Actor, tenant: Tenant, entry: Suppression) -> None:
    story: Story | None = None
    with report(rerun=False):
        story = suppressions.story(app, actor, tenant.id, entry.id)
    if story is None:
        return
    with st.container(border=True):
        _draw_head(actor, tenant, entry)
        _draw_provenance(tenant, story)
        _draw_earlier(tenant, story.earlier)


def _draw_head(actor: Actor, tenant: Tenant, entry: Suppression) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        badge(entry.reason)
        st.text(entry.address, width="stretch")
        if dialogs.may_release(actor, tenant, entry) and st.button(
            "Release", key="suppressions.release", icon=":material/undo:"
        ):
            ask(dialogs.RELEASE, (entry.address,))
    dialogs.say_who_may(actor, tenant, entry)
    if suppressions.is_domain(entry.address):
        st.caption(
            f"Everybody at {escape(entry.address[1:])}, but for its subdomains. Only people add such entries."
        )


def _draw_provenance(tenant: Tenant, story: Story) -> None:
    entry = story.entry
    source = _SOURCES.get(entry.source, entry.source)
    said = [
        f"Since {moment(entry.created_at, tenant.timezone)}: {source}",
        f"by {entry.created_by}",
        *([f"campaign {story.campaign_name}"] if story.campaign_name else []),
    ]
    st.text(" · ".join(said))
    if entry.note:
        st.text(f"Note: {entry.note}")
    if story.event is not None:
        _draw_event(tenant, story.event)
    if entry.seen_at_ses_at is not None:
        st.caption(f"On SES's own list as well, as of {moment(entry.seen_at_ses_at, tenant.timezone)}.")
    if story.domain is not None:
        st.info(
            f"{escape(story.domain.address)} is on the list, too: releasing the address alone does nothing.",
            icon=":material/domain:",
        )


def _draw_event(tenant: Tenant, event: Event) -> None:
    kind = " / ".join(part for part in (event.bounce_type, event.bounce_subtype, event.feedback_type) if part)
    at = moment(event.occurred_at, tenant.timezone)
    st.text(" · ".join(part for part in (status(event.type).label, kind, at) if part))
    if event.diagnostic:
        st.code(event.diagnostic, language=None, wrap_lines=True)


def _draw_earlier(tenant: Tenant, earlier: Sequence[Suppression]) -> None:
    if not earlier:
        return
    with st.expander(f"Released before: {plural(len(earlier), 'time')}", icon=":material/history:"):
        for entry in earlier:
            with st.container(horizontal=True, vertical_alignment="center"):
                badge(entry.reason)
                st.text(
                    f"{moment(entry.created_at, tenant.timezone)} to "
                    f"{moment(entry.released_at, tenant.timezone)}, released by {entry.released_by}: "
                    f"{entry.release_reason}",
                    width="stretch",
                )

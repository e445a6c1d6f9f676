"""Suppression dialogs: adding addresses and domains, releasing them with a reason; which one is open."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from core import suppressions
from core.access import Action, Actor
from core.app import App
from core.db.models import Suppression, Tenant
from core.db.states import SuppressionReason
from core.suppressions import Added, Released
from pages._ui.actions import asked, flash, report, stop_asking, watch
from pages._ui.format import escape
from pages.deliverability._suppression_import import IMPORT, import_list
from pages.deliverability._suppression_ledger import draw_asked_of_ledger
from pages.sending._campaign_check import draw_rejections

ADD = "add suppression"
RELEASE = "release suppression"


def draw_asked(app: App, actor: Actor, tenant: Tenant) -> None:
    """The dialog that somebody opened, drawn once a page."""
    addresses = asked(RELEASE)
    may_add = actor.may(Action.ADD_SUPPRESSION, tenant.id)
    if may_add and asked(ADD):
        add_addresses(app, actor, tenant)
    elif may_add and asked(IMPORT):
        import_list(app, actor, tenant)
    elif isinstance(addresses, tuple):
        release_addresses(app, actor, tenant, addresses)
    else:
        draw_asked_of_ledger(app, actor, tenant)


def add_addresses(app: App, actor: Actor, tenant: Tenant) -> None:
    @st.dialog("Add to the suppression list", icon=":material/block:", on_dismiss=stop_asking)
    def _dialog() -> None:
        text = st.text_area(
            "Addresses",
            key="suppressions.addresses",
            height=140,
            placeholder="name@example.com\n@example.org",
            help="One a line, or with commas between. @example.org is everybody at that domain.",
        )
        note = st.text_input("Note (optional)", key="suppressions.note", max_chars=200).strip()
        agreed = _agree_to_providers(suppressions.whole_providers_in(text))
        done: Added | None = None
        if st.button("Add", type="primary", key="suppressions.add.yes"):
            with report(rerun=False):
                done = suppressions.add_several(app, actor, tenant.id, text, note, whole_provider=agreed)
        if done is not None:
            _tell_added(tenant, done)

    _dialog()


def _agree_to_providers(providers: Sequence[str]) -> bool:
    if not providers:
        return False
    names = ", ".join(entry[1:] for entry in providers)
    st.warning(f"Very many people have their mailbox at {escape(names)}.", icon=":material/warning:")
    return st.checkbox("None of them is to be written to", key="suppressions.providers")


def _tell_added(tenant: Tenant, done: Added) -> None:
    said = f"Added {', '.join(done.added)}" if 0 < len(done.added) <= 3 else f"Added {len(done.added)}"
    said += f"; {len(done.already)} on the list already" if done.already else ""
    if not done.rejected:
        flash(f"{said}. {tenant.name} sends nothing there any more.")
        stop_asking()
        st.rerun()
    st.success(escape(f"{said}."))
    draw_rejections("Not added", "not-added", done.rejected, expanded=True)


def may_release(actor: Actor, tenant: Tenant, entry: Suppression) -> bool:
    complaint = entry.reason == SuppressionReason.COMPLAINT
    return actor.may(Action.RELEASE_SUPPRESSION, tenant.id) and (
        not complaint or actor.may(Action.RELEASE_COMPLAINT, tenant.id)
    )


def say_who_may(actor: Actor, tenant: Tenant, entry: Suppression) -> None:
    if entry.reason == SuppressionReason.COMPLAINT and not may_release(actor, tenant, entry):
        st.info(f"{escape(entry.address)} complained about a mail: only an administrator may release it.")


def release_addresses(app: App, actor: Actor, tenant: Tenant, addresses: tuple[str, ...]) -> None:
    whom = addresses[0] if len(addresses) == 1 else f"{len(addresses)} entries"

    @st.dialog("Release from the suppression list", icon=":material/undo:", on_dismiss=stop_asking)
    def _dialog() -> None:
        st.markdown(
            escape(
                f"{tenant.name} may write to {whom} again, and SES is told so. Do this only when you know "
                "that the mailboxes work and their owners want the mail."
            )
        )
        reason = st.text_input("Reason", key="suppressions.release.reason", max_chars=200).strip()
        wish = st.checkbox(
            "Who unsubscribed has asked for the mail again",
            key="suppressions.release.asked",
            help="Needed for addresses whose owners unsubscribed.",
        )
        done: Released | None = None
        if st.button("Release", type="primary", key="suppressions.release.yes"):
            with report(rerun=False):
                done = _release(app, actor, tenant, addresses, reason, wish=wish)
        if done is not None:
            _tell_released(whom, done)

    _dialog()


def _release(
    app: App, actor: Actor, tenant: Tenant, addresses: Sequence[str], reason: str, *, wish: bool
) -> Released:
    if len(addresses) == 1:
        suppressions.release(app, actor, tenant.id, addresses[0], reason, recipient_asked=wish)
        return Released([*addresses])
    return watch(
        "Releasing, here and at SES…",
        lambda: suppressions.release_several(app, actor, tenant.id, addresses, reason, recipient_asked=wish),
        lambda: st.caption(f"SES takes about {app.settings.control_calls_per_second:g} such calls a second."),
    )


def _tell_released(whom: str, done: Released) -> None:
    if not done.kept:
        flash(f"Released {whom}.")
        stop_asking()
        st.rerun()
    st.warning(f"Released {len(done.released)}; {len(done.kept)} on the list still.")
    st.dataframe(
        [{"Address": address, "Why": why} for address, why in done.kept.items()],
        hide_index=True,
        width="stretch",
        key="suppressions.kept",
    )

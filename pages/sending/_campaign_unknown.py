"""Campaign unknown: messages whose fate nobody can tell, what is known of them, what a person may decide."""

from __future__ import annotations

import streamlit as st

from core import unknown
from core.access import Action, Actor
from core.app import App
from core.campaigns import CampaignView
from core.db.models import Tenant
from core.unknown import TOLERATED_LAG_SECONDS, Unknown
from pages._ui.actions import ask, asked, confirm, report
from pages._ui.format import count, duration, escape, moment, plural

RESEND = "send unknown messages again"
LEAVE = "leave unknown messages"
SHOWN_REASONS = 5


def draw_unknown(app: App, actor: Actor, tenant: Tenant, view: CampaignView) -> None:
    if not view.counts["unknown"]:
        return
    found: Unknown | None = None
    with report(rerun=False):
        found = unknown.unknown_of(app, actor, tenant.id, view.campaign.id)
    if found is None or not found.count:
        return
    with st.container(border=True):
        st.markdown(f"**Nobody can tell whether {plural(found.count, 'message')} arrived**")
        _draw_what_is_known(found, tenant)
        if found.waiting:
            _draw_waiting(app, found, tenant)
        if found.for_a_person:
            _draw_decision(found, actor.may(Action.RESEND_UNKNOWN, tenant.id), view.campaign.id)
    _draw_dialogs(app, actor, tenant, view, found)


def _draw_what_is_known(found: Unknown, tenant: Tenant) -> None:
    st.caption(f"The oldest since {moment(found.oldest_at, tenant.timezone)} ({tenant.timezone}).")
    reasons = found.by_reason[:SHOWN_REASONS]
    lines = [f"- {count(number)}: {escape(reason) or 'no reason is kept'}" for reason, number in reasons]
    st.markdown("\n".join(lines))
    if found.left:
        st.caption(f"A person decided that {plural(found.left, 'message')} of them stay so.")


def _draw_waiting(app: App, found: Unknown, tenant: Tenant) -> None:
    is_overdue = found.ready_at is not None and found.ready_at <= app.now()
    if not is_overdue:
        said = (
            f"For {count(found.waiting)} of them events are awaited, until "
            f"{moment(found.ready_at, tenant.timezone)} at least: most are settled by that. Nothing is sent "
            "again meanwhile."
        )
    elif found.lag_seconds is None:
        said = "The event queue does not answer, so nobody can say whether events about these still wait."
    elif found.lag_seconds > TOLERATED_LAG_SECONDS:
        said = f"Events {_behind(found.lag_seconds)} wait to be read; some may be about these messages."
    else:
        said = "Events are awaited."
    st.info(said, icon=":material/hourglass:")


def _behind(seconds: float) -> str:
    return f"as old as {duration(seconds)}" if seconds < float("inf") else "of unknown age"


def _draw_decision(found: Unknown, may_decide: bool, campaign_id: int) -> None:
    several = "them" if found.for_a_person > 1 else "it"
    st.warning(
        f"72 hours brought no word about {plural(found.for_a_person, 'message')}. Whether SES took "
        f"{several} will not become known by itself any more: a person decides.",
        icon=":material/help:",
    )
    if found.obstacle:
        st.caption(escape(found.obstacle))
    if not may_decide:
        st.caption("An operator or administrator can send them again, or leave them so.")
        return
    with st.container(horizontal=True):
        if st.button(
            f"Send {count(found.resendable)} again",
            key="campaign.unknown.resend",
            icon=":material/replay:",
            disabled=not found.resendable,
        ):
            ask(RESEND, campaign_id)
        if st.button(f"Leave {count(found.for_a_person)} so", key="campaign.unknown.leave"):
            ask(LEAVE, campaign_id)


def _draw_dialogs(app: App, actor: Actor, tenant: Tenant, view: CampaignView, found: Unknown) -> None:
    number = view.campaign.id
    if asked(RESEND) == number:
        confirm(
            "Send again",
            f"Send to {plural(found.resendable, 'recipient')} again, as new attempts? Whoever is on the "
            "suppression list by now is left out.",
            label="Send again",
            act=lambda _: unknown.resend(app, actor, tenant.id, number, expected=found.resendable),
            done=f"{plural(found.resendable, 'message')} of {view.campaign.name} will be sent again.",
            warning="Nobody knows whether the first mail arrived: some of them may get it twice.",
        )
    elif asked(LEAVE) == number:
        confirm(
            "Leave unknown",
            f"Leave {plural(found.for_a_person, 'message')} as they are? They are not sent again; an event "
            "that comes later still settles them.",
            label="Leave so",
            act=lambda _: unknown.leave(app, actor, tenant.id, number, expected=found.for_a_person),
            done=f"{plural(found.for_a_person, 'message')} of {view.campaign.name} stay unknown.",
        )

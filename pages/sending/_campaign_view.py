"""One campaign: its state, what can be done with it now, its progress and its recipients."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from core import campaigns
from core.access import Action, Actor
from core.app import App
from core.campaigns import CampaignView
from core.db.models import Message, Tenant
from core.db.states import CampaignStatus, MessageStatus
from pages._ui.actions import ask, asked, confirm, report
from pages._ui.format import count, duration, escape, local, moment, plural, status
from pages._ui.tables import PAGE, badge, chip, chips, empty, first_page, page_of, table
from pages.sending._campaign_progress import draw_progress, draw_reasons, shown_status

START = "start campaign"
CANCEL = "cancel campaign"
PAUSABLE = (CampaignStatus.SENDING, CampaignStatus.HOLDING, CampaignStatus.BLOCKED)
RESUMABLE = (CampaignStatus.PAUSED, CampaignStatus.BLOCKED, CampaignStatus.HOLDING)
FINISHED = (CampaignStatus.SENT, CampaignStatus.CANCELLED)


def draw_campaign(app: App, actor: Actor, tenant: Tenant, campaign_id: int) -> None:
    view: CampaignView | None = None
    with report(rerun=False):
        view = campaigns.status(app, actor, tenant.id, campaign_id)
    if view is None:
        return
    _draw_head(app, actor, tenant, view)
    draw_reasons(view)
    draw_progress(app, actor, tenant, view)
    if actor.may(Action.SEE_ADDRESSES, tenant.id):
        _draw_recipients(app, actor, tenant, view)
    _draw_dialogs(app, actor, tenant, view)


def _draw_head(app: App, actor: Actor, tenant: Tenant, view: CampaignView) -> None:
    campaign = view.campaign
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(escape(campaign.name), anchor=False, width="content")
        badge(shown_status(view))
        st.space("stretch")
        if actor.may(Action.RUN_CAMPAIGN, tenant.id):
            _draw_actions(app, actor, tenant, view)
    st.text(
        f"From {view.sender.address} · made by {campaign.created_by}, "
        f"{moment(campaign.created_at, tenant.timezone)} ({tenant.timezone})"
    )


def _draw_actions(app: App, actor: Actor, tenant: Tenant, view: CampaignView) -> None:
    state, number, name = view.campaign.status, view.campaign.id, view.campaign.name
    if state not in FINISHED and st.button("Cancel campaign", key="campaign.cancel"):
        ask(CANCEL, number)
    if state in PAUSABLE and st.button("Pause", key="campaign.pause", icon=":material/pause:"):
        with report(f"Paused {name}."):
            campaigns.pause(app, actor, tenant.id, number)
    if state in RESUMABLE and st.button(
        "Resume", key="campaign.resume", type="primary", icon=":material/play_arrow:"
    ):
        with report(f"Resumed {name}."):
            campaigns.resume(app, actor, tenant.id, number)
    if state == CampaignStatus.DRAFT and st.button(
        "Start", key="campaign.start", type="primary", icon=":material/send:"
    ):
        ask(START, number)


def _draw_dialogs(app: App, actor: Actor, tenant: Tenant, view: CampaignView) -> None:
    number, name = view.campaign.id, view.campaign.name
    if asked(START) == number:
        confirm(
            "Start campaign",
            _start_question(view),
            label="Start",
            act=lambda _: campaigns.start(app, actor, tenant.id, number),
            done=f"Started {name}.",
        )
    elif asked(CANCEL) == number:
        confirm(
            "Cancel campaign",
            f"Cancel {name}? {plural(view.counts['pending'], 'recipient')} will not get it. "
            "This cannot be undone.",
            label="Cancel campaign",
            act=lambda _: campaigns.cancel(app, actor, tenant.id, number),
            done=f"Cancelled {name}.",
        )


def _start_question(view: CampaignView) -> str:
    rate = view.account_rate
    waiting = view.counts["pending"]
    sender = view.sender
    from_line = f"{sender.display_name}, {sender.address}" if sender.display_name else sender.address
    return (
        f"Send to {plural(waiting, 'recipient')}, from {from_line}? "
        f"At {rate:g} a second this takes about {duration(max(1.0, waiting / rate))}."
    )


def _draw_recipients(app: App, actor: Actor, tenant: Tenant, view: CampaignView) -> None:
    trail = f"campaign.{view.campaign.id}"
    st.subheader("Recipients", anchor=False)
    state = st.selectbox(
        "Status", list(MessageStatus), index=None, placeholder="All", key="campaign.status", width=260,
        format_func=lambda value: f"{status(value).label} ({count(view.counts[value])})",
        on_change=first_page, args=(trail,),
    )  # fmt: skip
    above = st.container()
    rows = page_of(
        trail,
        lambda after: campaigns.list_messages(
            app, actor, tenant.id, view.campaign.id, status=state, after_id=after or 0, limit=PAGE
        ),
    )
    with above:
        if rows:
            _draw_messages(rows, tenant)
        else:
            empty("No recipient", "No recipient of this campaign is in this state now.")


def _draw_messages(rows: Sequence[Message], tenant: Tenant) -> None:
    when = st.column_config.DatetimeColumn(format="D MMM YYYY, HH:mm")
    reason = st.column_config.TextColumn(width="large")
    table(
        [
            {
                "Recipient": message.address,
                "Status": chip(message.status),
                "Reason": message.reason or "",
                "Sent": _at(message.sent_at, tenant),
                "Delivered": _at(message.delivered_at, tenant),
                "Provider": message.provider or "",
            }
            for message in rows
        ],
        key="campaign.recipients",
        columns={"Status": chips("Status"), "Reason": reason, "Sent": when, "Delivered": when},
    )


def _at(at: datetime | None, tenant: Tenant) -> datetime | None:
    return local(at, tenant.timezone) if at else None

"""Campaign actions: the buttons of one campaign, and what is asked before it starts or ends."""

from __future__ import annotations

from email.utils import parseaddr

import streamlit as st

from core import campaigns
from core.access import Actor
from core.app import App
from core.campaigns import CampaignView
from core.db.models import Tenant
from core.db.states import CampaignStatus, ProviderName
from core.routes import Route
from pages._ui.actions import ask, asked, confirm, report
from pages._ui.format import duration, escape, plural, provider
from pages.sending._campaign_pace import CHANGE, change_pace, in_full

START = "start campaign"
CANCEL = "cancel campaign"
NO_EVENTS = "It reports no deliveries, bounces or complaints to Postyard: what it takes stays *Accepted*."
PAUSABLE = (CampaignStatus.SENDING, CampaignStatus.HOLDING, CampaignStatus.BLOCKED)
RESUMABLE = (CampaignStatus.PAUSED, CampaignStatus.BLOCKED, CampaignStatus.HOLDING)
FINISHED = (CampaignStatus.SENT, CampaignStatus.CANCELLED)


def draw_actions(app: App, actor: Actor, tenant: Tenant, view: CampaignView, way: Route | str | None) -> None:
    """`way`: of a draft, which way its mail will go, or why it may not."""
    state, number, name = view.campaign.status, view.campaign.id, view.campaign.name
    if state not in FINISHED:
        if st.button("Cancel campaign", key="campaign.cancel"):
            ask(CANCEL, number)
        if st.button("Change pace", key="campaign.pace", icon=":material/speed:"):
            ask(CHANGE, number)
    if state in PAUSABLE and st.button("Pause", key="campaign.pause", icon=":material/pause:"):
        with report(f"Paused {name}."):
            campaigns.pause(app, actor, tenant.id, number)
    if state in RESUMABLE and st.button(
        "Resume", key="campaign.resume", type="primary", icon=":material/play_arrow:"
    ):
        with report(f"Resumed {name}."):
            campaigns.resume(app, actor, tenant.id, number)
    if state == CampaignStatus.DRAFT and st.button(
        "Start",
        key="campaign.start",
        type="primary",
        icon=":material/send:",
        disabled=not isinstance(way, Route),
    ):
        ask(START, number)


def draw_dialogs(app: App, actor: Actor, tenant: Tenant, view: CampaignView, way: Route | str | None) -> None:
    number, name = view.campaign.id, view.campaign.name
    if asked(START) == number and isinstance(way, Route):
        confirm(
            "Start campaign",
            _start_question(tenant, view, way),
            label="Start",
            act=lambda _: campaigns.start(app, actor, tenant.id, number, announced=way),
            done=f"Started {name}.",
            warning=way.warning,
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
    elif asked(CHANGE) == number:
        change_pace(app, actor, tenant, view)


def draw_way(way: Route | str) -> None:
    """Before the start: which way its mail will go, or why it cannot start."""
    if isinstance(way, str):
        st.warning(escape(way), icon=":material/gpp_maybe:")
    elif way.warning:
        st.warning(
            f"**Through {provider(way.provider)}, not Amazon SES.** {escape(way.warning)} {NO_EVENTS}",
            icon=":material/alt_route:",
        )
    else:
        st.text(f"Will go through Amazon SES, from {_from(way)}.")


def _from(way: Route) -> str:
    """As the reader will see it, in words."""
    return ", ".join(part for part in parseaddr(way.from_address) if part)


def _start_question(tenant: Tenant, view: CampaignView, way: Route) -> str:
    waiting = view.counts["pending"]
    through = "Amazon SES" if way.provider == ProviderName.SES else provider(way.provider)
    question = (
        f"Send to {plural(waiting, 'recipient')}, from {_from(way)}? "
        f"Through {through}, {in_full(view.campaign, tenant)} (times in {tenant.timezone})."
    )
    if way.provider != ProviderName.SES:
        return question
    rate = min(view.account_rate, view.campaign.rate_per_second or view.account_rate)
    return f"{question} At {rate:g} a second this takes about {duration(max(1.0, waiting / rate))}."

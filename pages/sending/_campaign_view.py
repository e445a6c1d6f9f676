"""One campaign: its state, what can be done with it now, its progress and its recipients."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import streamlit as st

from core import campaigns, tenants
from core.access import Action, Actor
from core.app import App
from core.campaigns import ENDED, CampaignView
from core.db.models import Message, Tenant
from core.db.states import CampaignStatus, MessageStatus
from core.routes import Route
from pages._ui.actions import report
from pages._ui.format import count, escape, local, moment, provider, status
from pages._ui.tables import PAGE, badge, chip, chips, empty, first_page, page_of, table
from pages.sending._campaign_actions import draw_actions, draw_dialogs, draw_way
from pages.sending._campaign_pace import in_words
from pages.sending._campaign_progress import draw_progress, draw_reasons, shown_status
from pages.sending._campaign_unknown import draw_unknown


def draw_campaign(app: App, actor: Actor, tenant: Tenant, campaign_id: int) -> None:
    view: CampaignView | None = None
    way: Route | str | None = None
    with report(rerun=False):
        view = campaigns.status(app, actor, tenant.id, campaign_id)
        if view.campaign.status == CampaignStatus.DRAFT:
            way = campaigns.way_of(app, actor, tenant.id, campaign_id)
    if view is None:
        return
    _draw_head(app, actor, tenant, view, way)
    if way is not None:
        draw_way(way)
    draw_reasons(view)
    _draw_probation(app, actor, tenant, view)
    draw_unknown(app, actor, tenant, view)
    draw_progress(app, actor, tenant, view)
    if actor.may(Action.SEE_ADDRESSES, tenant.id):
        _draw_recipients(app, actor, tenant, view)
    draw_dialogs(app, actor, tenant, view, way)


def _draw_head(app: App, actor: Actor, tenant: Tenant, view: CampaignView, way: Route | str | None) -> None:
    campaign = view.campaign
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(escape(campaign.name), anchor=False, width="content")
        badge(shown_status(view))
        st.space("stretch")
        if actor.may(Action.RUN_CAMPAIGN, tenant.id):
            draw_actions(app, actor, tenant, view, way)
    made = (
        f"made by {campaign.created_by}, {moment(campaign.created_at, tenant.timezone)} ({tenant.timezone})"
    )
    st.text(
        " · ".join(part for part in (f"From {view.sender.address}", made, in_words(campaign, tenant)) if part)
    )


def _draw_probation(app: App, actor: Actor, tenant: Tenant, view: CampaignView) -> None:
    """Why it goes so slowly."""
    if view.campaign.status in ENDED or not tenant.probation_left:
        return
    if probation := tenants.probation(app, actor, tenant.id):
        st.info(f"{escape(tenant.name)}: {probation.sentence}", icon=":material/speed:")


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
                "Reason": _reason(message),
                "Sent": _at(message.sent_at, tenant),
                "Delivered": _at(message.delivered_at, tenant),
                "Provider": provider(message.provider),
            }
            for message in rows
        ],
        key="campaign.recipients",
        columns={"Status": chips("Status"), "Reason": reason, "Sent": when, "Delivered": when},
    )


def _at(at: datetime | None, tenant: Tenant) -> datetime | None:
    return local(at, tenant.timezone) if at else None


def _reason(message: Message) -> str:
    again = f"Sent again by {message.resent_by}." if message.resent_by and message.status != "pending" else ""
    return " ".join(part for part in (message.reason, again) if part)

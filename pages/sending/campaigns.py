"""Campaigns: the list of a tenant's campaigns; `?campaign=new` prepares one, `?campaign=ID` shows one."""

from __future__ import annotations

import math

import streamlit as st

from core import campaigns
from core.access import Action
from core.campaigns import CampaignView
from pages._ui.format import count, escape, moment, plural, share
from pages._ui.runtime import begin, tenant_choice
from pages._ui.tables import badge, empty
from pages.sending._campaign_new import draw_new
from pages.sending._campaign_progress import shown_status
from pages.sending._campaign_view import draw_campaign

app, actor = begin("Campaigns", Action.SEE_TENANT)
tenant = tenant_choice(app, actor)

CAMPAIGN = "campaign"
NEW = "new"
PER_PAGE = 20
WIDTHS = [3.4, 1.6, 3.4, 1.8, 1.2]
MAY_DRAFT = actor.may(Action.DRAFT_CAMPAIGN, tenant.id)


def draw() -> None:
    chosen = st.query_params.get(CAMPAIGN, "")
    if chosen and st.button(
        "All campaigns", key="campaigns.back", type="tertiary", icon=":material/arrow_back:"
    ):
        _open(None)
    if chosen == NEW and MAY_DRAFT:
        draw_new(app, actor, tenant)
    elif chosen.isdecimal():
        draw_campaign(app, actor, tenant, int(chosen))
    else:
        _draw_list()


def _open(campaign: int | str | None) -> None:
    if campaign is None:
        st.query_params.pop(CAMPAIGN, None)
    else:
        st.query_params[CAMPAIGN] = str(campaign)
    st.rerun()


def _draw_list() -> None:
    views = campaigns.list_campaigns(app, actor, tenant.id)
    if not views:
        _draw_none()
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"{plural(len(views), 'campaign')} · times in {tenant.timezone}", width="stretch")
        if MAY_DRAFT and st.button(
            "New campaign", key="campaigns.new", type="primary", icon=":material/add:"
        ):
            _open(NEW)
    pages = math.ceil(len(views) / PER_PAGE)
    page = min(st.session_state.get("campaigns.page", 1), pages)
    for view in views[(page - 1) * PER_PAGE : page * PER_PAGE]:
        with st.container(border=True):
            _draw_row(view)
    if pages > 1:
        st.pagination(pages, key="campaigns.page")


def _draw_none() -> None:
    with empty(
        "No campaigns yet",
        "A campaign is one mail to a list of people. Upload the list, check it, then start.",
        icon=":material/campaign:",
    ):
        if MAY_DRAFT and st.button(
            "New campaign", key="campaigns.first", type="primary", icon=":material/add:"
        ):
            _open(NEW)


def _draw_row(view: CampaignView) -> None:
    campaign = view.campaign
    name, state, progress, created, actions = st.columns(WIDTHS, vertical_alignment="center")
    with name, st.container(gap="xsmall"):
        st.markdown(f"**{escape(campaign.name)}**")
        st.text(view.sender.address)
    with state:
        badge(shown_status(view))
    with progress:
        st.progress(share(view.done, view.recipients) or 0.0, text=_in_words(view))
        if view.held_reason:
            st.caption(escape(view.held_reason))
    created.text(moment(campaign.created_at, tenant.timezone))
    if actions.button("Open", key=f"campaigns.open.{campaign.id}"):
        _open(campaign.id)


def _in_words(view: CampaignView) -> str:
    counts = view.counts
    words = [f"{count(view.done)} of {count(view.recipients)}"]
    words += [
        f"{count(counts[state])} {state}" for state in ("bounced", "complained", "failed") if counts[state]
    ]
    return " · ".join(words)


draw()

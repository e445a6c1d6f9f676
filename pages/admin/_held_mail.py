"""Held mail: what leaves when somebody lets it go, what can be kept from it before, and the button."""

from __future__ import annotations

import streamlit as st

from core import campaigns, installation
from core.access import Action, Actor
from core.app import App
from core.db.states import CampaignStatus
from core.installation import InstallationState, Waiting
from pages._ui import format
from pages._ui.actions import ask, asked, confirm, report
from pages._ui.links import link
from pages._ui.tables import chip, chips, counts, pick

LET_GO = "let mail go"
CANCEL = "cancel held campaign"


def draw_held_mail(app: App, actor: Actor) -> None:
    """Nothing while nothing is held."""
    state = installation.state(app, actor)
    if state.held_at is None:
        return
    st.subheader("Held mail", anchor=False)
    st.caption(
        f"Held since {format.moment(state.held_at)} UTC. It leaves when you let it go: {_numbers(state)}. "
        "First pause or cancel what must not leave."
    )
    _draw_campaigns(app, actor, state)
    if actor.may(Action.RELEASE_HOLD) and st.button(
        "Let mail go", key="held.release", type="primary", icon=":material/send:"
    ):
        ask(LET_GO, state.reason)
    if (reason := asked(LET_GO)) is not None:
        _confirm_release(app, actor, state, str(reason))
    st.space("small")


def _numbers(state: InstallationState) -> str:
    campaigns_, singles = len(state.waiting), state.transactional
    recipients = format.plural(state.recipients - singles, "recipient")
    of_campaigns = f"{format.plural(campaigns_, 'campaign')} with {recipients}"
    return f"{of_campaigns}, {format.plural(singles, 'single message')}"


def _draw_campaigns(app: App, actor: Actor, state: InstallationState) -> None:
    if not state.waiting:
        return
    rows = [
        {
            "Campaign": campaign.name,
            "Waiting": campaign.pending,
            "Status": chip(_status(campaign)),
            "Tenant": campaign.tenant_name,
            "Started (UTC)": format.moment(campaign.started_at),
        }
        for campaign in state.waiting
    ]
    columns = {"Status": chips("Status"), "Waiting": counts("Waiting")}
    index = pick(rows, key=f"held.campaigns.{len(rows)}", columns=columns)
    if index is None:
        st.caption("Choose a campaign to pause or cancel it.")
        return
    _draw_actions(app, actor, state.waiting[index])


def _status(campaign: Waiting) -> str:
    if campaign.is_tenant_paused:
        return "DISABLED"
    return CampaignStatus.HOLDING if campaign.status == CampaignStatus.SENDING else campaign.status


def _draw_actions(app: App, actor: Actor, campaign: Waiting) -> None:
    tenant_id, number, name = campaign.tenant_id, campaign.campaign_id, campaign.name
    with st.container(horizontal=True, vertical_alignment="center"):
        if st.button("Pause campaign", key="held.pause", icon=":material/pause:"):
            with report(f"Paused {name}."):
                campaigns.pause(app, actor, tenant_id, number, "held mail")
        if st.button("Cancel campaign", key="held.cancel"):
            ask(CANCEL, number)
        link("sending/campaigns", "Campaigns", campaign.tenant_slug)
    if asked(CANCEL) == number:
        confirm(
            "Cancel campaign",
            f"{format.plural(campaign.pending, 'recipient')} of “{name}” ({campaign.tenant_name}) will not "
            "be written to. This cannot be undone.",
            label="Cancel it",
            act=lambda _: campaigns.cancel(app, actor, tenant_id, number),
            done=f"Cancelled {name}.",
        )


def _confirm_release(app: App, actor: Actor, state: InstallationState, reason: str) -> None:
    confirm(
        "Let mail go",
        f"This lets go: {_numbers(state)}. Where the database is an older copy, whoever was written to since "
        "then is written to again.",
        label="Let it go",
        act=lambda _: installation.let_go(app, actor, reason=reason),
        done="Mail leaves again.",
    )

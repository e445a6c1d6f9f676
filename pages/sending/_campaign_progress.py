"""Campaign progress: how far it is, how fast it goes, when it is done, and what went wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta

import streamlit as st

from core import campaigns
from core.access import Action, Actor
from core.app import App
from core.campaigns import CampaignView
from core.db.models import Tenant
from core.db.states import CampaignStatus, MessageStatus
from pages._ui.actions import live
from pages._ui.format import count, duration, escape, local, provider, share, status
from pages._ui.tables import chip, chips, table

REFRESH_SECONDS = 2
SAMPLES = 15
WAIT_FOR_EVENTS = timedelta(minutes=10)
MOVING = (CampaignStatus.SCHEDULED, CampaignStatus.SENDING, CampaignStatus.HOLDING)
TROUBLES = (MessageStatus.FAILED, MessageStatus.UNKNOWN, MessageStatus.BOUNCED, MessageStatus.COMPLAINED)
SHOWN_TROUBLES = 5


def is_live(view: CampaignView, now: datetime) -> bool:
    """Something of it may still change by itself: mail goes out, or SES has yet to say what became of it."""
    if view.campaign.status in MOVING:
        return True
    waiting = view.counts["sent"] + view.counts["sending"] > 0
    ended = view.campaign.finished_at
    return waiting and (ended is None or now - ended < WAIT_FOR_EVENTS)


def shown_status(view: CampaignView) -> str:
    """Nobody is told that a campaign is sending while something holds it back."""
    return CampaignStatus.HOLDING if view.held_reason else view.campaign.status


def draw_progress(app: App, actor: Actor, tenant: Tenant, view: CampaignView) -> None:
    """Draws itself anew while the campaign is live, and the whole page when it changes its state, is held, or
    goes on."""
    every = REFRESH_SECONDS if is_live(view, app.now()) else None
    live(_draw, every)(app, actor, tenant, view, live=every is not None)


def _draw(app: App, actor: Actor, tenant: Tenant, seen: CampaignView, *, live: bool) -> None:
    view = campaigns.status(app, actor, tenant.id, seen.campaign.id)
    now = app.now()
    if shown_status(view) != shown_status(seen) or (live and not is_live(view, now)):
        st.rerun()
    st.progress(share(view.done, view.recipients) or 0.0, text=_headline(view, _pace(view, now), now))
    with st.grid(6, min_column_width=120, border=True, gap="small"):
        for state in MessageStatus:
            st.metric(status(state).label, view.counts[state], format="localized")
    _draw_sum(view)
    if actor.may(Action.SEE_ADDRESSES, tenant.id):
        _draw_troubles(app, actor, tenant, view)


def _draw_sum(view: CampaignView) -> None:
    if view.adds_up:
        st.caption(f"Together {count(view.recipients)} recipients")
        return
    st.error(
        f"These numbers do not add up: together they are {count(view.recipients)}, and its list has "
        f"{count(view.campaign.recipients)} recipients. That must never be; tell whoever runs Postyard here.",
        icon=":material/error:",
    )


def _pace(view: CampaignView, now: datetime) -> float | None:
    """Messages a second over the last half minute this page has watched; None before it has seen any."""
    key = f"campaign.samples.{view.campaign.id}"
    samples: deque[tuple[datetime, int]] = st.session_state.setdefault(key, deque(maxlen=SAMPLES))
    samples.append((now, view.done))
    return pace(samples)


def pace(samples: Sequence[tuple[datetime, int]]) -> float | None:
    seconds = (samples[-1][0] - samples[0][0]).total_seconds()
    moved = samples[-1][1] - samples[0][1]
    return moved / seconds if seconds >= 1 and moved > 0 else None


def _headline(view: CampaignView, rate: float | None, now: datetime) -> str:
    parts = [f"{count(view.done)} of {count(view.recipients)}"]
    left = view.recipients - view.done
    if shown_status(view) == CampaignStatus.SENDING and left and rate:
        parts.append(f"{rate:,.0f} a second")
        parts.append(f"about {duration(left / rate)} left")
    started, ended = view.campaign.started_at, view.campaign.finished_at
    if started and ended:
        parts.append(f"took {duration((ended - started).total_seconds())}")
    elif started and view.campaign.status == CampaignStatus.SENDING:
        parts.append(f"started {duration((now - started).total_seconds())} ago")
    return " · ".join(parts)


def _draw_troubles(app: App, actor: Actor, tenant: Tenant, view: CampaignView) -> None:
    rows = [
        {
            "Recipient": message.address,
            "Status": chip(message.status),
            "Reason": message.reason or message.bounce_subtype or "",
            "Provider": provider(message.provider),
            "Sent": local(message.sent_at, tenant.timezone) if message.sent_at else None,
        }
        for state in TROUBLES
        if view.counts[state]
        for message in campaigns.list_messages(
            app, actor, tenant.id, view.campaign.id, status=state, limit=SHOWN_TROUBLES
        )
    ]
    if not rows:
        return
    st.markdown("**What went wrong**")
    table(
        rows,
        key="campaign.troubles",
        columns={
            "Status": chips("Status"),
            "Sent": st.column_config.DatetimeColumn("Sent", format="D MMM, HH:mm:ss"),
        },
    )


def draw_reasons(view: CampaignView) -> None:
    """Why it stands still, when it does."""
    if view.held_reason:
        st.warning(f"Waiting: {escape(view.held_reason)}", icon=":material/hourglass:")
    elif view.campaign.status == CampaignStatus.BLOCKED:
        st.error(
            f"Blocked: {escape(view.campaign.status_reason or 'no reason is kept.')}", icon=":material/block:"
        )
    elif view.campaign.status == CampaignStatus.PAUSED:
        st.warning(escape(view.campaign.status_reason or "Paused."), icon=":material/pause_circle:")
    elif view.campaign.status_reason and view.campaign.status in (
        CampaignStatus.SENDING,
        CampaignStatus.SENT,
    ):
        st.info(escape(view.campaign.status_reason), icon=":material/info:")

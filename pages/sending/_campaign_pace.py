"""Campaign pace: how fast it is sent at most and until when, as it is asked for, shown and changed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import streamlit as st

from core import campaigns
from core.access import Actor
from core.app import App
from core.campaigns import CampaignView
from core.db.models import Campaign, Tenant
from core.tenants.limits import zone_of
from pages._ui.actions import report, stop_asking
from pages._ui.format import local, moment

CHANGE = "change pace"


@dataclass(frozen=True, slots=True)
class Pace:
    """None: no such limit."""

    rate_per_second: float | None
    send_until: datetime | None


def ask_pace(tenant: Tenant, key: str, now: Pace | None = None) -> Pace:
    rate, until = (now.rate_per_second, now.send_until) if now else (None, None)
    rate = st.number_input(
        "Send at most … a second",
        value=rate,
        step=1.0,
        format="%g",
        placeholder="As fast as the account allows",
        key=f"{key}.rate",
        help="For a shop that cannot serve everybody at once. The account's own rate holds in any case.",
    )
    there = st.datetime_input(
        f"Do not send after … (day and time, {tenant.timezone})",
        value=local(until, tenant.timezone) if until else None,
        format="YYYY-MM-DD",
        key=f"{key}.until",
        help="Whoever was not written to by then is not written to at all and counts as expired: for an "
        "offer that ends. Without it the campaign goes on until everybody has been written to.",
    )
    return Pace(rate, there.replace(tzinfo=zone_of(tenant.timezone)).astimezone(UTC) if there else None)


def in_words(pace: Campaign | Pace, tenant: Tenant) -> str:
    """Empty when nothing was asked for."""
    parts = []
    if pace.rate_per_second is not None:
        parts.append(f"at most {pace.rate_per_second:g} a second")
    if pace.send_until is not None:
        parts.append(f"nothing after {moment(pace.send_until, tenant.timezone)}")
    return ", ".join(parts)


def in_full(pace: Campaign | Pace, tenant: Tenant) -> str:
    """Before anything hangs on it: a day that was typed without its time reaches nobody, the browser keeps it
    to itself."""
    return in_words(pace, tenant) or "as fast as the account allows, without an end"


def change_pace(app: App, actor: Actor, tenant: Tenant, view: CampaignView) -> None:
    campaign = view.campaign

    @st.dialog("Change pace", icon=":material/speed:", on_dismiss=stop_asking)
    def _dialog() -> None:
        st.caption("It holds within seconds, also while the campaign is being sent.")
        pace = ask_pace(tenant, "campaign.pace", Pace(campaign.rate_per_second, campaign.send_until))
        with st.container(horizontal=True, horizontal_alignment="right"):
            if st.button("Cancel", key="confirm.cancel"):
                stop_asking()
                st.rerun()
            agreed = st.button("Change pace", key="confirm.yes", type="primary")
        if agreed:
            with report(f"Changed the pace of {campaign.name}: {in_full(pace, tenant)}."):
                campaigns.set_pace(
                    app,
                    actor,
                    tenant.id,
                    campaign.id,
                    rate_per_second=pace.rate_per_second,
                    send_until=pace.send_until,
                )

    _dialog()

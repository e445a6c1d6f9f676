"""A tenant's own levels: the rates at which it is warned about and paused."""

from __future__ import annotations

from dataclasses import asdict

import streamlit as st

from core import reputation
from core.access import Action, Actor
from core.app import App
from core.db.models import Tenant
from core.reputation import Signal
from pages._ui import format
from pages._ui.actions import report
from pages._ui.tables import rates, table
from pages.operations._dry_run import dry_run_card
from pages.operations._level_inputs import levels_inputs

NAMES = {Signal.BOUNCE: "Bounces", Signal.COMPLAINT: "Complaints"}
WHY = (
    "A rate counts when there is enough evidence that it is no chance: in one campaign, or in the tenant's "
    "last 1,000 and 10,000 messages with an outcome (50,000 deliveries for complaints). A rate somewhat "
    "below pauses, too, when it lasts."
)


def levels_view(app: App, actor: Actor, tenant: Tenant) -> None:
    with st.container(border=True, key="tenants.levels"):
        st.markdown("**When Postyard warns and pauses**")
        st.caption(WHY)
        _limits(tenant)
        if actor.may(Action.SET_REPUTATION_LIMITS, tenant.id):
            _form(app, actor, tenant)
    with st.container(border=True, key="tenants.dry-run"):
        dry_run_card(app, actor, tenant)


def _limits(tenant: Tenant) -> None:
    rows = [
        {
            "": NAMES[signal],
            "Warns at": format.percent(limits.warn),
            "Pauses at": format.percent(limits.pause),
            "AWS reviews at": format.percent(limits.aws_review),
            "AWS may pause at": format.percent(limits.aws_pause),
        }
        for signal, limits in reputation.limits(tenant).items()
    ]
    heads = ("Warns at", "Pauses at", "AWS reviews at", "AWS may pause at")
    table(rows, key="tenants.levels.now", columns={head: rates(head) for head in heads})


def _form(app: App, actor: Actor, tenant: Tenant) -> None:
    """Its keys change with what is stored: what somebody else set meanwhile is shown, not overwritten."""
    present = asdict(reputation.levels_of(tenant))
    stored = f"{tenant.slug}.{'.'.join(str(rate) for rate in present.values())}"
    with st.form(f"tenants.levels.{stored}", border=False):
        chosen = levels_inputs(present, f"tenants.levels.{{}}.{stored}")
        st.caption("Empty: Postyard's own. A tenant's levels can only be lower.")
        if not st.form_submit_button("Set levels", key=f"tenants.levels.save.{stored}"):
            return
    with report(f"The levels of {tenant.name} are set. They hold from its next bounce or complaint on."):
        reputation.set_levels(app, actor, tenant.id, chosen, version=tenant.version)

"""A tenant's setup: how far it is from sending, what it has in AWS, and what SES thinks of it."""

from __future__ import annotations

import streamlit as st

from core import drift, senders
from core.access import Action, Actor
from core.app import App
from core.db.models import Tenant
from pages._ui import format
from pages._ui.layout import row, text
from pages._ui.links import link
from pages.operations._tenant_checklist import checklist_card
from pages.operations._tenant_reputation import reputation_card
from pages.operations._tenant_resources import repair_button, resources_card, what_is_missing


def incomplete_warning(app: App, actor: Actor, tenant: Tenant) -> None:
    """For a half-made tenant, above everything else."""
    if tenant.provisioned_at is not None:
        return
    wrong = drift.differences(app, actor, tenant.id)
    with row("incomplete"):
        with text("incomplete"):
            st.warning(
                f"Its setup in AWS is not complete: {format.escape(what_is_missing(wrong))}. "
                "Repair goes on where it stopped.",
                icon=":material/build:",
            )
        if actor.may(Action.REPAIR_TENANT, tenant.id):
            repair_button(tenant, urgent=True)


def setup_view(app: App, actor: Actor, tenant: Tenant) -> None:
    _first_sender(app, actor, tenant)
    left, right = st.columns([3, 2])
    with left:
        checklist_card(app, actor, tenant)
    with right:
        reputation_card(app, actor, tenant)
    resources_card(app, actor, tenant)


def _first_sender(app: App, actor: Actor, tenant: Tenant) -> None:
    """The next step of a tenant that is set up and has nobody to send as."""
    may_add = actor.may(Action.MANAGE_SENDERS, tenant.id)
    if tenant.provisioned_at is None or not may_add or senders.list_senders(app, actor, tenant.id):
        return
    with row("first-sender"):
        with text("first-sender"):
            st.info(
                "Next it needs a sender: an address on its own domain.", icon=":material/alternate_email:"
            )
        link("sending/senders", "Add a sender", tenant.slug)

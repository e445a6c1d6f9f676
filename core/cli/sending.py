"""`postyard sending`: whether mail leaves, what waits, and letting it go."""

from __future__ import annotations

from typing import Any

import click

from core import installation
from core.access import Actor
from core.app import App
from core.cli.operation import Answer, operation, table
from core.errors import InputError
from core.installation import InstallationState


@click.group()
def sending() -> None:
    """Whether mail leaves, what waits, and letting it go after a restore."""


@sending.command("show")
@operation
def show(app: App, actor: Actor) -> Answer:
    """Whether sending is held, why, and what leaves when it is let go."""
    state = installation.state(app, actor)
    return Answer(as_json(state), f"{_head(state)}\n\n{_waiting(state)}")


@sending.command("continue")
@click.option("--yes", is_flag=True, help="What waits may leave.")
@operation
def continue_(app: App, actor: Actor, yes: bool) -> Answer:
    """Let held mail go. Cancel or pause first what must not leave."""
    state = installation.state(app, actor)
    if state.reason is not None and not yes:
        raise InputError(
            f"This lets mail to {state.recipients} recipients go, of {len(state.waiting)} campaigns and "
            f"{state.transactional} single messages. Read: postyard sending show. Then say --yes.",
            field="yes",
        )
    installation.let_go(app, actor, reason=state.reason)
    return Answer(as_json(installation.state(app, actor)), "Mail leaves again.")


def _head(state: InstallationState) -> str:
    if state.held_at is None:
        return "Mail leaves: nothing holds it."
    return f"HELD since {state.held_at:%Y-%m-%d %H:%M} UTC. {state.reason}"


def _waiting(state: InstallationState) -> str:
    rows = [
        (
            campaign.campaign_id,
            campaign.tenant_slug,
            campaign.name,
            "tenant paused" if campaign.is_tenant_paused else campaign.status,
            f"{campaign.started_at:%Y-%m-%d %H:%M}" if campaign.started_at else None,
            campaign.pending,
        )
        for campaign in state.waiting
    ]
    headers = ("CAMPAIGN", "TENANT", "NAME", "STATE", "STARTED", "WAITING")
    listed = table(headers, rows) if rows else "No campaign waits."
    return f"{listed}\nSingle messages that wait: {state.transactional}"


def as_json(state: InstallationState) -> dict[str, Any]:
    return {
        "held": state.held_at is not None,
        "held_at": state.held_at,
        "reason": state.reason,
        "recipients": state.recipients,
        "transactional": state.transactional,
        "campaigns": [
            {
                "id": campaign.campaign_id,
                "name": campaign.name,
                "status": campaign.status,
                "tenant": campaign.tenant_slug,
                "tenant_paused": campaign.is_tenant_paused,
                "started_at": campaign.started_at,
                "pending": campaign.pending,
            }
            for campaign in state.waiting
        ],
    }

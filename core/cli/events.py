"""`postyard events`: what comes back from SES."""

from __future__ import annotations

from dataclasses import asdict

import click

import core.events
from core.access import Actor
from core.app import App
from core.cli.operation import Answer, operation


@click.group()
def events() -> None:
    """What comes back from SES."""


@events.command("lag")
@operation
def lag(app: App, actor: Actor) -> Answer:
    """How long the oldest event has been waiting to be read."""
    found = asdict(core.events.lag_seconds(app, actor))
    return Answer(found, "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in found.items()))

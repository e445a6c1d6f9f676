"""`postyard reputation`: levels, dry runs on a tenant's own history, and the brake of AWS accounts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from typing import Any, TypeVar

import click

import core.reputation
import core.tenants
from core import reports
from core.access import Actor
from core.app import App
from core.cli.operation import Answer, operation, table
from core.reports import WouldHave
from core.reputation import Levels, Signal
from core.reputation.brake import STOP, WARN, Standing
from core.reputation.levels import percent

F = TypeVar("F", bound=Callable[..., Any])
OWN = "own"
_OPTIONS = {
    "warn_bounce_rate": "--warn-bounce",
    "pause_bounce_rate": "--pause-bounce",
    "warn_complaint_rate": "--warn-complaint",
    "pause_complaint_rate": "--pause-complaint",
}


class _Rate(click.ParamType[Any]):
    name = "RATE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text = str(value).strip().lower()
        if text == OWN:
            return OWN
        try:
            return float(text.rstrip("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            self.fail(f"{value!r} is no rate, such as 0.08 or 8%, and not {OWN}.", param, ctx)


def _level_options(command: F) -> F:
    for name, option in reversed(_OPTIONS.items()):
        command = click.option(option, name, type=_Rate(), help=f"As 0.08 or 8%; {OWN}: Postyard's own.")(
            command
        )
    return command


@click.group()
def reputation() -> None:
    """When bad news pauses a tenant, and when it would have."""


@reputation.command("show")
@click.argument("tenant")
@operation
def show(app: App, actor: Actor, tenant: str) -> Answer:
    """A tenant's levels, and whether it is paused or on probation."""
    row = core.tenants.get_by_slug(app, actor, tenant)
    limits, probation = core.reputation.limits(row), core.tenants.probation(app, actor, row.id)
    value = {
        "slug": row.slug,
        "sending_status": row.sending_status,
        "paused_reason": row.paused_reason,
        "probation": None if probation is None else asdict(probation),
        "levels": asdict(core.reputation.levels_of(row)),
        "limits": {signal.value: asdict(each) for signal, each in limits.items()},
    }
    state = f"Paused by {row.paused_by}: {row.paused_reason}" if row.paused_reason else "It may send."
    said = [state, probation.sentence if probation is not None else "", _limits_table(limits)]
    return Answer(value, "\n\n".join(part for part in said if part))


@reputation.command("levels")
@click.argument("tenant")
@_level_options
@operation
def levels(app: App, actor: Actor, /, tenant: str, **given: Any) -> Answer:
    """A tenant's own levels; options change them first. They can only be lower than Postyard's."""
    row = core.tenants.get_by_slug(app, actor, tenant)
    if any(rate is not None for rate in given.values()):
        wanted = _wanted(core.reputation.levels_of(row), given)
        row = core.reputation.set_levels(app, actor, row.id, wanted, version=row.version)
    return Answer(asdict(core.reputation.levels_of(row)), _limits_table(core.reputation.limits(row)))


@reputation.command("dry-run")
@click.argument("tenant")
@click.option("--since", required=True, type=click.DateTime(["%Y-%m-%d"]), help="Day of its time zone.")
@click.option("--until", required=True, type=click.DateTime(["%Y-%m-%d"]), help="That day included.")
@_level_options
@operation
def dry_run(app: App, actor: Actor, /, tenant: str, since: datetime, until: datetime, **given: Any) -> Answer:
    """Which pauses and warnings levels would have led to, on what came back of the tenant's own mail. Nothing
    is changed."""
    row = core.tenants.get_by_slug(app, actor, tenant)
    chosen = _wanted(core.reputation.levels_of(row), given)
    found = reports.dry_run(app, actor, row.id, levels=chosen, since=since.date(), until=until.date())
    value = {
        "since": found.since,
        "until": found.until,
        "levels": asdict(found.levels),
        "events": found.events,
        "cut_at": found.cut_at,
        "sentence": found.sentence,
        "pauses": [pause.as_json() for pause in found.pauses],
        "warnings": [warning.as_json() for warning in found.warnings],
        "pauses_with_present_levels": found.pauses_now,
    }
    parts = [found.sentence, _pauses_table(found.pauses), _warnings_table(found.warnings)]
    return Answer(value, "\n\n".join(part for part in parts if part))


@reputation.command("brake")
@operation
def brake(app: App, actor: Actor) -> Answer:
    """What the tenants of each AWS account together do to its rates in the last two days. Ends with 1 while
    one is at a level that warns."""
    found = core.reputation.brake.standings(app, actor)
    rows = [
        (account.name, signal.value, *(_standing_row(standing, signal)))
        for account, standing in found
        for signal in Signal
    ]
    value = [
        {"account": account.name, **{signal.value: _standing_json(standing, signal) for signal in Signal}}
        for account, standing in found
    ]
    is_well = not any(
        WARN[signal].is_reached(*standing.of(signal)) for _, standing in found for signal in Signal
    )
    headers = ("ACCOUNT", "SIGNAL", "BAD", "OF", "RATE", "WARNS AT", "STOPS AT", "STATE")
    return Answer(value, table(headers, rows), ok=is_well)


def _wanted(present: Levels, given: dict[str, Any]) -> Levels:
    chosen = {name: None if rate == OWN else rate for name, rate in given.items() if rate is not None}
    return replace(present, **chosen)


def _limits_table(limits: dict[Signal, core.reputation.Limits]) -> str:
    return table(
        ("RATE", "WARNS AT", "PAUSES AT", "AWS REVIEWS AT", "AWS MAY PAUSE AT"),
        [(signal.value, *map(percent, asdict(each).values())) for signal, each in limits.items()],
    )


def _pauses_table(pauses: Sequence[WouldHave]) -> str:
    if not pauses:
        return ""
    rows = [
        (
            f"{each.at:%Y-%m-%d %H:%M}", each.campaign, each.finding.scope, _evidence(each),
            f"{each.sent:,}", f"{each.spared:,}", f"{each.spared_bounces:,}", f"{each.spared_complaints:,}",
        )
        for each in pauses
    ]  # fmt: skip
    headers = ("WOULD HAVE PAUSED (UTC)", "CAMPAIGN", "SEEN IN", "EVIDENCE", "HAD LEFT", "SPARED", "BOUNCES",
               "COMPLAINTS")  # fmt: skip
    return table(headers, rows)


def _warnings_table(warnings: Sequence[WouldHave]) -> str:
    if not warnings:
        return ""
    rows = [
        (f"{each.at:%Y-%m-%d %H:%M}", each.campaign, each.finding.scope, _evidence(each)) for each in warnings
    ]
    return table(("WOULD HAVE WARNED (UTC)", "CAMPAIGN", "SEEN IN", "EVIDENCE"), rows)


def _evidence(found: WouldHave) -> str:
    finding = found.finding
    return f"{finding.bad:,} {found.bad} of {finding.among:,.0f} ({percent(finding.rate)})"


def _standing_json(standing: Standing, signal: Signal) -> dict[str, Any]:
    bad, among = standing.of(signal)
    return {
        "bad": bad,
        "among": among,
        "rate": standing.rate(signal),
        "warns_at": WARN[signal].rate,
        "stops_at": STOP[signal].rate,
        "warns": WARN[signal].is_reached(bad, among),
    }


def _standing_row(standing: Standing, signal: Signal) -> tuple[str, ...]:
    bad, among = standing.of(signal)
    state = "warns" if WARN[signal].is_reached(bad, among) else "well"
    rates = (standing.rate(signal), WARN[signal].rate, STOP[signal].rate)
    return (f"{bad:,}", f"{among:,}", *map(percent, rates), state)

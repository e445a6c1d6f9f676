"""`postyard tenants limits`, `fallback`, `warm-up`: how much of a tenant's mail may leave, and which way."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import click

import core.tenants
import core.warm_ups
from core.access import Actor
from core.app import App
from core.cli.operation import Answer, operation, table
from core.db.models import Tenant
from core.db.states import FallbackPolicy
from core.errors import InputError
from core.tenants import Used
from core.warm_ups import ADVISED, WarmUpView


class _Limit(click.ParamType[Any]):
    name = "N|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if str(value).strip().lower() == "none":
            return "none"
        try:
            return int(value)
        except ValueError:
            self.fail(f"{value!r} is neither a number of recipients nor none.", param, ctx)


LIMIT = _Limit()


@click.command("limits")
@click.argument("slug")
@click.option("--per-minute", type=LIMIT, help="Recipients a minute.")
@click.option("--per-hour", type=LIMIT, help="Recipients an hour.")
@click.option("--per-day", type=LIMIT, help="Recipients a day of the tenant's time zone.")
@operation
def limits(app: App, actor: Actor, slug: str, per_minute: Any, per_hour: Any, per_day: Any) -> Answer:
    """What a tenant has used of its limits; options change them first, "none" lifts one."""
    tenant = core.tenants.get_by_slug(app, actor, slug)
    given = {"per_minute": per_minute, "per_hour": per_hour, "per_day": per_day}
    if any(limit is not None for limit in given.values()):
        wanted = {name: _wanted(limit, getattr(tenant, name)) for name, limit in given.items()}
        core.tenants.set_limits(app, actor, tenant.id, **wanted, version=tenant.version)
    usage = core.tenants.usage(app, actor, tenant.id)
    spans = {"minute": usage.minute, "hour": usage.hour, "day": usage.day}
    return Answer(
        {
            span: {"used": each.used, "limit": each.limit, "frees_at": each.frees_at}
            for span, each in spans.items()
        },
        table(
            ("RECIPIENTS A", "LIMIT", "USED", "MORE FROM"),
            [
                (span, _number(each.limit), _number(each.used), _frees(each, tenant))
                for span, each in spans.items()
            ],
        ),
    )


@click.command("fallback")
@click.argument("slug")
@click.argument("policy", type=click.Choice([policy.value for policy in FallbackPolicy]), required=False)
@operation
def fallback(app: App, actor: Actor, slug: str, policy: str | None) -> Answer:
    """When the tenant's mail may go through Resend: never, only while none of its domains is verified, or for
    each sender whose own domain is not. Without a policy: the present one."""
    tenant = core.tenants.get_by_slug(app, actor, slug)
    if policy is not None:
        tenant = core.tenants.set_fallback_policy(app, actor, tenant.id, policy)
    return Answer(
        {"slug": slug, "fallback_policy": tenant.fallback_policy},
        f"Tenant {slug} falls back by policy {tenant.fallback_policy}.",
    )


@click.command("warm-up")
@click.argument("slug")
@click.argument("action", type=click.Choice(["show", "start", "stop"]), default="show")
@click.option("--first-day", type=int, help=f"Recipients on it.  [default: {ADVISED.first_day}]")
@click.option("--last-day", type=int, help=f"Recipients on it.  [default: {ADVISED.last_day}]")
@click.option("--days", type=int, help=f"How many days it takes.  [default: {ADVISED.days}]")
@operation
def warm_up(app: App, actor: Actor, /, slug: str, action: str, **given: int | None) -> Answer:
    """Let a tenant send more after each day whose outcomes are good, and after the last without a limit."""
    tenant = core.tenants.get_by_slug(app, actor, slug)
    plan = {name: number for name, number in given.items() if number is not None}
    if plan and action != "start":
        raise InputError(f"A plan is given with start: postyard tenants warm-up {slug} start …", "start")
    if action == "start":
        core.warm_ups.start(app, actor, tenant.id, **asdict(ADVISED) | plan)
    elif action == "stop":
        core.warm_ups.stop(app, actor, tenant.id)
    seen = core.warm_ups.view(app, actor, tenant.id)
    if seen is None:
        return Answer(None, f"Tenant {slug} was never warmed up: postyard tenants warm-up {slug} start")
    return Answer(_json(seen), _text(seen, tenant))


def _wanted(given: Any, stored: int | None) -> int | None:
    if given is None:
        return stored
    return None if given == "none" else int(given)


def _number(value: int | None) -> str:
    return "none" if value is None else f"{value:,}"


def _frees(used: Used, tenant: Tenant) -> str | None:
    if used.frees_at is None:
        return None
    return f"{used.frees_at.astimezone(ZoneInfo(tenant.timezone)):%Y-%m-%d %H:%M:%S} ({tenant.timezone})"


def _json(seen: WarmUpView) -> dict[str, Any]:
    return {
        "first_day": seen.plan.first_day,
        "last_day": seen.plan.last_day,
        "days": seen.plan.days,
        "day": None if seen.allowance is None else seen.step + 1,
        "allowance": seen.allowance,
        "used_today": seen.used_today,
        "left_today": seen.left_today,
        "ends_on": seen.ends_on,
        "note": seen.note,
        "warning": seen.plan.warning,
        "started_at": seen.started_at,
        "started_by": seen.started_by,
        "finished_at": seen.finished_at,
        "plan": [{"day": row.number, "allowance": row.allowance, "on": row.on} for row in seen.rows],
    }


def _text(seen: WarmUpView, tenant: Tenant) -> str:
    parts = [seen.note, seen.plan.warning]
    if seen.finished_at is None:
        parts += [_expected(seen), _today(seen)]
    else:
        parts += [_walked(seen, seen.finished_at.astimezone(ZoneInfo(tenant.timezone)).date())]
    return "\n\n".join(part for part in parts if part)


def _expected(seen: WarmUpView) -> str:
    rows = [
        (row.number, f"{row.allowance:,}", row.on or "over", "<- today" if row.is_today else "")
        for row in seen.rows
    ]
    return table(("DAY", "RECIPIENTS", "EXPECTED ON", ""), rows)


def _today(seen: WarmUpView) -> str:
    if seen.allowance is None:
        return ""
    return (
        f"Today {seen.used_today:,} of {seen.allowance:,} recipients are used. "
        f"If all goes well, the limit ends on {seen.ends_on}."
    )


def _walked(seen: WarmUpView, ended_on: date) -> str:
    """Of one that is over nothing is expected: what was sent on its days."""
    days = f"It began on {seen.started_on} and ended on {ended_on}."
    rows = [(day, f"{recipients:,}") for day, recipients in seen.sent.items() if day <= ended_on]
    return f"{days}\n\n{table(('SENT ON', 'RECIPIENTS'), rows)}" if rows else f"{days} Nothing was sent."

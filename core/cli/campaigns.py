"""`postyard campaigns`: one content to many recipients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

import core.campaigns
from core import senders, tenants, unknown
from core.access import Actor
from core.app import App
from core.cli.operation import (
    Answer,
    file_argument,
    operation,
    pairs,
    read_text,
    rejections_json,
    rejections_text,
    table,
)
from core.db.models import Campaign
from core.db.states import MessageStatus
from core.errors import InputError
from core.recipients import Rejection

NONE = "none"


@click.group()
def campaigns() -> None:
    """One content to many recipients."""


@campaigns.command("create")
@click.argument("tenant")
@click.option("--name", required=True)
@click.option("--sender", required=True, help="The From address.")
@click.option("--subject", required=True, help="May hold merge fields: {{first_name}}.")
@click.option("--html", required=True, type=file_argument)
@click.option("--text", type=file_argument, help="Made from the HTML when it is not given.")
@click.option("--csv", required=True, type=file_argument, help="Recipients, one a row, with a header row.")
@click.option(
    "--map", "columns", multiple=True, metavar="FIELD=COLUMN", help="email=E-Mail; may be repeated."
)
@click.option(
    "--fallback", "fallbacks", multiple=True, metavar="FIELD=VALUE", help="For rows without a value."
)
@click.option("--rate", type=float, help="Send at most so many a second.")
@click.option(
    "--until", metavar="ISO", help="Send nothing after this: 2026-05-03T18:00, in the tenant's time zone."
)
@click.option("--check", is_flag=True, help="Read and check everything, store nothing.")
@operation
def create(
    app: App,
    actor: Actor,
    /,
    tenant: str,
    name: str,
    sender: str,
    rate: float | None,
    until: str | None,
    check: bool,
    **given: Any,
) -> Answer:
    """Read the recipients and prepare a campaign; `start` sends it.

    Rows that cannot be used are reported and left out. A file that cannot be used (no e-mail column,
    empty, not a CSV) is refused whole, and nothing is stored.
    """
    named = tenants.get_by_slug(app, actor, tenant)
    tenant_id = named.id
    send_until = _moment(until, named.timezone) if until else None
    sender_id = senders.by_address(app, actor, tenant_id, sender).id
    upload = _upload(**given)
    if check:
        checked = core.campaigns.check(app, actor, tenant_id, **upload)
        return _counted(None, "Nothing stored. ", len(checked.accepted), checked.rejected, checked.duplicates)
    created = core.campaigns.create(
        app,
        actor,
        tenant_id,
        name=name,
        sender_id=sender_id,
        rate_per_second=rate,
        send_until=send_until,
        **upload,
    )
    head = f"Campaign {created.campaign_id}: "
    return _counted(created.campaign_id, head, created.accepted, created.rejected, created.duplicates)


def _upload(
    *,
    subject: str,
    html: Path,
    text: Path | None,
    csv: Path,
    columns: Sequence[str],
    fallbacks: Sequence[str],
) -> dict[str, Any]:
    """The files read and the pairs taken apart: what checking and creating both are given."""
    return {
        "subject": subject,
        "html": read_text(html),
        "text": read_text(text),
        "fallbacks": pairs("--fallback", fallbacks),
        "csv": csv.read_bytes(),
        "filename": csv.name,
        "mapping": pairs("--map", columns),
    }


def _counted(
    campaign_id: int | None,
    head: str,
    accepted: int,
    rejected: Sequence[Rejection],
    duplicates: Sequence[Rejection],
) -> Answer:
    value = {
        "id": campaign_id,
        "accepted": accepted,
        "rejected": len(rejected),
        "duplicates": len(duplicates),
        "rejections": rejections_json(rejected),
    }
    head += f"{accepted} accepted, {len(rejected)} rejected, {len(duplicates)} duplicates."
    return Answer(value, rejections_text(head, rejected))


@campaigns.command("list")
@click.argument("tenant")
@operation
def list_(app: App, actor: Actor, tenant: str) -> Answer:
    """A tenant's campaigns, newest first."""
    views = core.campaigns.list_campaigns(app, actor, tenants.get_by_slug(app, actor, tenant).id)
    rows = [(v.campaign.id, v.campaign.name, v.campaign.status, v.campaign.recipients) for v in views]
    return Answer([as_json(v) for v in views], table(("ID", "NAME", "STATUS", "RECIPIENTS"), rows))


@campaigns.command("start")
@click.argument("campaign", type=int)
@click.option("--yes", is_flag=True, help="Also when its mail goes another way than through Amazon SES.")
@operation
def start(app: App, actor: Actor, campaign: int, yes: bool) -> Answer:
    """Let the scheduler send it.

    When its mail would not go through Amazon SES, that is told, and nothing starts without --yes.
    """
    tenant_id = core.campaigns.find_tenant_of(app, actor, campaign)
    way = core.campaigns.way_of(app, actor, tenant_id, campaign)
    warning = "" if isinstance(way, str) else way.warning
    if warning and not yes:
        raise InputError(f"{warning} To start it so, say --yes.", "--yes")
    announced = None if isinstance(way, str) else way  # start says why not
    core.campaigns.start(app, actor, tenant_id, campaign, announced=announced)
    answer = _status(app, actor, tenant_id, campaign)
    return Answer(answer.value | {"warning": warning}, answer.text) if warning else answer


@campaigns.command("pace")
@click.argument("campaign", type=int)
@click.option("--rate", metavar="NUMBER", help="Send at most so many a second; none: as the account allows.")
@click.option(
    "--until", metavar="ISO", help="Send nothing after this, in the tenant's time zone; none: no end."
)
@operation
def pace(app: App, actor: Actor, campaign: int, rate: str | None, until: str | None) -> Answer:
    """Change how fast and until when it is sent; what is not given stays."""
    tenant_id = core.campaigns.find_tenant_of(app, actor, campaign)
    now = core.campaigns.status(app, actor, tenant_id, campaign).campaign
    [zone] = [tenant.timezone for tenant in tenants.list_tenants(app, actor) if tenant.id == tenant_id]
    core.campaigns.set_pace(
        app,
        actor,
        tenant_id,
        campaign,
        rate_per_second=now.rate_per_second if rate is None else _rate(rate),
        send_until=now.send_until if until is None else _moment(until, zone),
    )
    answer = _status(app, actor, tenant_id, campaign)
    now = core.campaigns.status(app, actor, tenant_id, campaign).campaign
    value = {"rate_per_second": now.rate_per_second, "send_until": now.send_until}
    return Answer(answer.value | value, f"{answer.text}\n{_pace_in_words(now, zone)}")


def _pace_in_words(campaign: Campaign, zone: str) -> str:
    rate, until = campaign.rate_per_second, campaign.send_until
    fast = "as fast as the account allows" if rate is None else f"at most {rate:g} a second"
    end = (
        "without an end"
        if until is None
        else f"nothing after {until.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} ({zone})"
    )
    return f"Pace: {fast}, {end}."


@campaigns.command("pause")
@click.argument("campaign", type=int)
@operation
def pause(app: App, actor: Actor, campaign: int) -> Answer:
    """Hold what has not left yet."""
    return _move(app, actor, campaign, core.campaigns.pause)


@campaigns.command("resume")
@click.argument("campaign", type=int)
@operation
def resume(app: App, actor: Actor, campaign: int) -> Answer:
    """Go on with a paused campaign."""
    return _move(app, actor, campaign, core.campaigns.resume)


@campaigns.command("cancel")
@click.argument("campaign", type=int)
@operation
def cancel(app: App, actor: Actor, campaign: int) -> Answer:
    """Never send what has not left yet."""
    return _move(app, actor, campaign, core.campaigns.cancel)


@campaigns.command("status")
@click.argument("campaign", type=int)
@operation
def status(app: App, actor: Actor, campaign: int) -> Answer:
    """Where its messages are; the eleven counts always add up to the recipients."""
    return _status(app, actor, core.campaigns.find_tenant_of(app, actor, campaign), campaign)


@campaigns.command("unknown")
@click.argument("campaign", type=int)
@operation
def unknown_(app: App, actor: Actor, campaign: int) -> Answer:
    """Messages nobody can tell the fate of: why, until when events are awaited, what a person may decide."""
    tenant_id = core.campaigns.find_tenant_of(app, actor, campaign)
    found = unknown.unknown_of(app, actor, tenant_id, campaign)
    value = {
        "id": campaign,
        "count": found.count,
        "waiting": found.waiting,
        "for_a_person": found.for_a_person,
        "left": found.left,
        "resendable": found.resendable,
        "obstacle": found.obstacle or None,
        "oldest_at": found.oldest_at,
        "ready_at": found.ready_at,
        "lag_seconds": found.lag_seconds,
        "by_reason": [{"reason": reason, "count": count} for reason, count in found.by_reason],
    }
    return Answer(value, "\n".join(_in_words(campaign, found)))


def _in_words(campaign: int, found: unknown.Unknown) -> Iterator[str]:
    if not found.count:
        yield f"Campaign {campaign} has no unknown message."
        return
    yield f"Nobody can tell whether {found.count} messages of campaign {campaign} arrived."
    yield from (f"  {count}: {reason}" for reason, count in found.by_reason)
    if found.waiting and found.ready_at:
        yield f"{found.waiting} wait for events, the first until {found.ready_at:%Y-%m-%d %H:%M} UTC."
    if found.left:
        yield f"{found.left} stay so, as a person decided."
    if found.for_a_person:
        yield (
            f"{found.for_a_person} are for a person to decide, {found.resendable} of them can be sent again: "
            f"postyard campaigns resend-unknown {campaign} --expected {found.resendable}"
        )
    if found.obstacle:
        yield found.obstacle


@campaigns.command("resend-unknown")
@click.argument("campaign", type=int)
@click.option(
    "--expected", type=int, required=True, help="How many, as `unknown` told: no other number is sent."
)
@click.option("--yes", is_flag=True, help="Some of them may get it twice, and that is all right.")
@operation
def resend_unknown(app: App, actor: Actor, campaign: int, expected: int, yes: bool) -> Answer:
    """Send what was not reported within 72 hours again, as new attempts."""
    tenant_id = core.campaigns.find_tenant_of(app, actor, campaign)
    if not yes:
        raise InputError(
            f"Nobody knows whether the first mail reached these {expected}: some may get it twice. "
            "To send it again, say --yes.",
            "--yes",
        )
    unknown.resend(app, actor, tenant_id, campaign, expected=expected)
    return _status(app, actor, tenant_id, campaign)


@campaigns.command("leave-unknown")
@click.argument("campaign", type=int)
@click.option("--expected", type=int, required=True, help="How many, as `unknown` told.")
@operation
def leave_unknown(app: App, actor: Actor, campaign: int, expected: int) -> Answer:
    """Leave what was not reported within 72 hours as it is."""
    tenant_id = core.campaigns.find_tenant_of(app, actor, campaign)
    unknown.leave(app, actor, tenant_id, campaign, expected=expected)
    return _status(app, actor, tenant_id, campaign)


def _rate(given: str) -> float | None:
    if given == NONE:
        return None
    try:
        return float(given)
    except ValueError as e:
        raise InputError(f"--rate takes a number or {NONE}, not {given!r}.", "--rate") from e


def _moment(given: str, zone: str) -> datetime | None:
    """What names no offset is in the tenant's time zone."""
    if given == NONE:
        return None
    try:
        moment = datetime.fromisoformat(given)
        return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))).astimezone(UTC)
    except (ValueError, OverflowError) as e:
        raise InputError(f"--until takes a time like 2026-05-03T18:00, not {given!r}.", "--until") from e


def _move(app: App, actor: Actor, campaign_id: int, move: Callable[[App, Actor, int, int], object]) -> Answer:
    tenant_id = core.campaigns.find_tenant_of(app, actor, campaign_id)
    move(app, actor, tenant_id, campaign_id)
    return _status(app, actor, tenant_id, campaign_id)


def _status(app: App, actor: Actor, tenant_id: int, campaign_id: int) -> Answer:
    view = core.campaigns.status(app, actor, tenant_id, campaign_id)
    value = as_json(view)
    counts = ", ".join(f"{count} {name}" for name, count in value["counts"].items() if count)
    reason = view.campaign.status_reason or view.held_reason
    because = f" ({reason})" if reason else ""
    return Answer(value, f"Campaign {campaign_id} is {view.campaign.status}{because}: {counts or 'nobody'}.")


def as_json(view: core.campaigns.CampaignView) -> dict[str, Any]:
    """Scripts rely on exactly these keys and all eleven counts."""
    return {
        "id": view.campaign.id,
        "status": view.campaign.status,
        "provider": view.campaign.provider,
        "counts": {name.value: view.counts.get(name.value, 0) for name in MessageStatus},
    }

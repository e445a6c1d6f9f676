"""`postyard events`: what comes back from SES, what of it waits, and what nobody could match or read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, TypeVar

import click

import core.accounts
import core.events
from core.access import Actor
from core.app import App
from core.cli.operation import Answer, operation, table
from core.db.models import Account
from core.errors import InputError
from core.events import dead_letters, heartbeat, parked
from core.events.matching import Doubt
from core.events.parked import SECOND_PROVIDER, Which
from core.tenants import get_by_slug

F = TypeVar("F", bound=Callable[..., Any])
RESEND = "resend"


@click.group()
def events() -> None:
    """What comes back from SES."""


def _choice(command: F) -> F:
    """Options that choose among the parked events."""
    for option in (
        click.option("--account", help=f"An AWS account's name, or {RESEND}."),
        click.option("--tenant", "slug", help="Through whose topic they came."),
        click.option("--reason", type=click.Choice([doubt.value for doubt in Doubt])),
    ):
        command = option(command)
    return command


def _account_option(command: F) -> F:
    return click.option("--account", default=core.accounts.PLATFORM, show_default=True)(command)


@events.command("lag")
@operation
def lag(app: App, actor: Actor) -> Answer:
    """How long the oldest event has been waiting to be stored."""
    found = core.events.lag_seconds(app, actor)
    rows = [
        [
            each.name,
            "never measured" if each.seconds is None else f"{each.seconds:.0f} s",
            each.waiting,
            each.dead_letters,
            "no scheduler measures it" if each.is_stale else "",
        ]
        for each in found.accounts
    ]
    said = table(["Account", "Lag", "Waiting", "Dead letters", ""], rows)
    return Answer(asdict(found), f"{said}\nParked events: {found.parked}")


@events.command("parked")
@_choice
@click.option("--resolved", is_flag=True, help="Those that were dealt with.")
@click.option("--before", "before_id", type=int, help="Continue below this number.")
@click.option("--limit", default=100, show_default=True, type=click.IntRange(1, 1000))
@click.option("--id", "parked_id", type=int, help="One of them, with its whole body.")
@operation
def parked_(
    app: App,
    actor: Actor,
    reason: str | None,
    slug: str | None,
    account: str | None,
    resolved: bool,
    before_id: int | None,
    limit: int,
    parked_id: int | None,
) -> Answer:
    """Events that nobody could match, believe or read, newest first."""
    if parked_id is not None:
        one = parked.get_parked(app, actor, parked_id)
        return Answer(asdict(one), one.body)
    which = _which(app, actor, reason, slug, account)
    lines = parked.list_parked(app, actor, which, resolved=resolved, before_id=before_id, limit=limit)
    rows = [[one.id, one.received_at, one.reason, one.tries, one.resolution, one.says] for one in lines]
    headers = ["Number", "Came", "Reason", "Tries", "Became", "Says"]
    return Answer([asdict(one) for one in lines], table(headers, rows))


@events.command("replay")
@click.argument("numbers", type=int, nargs=-1)
@_choice
@click.option("--all", "everything", is_flag=True, help="All that fit the options.")
@operation
def replay(
    app: App,
    actor: Actor,
    numbers: tuple[int, ...],
    reason: str | None,
    slug: str | None,
    account: str | None,
    everything: bool,
) -> Answer:
    """Try parked events again now: NUMBERS, or all that fit."""
    which = _chosen(app, actor, numbers, reason, slug, account, everything)
    tried = parked.replay_parked(app, actor, which)
    return Answer(asdict(tried), f"{tried.matched} of {tried.tried} parked events found their message.")


@events.command("discard")
@click.argument("numbers", type=int, nargs=-1)
@_choice
@click.option("--all", "everything", is_flag=True, help="All that fit the options.")
@click.option("--because", required=True, help="Why; it is kept in the audit log.")
@operation
def discard(
    app: App,
    actor: Actor,
    numbers: tuple[int, ...],
    reason: str | None,
    slug: str | None,
    account: str | None,
    everything: bool,
    because: str,
) -> Answer:
    """Try parked events no more: NUMBERS, or all that fit."""
    which = _chosen(app, actor, numbers, reason, slug, account, everything)
    count = parked.discard_parked(app, actor, which, because)
    return Answer({"discarded": count}, f"Discarded {count} parked events.")


@events.group("dead-letters")
def dead() -> None:
    """What nobody could read, or what SQS gave up bringing."""


@dead.command("look")
@_account_option
@click.option("--limit", default=dead_letters.LOOK, show_default=True, type=click.IntRange(1, 1000))
@operation
def look(app: App, actor: Actor, account: str, limit: int) -> Answer:
    """Some of them, in no order; each stays where it is."""
    found = dead_letters.look(app, actor, _account(app, actor, account).id, limit)
    rows = [[one.id, one.sent_at, one.receives, one.fault, one.says] for one in found.letters]
    said = table(["Letter", "Sent", "Received", "Cannot be read", "Says"], rows)
    return Answer(asdict(found), f"{said}\n{len(found.letters)} of about {found.count}")


@dead.command("replay")
@click.argument("letters", nargs=-1)
@_account_option
@click.option("--all", "everything", is_flag=True, help=f"Up to {dead_letters.MOST_AT_ONCE:,} of them.")
@operation
def replay_dead(app: App, actor: Actor, letters: tuple[str, ...], account: str, everything: bool) -> Answer:
    """Read, store and then delete them: LETTERS, or all."""
    ids = _some_or_all(letters, everything)
    done = dead_letters.replay(app, actor, _account(app, actor, account).id, ids)
    said = f"Replayed {done.replayed}; {done.kept} cannot be read or stored, {done.missing} were not found."
    return Answer(asdict(done), said, ok=not done.kept and not done.missing)


@dead.command("discard")
@click.argument("letters", nargs=-1)
@_account_option
@click.option("--all", "everything", is_flag=True, help=f"Up to {dead_letters.MOST_AT_ONCE:,} of them.")
@click.option("--because", required=True, help="Why; it is kept in the audit log.")
@operation
def discard_dead(
    app: App, actor: Actor, letters: tuple[str, ...], account: str, everything: bool, because: str
) -> Answer:
    """Delete them for ever: LETTERS, or all."""
    ids = _some_or_all(letters, everything)
    count = dead_letters.discard(app, actor, _account(app, actor, account).id, because, ids)
    return Answer({"discarded": count}, f"Deleted {count} dead letters.")


@events.command("heartbeat")
@_account_option
@click.option("--from", "address", help="The sender it goes from: it is on from now.")
@click.option("--tenant", "slug", help="Whose sender that is.")
@click.option("--off", is_flag=True, help="None goes out any more.")
@operation
def heartbeat_(
    app: App, actor: Actor, account: str, address: str | None, slug: str | None, off: bool
) -> Answer:
    """A mail that goes round every 15 minutes: its last rounds; switch it on or off."""
    found = _account(app, actor, account)
    if address is not None:
        heartbeat.set_sender(app, actor, found.id, _sender_id(app, actor, found, address, slug))
    elif off:
        heartbeat.set_sender(app, actor, found.id, None)
    [pulse] = [each for each in heartbeat.pulses(app, actor, 20) if each.account_id == found.id]
    rows = [
        [beat.begun_at, "" if beat.seconds is None else f"{beat.seconds:.1f} s", beat.message_status]
        for beat in pulse.beats
    ]
    head = f"From {pulse.sender} of {pulse.tenant_name}." if pulse.sender else "Off."
    return Answer(asdict(pulse), f"{head}\n{table(['Left', 'Way round', 'Message'], rows)}")


def _sender_id(app: App, actor: Actor, account: Account, address: str, slug: str | None) -> int:
    tenant = get_by_slug(app, actor, slug).name if slug else None
    fitting = [
        each
        for each in heartbeat.candidates(app, actor, account.id)
        if each.address == address.lower() and tenant in (None, each.tenant_name)
    ]
    if len(fitting) != 1:
        raise InputError(
            f"{account.name} has {'several senders' if fitting else 'no verified sender'} {address}. "
            "Name one, with --tenant if need be: postyard senders list shows them.",
            "from",
        )
    return fitting[0].sender_id


def _account(app: App, actor: Actor, name: str) -> Account:
    for account in core.accounts.list_accounts(app, actor):
        if account.name == name:
            return account
    raise InputError(f"There is no account '{name}'. Creating the first tenant makes it.", "account")


def _which(app: App, actor: Actor, reason: str | None, slug: str | None, account: str | None) -> Which:
    account_id = None
    if account is not None:
        account_id = SECOND_PROVIDER if account == RESEND else _account(app, actor, account).id
    tenant_id = get_by_slug(app, actor, slug).id if slug else None
    return Which(reason=reason, tenant_id=tenant_id, account_id=account_id)


def _chosen(
    app: App,
    actor: Actor,
    numbers: tuple[int, ...],
    reason: str | None,
    slug: str | None,
    account: str | None,
    everything: bool,
) -> Which:
    if numbers and (everything or reason or slug or account):
        raise InputError("Name either numbers or options, not both.", "numbers")
    if numbers:
        return Which(ids=numbers)
    if not everything:
        raise InputError("Name numbers, or say --all for all that fit the options.", "numbers")
    return _which(app, actor, reason, slug, account)


def _some_or_all(letters: tuple[str, ...], everything: bool) -> tuple[str, ...] | None:
    if bool(letters) is everything:
        raise InputError("Name letters, or say --all.", "letters")
    return None if everything else letters

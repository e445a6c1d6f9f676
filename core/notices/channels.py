"""Channels: where alerts are sent, of one tenant or of the whole installation.

`tenant_id` None is the installation: its channels hear of every tenant's alerts and of its own, and are an
administrator's to change.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, case, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import audit
from core.access import Action, Actor
from core.app import App
from core.db.conflicts import one_wins
from core.db.models import AlertChannel, AlertNotice
from core.errors import Conflict, InputError, NotFound, PostyardError
from core.notices import delivery, places, targets
from core.notices.targets import ChannelKind
from core.notices.webhook import Dialler
from core.tenants.directory import get_tenant

MOST_CHANNELS = 20  # of one tenant, or of the installation
LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class ChannelView:
    """A channel as people may see it: of a webhook's address no more than its end."""

    id: int
    tenant_id: int | None
    kind: str
    name: str
    target: str
    is_active: bool
    created_by: str
    created_at: datetime
    last_sent_at: datetime | None
    last_error: str | None  # since the last that was taken
    waiting: int
    given_up: int


@dataclass(frozen=True, slots=True)
class Tested:
    ok: bool
    said: str


def list_channels(app: App, actor: Actor, tenant_id: int | None = None) -> list[ChannelView]:
    """One tenant's, or all there are."""
    actor.must(Action.MANAGE_ALERTS, tenant_id)
    query = select(AlertChannel).where(AlertChannel.removed_at.is_(None)).order_by(AlertChannel.id)
    if tenant_id is not None:
        query = query.where(AlertChannel.tenant_id == tenant_id)
    with app.db.read() as session:
        if tenant_id is not None:
            get_tenant(session, tenant_id)
        channels = list(session.scalars(query))
        told = _told(session, [channel.id for channel in channels])
    return [_view(app, channel, told.get(channel.id, _Told())) for channel in channels]


def add(
    app: App, actor: Actor, tenant_id: int | None, *, kind: ChannelKind, target: str, name: str = ""
) -> AlertChannel:
    _must_manage(actor, tenant_id)
    kept = targets.checked(kind, target)
    name = _checked_name(name) or _usual_name(kind, kept)
    secret = app.secret_key()
    with _nobody_has_it(), app.db.begin() as session:
        if tenant_id is not None:
            get_tenant(session, tenant_id)
        _refuse_too_many(session, tenant_id)
        channel = AlertChannel(
            kind=kind.value,
            name=name,
            target="",
            tenant_id=tenant_id,
            created_by=actor.username,
            created_at=app.now(),
        )
        session.add(channel)
        session.flush()
        places.keep(secret, channel, kept)
        _record(session, actor, "add alert channel", channel, app.now())
    return channel


def change(
    app: App,
    actor: Actor,
    tenant_id: int | None,
    channel_id: int,
    *,
    name: str | None = None,
    target: str | None = None,
    is_active: bool | None = None,
) -> AlertChannel:
    """None leaves a thing as it is. Switched off, it is told nothing of what happens meanwhile."""
    _must_manage(actor, tenant_id)
    with one_wins("this channel"), _nobody_has_it(), app.db.begin() as session:
        channel = _channel(session, tenant_id, channel_id)
        changed = []
        if name is not None and (wanted := _checked_name(name)) and wanted != channel.name:
            channel.name = wanted
            changed.append("name")
        if target is not None:
            places.keep(app.secret_key(), channel, targets.checked(ChannelKind(channel.kind), target))
            changed.append("address")
        if is_active is not None and is_active != channel.is_active:
            channel.is_active = is_active
            changed.append("switched on" if is_active else "switched off")
        if changed:
            _record(session, actor, "change alert channel", channel, app.now(), changed=", ".join(changed))
    if not channel.is_active:
        _withdraw(app, channel.id, "The channel was switched off.")
    return channel


def remove(app: App, actor: Actor, tenant_id: int | None, channel_id: int) -> None:
    """Its address is forgotten at once; what it was told stays in the history."""
    _must_manage(actor, tenant_id)
    with one_wins("this channel"), app.db.begin() as session:
        channel = _channel(session, tenant_id, channel_id)
        channel.target, channel.digest = "", None
        channel.is_active, channel.removed_at = False, app.now()
        _record(session, actor, "remove alert channel", channel, app.now())
    _withdraw(app, channel.id, "The channel was removed.")


def send_test(
    app: App, actor: Actor, tenant_id: int | None, channel_id: int, dialler: Dialler | None = None
) -> Tested:
    """Send a test there now, also where it is switched off, and say what became of it."""
    _must_manage(actor, tenant_id)
    with app.db.read() as session:
        channel = _channel(session, tenant_id, channel_id)
    try:
        delivery.carry(
            app, dialler or Dialler(), channel, [], key=f"test-{channel.id}-{app.now().timestamp():.0f}"
        )
        tested = Tested(True, "The test was taken.")
    except PostyardError as e:
        tested = Tested(False, str(e))
    with app.db.begin() as session:
        _record(session, actor, "test alert channel", channel, app.now(), taken=tested.ok)
    return tested


def _must_manage(actor: Actor, tenant_id: int | None) -> None:
    actor.must(Action.MANAGE_ALL_ALERTS if tenant_id is None else Action.MANAGE_ALERTS, tenant_id)


@contextmanager
def _nobody_has_it() -> Iterator[None]:
    """Two who add the same address at once: one wins."""
    try:
        yield
    except IntegrityError as e:
        raise Conflict("Alerts are sent to this address already.") from e


def _channel(session: Session, tenant_id: int | None, channel_id: int) -> AlertChannel:
    found = session.scalar(
        select(AlertChannel).where(
            AlertChannel.id == channel_id,
            AlertChannel.tenant_id == tenant_id,
            AlertChannel.removed_at.is_(None),
        )
    )
    if found is None:
        raise NotFound("There is no such channel.")
    return found


def _refuse_too_many(session: Session, tenant_id: int | None) -> None:
    number = session.scalar(
        select(func.count())
        .select_from(AlertChannel)
        .where(AlertChannel.tenant_id == tenant_id, AlertChannel.removed_at.is_(None))
    )
    if (number or 0) >= MOST_CHANNELS:
        raise InputError(f"There are {MOST_CHANNELS} channels already: remove one first.")


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if len(name) > LONGEST_NAME or "://" in name:
        raise InputError(
            f"A channel's name has at most {LONGEST_NAME} characters and is no address: others read it.",
            "name",
        )
    return name


def _usual_name(kind: ChannelKind, target: str) -> str:
    return (
        target[:LONGEST_NAME]
        if kind is ChannelKind.EMAIL
        else targets.web_address(target).host[:LONGEST_NAME]
    )


def _withdraw(app: App, channel_id: int, why: str) -> None:
    """In a transaction of its own: whoever raises or clears an alert may hold notices and ask for a channel,
    so nobody may hold a channel and ask for notices. What it misses, delivery leaves unsent."""
    with app.db.begin() as session:
        session.execute(
            update(AlertNotice)
            .where(AlertNotice.channel_id == channel_id, AlertNotice.retry_at.is_not(None))
            .values(retry_at=None, error=why)
        )


def _record(
    session: Session, actor: Actor, action: str, channel: AlertChannel, at: datetime, **detail: object
) -> None:
    subject = f"{channel.kind} channel {channel.id}"
    audit.record(
        session, actor, action, subject, at=at, tenant_id=channel.tenant_id, name=channel.name, **detail
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """What became of a channel's notices."""

    last_sent_at: datetime | None = None
    last_error: str | None = None
    waiting: int = 0
    given_up: int = 0


def _told(session: Session, channel_ids: list[int]) -> dict[int, _Told]:
    of_these = AlertNotice.channel_id.in_(channel_ids)
    is_waiting = AlertNotice.retry_at.is_not(None)
    is_lost = AlertNotice.sent_at.is_(None) & ~is_waiting
    counted = (
        select(
            AlertNotice.channel_id,
            func.max(AlertNotice.sent_at),
            _number(is_waiting),
            _number(is_lost),
            func.max(case((AlertNotice.error.is_not(None), AlertNotice.id))),
            func.max(case((AlertNotice.sent_at.is_not(None), AlertNotice.id))),
        )
        .where(of_these)
        .group_by(AlertNotice.channel_id)
    )
    rows = session.execute(counted).all()
    failed = [row[4] for row in rows if (row[4] or 0) > (row[5] or 0)]
    said = session.execute(select(AlertNotice.id, AlertNotice.error).where(AlertNotice.id.in_(failed)))
    errors = {notice_id: error for notice_id, error in said}
    return {
        channel_id: _Told(sent_at, errors.get(last), waiting, lost)
        for channel_id, sent_at, waiting, lost, last, _ in rows
    }


def _number(condition: ColumnElement[bool]) -> ColumnElement[int]:
    return func.count(case((condition, 1)))


def _view(app: App, channel: AlertChannel, told: _Told) -> ChannelView:
    return ChannelView(
        id=channel.id,
        tenant_id=channel.tenant_id,
        kind=channel.kind,
        name=channel.name,
        target=targets.shown(channel.kind, places.target_of(app.secret_key(), channel)),
        is_active=channel.is_active,
        created_by=channel.created_by,
        created_at=channel.created_at,
        last_sent_at=told.last_sent_at,
        last_error=told.last_error,
        waiting=told.waiting,
        given_up=told.given_up,
    )

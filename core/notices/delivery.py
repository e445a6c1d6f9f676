"""Delivery: each notice to its channel, tried again until it is taken or a day has passed.

Any number of schedulers may deliver: a notice is claimed before it is sent, and what a dead one had claimed
is due again after CLAIMED_FOR. What a channel is owed goes in one message. Channels do not wait for each
other. A notice whose answer was lost is told twice rather than never.
"""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime, timedelta

import orjson
from sqlalchemy import ColumnElement, and_, exists, not_, or_, select, update
from sqlalchemy.orm import Session, aliased

from core.alerts import News
from core.app import App
from core.db.models import Alert, AlertChannel, AlertNotice, Tenant
from core.errors import PostyardError, ProviderError
from core.notices import mail, text
from core.notices.places import target_of
from core.notices.targets import ChannelKind, web_address
from core.notices.text import Told
from core.notices.webhook import Dialler

CLAIMED_FOR = timedelta(minutes=5)  # longer than any attempt takes
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=6)
GIVEN_UP_AFTER = timedelta(hours=24)
MOST_AT_ONCE = 20  # notices in one message: a chat takes 16,000 characters
CHANNELS_AT_ONCE = 16
LOOK_AGAIN_SECONDS = 1.0  # for what became due meanwhile
LONGEST_RUN_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Batch:
    """What one channel is owed, claimed: the tries of each notice, this one among them."""

    channel: AlertChannel
    tries: dict[int, int]
    created_at: dict[int, datetime]
    told: list[Told]


@dataclass(frozen=True, slots=True)
class Delivered:
    sent: int = 0
    failed: int = 0


def send_due(app: App, dialler: Dialler | None = None) -> str:
    dialler = dialler or Dialler()
    sent = failed = 0
    running: dict[int, Future[Delivered]] = {}
    ends_at = app.clock.monotonic() + LONGEST_RUN_SECONDS
    with ThreadPoolExecutor(CHANNELS_AT_ONCE, thread_name_prefix="notices") as pool:
        while True:
            if app.clock.monotonic() < ends_at:
                for channel_id in _owed(app, running):
                    running[channel_id] = pool.submit(_deliver, app, dialler, channel_id)
            if not running:
                break
            wait(running.values(), timeout=LOOK_AGAIN_SECONDS, return_when=FIRST_COMPLETED)
            for channel_id in [number for number, each in running.items() if each.done()]:
                delivered = running.pop(channel_id).result()
                sent, failed = sent + delivered.sent, failed + delivered.failed
    return f"{sent} sent, {failed} not taken" if sent or failed else ""


def _owed(app: App, but: Collection[int]) -> list[int]:
    due = select(AlertNotice.channel_id).where(_is_due(app.now()), AlertNotice.channel_id.not_in(but))
    with app.db.read() as session:
        return list(session.scalars(due.distinct().order_by(AlertNotice.channel_id)))


def _is_due(now: datetime) -> ColumnElement[bool]:
    """That it cleared is told after that it was raised."""
    raised = aliased(AlertNotice)
    waits = exists().where(
        AlertNotice.news == News.CLEARED,
        raised.alert_id == AlertNotice.alert_id,
        raised.channel_id == AlertNotice.channel_id,
        raised.news == News.RAISED,
        raised.retry_at > now,
    )
    is_time = or_(
        AlertNotice.retry_at <= now,
        AlertNotice.retry_at > now + LONGEST_PAUSE + CLAIMED_FOR,  # written while a clock was wrong
    )
    return and_(is_time, not_(waits))


def _deliver(app: App, dialler: Dialler, channel_id: int) -> Delivered:
    batch = _claim(app, channel_id)
    if batch is None:
        return Delivered()
    try:
        carry(app, dialler, batch.channel, batch.told, key=f"alert-{min(batch.tries)}-{len(batch.tries)}")
    except PostyardError as e:
        _note(app, batch, str(e))
        return Delivered(failed=len(batch.tries))
    _note(app, batch, None)
    return Delivered(sent=len(batch.tries))


def carry(app: App, dialler: Dialler, channel: AlertChannel, told: list[Told], *, key: str) -> None:
    """No alert: a test. Raises PostyardError unless it was taken."""
    target, console_url = target_of(app.secret_key(), channel), app.settings.console_url
    if target is None:
        raise ProviderError(
            "The channel's address cannot be read: the secret key is another one than when it was entered. "
            "Enter the address again.",
            permanent=True,
        )
    if channel.kind == ChannelKind.WEBHOOK:
        body = text.slack(told, console_url) if told else text.message(text.TEST)
        dialler.post(web_address(target), orjson.dumps(body))
    elif told:
        mail.send(app, target, text.subject(told), text.plain(told, console_url), key=key)
    else:
        mail.send(app, target, "[Postyard] Test", text.TEST, key=key)


def _claim(app: App, channel_id: int) -> Batch | None:
    now = app.now()
    with app.db.begin() as session:
        channel = session.get_one(AlertChannel, channel_id)
        query = select(AlertNotice).where(AlertNotice.channel_id == channel_id, _is_due(now))
        notices = list(
            session.scalars(
                query.order_by(AlertNotice.id).limit(MOST_AT_ONCE).with_for_update(skip_locked=True)
            )
        )
        for notice in notices:
            notice.tries += 1
            notice.retry_at = now + CLAIMED_FOR if channel.is_active else None
            notice.error = notice.error if channel.is_active else "The channel was switched off."
        if not notices or not channel.is_active:
            return None
        tries = {notice.id: notice.tries for notice in notices}
        created_at = {notice.id: notice.created_at for notice in notices}
        return Batch(channel, tries, created_at, _told(session, notices))


def _told(session: Session, notices: list[AlertNotice]) -> list[Told]:
    query = (
        select(Alert, Tenant)
        .outerjoin(Tenant, Tenant.id == Alert.tenant_id)
        .where(Alert.id.in_({notice.alert_id for notice in notices}))
    )
    rows = {alert.id: (alert, tenant) for alert, tenant in session.execute(query)}
    return [_one(notice, *rows[notice.alert_id]) for notice in notices]


def _one(notice: AlertNotice, alert: Alert, tenant: Tenant | None) -> Told:
    return Told(
        news=notice.news,
        kind=alert.kind,
        sentence=alert.sentence,
        tenant=tenant.name if tenant else "",
        slug=tenant.slug if tenant else "",
        zone=tenant.timezone if tenant else "UTC",
        raised_at=alert.raised_at,
        cleared_at=alert.cleared_at,
    )


def _note(app: App, batch: Batch, error: str | None) -> None:
    """What became of the attempt; nothing where the claim has passed to another meanwhile."""
    now = app.now()
    with app.db.begin() as session:
        for notice_id, tries in batch.tries.items():
            told = {"sent_at": now, "retry_at": None, "error": None}
            again = {"retry_at": retry_at(batch.created_at[notice_id], tries, now), "error": error}
            session.execute(
                update(AlertNotice)
                .where(AlertNotice.id == notice_id, AlertNotice.tries == tries, AlertNotice.sent_at.is_(None))
                .values(**(told if error is None else again))
            )


def retry_at(created_at: datetime, tries: int, now: datetime) -> datetime | None:
    """None: it is given up."""
    last = created_at + GIVEN_UP_AFTER
    if now >= last:
        return None
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * float(2 ** min(tries - 1, 10)))
    return min(now + pause, last)

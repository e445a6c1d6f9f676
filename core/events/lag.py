"""Lag: how far behind SES the ingest is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core.access import Action, Actor
from core.app import App
from core.db.models import Account, Event, ParkedEvent, Tenant

LOOK_BACK_EVENTS = 100


@dataclass(frozen=True, slots=True)
class Lag:
    """`waiting`: messages in the queues, as SQS estimates. `seconds`: about how old the oldest of them is;
    0 when none waits. `parked`: events that nobody could match or read."""

    waiting: int
    seconds: float
    parked: int
    last_received_at: datetime | None


def lag_seconds(app: App, actor: Actor) -> Lag:
    """Ask SQS how much waits. Raises ProviderError when it does not answer."""
    actor.must(Action.SEE_HEALTH)
    with app.db.read() as session:
        accounts = list(session.scalars(select(Account).where(Account.queue_url.is_not(None))))
        parked = count_parked(session)
        last_received_at, transit_seconds = _latest(session)
    waiting = sum(app.providers.queue(a.region).depth(a.queue_url) for a in accounts if a.queue_url)
    return Lag(
        waiting=waiting,
        seconds=_age(waiting, app.now(), last_received_at, transit_seconds),
        parked=parked,
        last_received_at=last_received_at,
    )


def seconds_behind(app: App, account: Account) -> float:
    """About how old the oldest event is that waits in the account's own queue; infinite when some wait and
    none of its tenants' was ever stored. Raises ProviderError when SQS does not answer."""
    if not account.queue_url or not app.providers.queue(account.region).depth(account.queue_url):
        return 0.0
    newest = select(func.max(Event.id)).where(Event.tenant_id == Tenant.id).correlate(Tenant)
    of_account = select(newest.scalar_subquery()).where(Tenant.account_id == account.id)
    with app.db.read() as session:
        last = max((id_ for id_ in session.scalars(of_account) if id_ is not None), default=None)
        event = session.get(Event, last) if last is not None else None
    if event is None:
        return math.inf
    return _age(1, app.now(), event.received_at, (event.received_at - event.occurred_at).total_seconds())


def count_parked(session: Session) -> int:
    query = select(func.count()).select_from(ParkedEvent).where(ParkedEvent.resolved_at.is_(None))
    return session.scalar(query) or 0


def _latest(session: Session) -> tuple[datetime | None, float]:
    """When the last event was stored, and the longest way from SES to here among the last ones."""
    query = select(Event.received_at, Event.occurred_at).order_by(Event.id.desc()).limit(LOOK_BACK_EVENTS)
    rows = session.execute(query).all()
    if not rows:
        return None, 0.0
    return rows[0].received_at, max((r.received_at - r.occurred_at).total_seconds() for r in rows)


def _age(waiting: int, now: datetime, last_received_at: datetime | None, transit_seconds: float) -> float:
    # SQS tells the age of its oldest message to CloudWatch only. What was stored last shows how far behind
    # we were then; since then nothing older than it has got out of the queue.
    if not waiting:
        return 0.0
    if last_received_at is None:
        return 0.0
    return max(0.0, transit_seconds) + max(0.0, (now - last_received_at).total_seconds())

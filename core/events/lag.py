"""Lag: how far behind SES the ingest is, measured from what is received, kept, shown and told of.

SQS tells the age of its oldest message to CloudWatch only. What the receivers get tells it as well: while
messages wait, the oldest that was received and is not stored yet, or what is received now, is as old as the
lag. Schedulers keep that in `accounts` every few seconds; whoever shows it asks nobody.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from core import alerts
from core.access import Action, Actor
from core.app import App
from core.db.models import Account, Alert, Event, ParkedEvent, Tenant
from core.errors import ProviderError
from core.events.matching import Doubt
from core.providers.base import QueueMessage

LATE, DEAD_LETTERS, WRONG_TENANT = "events lag", "dead letters", "parked wrong tenant"
LATE_SECONDS, CAUGHT_UP_SECONDS = 60.0, 30.0
LATE_LOOKS = 2
# Schedulers share one row: a smaller lag than another's counts only when the other's is so old.
OVERRULED_AFTER = timedelta(seconds=10)
STALE_AFTER = timedelta(seconds=30)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AccountLag:
    """Of one account's queue. `seconds`: age of the oldest event that is not stored; None: nobody has ever
    measured. `is_stale`: no scheduler has measured of late, so `seconds` is what it is at most. `waiting` and
    `dead_letters` are SQS's estimates of `counted_at`; None: not counted yet."""

    account_id: int
    name: str
    seconds: float | None
    is_stale: bool
    measured_at: datetime | None
    waiting: int | None
    dead_letters: int | None
    counted_at: datetime | None


@dataclass(frozen=True, slots=True)
class Lag:
    """Of all accounts: `seconds` is the longest. `parked`: events nobody could match, believe or read."""

    waiting: int
    seconds: float
    parked: int
    dead_letters: int
    last_received_at: datetime | None
    accounts: tuple[AccountLag, ...]

    @property
    def is_stale(self) -> bool:
        return any(account.is_stale for account in self.accounts)


class Meter:
    """The lag of one account as its receivers see it. Safe for threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._unsettled: dict[str, datetime] = {}  # by receipt, since when it is in the queue
        self._seconds = 0.0
        self._received_at: datetime | None = None

    def received(self, messages: Sequence[QueueMessage], at: datetime) -> None:
        """None: the queue has nothing for anybody now."""
        sent = {message.receipt: message.sent_at for message in messages if message.sent_at is not None}
        with self._lock:
            self._unsettled |= sent
            self._seconds = _age(min(sent.values(), default=at), at)
            self._received_at = at

    def settled(self, receipts: Collection[str]) -> None:
        """Stored, or left to SQS."""
        with self._lock:
            for receipt in receipts:
                self._unsettled.pop(receipt, None)

    def seconds(self, now: datetime) -> float | None:
        """None while nobody knows: SQS does not answer."""
        with self._lock:
            if self._unsettled:
                return max(_age(min(self._unsettled.values()), now), self._seconds)
            if self._received_at is None or now - self._received_at > STALE_AFTER:
                return None
            return self._seconds


def keep(app: App, account_id: int, seconds: float, before: datetime | None = None) -> datetime:
    """What a scheduler has measured just now; `before`: what this returned when it last did."""
    now = app.now()
    counts = or_(
        Account.lag_at.is_(None),
        Account.lag_at == before,
        Account.lag_at <= now - OVERRULED_AFTER,
        Account.lag_at > now + OVERRULED_AFTER,  # written while a clock was wrong
        Account.lag_seconds <= seconds,
    )
    with app.db.begin() as session:
        session.execute(
            update(Account).where(Account.id == account_id, counts).values(lag_seconds=seconds, lag_at=now)
        )
    return now


def measured(session: Session, now: datetime) -> list[AccountLag]:
    """Of every account that has a queue, as it was kept last; asks nobody."""
    query = select(Account).where(Account.queue_url.is_not(None)).order_by(Account.name)
    return [_of(account, now) for account in session.scalars(query)]


def lag_seconds(app: App, actor: Actor) -> Lag:
    """As it was measured last; asks nobody."""
    actor.must(Action.SEE_HEALTH)
    with app.db.read() as session:
        accounts = tuple(measured(session, app.now()))
        parked = count_parked(session)
        last = session.scalar(select(Event.received_at).order_by(Event.id.desc()).limit(1))
    return Lag(
        waiting=sum(account.waiting or 0 for account in accounts),
        seconds=max((account.seconds or 0.0 for account in accounts), default=0.0),
        parked=parked,
        dead_letters=sum(account.dead_letters or 0 for account in accounts),
        last_received_at=last,
        accounts=accounts,
    )


def watch_due(app: App) -> str:
    """Job: count what waits in the queues, and raise or clear the alerts about events."""
    with app.db.read() as session:
        accounts = list(session.scalars(select(Account).where(Account.queue_url.is_not(None))))
    silent = [account.name for account in accounts if not _count(app, account)]
    with app.db.begin() as session:
        found = measured(session, app.now())
        for one in found:
            _judge_lag(session, one, app.now())
            _judge_dead_letters(session, one, app.now())
        _judge_wrong_tenants(session, app.now())
    longest = max((one.seconds or 0.0 for one in found), default=0.0)
    dead = sum(one.dead_letters or 0 for one in found)
    said = f"the oldest event waits {longest:.0f} s, {dead} dead letters"
    return f"{said}; SQS does not answer for {', '.join(silent)}" if silent else said


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
    transit = max(0.0, (event.received_at - event.occurred_at).total_seconds())
    return transit + _age(event.received_at, app.now())


def count_parked(session: Session) -> int:
    query = select(func.count()).select_from(ParkedEvent).where(ParkedEvent.resolved_at.is_(None))
    return session.scalar(query) or 0


def _of(account: Account, now: datetime) -> AccountLag:
    is_stale = account.lag_at is None or now - account.lag_at > STALE_AFTER
    seconds = account.lag_seconds
    if seconds is not None and is_stale and account.lag_at is not None:
        seconds += _age(account.lag_at, now)
    counted_at = account.queues_counted_at
    if is_stale and account.waiting == 0 and counted_at is not None and now - counted_at <= STALE_AFTER:
        seconds = 0.0
    return AccountLag(
        account_id=account.id,
        name=account.name,
        seconds=seconds,
        is_stale=is_stale,
        measured_at=account.lag_at,
        waiting=account.waiting,
        dead_letters=account.dead_letters,
        counted_at=counted_at,
    )


def _count(app: App, account: Account) -> bool:
    """Ask SQS how many messages wait; False when it does not answer. Where some do and nobody has ever
    measured, the lag is reckoned from now on: a scheduler may be unable to receive at all."""
    sqs, dead = app.providers.queue(account.region), account.dead_letter_queue_url
    try:
        counted: dict[str, Any] = {
            "waiting": sqs.depth(str(account.queue_url)),
            "dead_letters": sqs.depth(dead) if dead else 0,
        }
    except ProviderError as e:
        logger.warning("the event queues of account %s were not counted: %s", account.name, e)
        return False
    if counted["waiting"]:
        counted["lag_seconds"] = func.coalesce(Account.lag_seconds, 0.0)
        counted["lag_at"] = func.coalesce(Account.lag_at, app.now())
    with app.db.begin() as session:
        session.execute(
            update(Account).where(Account.id == account.id).values(**counted, queues_counted_at=app.now())
        )
    return True


def _judge_lag(session: Session, one: AccountLag, at: datetime) -> None:
    """Late at two looks in a row: a burst that is read within half a minute is none."""
    account, seconds = session.get_one(Account, one.account_id), one.seconds or 0.0
    account.late_looks = account.late_looks + 1 if seconds > LATE_SECONDS else 0
    cause = f"account {one.account_id}"
    if account.late_looks >= LATE_LOOKS:
        alerts.raise_once(
            session, kind=LATE, cause=cause, sentence=_late_sentence(one, seconds), tenant_id=None, at=at
        )
    elif seconds < CAUGHT_UP_SECONDS:
        alerts.clear(session, kind=LATE, cause=cause, at=at)


def _late_sentence(one: AccountLag, seconds: float) -> str:
    if one.is_stale:
        return (
            f"Nobody has read the event queue of {one.name} for {seconds:.0f} s, so pauses and suppressions "
            "come late. See on the Health page whether a scheduler runs and SQS answers."
        )
    return (
        f"The oldest event of {one.name} has waited {seconds:.0f} s, so pauses and suppressions come late. "
        "See on the Health page whether the scheduler and the database keep up."
    )


def _judge_dead_letters(session: Session, one: AccountLag, at: datetime) -> None:
    cause = f"account {one.account_id}"
    if one.dead_letters == 0:
        alerts.clear(session, kind=DEAD_LETTERS, cause=cause, at=at)
    elif one.dead_letters:
        letters = "1 event" if one.dead_letters == 1 else f"{one.dead_letters:,} events"
        sentence = (
            f"{letters} of {one.name} could not be read or stored and counted for nobody. Look at the dead "
            "letters on the Events page, then replay or discard them."
        )
        alerts.raise_once(session, kind=DEAD_LETTERS, cause=cause, sentence=sentence, tenant_id=None, at=at)


def _judge_wrong_tenants(session: Session, at: datetime) -> None:
    """Once per tenant whose topic they came through. For staff alone: they may be about another's mail."""
    query = (
        select(ParkedEvent.tenant_id, Tenant.name, func.count())
        .outerjoin(Tenant, Tenant.id == ParkedEvent.tenant_id)
        .where(ParkedEvent.reason == Doubt.WRONG_TENANT.value, ParkedEvent.resolved_at.is_(None))
        .group_by(ParkedEvent.tenant_id, Tenant.name)
    )
    causes = set()
    for tenant_id, name, count in session.execute(query).all():
        cause = f"tenant {tenant_id}" if tenant_id else "no topic"
        causes.add(cause)
        through = f"the topic of {name}" if name else "a topic of no tenant"
        sentence = (
            f"{count:,} events came through {through} about mail of somebody else, and were believed by "
            "nobody. Find out who sends with that topic, then discard them on the Events page."
        )
        alerts.raise_once(session, kind=WRONG_TENANT, cause=cause, sentence=sentence, tenant_id=None, at=at)
    still = select(Alert.cause).where(Alert.kind == WRONG_TENANT, Alert.cleared_at.is_(None))
    for cause in set(session.scalars(still)) - causes:
        alerts.clear(session, kind=WRONG_TENANT, cause=cause, at=at)


def _age(since: datetime, now: datetime) -> float:
    return max(0.0, (now - since).total_seconds())

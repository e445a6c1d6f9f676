"""Heartbeat: a mail to SES's mailbox simulator every quarter of an hour, whose delivery must come back as an
event. It goes the way of all mail (queue, claim, SES, SNS, SQS, ingest) and counts for nobody.

Off until an administrator names the sender it goes from. What it used of its tenant's limits is given back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from core import alerts, audit, installation, sending
from core.access import SYSTEM, Action, Actor
from core.accounts import get_account
from core.app import App
from core.db.models import Account, Event, Heartbeat, Identity, Message, Sender, Tenant
from core.db.states import EventType, MessageStatus
from core.errors import InputError, NotFound, PostyardError
from core.templates import store
from core.tenants import get_tenant
from core.tenants import limits as tenant_limits

# Takes all mail, free of SES's quota and reputation (developer guide, Using the mailbox simulator).
PROBE = "success@simulator.amazonses.com"
ALERT = "heartbeat lost"
EVERY = timedelta(minutes=15)
LOST_AFTER = timedelta(minutes=5)
KEPT_FOR = timedelta(days=30)
SUBJECT = "Postyard heartbeat"
HTML = "<p>This message shows that what Amazon SES reports comes back to Postyard.</p>"


@dataclass(frozen=True, slots=True)
class Beat:
    """One round. `seconds` None: nothing has come back."""

    begun_at: datetime
    seconds: float | None
    message_status: str


@dataclass(frozen=True, slots=True)
class Pulse:
    """Of an account; `sender` None: no heartbeat goes out. Newest beat first."""

    account_id: int
    account_name: str
    sender: str | None
    tenant_name: str | None
    beats: list[Beat]


@dataclass(frozen=True, slots=True)
class Candidate:
    sender_id: int
    address: str
    tenant_name: str


def set_sender(app: App, actor: Actor, account_id: int, sender_id: int | None) -> Account:
    """None ends it. InputError for one that mail cannot go from now, or of another account."""
    actor.must(Action.MANAGE_ACCOUNTS)
    with app.db.begin() as session:
        account = get_account(session, account_id)
        address = None if sender_id is None else _checked_sender(session, account, sender_id).address
        if account.heartbeat_sender_id == sender_id:
            return account
        account.heartbeat_sender_id = sender_id
        if sender_id is None:
            alerts.clear(session, kind=ALERT, cause=_cause(account), at=app.now())
        audit.record(session, actor, "set heartbeat", account.name, at=app.now(), sender=address or "none")
    return account


def candidates(app: App, actor: Actor, account_id: int) -> list[Candidate]:
    """Verified senders of the account's tenants."""
    actor.must(Action.MANAGE_ACCOUNTS)
    query = (
        select(Sender.id, Sender.address, Tenant.name)
        .join(Tenant, Tenant.id == Sender.tenant_id)
        .join(Identity, Identity.id == Sender.identity_id)
        .where(Tenant.account_id == account_id, Sender.deleted_at.is_(None), Identity.verified_for_sending)
        .order_by(Tenant.name, Sender.address)
    )
    with app.db.read() as session:
        return [Candidate(*row) for row in session.execute(query)]


def pulses(app: App, actor: Actor, limit: int = 96) -> list[Pulse]:
    """Of every account, with its last beats."""
    actor.must(Action.SEE_HEALTH)
    with app.db.read() as session:
        accounts = session.scalars(select(Account).order_by(Account.name)).all()
        return [_pulse(session, account, limit) for account in accounts]


def beat_due(app: App) -> str:
    """Job: note what came back, send what is due, and raise or clear the alert."""
    with app.db.read() as session:
        accounts = session.scalars(select(Account).where(Account.heartbeat_sender_id.is_not(None))).all()
    said = [f"{account.name}: {_beat(app, account.id)}" for account in accounts]
    return "; ".join(said) or "no account has a heartbeat"


def _beat(app: App, account_id: int) -> str:
    now = app.now()
    with app.db.begin() as session:
        account = session.get_one(Account, account_id, with_for_update=True)
        for late in _awaited(session, account):
            _note_return(session, late, now)
        session.execute(
            delete(Heartbeat).where(Heartbeat.account_id == account.id, Heartbeat.begun_at < now - KEPT_FOR)
        )
        last = _last(session, account)
        if last is not None and now - last.begun_at < EVERY:
            return _judge(session, account, last, now)
        if installation.held_reason(session) is not None:
            return "waits while sending is held"
    return _begin(app, account_id, now)


def _begin(app: App, account_id: int, now: datetime) -> str:
    try:
        with app.db.begin() as session:
            account = session.get_one(Account, account_id)
            sender = _checked_sender(session, account, account.heartbeat_sender_id or 0)
            message = _queue(session, account, sender, now)
            session.add(Heartbeat(account_id=account.id, message_id=message.id, begun_at=now))
        return "sent"
    except PostyardError as e:
        with app.db.begin() as session:
            account = session.get_one(Account, account_id)
            sentence = f"No heartbeat leaves {account.name}, so nobody knows whether events come back: {e}"
            _raise(session, account, sentence, now)
        return f"not sent: {e}"


def _checked_sender(session: Session, account: Account, sender_id: int) -> Sender:
    sender = session.get(Sender, sender_id)
    if sender is None or get_tenant(session, sender.tenant_id).account_id != account.id:
        raise NotFound("There is no such sender in this AWS account. Choose another for its heartbeat.")
    try:
        return sending.sender_for(session, sender.tenant_id, sender.id, PROBE, "")
    except NotFound as e:
        raise InputError(f"{sender.address} was deleted. Choose another sender for the heartbeat.") from e


def _queue(session: Session, account: Account, sender: Sender, at: datetime) -> Message:
    """As `sending.queue` does, without a row in the audit log and a content for each beat."""
    message = Message(
        tenant_id=sender.tenant_id,
        campaign_id=None,
        sender_id=sender.id,
        content_id=_content_id(session, account, sender.tenant_id, at),
        address=PROBE,
        address_key=PROBE,
        fields={},
        status=MessageStatus.PENDING,
        created_by=SYSTEM.username,
        created_at=at,
        counts_in_rates=False,
    )
    session.add(message)
    session.flush()
    return message


def _content_id(session: Session, account: Account, tenant_id: int, at: datetime) -> int:
    """The earlier beats', or a new one."""
    earlier = (
        select(Message.content_id)
        .join(Heartbeat, Heartbeat.message_id == Message.id)
        .where(Heartbeat.account_id == account.id, Message.tenant_id == tenant_id)
        .order_by(Heartbeat.id.desc())
        .limit(1)
    )
    return session.scalar(earlier) or store(session, tenant_id, SUBJECT, HTML, "", {}, at).id


def _last(session: Session, account: Account) -> Heartbeat | None:
    mine = select(Heartbeat).where(Heartbeat.account_id == account.id)
    return session.scalar(mine.order_by(Heartbeat.id.desc()).limit(1))


def _awaited(session: Session, account: Account) -> Sequence[Heartbeat]:
    mine = select(Heartbeat).where(Heartbeat.account_id == account.id, Heartbeat.returned_at.is_(None))
    return session.scalars(mine.order_by(Heartbeat.id.desc()).limit(10)).all()


def _note_return(session: Session, beat: Heartbeat, now: datetime) -> None:
    """Once its delivery is stored; what the tenant's limits counted for it is given back."""
    returned_at = session.scalar(
        select(func.min(Event.received_at)).where(
            Event.message_id == beat.message_id, Event.type == EventType.DELIVERY
        )
    )
    if returned_at is None:
        return
    beat.returned_at = returned_at
    message = session.get_one(Message, beat.message_id)
    if message.armed_at is not None:
        tenant_limits.count(session, get_tenant(session, message.tenant_id), -1, message.armed_at)


def _judge(session: Session, account: Account, last: Heartbeat, now: datetime) -> str:
    """By the last one alone: what was late while no scheduler ran is no news any more."""
    if last.returned_at is not None and last.returned_at - last.begun_at <= LOST_AFTER:
        alerts.clear(session, kind=ALERT, cause=_cause(account), at=now)
        return f"came back after {(last.returned_at - last.begun_at).total_seconds():.0f} s"
    if last.returned_at is None and now - last.begun_at <= LOST_AFTER:
        return "on its way"
    message = session.get_one(Message, last.message_id)
    sentence = f"The heartbeat of {account.name} {_fate(last, message)}"
    _raise(session, account, sentence, now)
    return "lost" if last.returned_at is None else "late"


def _fate(beat: Heartbeat, message: Message) -> str:
    """How far it got says what to look at."""
    if beat.returned_at is not None:
        took = (beat.returned_at - beat.begun_at).total_seconds()
        return f"took {took:.0f} s to come back: pauses and suppressions come as late. See what waits there."
    if message.status == MessageStatus.PENDING:
        return "was not even sent within 5 minutes. See on the Health page whether the scheduler runs."
    if message.status in (MessageStatus.SENDING, MessageStatus.UNKNOWN):
        return "was sent and SES's answer is missing. See on the Health page whether SES answers."
    if message.status == MessageStatus.SENT:
        return (
            "was taken by Amazon SES, and no delivery came back within 5 minutes: events may be lost. Check "
            "the tenant's set-up, and what waits in the queue."
        )
    return f"ended as {message.status}: {message.reason or 'SES gave no reason.'}"


def _raise(session: Session, account: Account, sentence: str, at: datetime) -> None:
    alerts.raise_once(session, kind=ALERT, cause=_cause(account), sentence=sentence, tenant_id=None, at=at)


def _cause(account: Account) -> str:
    return f"account {account.id}"


def _pulse(session: Session, account: Account, limit: int) -> Pulse:
    sender = session.get(Sender, account.heartbeat_sender_id) if account.heartbeat_sender_id else None
    query = (
        select(Heartbeat, Message.status)
        .join(Message, Message.id == Heartbeat.message_id)
        .where(Heartbeat.account_id == account.id)
        .order_by(Heartbeat.id.desc())
        .limit(limit)
    )
    return Pulse(
        account_id=account.id,
        account_name=account.name,
        sender=sender.address if sender else None,
        tenant_name=get_tenant(session, sender.tenant_id).name if sender else None,
        beats=[_shown(beat, status) for beat, status in session.execute(query)],
    )


def _shown(beat: Heartbeat, status: str) -> Beat:
    seconds = (beat.returned_at - beat.begun_at).total_seconds() if beat.returned_at else None
    return Beat(beat.begun_at, seconds, status)

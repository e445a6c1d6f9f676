"""Rows: identities and what refers to them, within somebody's transaction."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select
from sqlalchemy.orm import Session

from core.db.models import CallTurn, Campaign, Identity, Message, Sender
from core.db.states import CampaignStatus, MessageStatus, VerificationStatus
from core.db.upsert import insert
from core.errors import Conflict, NotFound
from core.identities.names import above, domain_of, look_alike

GRACE = timedelta(days=7)  # so long a deleted sender can be restored, and its identity stays
BEGINNING = timedelta(minutes=15)  # so long somebody may still be about to make what was reserved
NAMES = "names of identities"
CLOCKS_DIFFER = timedelta(minutes=1)  # a time further ahead was written by a wrong clock
ACTIVE_CAMPAIGNS = (
    CampaignStatus.SENDING,
    CampaignStatus.SCHEDULED,
    CampaignStatus.PAUSED,
    CampaignStatus.HOLDING,
)


def live() -> Select[Identity]:
    return select(Identity).where(Identity.removed_at.is_(None))


def get_identity(session: Session, tenant_id: int, identity_id: int) -> Identity:
    return _the(session, live().where(Identity.tenant_id == tenant_id, Identity.id == identity_id))


def lock_identity(session: Session, tenant_id: int, identity_id: int) -> Identity:
    """Nobody adds a sender to it or removes it until the transaction ends."""
    query = live().where(Identity.tenant_id == tenant_id, Identity.id == identity_id)
    return _the(session, query.with_for_update())


def find_by_name(session: Session, tenant_id: int, name: str) -> Identity | None:
    return session.scalar(live().where(Identity.tenant_id == tenant_id, Identity.name == name))


def last_check() -> ColumnElement[datetime]:
    """Of an identity; when it was added counts as one."""
    return func.coalesce(Identity.checked_at, Identity.created_at)


def live_senders(session: Session, tenant_id: int, identity_id: int) -> list[Sender]:
    query = select(Sender).where(
        Sender.tenant_id == tenant_id, Sender.identity_id == identity_id, Sender.deleted_at.is_(None)
    )
    return list(session.scalars(query.order_by(Sender.address)))


def refuse_unneeded(session: Session, identity: Identity) -> None:
    """Conflict for one that SES was never asked for, or that is being taken out of it: nothing but a sender
    brings it (back), or what is removed here would be left behind there, verified."""
    never_begun = identity.verification_status == VerificationStatus.NOT_STARTED
    if never_begun and not live_senders(session, identity.tenant_id, identity.id):
        raise Conflict(
            f"Nothing is made for {identity.name} in Amazon SES while no sender needs it. Add a sender first."
        )


def restorable(at: datetime) -> ColumnElement[bool]:
    """Of a sender: deleted, and still within its grace."""
    return and_(Sender.removed_at.is_(None), Sender.deleted_at > at - GRACE)


def wanted(at: datetime) -> ColumnElement[bool]:
    """Of a sender: it needs its identity, now or when it is restored."""
    return or_(Sender.deleted_at.is_(None), restorable(at))


def never_begun() -> ColumnElement[bool]:
    """Of an identity: a name that was reserved and never came to anything, in SES or here."""
    return and_(
        Identity.verification_status == VerificationStatus.NOT_STARTED,
        Identity.verified_at.is_(None),
        ~exists().where(Sender.tenant_id == Identity.tenant_id, Sender.identity_id == Identity.id),
    )


def forsaken(at: datetime) -> ColumnElement[bool]:
    """The same, and nobody is about to make it any more."""
    return and_(Identity.removed_at.is_(None), never_begun(), Identity.created_at < at - BEGINNING)


def lock_names(session: Session, at: datetime) -> None:
    """Names are reserved by one transaction at a time, whatever the tenant: each sees the ones before."""
    turn = insert(session, CallTurn).values(name=NAMES, next_at=at)
    session.execute(turn.on_conflict_do_update(index_elements=[CallTurn.name], set_={"next_at": at}))


def refuse_anothers(session: Session, tenant_id: int, name: str, at: datetime) -> None:
    """Conflict for another tenant's domain, and for one that could be taken for theirs. SES lets a verified
    domain send for everything below it, so a verified domain above counts as well; one that is only asked for
    does not, or whoever asks for a big provider's domain would keep all its customers out."""
    domain = domain_of(name)
    taken = or_(
        Identity.name.in_([name, domain]),
        and_(Identity.name.in_(above(domain)), Identity.verified_for_sending),
    )
    others = live().where(Identity.tenant_id != tenant_id, ~forsaken(at))
    if session.scalar(others.where(taken).limit(1)) is not None:
        raise Conflict(
            f"{name} cannot be added: the domain is in use here already. Ask an administrator if it is yours."
        )
    known = session.scalars(others.with_only_columns(Identity.name))
    if any(look_alike(domain, domain_of(other)) for other in known):
        raise Conflict(
            f"{name} cannot be added: it looks almost like a domain that is in use here already. "
            "Check how it is written, and ask an administrator if it is yours."
        )


def refuse_while_used(session: Session, tenant_id: int, what: str, of: ColumnElement[bool]) -> None:
    """Conflict while a campaign that goes on, or may go on, sends from one of the senders `of` selects, or a
    single message of theirs still waits."""
    name = session.scalar(
        select(Campaign.name)
        .join(Sender, Campaign.sender_id == Sender.id)
        .where(Campaign.tenant_id == tenant_id, Campaign.status.in_(ACTIVE_CAMPAIGNS), of)
        .limit(1)
    )
    if name is not None:
        raise Conflict(f'Campaign "{name}" uses {what}. Cancel it or wait until it is sent.')
    waiting = (
        select(Message.id)
        .join(Sender, Message.sender_id == Sender.id)
        .where(Message.campaign_id.is_(None), Message.status == MessageStatus.PENDING)
        .where(Message.tenant_id == tenant_id, of)
        .limit(1)
    )
    if session.scalar(waiting) is not None:
        raise Conflict(f"A message from {what} still waits to be sent. Remove it after that.")


def _the(session: Session, query: Select[Identity]) -> Identity:
    if identity := session.scalar(query):
        return identity
    raise NotFound("There is no such identity.")

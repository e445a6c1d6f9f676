"""Lanes: the ways out, one row each, which every claim for it holds."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from core.db.models import Lane, Message, Tenant
from core.db.states import MessageStatus
from core.db.upsert import insert

# Nobody closes a lane for longer; what says so was written while a clock was wrong.
LONGEST_CLOSED = timedelta(minutes=15)
CREDENTIALS_REFUSED = "credentials refused"  # kind of alert, its cause is the lane
QUOTA_USED_UP = "The account's quota of recipients in 24 hours is used up"  # a closed_reason begins so


def lane_of(account_id: int) -> str:
    return f"account {account_id}"


def find_lane(session: Session, name: str) -> Lane | None:
    """None: nothing was ever claimed for it."""
    return session.get(Lane, name)


def lock_lane(session: Session, name: str) -> Lane:
    """The lane's row, held until the transaction ends; made when it is not there."""
    held = select(Lane).where(Lane.name == name).with_for_update().execution_options(populate_existing=True)
    if lane := session.scalar(held):
        return lane
    session.execute(insert(session, Lane).values(name=name).on_conflict_do_nothing())
    return session.scalars(held).one()


def is_closed(lane: Lane | None, now: datetime) -> bool:
    if lane is None or lane.closed_until is None:
        return False
    return now < lane.closed_until <= now + LONGEST_CLOSED


def close(session: Session, name: str, *, until: datetime, reason: str) -> None:
    """Send nothing by this lane before `until`; a gate that is closed for longer stays so."""
    session.execute(
        update(Lane)
        .where(Lane.name == name)
        .where(
            or_(
                Lane.closed_until.is_(None),
                Lane.closed_until < until,
                Lane.closed_until > until + LONGEST_CLOSED,
            )
        )
        .values(closed_until=until, closed_reason=reason)
    )


def granted_and_answered(session: Session, account_id: int) -> int:
    """What SES's own count of the account is sure to contain: less what is on its way. One statement: what is
    given back between two would count as answered."""
    in_flight = (
        select(func.count())
        .select_from(Message)
        .join(Tenant, Tenant.id == Message.tenant_id)
        .where(Message.status == MessageStatus.SENDING.value, Tenant.account_id == account_id)
    )
    answered = select(Lane.granted - in_flight.scalar_subquery()).where(Lane.name == lane_of(account_id))
    return session.scalar(answered) or 0


def note_checked(session: Session, account_id: int, granted: int) -> None:
    """`granted`: as `granted_and_answered` said before SES was asked for its count."""
    session.execute(update(Lane).where(Lane.name == lane_of(account_id)).values(granted_when_checked=granted))

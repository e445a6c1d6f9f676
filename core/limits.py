"""Limits: how much may leave an account now. Rows in the database, so that every worker shares them.

A call to SES holds its recipients' part of the rate from its claim until one second after its reply. Whenever
two recipients were accepted within one second, both calls were holding when the later one was granted: so no
second, wherever it starts, sees more than the rate, however long replies take.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from core.db.models import Account, RateGrant

# Deadline 10 s, connecting 3 s, reading 15 s, and a second: no call lasts longer.
LONGEST_CALL = timedelta(seconds=30)
# A little more than the second itself: the clocks that measure it are read a moment apart.
HOLD_AFTER_REPLY = timedelta(seconds=1.01)
KEPT = timedelta(minutes=3)
# GetAccount is asked each minute, and the first of those who were sent to yesterday may be 24 hours ago then.
QUOTA_LOOKED_AT_EVERY = timedelta(minutes=2)
# Nobody closes an account for longer; what says so was written while a clock was wrong.
LONGEST_CLOSED = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Allowance:
    """`recipients` may be sent to now; if 0, ask again after `wait_seconds`. `closes`: for so long nothing at
    all can leave, and people should see why."""

    recipients: int
    wait_seconds: float = 0.0
    reason: str = ""
    closes: timedelta | None = None


def allowance(session: Session, account: Account, now: datetime) -> Allowance:
    """What the account may send now: gate, rate per second, 24 hours."""
    if account.closed_until is not None and now < account.closed_until <= now + LONGEST_CLOSED:
        wait = (account.closed_until - now).total_seconds()
        return Allowance(0, wait, account.closed_reason or "The account is closed for a while.")
    if not account.sending_enabled:
        return Allowance(0, 60.0, "Amazon SES has paused sending for this account.")
    left_today = _left_of_24_hours(session, account)
    if left_today <= 0:
        reason = (
            f"The quota of {account.max_24_hour_send:,.0f} recipients in 24 hours is used up. "
            "Sending goes on by itself as soon as Amazon SES allows more."
        )
        return Allowance(0, 60.0, reason, closes=QUOTA_LOOKED_AT_EVERY)
    held, first_end = session.execute(
        select(func.coalesce(func.sum(RateGrant.recipients), 0), func.min(RateGrant.held_until)).where(
            RateGrant.account_id == account.id,
            RateGrant.held_until > now,
            RateGrant.held_until <= now + 2 * LONGEST_CALL,
        )
    ).one()
    free = min(per_second(account) - int(held), left_today)
    if free > 0:
        return Allowance(free)
    return Allowance(0, max(0.0, (first_end - now).total_seconds()))


def per_second(account: Account) -> int:
    return max(1, int(account.max_send_rate))


def call_size(account: Account) -> int:
    """Recipients of one bulk call: a tenth of a second's rate, 50 at most (SES's limit)."""
    return max(1, min(50, per_second(account) // 10))


def block_size(account: Account) -> int:
    """Recipients that may be between claim and reply at once: all that a crash can leave unknown."""
    return max(1, min(500, per_second(account) // 5))


def grant(session: Session, account_id: int, calls: Mapping[str, int], now: datetime) -> None:
    """Hold part of the rate for each call: attempt -> recipients."""
    session.execute(
        insert(RateGrant),
        [
            {
                "account_id": account_id,
                "attempt": attempt,
                "recipients": recipients,
                "granted_at": now,
                "held_until": now + LONGEST_CALL,
            }
            for attempt, recipients in calls.items()
        ],
    )


def release(session: Session, replied: Mapping[str, datetime]) -> None:
    """Let go of what the calls held, a second after each one's reply."""
    if not replied:
        return
    statement = (
        update(RateGrant)
        .where(RateGrant.attempt == bindparam("of_attempt"))
        .values(held_until=bindparam("until"))
        .execution_options(synchronize_session=False)
    )
    session.connection().execute(
        statement,
        [{"of_attempt": attempt, "until": at + HOLD_AFTER_REPLY} for attempt, at in sorted(replied.items())],
    )


def close(session: Session, account_id: int, *, until: datetime, reason: str) -> None:
    """Send nothing through the account before `until`; a gate that is closed for longer stays so."""
    session.execute(
        update(Account)
        .where(Account.id == account_id)
        .where(
            or_(
                Account.closed_until.is_(None),
                Account.closed_until < until,
                Account.closed_until > until + LONGEST_CLOSED,
            )
        )
        .values(closed_until=until, closed_reason=reason)
    )


def forget_old(session: Session, now: datetime) -> None:
    session.execute(delete(RateGrant).where(RateGrant.held_until < now - KEPT))


def _left_of_24_hours(session: Session, account: Account) -> int:
    if account.max_24_hour_send < 0:  # SES's word for unlimited
        return 1_000_000_000
    since = select(func.coalesce(func.sum(RateGrant.recipients), 0)).where(RateGrant.account_id == account.id)
    if account.checked_at is not None:  # what SES's own count cannot know yet
        since = since.where(RateGrant.granted_at >= account.checked_at - HOLD_AFTER_REPLY)
    granted = int(session.scalar(since) or 0)
    return int(account.max_24_hour_send - account.sent_last_24_hours) - granted

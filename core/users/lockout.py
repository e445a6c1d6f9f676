"""Lockout: after wrong passwords in a row a username, and an address, must wait; in the database, for all
processes.

An attempt counts as failed from before its password is checked until it has succeeded, so that attempts
made at the same moment cannot pass the limit together. Unknown usernames are counted like known ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from core.db.models import SignInFailure
from core.db.upsert import insert
from core.errors import Conflict


@dataclass(frozen=True, slots=True)
class _Policy:
    """From `failures` on, wait a minute, then two, four … up to `longest`; forgotten after `forget` of
    quiet."""

    failures: int
    longest: timedelta
    forget: timedelta


_USER = _Policy(failures=5, longest=timedelta(minutes=30), forget=timedelta(hours=12))
_ADDRESS = _Policy(failures=30, longest=timedelta(minutes=30), forget=timedelta(hours=1))
_FIRST_WAIT = timedelta(minutes=1)


def count_attempt(session: Session, username: str, ip_address: str | None, at: datetime) -> bool:
    """Count an attempt that is about to be checked; True when it is the one that locks the username.
    Raises Conflict, saying how long to wait, when the username or the address is locked; nothing is counted
    then."""
    rows = {row.subject: row for row in _locked(session, _subjects(username, ip_address), at)}
    _refuse_locked(list(rows.values()), at)
    session.execute(delete(SignInFailure).where(SignInFailure.last_failed_at < at - _USER.forget))
    locks = False
    for subject, policy in _subjects(username, ip_address).items():
        row = rows[subject]
        row.failures = 1 if at - row.last_failed_at > policy.forget else row.failures + 1
        row.last_failed_at = at
        row.locked_until = _locked_until(row.failures, policy, at)
        locks = locks or (policy is _USER and row.failures == policy.failures)
    return locks


def count_success(session: Session, username: str, ip_address: str | None) -> None:
    """The username starts anew; the address gets this one attempt back, not those made on other usernames."""
    lift(session, username)
    if ip_address is None:
        return
    row = session.get(SignInFailure, _address(ip_address), with_for_update=True)
    if row is not None:
        row.failures = max(row.failures - 1, 0)
        row.locked_until = None if row.failures < _ADDRESS.failures else row.locked_until


def lift(session: Session, username: str) -> None:
    session.execute(delete(SignInFailure).where(SignInFailure.subject == f"user:{username}"))


def _subjects(username: str, ip_address: str | None) -> dict[str, _Policy]:
    subjects = {f"user:{username}": _USER}
    if ip_address is not None:
        subjects[_address(ip_address)] = _ADDRESS
    return subjects


def _address(ip_address: str) -> str:
    return f"address:{ip_address}"


def _locked(session: Session, subjects: dict[str, _Policy], at: datetime) -> list[SignInFailure]:
    """The rows, made where missing and locked in one order, so that two attempts never wait for each
    other."""
    rows = [{"subject": subject, "failures": 0, "last_failed_at": at} for subject in sorted(subjects)]
    session.execute(insert(session, SignInFailure).values(rows).on_conflict_do_nothing())
    query = select(SignInFailure).where(SignInFailure.subject.in_(subjects))
    return list(session.scalars(query.order_by(SignInFailure.subject).with_for_update()))


def _refuse_locked(rows: list[SignInFailure], at: datetime) -> None:
    until = max((row.locked_until for row in rows if row.locked_until is not None), default=at)
    if until > at:
        minutes = ceil((until - at).total_seconds() / 60)
        wait = "a minute" if minutes == 1 else f"{minutes} minutes"
        raise Conflict(f"Too many wrong passwords. Wait {wait} and try again, or ask an administrator.")


def _locked_until(failures: int, policy: _Policy, at: datetime) -> datetime | None:
    if failures < policy.failures:
        return None
    doublings = min(failures - policy.failures, 10)
    wait: timedelta = min(_FIRST_WAIT * 2**doublings, policy.longest)
    return at + wait

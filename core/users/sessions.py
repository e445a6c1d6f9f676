"""Sessions: the way from a password to somebody signed in, and the look-up that every run of a page makes.

The browser holds a random token, the database its SHA-256. Revoking a session, disabling a user, changing a
role or the assigned tenants therefore acts at the next click of every open tab.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from core import audit
from core.access import Action, Actor, Role
from core.app import App
from core.db.models import SignInTicket, User, UserSession, UserTenant
from core.errors import NotFound
from core.users import lockout, passwords

TICKET_LIFETIME = timedelta(seconds=30)
_SEEN_EVERY = timedelta(minutes=1)
_SEES_ALL = frozenset({Role.ADMIN, Role.OPERATOR})
_MAX_USERNAME = 64
_KEPT_AFTER_END = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Somebody with a session. While `must_change_password` holds, a page offers that and nothing else."""

    actor: Actor
    name: str
    must_change_password: bool


def check_password(app: App, username: str, password: str, ip_address: str | None) -> User | None:
    """The enabled user whose password this is, else None, after the same time for unknown, disabled and known
    ones. Raises Conflict while the username or the address is locked out; the password is not looked at
    then."""
    username = "".join(filter(str.isprintable, username)).strip().lower()[:_MAX_USERNAME]
    with app.db.begin() as session:
        locks = lockout.count_attempt(session, username, ip_address, app.now())
        user = session.scalar(select(User).where(User.username == username, User.disabled_at.is_(None)))
    if not passwords.matches(password, user.password_hash if user else None) or user is None:
        if locks:
            _record_lock(app, username, ip_address)
        return None
    with app.db.begin() as session:
        lockout.count_success(session, username, ip_address)
    return user


def _record_lock(app: App, username: str, ip_address: str | None) -> None:
    """A name that is no user's is not kept: it may be a password that was typed into the wrong field."""
    nobody = Actor(username="anonymous", role=Role.ANALYST, tenant_ids=frozenset())
    with app.db.begin() as session:
        known = session.scalar(select(User.username).where(User.username == username))
        subject = known or "an unknown user"
        audit.record(session, nobody, "lock sign-in", subject, at=app.now(), ip_address=ip_address)


def issue_ticket(app: App, user_id: int) -> str:
    """For one use within half a minute: what the form hands to the route that sets the cookie."""
    ticket = secrets.token_urlsafe(32)
    with app.db.begin() as session:
        session.add(
            SignInTicket(token_hash=_hash(ticket), user_id=user_id, expires_at=app.now() + TICKET_LIFETIME)
        )
    return ticket


def redeem_ticket(app: App, ticket: str, ip_address: str | None, user_agent: str | None) -> str:
    """Open a session and return its token. Raises NotFound for a ticket that is unknown, used or too old."""
    at = app.now()
    token = secrets.token_urlsafe(32)
    with app.db.begin() as session:
        user = _holder_of(session, ticket, at)
        session.add(
            UserSession(
                user_id=user.id,
                token_hash=_hash(token),
                created_at=at,
                last_seen_at=at,
                expires_at=at + timedelta(hours=app.settings.session_hours),
                ip_address=ip_address,
                user_agent=(user_agent or "")[:200] or None,
            )
        )
        audit.record(session, _actor(session, user), "sign in", user.username, at=at, ip_address=ip_address)
    return token


def _holder_of(session: Session, ticket: str, at: datetime) -> User:
    used = (
        update(SignInTicket)
        .where(
            SignInTicket.token_hash == _hash(ticket),
            SignInTicket.used_at.is_(None),
            SignInTicket.expires_at > at,
        )
        .values(used_at=at)
        .returning(SignInTicket.user_id)
    )
    user_id = session.scalar(used)
    user = session.get(User, user_id) if user_id is not None else None
    if user is None or user.disabled_at is not None:
        raise NotFound("This sign-in took too long or was used before. Sign in again.")
    return user


def find_sign_in(app: App, token: str, *, seen: bool = True) -> SignedIn | None:
    """Who holds the session, read anew: None when it is unknown, revoked, idle or old, or its user
    disabled. `seen`: somebody clicked, so that it is not idle."""
    at = app.now()
    idle = timedelta(minutes=app.settings.session_idle_minutes)
    query = (
        select(UserSession, User)
        .join(User, User.id == UserSession.user_id)
        .where(
            UserSession.token_hash == _hash(token),
            UserSession.revoked_at.is_(None),
            UserSession.expires_at > at,
            UserSession.last_seen_at > at - idle,
            User.disabled_at.is_(None),
        )
    )
    with app.db.read() as session:
        row = session.execute(query).one_or_none()
        if row is None:
            return None
        opened, user = row
        actor = _actor(session, user)
    if seen and at - opened.last_seen_at > _SEEN_EVERY:
        with app.db.begin() as session:
            session.execute(update(UserSession).where(UserSession.id == opened.id).values(last_seen_at=at))
    return SignedIn(actor=actor, name=user.name, must_change_password=user.must_change_password)


def actor_of(app: App, token: str) -> Actor | None:
    """Whom a session may act as: nobody while the password must be changed first."""
    signed_in = find_sign_in(app, token)
    return None if signed_in is None or signed_in.must_change_password else signed_in.actor


def sign_out(app: App, token: str) -> None:
    """End the session of this token; one that is over already stays so."""
    at = app.now()
    end = (
        update(UserSession)
        .where(UserSession.token_hash == _hash(token), UserSession.revoked_at.is_(None))
        .values(revoked_at=at)
        .returning(UserSession.user_id)
    )
    with app.db.begin() as session:
        user_id = session.scalar(end)
        user = session.get(User, user_id) if user_id is not None else None
        if user is not None:
            audit.record(session, _actor(session, user), "sign out", user.username, at=at)


def forget_ended(app: App) -> str:
    """Drop what can never be used again: old tickets, and sessions that ended a month ago."""
    at = app.now()
    with app.db.begin() as session:
        session.execute(delete(SignInTicket).where(SignInTicket.expires_at < at - TICKET_LIFETIME))
        ended = delete(UserSession).where(UserSession.expires_at < at - _KEPT_AFTER_END)
        count = len(session.scalars(ended.returning(UserSession.id)).all())
    return f"{count} ended sessions dropped"


def revoke_all(app: App, actor: Actor, username: str) -> int:
    """End every session of a user; how many there were."""
    actor.must(Action.MANAGE_USERS)
    with app.db.begin() as session:
        user = get_user(session, username)
        ended = revoke_sessions(session, user.id, app.now())
        audit.record(session, actor, "end sessions", username, at=app.now(), sessions=ended)
    return ended


def revoke_sessions(session: Session, user_id: int, at: datetime, keep_token: str | None = None) -> int:
    """End a user's sessions, but for the one with `keep_token`; unused tickets with them."""
    end = update(UserSession).where(UserSession.user_id == user_id, UserSession.revoked_at.is_(None))
    if keep_token is not None:
        end = end.where(UserSession.token_hash != _hash(keep_token))
    ended = session.scalars(end.values(revoked_at=at).returning(UserSession.id)).all()
    unused = update(SignInTicket).where(SignInTicket.user_id == user_id, SignInTicket.used_at.is_(None))
    session.execute(unused.values(used_at=at))
    return len(ended)


def get_user(session: Session, username: str) -> User:
    user = session.scalar(select(User).where(User.username == username.strip().lower()))
    if user is None:
        raise NotFound(f"There is no user '{username}'. postyard users list shows them.")
    return user


def _actor(session: Session, user: User) -> Actor:
    role = Role(user.role)
    assigned = None
    if role not in _SEES_ALL:
        query = select(UserTenant.tenant_id).where(UserTenant.user_id == user.id)
        assigned = frozenset(session.scalars(query))
    return Actor(username=user.username, role=role, user_id=user.id, tenant_ids=assigned)


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()

"""People: create, assign and disable users, and the passwords they are given or choose."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, exists, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import audit
from core.access import Action, Actor, Role
from core.app import App
from core.db.models import Tenant, User, UserSession, UserTenant
from core.errors import Conflict, InputError, NotFound, PermissionDenied
from core.users import lockout, passwords
from core.users.sessions import get_user, revoke_sessions

_USERNAME = re.compile(r"^[a-z0-9][a-z0-9._-]{1,63}$")
_ASSIGNABLE = frozenset({Role.ACCOUNT_MANAGER, Role.ANALYST})


@dataclass(frozen=True, slots=True)
class Standing:
    """What the list of users shows beside each: assigned tenants' slugs, and when a session was last used."""

    tenant_slugs: tuple[str, ...]
    last_seen_at: datetime | None


def has_users(app: App) -> bool:
    """Whether anybody could sign in; the console says how to make the first user when nobody can."""
    with app.db.read() as session:
        return bool(session.scalar(select(exists().where(User.disabled_at.is_(None)))))


def list_users(app: App, actor: Actor) -> list[User]:
    actor.must(Action.MANAGE_USERS)
    with app.db.read() as session:
        return list(session.scalars(select(User).order_by(User.username)))


def standings(app: App, actor: Actor) -> dict[int, Standing]:
    """By user id, for every user."""
    actor.must(Action.MANAGE_USERS)
    assigned = select(UserTenant.user_id, Tenant.slug).join(Tenant, Tenant.id == UserTenant.tenant_id)
    seen = (
        select(User.id, func.max(UserSession.last_seen_at))
        .outerjoin(UserSession, UserSession.user_id == User.id)
        .group_by(User.id)
    )
    slugs: defaultdict[int, list[str]] = defaultdict(list)
    with app.db.read() as session:
        for user_id, slug in session.execute(assigned.order_by(Tenant.slug)):
            slugs[user_id].append(slug)
        return {
            user_id: Standing(tenant_slugs=tuple(slugs[user_id]), last_seen_at=last_seen_at)
            for user_id, last_seen_at in session.execute(seen)
        }


def create(
    app: App,
    actor: Actor,
    *,
    username: str,
    name: str,
    role: Role,
    email: str | None = None,
    password: str | None = None,
    tenant_slugs: Sequence[str] = (),
) -> tuple[User, str | None]:
    """Returns the user and, when no password was given, the one made: shown once, to be changed at first
    use."""
    actor.must(Action.MANAGE_USERS)
    username = username.strip().lower()
    if not _USERNAME.match(username):
        raise InputError(
            "A username has 2 to 64 letters a-z, digits, dots, hyphens or underscores, and begins with a "
            "letter or digit.",
            "username",
        )
    if not name.strip():
        raise InputError("Say the person's name.", "name")
    made = passwords.generate() if password is None else None
    user = User(
        username=username,
        name=name.strip(),
        email=(email or "").strip() or None,
        role=Role(role).value,
        password_hash=passwords.accept(password if password is not None else str(made), username),
        must_change_password=made is not None,
        created_at=app.now(),
    )
    try:
        with app.db.begin() as session:
            session.add(user)
            session.flush()
            _set_tenants(session, user, tenant_slugs)
            audit.record(
                session,
                actor,
                "create user",
                username,
                at=app.now(),
                role=user.role,
                tenants=list(tenant_slugs),
            )
    except IntegrityError as e:
        raise Conflict(f"There is a user '{username}' already. Choose another username.") from e
    return user, made


def assign(
    app: App, actor: Actor, username: str, *, role: Role | None = None, tenant_slugs: Sequence[str] = ()
) -> User:
    """Give a user a role (None: the one held) and exactly these tenants. Acts at the user's next click."""
    actor.must(Action.MANAGE_USERS)
    with app.db.begin() as session:
        user = get_user(session, username)
        if role is not None and role != Role.ADMIN:
            _keep_an_admin(session, user)
        user.role = Role(role or user.role).value
        _set_tenants(session, user, tenant_slugs)
        audit.record(
            session,
            actor,
            "assign user",
            user.username,
            at=app.now(),
            role=user.role,
            tenants=list(tenant_slugs),
        )
    return user


def _set_tenants(session: Session, user: User, slugs: Sequence[str]) -> None:
    if slugs and user.role not in _ASSIGNABLE:
        raise InputError(f"The role {user.role} sees every tenant; assign none.", "tenants")
    found = dict(session.execute(select(Tenant.slug, Tenant.id).where(Tenant.slug.in_(slugs))).all())
    for slug in slugs:
        if slug not in found:
            raise NotFound(f"There is no tenant '{slug}'. postyard tenants list shows them.")
    session.execute(delete(UserTenant).where(UserTenant.user_id == user.id))
    session.add_all(UserTenant(user_id=user.id, tenant_id=tenant_id) for tenant_id in set(found.values()))


def disable(app: App, actor: Actor, username: str) -> User:
    """No more sign-ins, and every session ends. Disabling twice changes nothing."""
    actor.must(Action.MANAGE_USERS)
    with app.db.begin() as session:
        user = get_user(session, username)
        if user.username == actor.username:
            raise Conflict("You cannot disable yourself. Ask another administrator.")
        if user.disabled_at is not None:
            return user
        _keep_an_admin(session, user)
        user.disabled_at = app.now()
        revoke_sessions(session, user.id, app.now())
        audit.record(session, actor, "disable user", user.username, at=app.now())
    return user


def _keep_an_admin(session: Session, user: User) -> None:
    """Raise Conflict when `user` is the last who can administer; locks the rows, so that two cannot both
    go."""
    admins = select(User.id).where(User.role == Role.ADMIN, User.disabled_at.is_(None)).with_for_update()
    if list(session.scalars(admins)) == [user.id]:
        raise Conflict(f"'{user.username}' is the last administrator. Make another one first.")


def enable(app: App, actor: Actor, username: str) -> User:
    """Let a disabled user sign in again; also lifts a lock-out."""
    actor.must(Action.MANAGE_USERS)
    with app.db.begin() as session:
        user = get_user(session, username)
        user.disabled_at = None
        lockout.lift(session, user.username)
        audit.record(session, actor, "enable user", user.username, at=app.now())
    return user


def reset_password(app: App, actor: Actor, username: str) -> str:
    """Returns a new password, shown once and to be changed at first use; ends every session and lock-out."""
    actor.must(Action.MANAGE_USERS)
    made = passwords.generate()
    with app.db.read() as session:
        hashed = passwords.accept(made, get_user(session, username).username)
    with app.db.begin() as session:
        user = get_user(session, username)
        user.password_hash = hashed
        user.must_change_password = True
        revoke_sessions(session, user.id, app.now())
        lockout.lift(session, user.username)
        audit.record(session, actor, "reset password", user.username, at=app.now())
    return made


def change_password(
    app: App,
    actor: Actor,
    old: str,
    new: str,
    *,
    ip_address: str | None = None,
    session_token: str | None = None,
) -> None:
    """The actor's own. Ends every other session; the one of `session_token` goes on. Wrong guesses of the old
    password count against the lock-out like a sign-in."""
    if actor.user_id is None:
        raise PermissionDenied("Only somebody who signed in has a password to change.")
    with app.db.begin() as session:
        lockout.count_attempt(session, actor.username, ip_address, app.now())
        user = get_user(session, actor.username)
    if not passwords.matches(old, user.password_hash):
        raise InputError("The present password is not right.", "old")
    if old == new:
        raise InputError("Choose a password that differs from the present one.", "password")
    hashed = passwords.accept(new, user.username)
    with app.db.begin() as session:
        lockout.count_success(session, actor.username, ip_address)
        changed = get_user(session, actor.username)
        if changed.password_hash != user.password_hash:
            raise Conflict("The password was changed elsewhere meanwhile. Sign in again.")
        changed.password_hash = hashed
        changed.must_change_password = False
        revoke_sessions(session, changed.id, app.now(), keep_token=session_token)
        audit.record(session, actor, "change password", actor.username, at=app.now())

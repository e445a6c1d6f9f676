"""Users: creating them, their passwords, lock-out, tickets and sessions."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from core import audit, users
from core.access import Actor, Role
from core.app import App, build_app
from core.db.models import Account, SignInFailure, SignInTicket, Tenant, User, UserSession
from core.errors import Conflict, InputError, NotFound, PermissionDenied
from core.settings import Settings

PASSWORD = "correct horse battery"
WRONG = "incorrect horse battery"


@dataclass
class HandClock:
    at: datetime = field(default_factory=lambda: datetime(2026, 11, 2, 9, tzinfo=UTC))

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def advance(self, **span: float) -> None:
        self.at += timedelta(**span)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def app(settings: Settings, clock: HandClock) -> Iterator[App]:
    """Signing in needs no provider: this app is never told where one is."""
    app = replace(build_app(settings), clock=clock)
    yield app
    app.db.dispose()


@pytest.fixture
def tenants(app: App) -> dict[str, int]:
    with app.db.begin() as session:
        account = Account(name="platform", region="ap-southeast-1", created_at=app.now())
        session.add(account)
        session.flush()
        made = [
            Tenant(account_id=account.id, slug=slug, name=slug.title(), created_at=app.now())
            for slug in ("acme", "globex")
        ]
        session.add_all(made)
        session.flush()
        return {tenant.slug: tenant.id for tenant in made}


@pytest.fixture
def dora(app: App, root: Actor) -> User:
    """An operator with a password of her own."""
    user, made = users.create(
        app, root, username="dora", name="Dora Dahl", role=Role.OPERATOR, password=PASSWORD
    )
    assert made is None
    return user


def signed_in(app: App, user: User) -> str:
    return users.redeem_ticket(app, users.issue_ticket(app, user.id), "192.0.2.7", "Browser/1")


def fail(app: App, username: str, times: int, ip: str | None = None) -> None:
    for _ in range(times):
        assert users.check_password(app, username, WRONG, ip) is None


def audited(app: App, root: Actor) -> list[tuple[str, str]]:
    return [(entry.action, entry.subject) for entry in audit.list_entries(app, root)]


# creating


def test_a_created_user_gets_a_password_that_must_be_changed(app: App, root: Actor) -> None:
    user, made = users.create(app, root, username=" Dora ", name="Dora", role=Role.ANALYST)
    assert user.username == "dora"
    assert made is not None
    assert len(made) >= 16
    assert user.must_change_password
    assert made not in user.password_hash
    found = users.check_password(app, "DORA", made, None)
    assert found is not None
    assert found.id == user.id
    assert ("create user", "dora") in audited(app, root)


def test_only_administrators_create_users(app: App, alice: Actor) -> None:
    with pytest.raises(PermissionDenied):
        users.create(app, alice, username="dora", name="Dora", role=Role.ADMIN)
    assert not users.has_users(app)


def test_a_second_user_of_the_same_name_is_refused(app: App, root: Actor, dora: User) -> None:
    with pytest.raises(Conflict, match="already"):
        users.create(app, root, username="Dora", name="Another", role=Role.ANALYST)
    assert [user.name for user in users.list_users(app, root)] == ["Dora Dahl"]


@pytest.mark.parametrize("username", ["", "a", "-dora", "do ra", "dora@example.com", "d" * 65, "dörä"])
def test_usernames_that_cannot_be_typed_are_refused(app: App, root: Actor, username: str) -> None:
    with pytest.raises(InputError):
        users.create(app, root, username=username, name="Dora", role=Role.ANALYST)


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "elevenchars",
        "x" * 73,
        "é" * 37,
        " leading space here",
        "dora and her dog",
        "aaaaaaaaaaaaaaaa",
    ],
)
def test_weak_and_over_long_passwords_are_refused_without_being_repeated(
    app: App, root: Actor, password: str
) -> None:
    with pytest.raises(InputError) as refused:
        users.create(app, root, username="dora", name="Dora", role=Role.ANALYST, password=password)
    assert password not in str(refused.value)


def test_an_account_manager_sees_the_tenants_assigned(app: App, root: Actor, tenants: dict[str, int]) -> None:
    user, _ = users.create(
        app, root, username="emil", name="Emil", role=Role.ACCOUNT_MANAGER, password=PASSWORD,
        tenant_slugs=("acme",),
    )  # fmt: skip
    actor = users.actor_of(app, signed_in(app, user))
    assert actor is not None
    assert actor.tenant_ids == {tenants["acme"]}
    assert users.standings(app, root)[user.id].tenant_slugs == ("acme",)


def test_an_unknown_tenant_leaves_no_half_made_user(app: App, root: Actor, tenants: dict[str, int]) -> None:
    with pytest.raises(NotFound, match="'initech'"):
        users.create(
            app, root, username="emil", name="Emil", role=Role.ANALYST, tenant_slugs=("acme", "initech")
        )
    assert users.list_users(app, root) == []


def test_a_role_that_sees_everything_is_assigned_nothing(
    app: App, root: Actor, tenants: dict[str, int]
) -> None:
    with pytest.raises(InputError):
        users.create(app, root, username="emil", name="Emil", role=Role.OPERATOR, tenant_slugs=("acme",))


# changing


def test_a_change_of_role_and_tenants_acts_on_the_open_session(
    app: App, root: Actor, dora: User, tenants: dict[str, int]
) -> None:
    token = signed_in(app, dora)
    before = users.actor_of(app, token)
    assert before is not None
    assert before.tenant_ids is None
    users.assign(app, root, "dora", role=Role.ANALYST, tenant_slugs=("globex",))
    after = users.actor_of(app, token)
    assert after is not None
    assert (after.role, after.tenant_ids) == (Role.ANALYST, {tenants["globex"]})


def test_disabling_ends_every_session_and_twice_is_once(app: App, root: Actor, dora: User) -> None:
    tokens = [signed_in(app, dora), signed_in(app, dora)]
    users.disable(app, root, "dora")
    users.disable(app, root, "dora")
    assert [users.find_sign_in(app, token) for token in tokens] == [None, None]
    assert users.check_password(app, "dora", PASSWORD, None) is None
    assert audited(app, root).count(("disable user", "dora")) == 1
    users.enable(app, root, "dora")
    assert users.check_password(app, "dora", PASSWORD, None) is not None
    assert users.find_sign_in(app, tokens[0]) is None


def test_nobody_disables_themselves_or_the_last_administrator(app: App, root: Actor) -> None:
    users.create(app, root, username="ada", name="Ada", role=Role.ADMIN, password=PASSWORD)
    with pytest.raises(Conflict, match="last administrator"):
        users.disable(app, root, "ada")
    with pytest.raises(Conflict, match="last administrator"):
        users.assign(app, root, "ada", role=Role.ANALYST)
    users.create(app, root, username="root", name="Root", role=Role.ADMIN, password=PASSWORD)
    with pytest.raises(Conflict, match="yourself"):
        users.disable(app, root, "root")
    users.disable(app, root, "ada")


@pytest.mark.parametrize("use_case", [users.disable, users.enable, users.reset_password, users.revoke_all])
def test_other_roles_and_unknown_names_are_refused(app: App, root: Actor, alice: Actor, use_case) -> None:
    with pytest.raises(PermissionDenied):
        use_case(app, alice, "dora")
    with pytest.raises(NotFound, match="no user 'nobody'"):
        use_case(app, root, "nobody")


def test_a_reset_password_works_once_asks_for_another_and_ends_sessions(
    app: App, root: Actor, dora: User
) -> None:
    token = signed_in(app, dora)
    fail(app, "dora", 5)
    made = users.reset_password(app, root, "dora")
    assert users.find_sign_in(app, token) is None
    assert users.check_password(app, "dora", PASSWORD, None) is None
    user = users.check_password(app, "dora", made, None)
    assert user is not None
    assert user.must_change_password


def test_somebody_who_must_change_the_password_is_signed_in_but_acts_as_nobody(app: App, root: Actor) -> None:
    user, made = users.create(app, root, username="dora", name="Dora", role=Role.ADMIN)
    token = signed_in(app, user)
    found = users.find_sign_in(app, token)
    assert found is not None
    assert found.must_change_password
    assert users.actor_of(app, token) is None
    users.change_password(app, found.actor, str(made), PASSWORD, session_token=token)
    assert users.actor_of(app, token) is not None


def test_changing_the_password_ends_the_other_sessions_only(app: App, root: Actor, dora: User) -> None:
    here, elsewhere = signed_in(app, dora), signed_in(app, dora)
    actor = users.actor_of(app, here)
    assert actor is not None
    with pytest.raises(InputError, match="present password"):
        users.change_password(app, actor, WRONG, "a wholly new password")
    with pytest.raises(InputError, match="differs"):
        users.change_password(app, actor, PASSWORD, PASSWORD)
    users.change_password(app, actor, PASSWORD, "a wholly new password", session_token=here)
    assert users.find_sign_in(app, here) is not None
    assert users.find_sign_in(app, elsewhere) is None
    assert users.check_password(app, "dora", PASSWORD, None) is None
    assert users.check_password(app, "dora", "a wholly new password", None) is not None


def test_guessing_the_present_password_from_an_open_session_locks_too(app: App, dora: User) -> None:
    actor = users.actor_of(app, signed_in(app, dora))
    assert actor is not None
    for _ in range(5):
        with pytest.raises(InputError):
            users.change_password(app, actor, WRONG, "a wholly new password")
    with pytest.raises(Conflict, match="Too many"):
        users.change_password(app, actor, PASSWORD, "a wholly new password")


# lock-out


def test_five_wrong_passwords_lock_out_and_the_right_one_is_refused_until_a_minute_later(
    app: App, root: Actor, dora: User, clock: HandClock
) -> None:
    fail(app, "dora", 5)
    with pytest.raises(Conflict, match="Wait a minute"):
        users.check_password(app, "dora", PASSWORD, None)
    assert ("lock sign-in", "dora") in audited(app, root)
    clock.advance(seconds=61)
    assert users.check_password(app, "dora", PASSWORD, None) is not None
    fail(app, "dora", 4)
    assert users.check_password(app, "dora", PASSWORD, None) is not None


def test_each_further_failure_doubles_the_wait_up_to_half_an_hour(
    app: App, dora: User, clock: HandClock
) -> None:
    fail(app, "dora", 4)
    waits = []
    for _ in range(8):
        fail(app, "dora", 1)
        with app.db.read() as session:
            row = session.get_one(SignInFailure, "user:dora")
            assert row.locked_until is not None
            waits.append((row.locked_until - clock.now()).total_seconds() / 60)
        clock.advance(minutes=31)
    assert waits == [1, 2, 4, 8, 16, 30, 30, 30]


def test_a_password_over_72_bytes_counts_as_a_failure(app: App, dora: User) -> None:
    for _ in range(5):
        assert users.check_password(app, "dora", PASSWORD + "x" * 72, None) is None
    with pytest.raises(Conflict):
        users.check_password(app, "dora", PASSWORD, None)


def test_an_address_that_tries_many_names_is_locked_for_all_of_them(app: App, dora: User) -> None:
    with app.db.begin() as session:
        session.add(SignInFailure(subject="address:192.0.2.66", failures=29, last_failed_at=app.now()))
    fail(app, "whoever", 1, ip="192.0.2.66")
    with pytest.raises(Conflict):
        users.check_password(app, "dora", PASSWORD, "192.0.2.66")
    assert users.check_password(app, "dora", PASSWORD, "192.0.2.67") is not None


def test_ones_own_success_does_not_forgive_an_address_its_guesses_at_others(app: App, dora: User) -> None:
    fail(app, "root", 3, ip="192.0.2.66")
    assert users.check_password(app, "dora", PASSWORD, "192.0.2.66") is not None
    with app.db.read() as session:
        assert session.get_one(SignInFailure, "address:192.0.2.66").failures == 3
        assert session.get(SignInFailure, "user:dora") is None


def test_attempts_at_the_same_moment_cannot_pass_the_limit_together(app: App, dora: User) -> None:
    answers: list[str] = []

    def attempt() -> None:
        try:
            users.check_password(app, "dora", WRONG, None)
            answers.append("checked")
        except Conflict:
            answers.append("locked")

    threads = [threading.Thread(target=attempt) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers.count("checked") == 5
    assert answers.count("locked") == 7


def test_old_failures_are_forgotten(app: App, dora: User, clock: HandClock) -> None:
    fail(app, "dora", 4)
    clock.advance(hours=13)
    fail(app, "dora", 4)
    assert users.check_password(app, "dora", PASSWORD, None) is not None


def test_unknown_and_known_users_cost_the_same_and_get_the_same_answer(app: App, dora: User) -> None:
    def seconds(username: str) -> float:
        began = time.perf_counter()
        assert users.check_password(app, username, WRONG, None) is None
        return time.perf_counter() - began

    known, unknown = (min(seconds(name) for _ in range(4)) for name in ("dora", "nobody"))
    assert unknown == pytest.approx(known, rel=0.4)


# tickets and sessions


def test_a_ticket_opens_one_session_once(app: App, root: Actor, dora: User) -> None:
    ticket = users.issue_ticket(app, dora.id)
    token = users.redeem_ticket(app, ticket, "192.0.2.7", "Browser/1")
    with pytest.raises(NotFound):
        users.redeem_ticket(app, ticket, None, None)
    found = users.find_sign_in(app, token)
    assert found is not None
    assert (found.actor.username, found.actor.role, found.name) == ("dora", Role.OPERATOR, "Dora Dahl")
    assert ("sign in", "dora") in audited(app, root)


def test_tickets_redeemed_at_the_same_moment_open_one_session(app: App, dora: User) -> None:
    ticket = users.issue_ticket(app, dora.id)
    opened: list[str] = []

    def redeem() -> None:
        try:
            opened.append(users.redeem_ticket(app, ticket, None, None))
        except NotFound:
            return

    threads = [threading.Thread(target=redeem) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 1


def test_a_ticket_ends_after_half_a_minute(app: App, dora: User, clock: HandClock) -> None:
    ticket = users.issue_ticket(app, dora.id)
    clock.advance(seconds=31)
    with pytest.raises(NotFound):
        users.redeem_ticket(app, ticket, None, None)


def test_a_ticket_of_somebody_disabled_meanwhile_opens_nothing(app: App, root: Actor, dora: User) -> None:
    ticket = users.issue_ticket(app, dora.id)
    users.disable(app, root, "dora")
    with pytest.raises(NotFound):
        users.redeem_ticket(app, ticket, None, None)


def test_neither_tokens_nor_tickets_nor_passwords_are_stored_or_logged(
    app: App, dora: User, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    users.check_password(app, "dora", WRONG, None)
    ticket = users.issue_ticket(app, dora.id)
    token = users.redeem_ticket(app, ticket, None, None)
    with app.db.read() as session:
        stored = [
            *session.scalars(select(UserSession.token_hash)),
            *session.scalars(select(SignInTicket.token_hash)),
        ]
    assert ticket not in stored
    assert token not in stored
    for secret in (WRONG, ticket, token):
        assert secret not in caplog.text


def test_a_session_ends_when_idle_when_old_and_when_signed_out(
    app: App, root: Actor, dora: User, clock: HandClock
) -> None:
    idle, old, out = (signed_in(app, dora) for _ in range(3))
    users.sign_out(app, out)
    users.sign_out(app, out)
    assert users.find_sign_in(app, out) is None
    assert audited(app, root).count(("sign out", "dora")) == 1
    for _ in range(23):
        clock.advance(minutes=30)
        assert users.find_sign_in(app, old) is not None
    assert users.find_sign_in(app, idle) is None
    clock.advance(minutes=30)
    assert users.find_sign_in(app, old) is None


def test_ending_all_sessions_says_how_many_and_spoils_tickets_on_the_way(
    app: App, root: Actor, dora: User
) -> None:
    token, ticket = signed_in(app, dora), users.issue_ticket(app, dora.id)
    assert users.revoke_all(app, root, "dora") == 1
    assert users.revoke_all(app, root, "dora") == 0
    assert users.find_sign_in(app, token) is None
    with pytest.raises(NotFound):
        users.redeem_ticket(app, ticket, None, None)


@pytest.mark.parametrize("token", ["", "nonsense", "a" * 5000, "\x00", "ü"])
def test_a_token_nobody_was_given_is_nobody(app: App, dora: User, token: str) -> None:
    assert users.find_sign_in(app, token) is None
    users.sign_out(app, token)


def test_a_look_up_writes_at_most_once_a_minute(app: App, dora: User, clock: HandClock) -> None:
    token = signed_in(app, dora)

    def seen() -> datetime | None:
        users.find_sign_in(app, token)
        with app.db.read() as session:
            return session.scalar(select(func.max(UserSession.last_seen_at)))

    first = seen()
    clock.advance(seconds=30)
    assert seen() == first
    clock.advance(seconds=31)
    assert seen() == clock.now()

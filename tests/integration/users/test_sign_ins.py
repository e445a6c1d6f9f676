"""Signing in: lock-out, tickets and sessions."""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime

import pytest
from sqlalchemy import func, select

from core import users
from core.access import Actor, Role
from core.app import App
from core.db.models import SignInFailure, SignInTicket, User, UserSession
from core.errors import Conflict, NotFound
from tests.integration.users.conftest import PASSWORD, WRONG, HandClock, audited, fail, signed_in

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


@pytest.mark.slow
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_unknown_and_known_users_cost_the_same_and_get_the_same_answer(
    real_cost: None, app: App, dora: User
) -> None:
    def seconds(username: str) -> float:
        began = time.thread_time()  # not the wall's: other tests run beside this one
        assert users.check_password(app, username, WRONG, None) is None
        return time.thread_time() - began

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


def test_what_ended_long_ago_is_dropped_and_nothing_else(
    app: App, root: Actor, dora: User, clock: HandClock
) -> None:
    old = users.redeem_ticket(app, users.issue_ticket(app, dora.id), None, None)
    clock.advance(days=31)
    fresh = users.redeem_ticket(app, users.issue_ticket(app, dora.id), None, None)
    assert users.forget_ended(app) == "1 ended sessions dropped"
    assert users.actor_of(app, old) is None
    assert users.actor_of(app, fresh) is not None
    assert users.forget_ended(app) == "0 ended sessions dropped"


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

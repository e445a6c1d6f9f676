"""Locks: what one transaction holds, another waits for or is told of; none waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from core import campaigns, senders, sending
from core.access import Actor
from core.app import App
from core.db.models import Identity, Sender
from core.errors import Conflict, InputError, NotFound, PostyardError
from core.identities.breaks import Standing, follow
from core.identities.rows import lock_identity
from tests.campaigning import addresses, draft
from tests.conftest import Cast, verified_sender
from tests.integration.test_identities import cool_down, publish, unpublish
from tests.simulators import Simulator
from tests.visitors import Visitor

POSTGRESQL = pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
TURNS = 6
MAIL = sending.Mail("ann@example.com", "Hi", "<p>Hi</p>", "", {})


@pytest.fixture
def sender(app: App, simulator: Simulator, cast: Cast) -> Sender:
    return verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")


def identity_of(app: App, sender: Sender) -> Identity:
    with app.db.read() as session:
        return session.get_one(Identity, sender.identity_id)


def lose(app: App, sender: Sender) -> None:
    with app.db.begin() as session:
        identity = session.get_one(Identity, sender.identity_id)
        before = Standing.of(identity)
        identity.verified_for_sending = False
        session.flush()
        follow(session, identity, before, [], app.now())


def test_a_break_is_told_while_somebody_adds_a_sender_on_the_domain(app: App, sender: Sender) -> None:
    check = Visitor(lambda: lose(app, sender))
    with app.db.begin() as session:
        senders.lock_tenant(session, sender.tenant_id)
        check.come()
        lock_identity(session, sender.tenant_id, sender.identity_id)
    assert check.left() is None
    assert identity_of(app, sender).broken_at is not None


@POSTGRESQL
def test_breaks_and_restored_senders_of_one_domain_never_wait_for_each_other_for_ever(
    app: App, simulator: Simulator, cast: Cast, alice: Actor, sender: Sender
) -> None:
    other = senders.add(app, cast.bob, cast.acme.id, "help@acme-mail.io")
    identity = identity_of(app, sender)
    told: list[Exception] = []

    def break_and_heal() -> None:
        unpublish(simulator, identity)
        check()
        publish(simulator, identity)
        check()

    def check() -> None:
        cool_down(app, identity)
        senders.verify_now(app, cast.bob, cast.acme.id, sender.id)

    def remove_and_restore() -> None:
        senders.remove(app, alice, cast.acme.id, other.id)
        senders.restore(app, alice, cast.acme.id, other.id)

    def turns(act: Callable[[], None]) -> None:
        for _ in range(TURNS):
            try:
                act()
            except Exception as e:
                told.append(e)

    threads = [
        threading.Thread(target=turns, args=(act,)) for act in (break_and_heal, remove_and_restore) * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [e for e in told if not isinstance(e, PostyardError)] == []


def test_a_sender_is_not_deleted_while_mail_from_it_is_queued(
    app: App, cast: Cast, alice: Actor, sender: Sender
) -> None:
    removal = Visitor(lambda: senders.remove(app, alice, cast.acme.id, sender.id))
    with app.db.begin() as session:
        sending.queue(session, alice, cast.acme.id, sender.id, MAIL, app.now())
        removal.come()
    told = removal.left()
    assert isinstance(told, Conflict)
    assert "still waits to be sent" in str(told)


def test_nothing_is_queued_from_a_sender_that_is_being_deleted(
    app: App, cast: Cast, alice: Actor, sender: Sender
) -> None:
    campaign_id = draft(app, cast.acme.id, sender.id, addresses(2))
    queued = Visitor(
        lambda: sending.send(
            app,
            alice,
            cast.acme.id,
            sender_id=sender.id,
            to="ann@example.com",
            subject="Hi",
            html="<p>Hi</p>",
        )
    )
    started = Visitor(lambda: campaigns.start(app, alice, cast.acme.id, campaign_id))
    with app.db.begin() as session:
        session.get_one(Sender, sender.id).deleted_at = app.now()
        session.flush()
        queued.come()
        started.come()
    assert isinstance(queued.left(), NotFound)
    assert isinstance(started.left(), InputError)

"""Locks: what one transaction holds, another waits for or is told of; none waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import event, select, update

from core import campaigns, lanes, senders, sending
from core.access import Actor
from core.app import App
from core.campaigns import get_campaign
from core.db.models import Campaign, Identity, Message, Sender
from core.errors import Conflict, InputError, NotFound, PostyardError
from core.identities.breaks import Standing, follow
from core.identities.rows import lock_identity
from core.providers.base import Outcome
from core.sending.record import record
from tests.campaigning import addresses, draft
from tests.conftest import Cast, verified_sender
from tests.engine import Engine, campaign_of, fast_account
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


@POSTGRESQL
def test_a_campaign_does_not_end_while_some_of_it_are_put_back(app: App) -> None:
    """A person has unknown messages sent again, or a worker says that it never called."""
    ledger = campaign_of(app, fast_account(app), "acme", 0)
    message = ledger.add_message("ann@example.com", status="unknown")
    claims = Visitor(lambda: Engine(app).claims())
    with app.db.begin() as session:
        get_campaign(session, ledger.tenant.id, ledger.campaign.id, lock=True)
        session.execute(update(Message).where(Message.id == message.id).values(status="pending"))
        claims.come()
    assert claims.left() is None
    with app.db.read() as session:
        assert session.get_one(Campaign, ledger.campaign.id).status == "SENDING"
    assert Engine(app).look()


@POSTGRESQL
def test_a_claim_neither_stops_who_cancels_a_campaign_with_a_rate_nor_waits_for_that(app: App) -> None:
    account = fast_account(app)
    long, other = campaign_of(app, account, "acme", 30), campaign_of(app, account, "globex", 30)
    with app.db.begin() as session:
        session.execute(update(Campaign).where(Campaign.id == long.campaign.id).values(rate_per_second=50))
    begun: list[int] = []
    claims = Visitor(lambda: begun.extend(one.tenant_id for one in Engine(app).look()))
    with app.db.begin() as session:
        session.execute(update(Campaign).where(Campaign.id == long.campaign.id).values(status="CANCELLED"))
        claims.come()
        assert set(begun) == {other.tenant.id}
        waiting = update(Message).where(Message.campaign_id == long.campaign.id, Message.status == "pending")
        session.execute(waiting.values(status="cancelled"))
    assert claims.left() is None
    with app.db.read() as session:
        of_long = select(Message.status).where(Message.campaign_id == long.campaign.id).distinct()
        assert session.scalars(of_long).all() == ["cancelled"]


@POSTGRESQL
def test_what_is_given_back_while_ses_is_asked_for_its_count_is_not_taken_for_sent(app: App) -> None:
    campaign_of(app, fast_account(app), "acme", 40)
    engine = Engine(app)
    calls = engine.calls()

    def give_back(connection: object, cursor: object, statement: str, *_: object) -> None:
        if calls and "count(" in statement:
            answered = [engine.answered(calls.pop(), Outcome.THROTTLED) for _ in tuple(calls)]
            record(engine.app, answered)

    event.listen(app.db.engine, "before_cursor_execute", give_back)
    with app.db.read() as session:
        assert lanes.granted_and_answered(session, 1) == 0


@POSTGRESQL
def test_answers_of_several_kinds_and_events_of_the_same_mail_never_wait_for_each_other(app: App) -> None:
    campaign_of(app, fast_account(app), "acme", 3)
    engine = Engine(app)
    [call] = engine.calls()
    answers = engine.answered(call, Outcome.ACCEPTED, Outcome.UNKNOWN)
    recorded = Visitor(lambda: record(engine.app, [answers]))
    with app.db.begin() as session:
        # As the ingest holds what its block is about.
        _, second, third = (select(Message.id).where(Message.id == id_) for id_ in call.message_ids)
        session.execute(second.with_for_update())
        recorded.come()
        session.execute(third.with_for_update())
    assert recorded.left() is None
    with app.db.read() as session:
        statuses = session.scalars(select(Message.status).order_by(Message.id)).all()
    assert statuses == ["sent", "unknown", "sent"]

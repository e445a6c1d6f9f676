"""The Events page: lag, heartbeat, parked events and dead letters, and what one does about them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from streamlit.testing.v1 import AppTest

from core import events
from core.access import SYSTEM, Role
from core.app import App
from core.db.models import Account, Message, Tenant, User
from core.events import heartbeat, lag, parked
from tests.conftest import Cast
from tests.integration.test_event_queue import _body as body_of
from tests.ledger import Ledger, ledger_of
from tests.ui.conftest import Console, open_page, said
from tests.ui.visits import shown

People = Callable[..., User]
EVENTS, ACCOUNTS = "pages/admin/events.py", "pages/admin/accounts.py"
HOSTILE = "<img src=x onerror=alert(1)> ![x](http://evil.example/x.png)"


@pytest.fixture
def ledger(app: App, cast: Cast) -> Ledger:
    with app.db.read() as session:
        account = session.get_one(Account, cast.acme.account_id)
        tenant = session.get_one(Tenant, cast.acme.id)
    return ledger_of(app, account, tenant)


def visit(console: Console, people: People, role: Role = Role.OPERATOR, page: str = EVENTS) -> AppTest:
    return open_page(console(people("dora", role)), page)


def metrics(at: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in at.metric}


def choose(at: AppTest, key: str) -> AppTest:
    """The first row of a table."""
    at.session_state[key] = {"selection": {"rows": [0], "columns": [], "cells": []}}
    return at.run()


def test_before_the_first_tenant_every_part_says_why_it_is_empty(console: Console, people: People) -> None:
    text = said(visit(console, people))
    for told in ("No queue yet", "No account has a heartbeat", "Nothing is parked"):
        assert told in text


def test_the_numbers_are_those_that_schedulers_keep(console: Console, people: People, ledger: Ledger) -> None:
    lag.keep(ledger.app, ledger.account.id, 130)
    with ledger.app.db.begin() as session:
        session.execute(update(Account).values(waiting=1200, dead_letters=3))
    at = visit(console, people)
    assert metrics(at) == {"Lag": "2 min", "In the queues": "1,200", "Parked": "0", "Dead letters": "3"}
    assert "Events come in late" in said(at)
    assert "SQS counts 3 dead letters of platform" in said(at)


def test_a_heartbeat_shows_its_way_round(console: Console, people: People, ledger: Ledger) -> None:
    heartbeat.set_sender(ledger.app, SYSTEM, ledger.account.id, ledger.sender.id)
    at = visit(console, people)
    assert "The first one leaves within half a minute" in said(at)
    events.beat_due(ledger.app)
    with ledger.app.db.begin() as session:
        message = session.scalars(select(Message)).one()
        session.execute(update(Message).values(status="sent", attempt="aa", armed_at=message.created_at))
    at.run()
    assert "Under way" in shown(at)
    assert "`news@acme-mail.io`" in said(at)


def test_parked_events_are_read_as_text_tried_and_discarded(
    console: Console, people: People, ledger: Ledger
) -> None:
    message = ledger.add_message("ann@example.com", status="pending")
    events.ingest(ledger.app, ledger.account, [ledger.bounce(message, diagnostic=HOSTILE)], [HOSTILE])
    at = visit(console, people)
    assert metrics(at)["Parked"] == "2"
    assert "all 2 events of this choice" in said(at)
    at = choose(at, "events.parked.table")
    assert HOSTILE in shown(at)
    assert HOSTILE not in said(at)
    assert [button.label for button in at.button if "Try" in button.label] == ["Try event 2 now"]

    at.selectbox("events.parked.reason").select("unmatched").run()
    at.button("events.parked.try").click().run()
    assert "0 of 1 event found their message." in said(at)
    at.button("events.parked.discard").click().run()
    at.text_input("confirm.reason").input("of a lost database")
    at.button("confirm.yes").click().run()
    lines = parked.list_parked(ledger.app, SYSTEM, resolved=True)
    assert [line.resolution for line in lines] == ["discarded: of a lost database"]


def test_what_fits_no_filter_says_so(console: Console, people: People, ledger: Ledger) -> None:
    events.ingest(ledger.app, ledger.account, [], ["nonsense"])
    at = visit(console, people)
    at.selectbox("events.parked.reason").select("wrong tenant").run()
    assert "Nothing is parked that fits" in said(at)
    at.toggle("events.parked.resolved").set_value(True).run()
    assert "Nothing was dealt with yet" in said(at)


def test_dead_letters_are_looked_at_replayed_and_deleted(
    console: Console, people: People, ledger: Ledger
) -> None:
    sqs, url = ledger.app.providers.queue(ledger.account.region), str(ledger.account.dead_letter_queue_url)
    message = ledger.add_message("ann@example.com")
    for body in (HOSTILE, body_of(ledger, message)):
        sqs.send_to(url, body)
    at = visit(console, people)
    at.button("events.dead.look").click().run()
    assert "2 of about 2. SQS keeps no order" in said(at)
    at.button("events.dead.replay").click().run()
    assert "Replayed 1 letter. 1 letter still cannot be read or stored." in said(at)
    assert ledger.look(message).status == "delivered"
    at.button("events.dead.look").click().run()
    at = choose(at, "events.dead.table")
    assert HOSTILE in shown(at)
    assert HOSTILE not in said(at)
    at.button("events.dead.discard").click().run()
    at.text_input("confirm.reason").input("noise")
    at.button("confirm.yes").click().run()
    assert sqs.depth(url) == 0


def test_an_administrator_names_the_sender_of_the_heartbeat(
    console: Console, people: People, ledger: Ledger
) -> None:
    at = visit(console, people, Role.ADMIN, ACCOUNTS)
    key = f"accounts.heartbeat.{ledger.account.id}"
    at.selectbox(key).select(ledger.sender.id).run()
    at.button(f"accounts.heartbeat.save.{ledger.account.id}").click().run()
    assert "The heartbeat of platform goes from" in said(at)
    assert heartbeat.pulses(ledger.app, SYSTEM)[0].sender == "news@acme-mail.io"


def test_an_operator_does_not(console: Console, people: People, ledger: Ledger) -> None:
    at = visit(console, people, Role.OPERATOR, ACCOUNTS)
    assert not [box for box in at.selectbox if str(box.key).startswith("accounts.heartbeat")]


def test_an_account_manager_may_not_open_it(console: Console, people: People, cast: Cast) -> None:
    at = open_page(console(people("bob", Role.ACCOUNT_MANAGER, "acme")), EVENTS)
    assert "may not open this page" in said(at)


def test_a_stale_lag_says_that_nobody_measures(console: Console, people: People, ledger: Ledger) -> None:
    with ledger.app.db.begin() as session:
        long_ago = ledger.app.now() - timedelta(hours=2)
        session.execute(update(Account).values(lag_seconds=1.0, lag_at=long_ago, waiting=7))
    at = visit(console, people)
    assert "No scheduler has measured the lag of late" in said(at)
    assert metrics(at)["Lag"] == "2 h"

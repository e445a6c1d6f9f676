"""Events written without objects are what SQLAlchemy would have written."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone

import pytest
from sqlalchemy import select

from core import events
from core.app import App
from core.db.models import Event
from core.db.states import EventType
from tests.ledger import Ledger, new_account, new_ledger


@pytest.fixture
def ledger(app: App) -> Ledger:
    return new_ledger(app, new_account(app), "acme")


def test_every_column_comes_back_as_it_was_told(ledger: Ledger) -> None:
    message = ledger.add_message("ann@example.com")
    told = replace(
        ledger.says(message, EventType.CLICK),
        diagnostic='it\'s "so" \\ {}%s ? :name \u2028 \U0001f600',
        link="https://shop.example.com/?a=1&b=%20",
        user_agent="Mozilla/5.0",
        ip_address="192.0.2.1",
        bot_likely=False,
        feedback_type=None,
        raw='{"eventType": "Click"}',
    )
    told = replace(told, occurred_at=told.occurred_at.astimezone(timezone(timedelta(hours=5, minutes=45))))
    events.ingest(ledger.app, ledger.account, [told])
    with ledger.app.db.read() as session:
        [row] = session.scalars(select(Event))
    for name in ("uid", "diagnostic", "link", "user_agent", "ip_address", "bot_likely", "raw", "occurred_at"):
        assert getattr(row, name) == getattr(told, name), name
    assert (row.type, row.counts_in_rates, row.bounce_type) == ("CLICK", True, None)
    assert ledger.look(message).clicked_at == told.occurred_at


def test_an_event_that_takes_another_messages_uid_changes_nothing(ledger: Ledger) -> None:
    mine, theirs = ledger.add_messages(["ann@example.com", "bo@example.com"])
    bounce = ledger.bounce(mine)
    events.ingest(ledger.app, ledger.account, [bounce])
    forged = replace(ledger.bounce(theirs), uid=bounce.uid)
    other = ledger.says(theirs, EventType.DELIVERY)
    done = events.ingest(ledger.app, ledger.account, [forged, other])
    assert (done.stored, done.suppressed) == (1, 0)
    assert ledger.look(theirs).status == "delivered"
    assert ledger.total("permanent_bounces") == 1

"""Sent again by a person's word: whatever comes of the second attempt, the first may have arrived."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from core import suppressions
from core.access import SYSTEM
from core.app import App
from core.db.models import Message
from core.db.states import EventType
from core.events import ingest
from core.providers.base import Outcome
from tests.databases import ON_SQLITE
from tests.engine import Engine, campaign_of, fast_account
from tests.ledger import ATTEMPT, Ledger

REFUSED = "Its first attempt was never reported, and it was not sent again: as the test wants"


def again(app: App, people: int) -> Ledger:
    """A campaign of which `people` wait to be sent again."""
    ledger = campaign_of(app, fast_account(app), "acme", people)
    with app.db.begin() as session:
        session.execute(update(Message).values(resent_by="alice", provider="ses", earlier_attempts=ATTEMPT))
    return ledger


def test_what_is_refused_the_second_time_is_as_unknown_as_it_was(app: App) -> None:
    ledger = again(app, 1)
    Engine(app).look(Outcome.REFUSED)
    [message] = ledger.messages()
    assert (message.status, message.reason, message.left_by) == ("unknown", REFUSED, SYSTEM.username)
    late = ledger.says(message, EventType.DELIVERY, msg_uid=f"{message.id}-{ATTEMPT}")
    assert ingest(app, ledger.account, [late]).stored == 1
    assert ledger.look(message).status == "delivered"


def test_what_is_refused_the_first_time_has_failed(app: App) -> None:
    ledger = campaign_of(app, fast_account(app), "acme", 1)
    Engine(app).look(Outcome.REFUSED)
    [message] = ledger.messages()
    assert (message.status, message.reason, message.left_by) == ("failed", "as the test wants", None)


def test_whoever_was_suppressed_meanwhile_is_as_unknown_as_before(app: App) -> None:
    ledger = again(app, 1)
    [message] = ledger.messages()
    suppressions.add(app, SYSTEM, ledger.tenant.id, message.address)
    Engine(app).look()
    seen = ledger.look(message)
    assert seen.status == "unknown"
    assert "it was not sent again: The address is on the suppression list" in seen.reason
    late = ledger.says(message, EventType.DELIVERY, msg_uid=f"{message.id}-{ATTEMPT}")
    assert ingest(app, ledger.account, [late]).stored == 1
    assert ledger.look(message).status == "delivered"


@ON_SQLITE
@pytest.mark.parametrize(("people", "status"), [(4, "SENDING"), (5, "BLOCKED")])
def test_refusing_everybody_again_stops_the_campaign(app: App, people: int, status: str) -> None:
    ledger = again(app, people)
    Engine(app).look(Outcome.REFUSED)
    with app.db.read() as session:
        assert session.get_one(type(ledger.campaign), ledger.campaign.id).status == status

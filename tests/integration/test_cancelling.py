"""Cancelling: a campaign is cancelled at once, its list in blocks, and nobody who waits then waits long."""

from __future__ import annotations

from collections import Counter

import pytest
from sqlalchemy import Connection, event, select, text, update
from sqlalchemy.exc import OperationalError

from core import campaigns
from core.access import Actor, Role
from core.app import App
from core.campaigns import get_campaign
from core.db.models import Campaign, Message
from core.errors import Conflict
from core.providers.base import Outcome
from core.sending.record import record
from tests.databases import ON_POSTGRESQL, ON_SQLITE
from tests.engine import Engine, campaign_of, fast_account
from tests.ledger import Ledger
from tests.visitors import Visitor

BOB = Actor(username="bob", role=Role.OPERATOR)


def running(app: App, people: int) -> Ledger:
    ledger = campaign_of(app, fast_account(app), "acme", people)
    with app.db.begin() as session:
        session.execute(update(Campaign).values(recipients=people))
    return ledger


def cancel(ledger: Ledger) -> campaigns.CampaignView:
    return campaigns.cancel(ledger.app, BOB, ledger.tenant.id, ledger.campaign.id)


def statuses(ledger: Ledger) -> Counter[tuple[str, str | None]]:
    with ledger.app.db.read() as session:
        rows = session.execute(select(Message.status, Message.reason))
        return Counter((row.status, row.reason) for row in rows)


def cut_short(ledger: Ledger) -> campaigns.CampaignView:
    """The database goes away once the campaign is cancelled."""
    commits: list[Connection] = []

    def go_away(connection: Connection) -> None:
        commits.append(connection)
        if len(commits) > 1:
            raise OperationalError("COMMIT", None, ConnectionError("connection lost"))

    event.listen(ledger.app.db.engine, "commit", go_away)
    try:
        return cancel(ledger)
    finally:
        event.remove(ledger.app.db.engine, "commit", go_away)


@ON_POSTGRESQL
def test_neither_the_campaign_nor_its_lane_is_held_while_its_list_is_cancelled(app: App) -> None:
    ledger = running(app, 100)
    engine = Engine(app)
    calls = engine.calls()
    last = ledger.messages()[-1]
    cancelling = Visitor(lambda: cancel(ledger))
    with app.db.begin() as held:
        held.execute(select(Message.id).where(Message.id == last.id).with_for_update())
        cancelling.come()
        with app.db.begin() as session:
            session.execute(text("SET LOCAL lock_timeout = '1s'"))
            assert (
                get_campaign(session, ledger.tenant.id, ledger.campaign.id, lock=True).status == "CANCELLED"
            )
        record(engine.app, [engine.answered(each, Outcome.THROTTLED) for each in calls])
        assert Engine(app).calls() == []
    assert cancelling.left() is None
    assert {status for status, _ in statuses(ledger)} == {"cancelled"}


def test_a_long_list_is_cancelled_in_blocks(app: App) -> None:
    ledger = running(app, 5_001)
    seen = cancel(ledger)
    assert (seen.counts["cancelled"], seen.done, seen.adds_up) == (5_001, 5_001, True)
    assert statuses(ledger) == {("cancelled", "The campaign was cancelled by bob."): 5_001}


def test_what_was_cut_short_is_told_as_it_is_and_finished_by_a_job(app: App) -> None:
    ledger = running(app, 3)
    seen = cut_short(ledger)
    assert (seen.campaign.status, seen.counts["pending"], seen.adds_up) == ("CANCELLED", 3, True)
    assert Engine(app).calls() == []
    with pytest.raises(Conflict, match="is CANCELLED"):
        cancel(ledger)
    assert campaigns.finish_cancelled_due(app) == "3 messages cancelled"
    assert statuses(ledger) == {("cancelled", "The campaign was cancelled by bob."): 3}
    assert campaigns.finish_cancelled_due(app) == "0 messages cancelled"


@ON_SQLITE
def test_the_job_leaves_alone_what_waits_elsewhere_and_what_was_to_be_sent_again(app: App) -> None:
    ledger = running(app, 3)
    first = ledger.messages()[0]
    with app.db.begin() as session:
        again = update(Message).where(Message.id == first.id)
        session.execute(again.values(resent_by="alice", provider="ses", earlier_attempts="00aa"))
    other = ledger.add_campaign("Other")
    other.add_message("ann@example.com", status="pending", attempt=None, provider=None)
    cut_short(ledger)
    campaigns.finish_cancelled_due(app)
    assert [message.status for message in ledger.messages()] == [
        "unknown",
        "cancelled",
        "cancelled",
        "pending",
    ]
    assert (ledger.look(first).left_by, "not sent again" in (ledger.look(first).reason or "")) == (
        "bob",
        True,
    )

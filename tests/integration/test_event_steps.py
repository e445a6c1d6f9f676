"""The acceptance steps of what comes back: a bounce suppresses, opens and clicks are recorded and shown.

What a person sees of them: tests/browser/test_event_steps.py.
"""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from sqlalchemy import select

from core import events, reports, suppressions
from core.app import App
from core.db.models import Account, Event, Message, Sender
from core.db.states import EventType
from core.providers.ses_events import parse
from tests.campaigning import counts, ingest_until_idle, send_until_idle, started, written_to
from tests.conftest import Cast, verified_sender
from tests.simulators import Simulator

pytestmark = pytest.mark.slow
GONE, ANNA, BEN = "gone@example.org", "anna@example.com", "ben@example.com"


@pytest.fixture
def news(app: App, simulator: Simulator, cast: Cast) -> Sender:
    return verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")


def story_of(app: App, cast: Cast, address: str) -> reports.MessageStory:
    [story] = reports.find_messages(app, cast.bob, cast.acme.id, address)
    return story


def test_v3_9_a_bounce_suppresses_the_address_with_where_it_came_from_and_the_next_campaign_skips_it(
    app: App, simulator: Simulator, cast: Cast, news: Sender
) -> None:
    simulator.scenario(addresses={GONE: "bounce"})
    first = started(app, cast.acme.id, news.id, [GONE, ANNA], "First letter")
    send_until_idle(app)
    ingest_until_idle(app)
    assert counts(app, cast.acme.id, first) == {"bounced": 1, "delivered": 1}

    [entry] = suppressions.list_suppressions(app, cast.bob, cast.acme.id)
    assert (entry.address, entry.reason, entry.source) == (GONE, "BOUNCE", "event")
    assert (entry.campaign_id, entry.created_by) == (first, "postyard")
    with app.db.read() as session:
        event = session.get_one(Event, entry.event_id)
    assert (event.type, event.bounce_type, event.recipient) == ("BOUNCE", "PERMANENT", GONE)
    assert event.raw.startswith("{")
    assert suppressions.list_suppressions(app, cast.charlie, cast.globex.id) == []

    second = started(app, cast.acme.id, news.id, [GONE, ANNA], "Second letter")
    send_until_idle(app)
    ingest_until_idle(app)
    assert counts(app, cast.acme.id, second) == {"suppressed": 1, "delivered": 1}
    assert written_to(simulator.messages()) == {GONE: 1, ANNA: 2}


def test_v3_9_mail_to_sess_mailbox_simulator_that_bounces_suppresses_and_counts_nowhere(
    app: App, simulator: Simulator, cast: Cast, news: Sender
) -> None:
    address = "bounce@simulator.amazonses.com"
    campaign_id = started(app, cast.acme.id, news.id, [address, ANNA])
    send_until_idle(app)
    ingest_until_idle(app)
    assert counts(app, cast.acme.id, campaign_id) == {"bounced": 1, "delivered": 1}
    assert story_of(app, cast, address).suppression is not None
    assert total(app, cast).permanent_bounces == 0


def test_v3_9_the_address_stays_free_for_other_tenants(
    app: App, simulator: Simulator, cast: Cast, news: Sender
) -> None:
    simulator.scenario(addresses={GONE: "bounce"})
    started(app, cast.acme.id, news.id, [GONE])
    send_until_idle(app)
    ingest_until_idle(app)
    simulator.scenario(addresses={GONE: "delivery"})
    globex = verified_sender(app, simulator, cast.globex.id, "hello@globex-post.net")
    campaign_id = started(app, cast.globex.id, globex.id, [GONE])
    send_until_idle(app)
    ingest_until_idle(app)
    assert counts(app, cast.globex.id, campaign_id) == {"delivered": 1}


def test_v3_11_opens_and_clicks_are_recorded_and_shown(
    app: App, simulator: Simulator, cast: Cast, news: Sender
) -> None:
    simulator.scenario(domains={"example.com": {"open": 1.0, "click": 1.0}})
    people = [ANNA, BEN, "silent@example.net"]
    campaign_id = started(app, cast.acme.id, news.id, people)
    send_until_idle(app)
    ingest_until_idle(app)
    assert counts(app, cast.acme.id, campaign_id) == {"delivered": 3}

    for address in (ANNA, BEN):
        story = story_of(app, cast, address)
        assert {EventType.OPEN, EventType.CLICK} <= {event.type for event in story.events}
        assert story.message.opened_at is not None
        assert story.message.clicked_at is not None
        [click] = [event for event in story.events if event.type == EventType.CLICK]
        assert str(click.link).startswith("https://shop.acme-mail.io/")
    assert story_of(app, cast, "silent@example.net").message.opened_at is None

    shown = total(app, cast)
    assert shown.opened + shown.opened_by_machine == 2
    assert shown.clicked + shown.clicked_by_machine == 2
    kinds = {event.type for event in reports.recent_events(app, cast.carol, cast.acme.id)}
    assert {"OPEN", "CLICK"} <= kinds


def test_v3_11_the_same_open_told_twice_is_one(
    app: App, simulator: Simulator, cast: Cast, news: Sender
) -> None:
    simulator.scenario(domains={"example.com": {"open": 1.0}})
    started(app, cast.acme.id, news.id, [ANNA])
    send_until_idle(app)
    ingest_until_idle(app)
    before = total(app, cast)
    with app.db.read() as session:
        rows = session.scalars(select(Event)).all()
        message = session.scalars(select(Message)).one()
        account = session.get_one(Account, cast.acme.account_id)
    again = [event for row in rows for event in parse(row.raw)]
    done = events.ingest(app, account, again)
    assert (done.stored, done.known) == (0, len(rows))
    assert total(app, cast) == before
    assert before.opened + before.opened_by_machine == 1
    assert message.opened_at is not None


def total(app: App, cast: Cast) -> reports.Counts:
    today = date.today()
    days = reports.rates(
        app, cast.bob, cast.acme.id, since=today - timedelta(days=1), until=today + timedelta(days=1)
    )
    return sum((day.counts for day in days), reports.Counts())

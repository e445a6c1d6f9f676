"""Pace: how fast a campaign may go, its last moment, and that its counts always add up to its list."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from core import campaigns
from core.access import SYSTEM, Actor
from core.app import App
from core.db.models import AuditEntry, Campaign, Message, Sender
from core.db.states import MessageStatus
from core.errors import Conflict, InputError, NotFound, PermissionDenied
from tests.campaigning import HTML, SUBJECT, addresses, counts, csv_of, draft, started, view
from tests.conftest import Cast
from tests.visitors import Visitor

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@dataclass
class HandClock:
    at: datetime

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def sender(news_sender: Sender) -> Sender:
    return news_sender


def until(app: App, hours: float) -> datetime:
    return app.now() + timedelta(hours=hours)


def later(app: App, hours: float) -> App:
    clock: Any = HandClock(datetime.now(UTC) + timedelta(hours=hours))
    return replace(app, clock=clock)


def give(app: App, actor: Actor, cast: Cast, campaign_id: int, **values: Any) -> Campaign:
    given = {"rate_per_second": None, "send_until": None, **values}
    return campaigns.set_pace(app, actor, cast.acme.id, campaign_id, **given).campaign


def running(app: App, cast: Cast, sender: Sender, people: int = 5) -> int:
    """One that is to end in an hour."""
    campaign_id = started(app, cast.acme.id, sender.id, addresses(people))
    give(app, SYSTEM, cast, campaign_id, send_until=until(app, 1))
    return campaign_id


def set_message(app: App, address: str, **values: object) -> None:
    with app.db.begin() as session:
        session.execute(update(Message).where(Message.address_key == address).values(**values))


def set_campaign(app: App, campaign_id: int, **values: object) -> None:
    with app.db.begin() as session:
        session.execute(update(Campaign).where(Campaign.id == campaign_id).values(**values))


def test_a_campaign_keeps_the_pace_it_was_made_with(app: App, cast: Cast, sender: Sender) -> None:
    last = until(app, 5)
    made = campaigns.create(
        app, cast.bob, cast.acme.id, name="Spring", sender_id=sender.id, subject=SUBJECT, html=HTML,
        csv=csv_of(addresses(2)), rate_per_second=12.5, send_until=last,
    )  # fmt: skip
    campaign = view(app, cast.acme.id, made.campaign_id).campaign
    assert (campaign.rate_per_second, campaign.send_until) == (12.5, last)


@pytest.mark.parametrize(
    "given",
    [{"rate_per_second": 0.0}, {"rate_per_second": -3.0}, {"rate_per_second": 10_000.5},
     {"rate_per_second": float("nan")}, {"send_until": datetime(2026, 1, 1, tzinfo=UTC)}],
    ids=["zero", "negative", "too fast", "no number", "over already"],
)  # fmt: skip
@SQLITE
def test_a_pace_that_cannot_be_is_refused(
    app: App, cast: Cast, sender: Sender, given: dict[str, Any]
) -> None:
    campaign_id = draft(app, cast.acme.id, sender.id, addresses(1))
    app = later(app, 24 * 400)
    with pytest.raises(InputError):
        give(app, cast.bob, cast, campaign_id, **given)
    with pytest.raises(InputError):
        campaigns.create(
            app, cast.bob, cast.acme.id, name="Spring", sender_id=sender.id, subject=SUBJECT, html=HTML,
            csv=csv_of(addresses(1)), **given,
        )  # fmt: skip
    assert len(campaigns.list_campaigns(app, cast.bob, cast.acme.id)) == 1


def test_the_pace_is_changed_while_it_runs_and_told_in_the_audit_log(
    app: App, cast: Cast, sender: Sender
) -> None:
    campaign_id = started(app, cast.acme.id, sender.id, addresses(2))
    set_campaign(app, campaign_id, next_at=until(app, 9))
    assert give(app, cast.bob, cast, campaign_id, rate_per_second=3.0).next_at is None
    set_campaign(app, campaign_id, next_at=until(app, 9))
    assert give(app, cast.bob, cast, campaign_id, rate_per_second=3.0).next_at is not None
    with app.db.read() as session:
        entry = session.scalars(
            select(AuditEntry).where(AuditEntry.action == "set pace of campaign").limit(1)
        ).one()
    assert (entry.actor, entry.detail) == ("bob", {"rate_per_second": 3.0, "send_until": None})


@SQLITE
def test_who_may_not_start_a_campaign_may_not_change_its_pace(app: App, cast: Cast, sender: Sender) -> None:
    campaign_id = draft(app, cast.acme.id, sender.id, addresses(2))
    with pytest.raises(PermissionDenied):
        give(app, cast.carol, cast, campaign_id, rate_per_second=3.0)
    with pytest.raises(NotFound):
        give(app, cast.charlie, cast, campaign_id, rate_per_second=3.0)
    with pytest.raises(NotFound):
        campaigns.set_pace(
            app, cast.charlie, cast.globex.id, campaign_id, rate_per_second=3.0, send_until=None
        )
    assert view(app, cast.acme.id, campaign_id).campaign.rate_per_second is None


@SQLITE
def test_what_has_ended_has_no_pace(app: App, cast: Cast, sender: Sender) -> None:
    campaign_id = draft(app, cast.acme.id, sender.id, addresses(2))
    campaigns.cancel(app, cast.bob, cast.acme.id, campaign_id)
    with pytest.raises(Conflict, match="has ended"):
        give(app, cast.bob, cast, campaign_id, rate_per_second=3.0)


def test_who_still_waits_at_the_last_moment_expires_and_the_campaign_ends(
    app: App, cast: Cast, sender: Sender
) -> None:
    campaign_id = running(app, cast, sender)
    set_message(app, addresses(1)[0], status="delivered")
    assert campaigns.expire_due(app) == "0 messages expired"
    after = later(app, 2)
    assert campaigns.expire_due(after) == "4 messages expired"
    seen = view(after, cast.acme.id, campaign_id)
    assert {state: n for state, n in seen.counts.items() if n} == {"delivered": 1, "expired": 4}
    assert (seen.campaign.status, seen.campaign.finished_at) == ("SENT", after.now())
    assert "4 recipients were not written to: it was not to be sent after" in str(seen.campaign.status_reason)
    assert campaigns.expire_due(after) == "0 messages expired"


@SQLITE
def test_a_long_list_expires_in_blocks(app: App, cast: Cast, sender: Sender) -> None:
    campaign_id = running(app, cast, sender, people=5_001)
    assert campaigns.expire_due(later(app, 2)) == "5001 messages expired"
    assert view(app, cast.acme.id, campaign_id).campaign.status == "SENT"


@SQLITE
def test_it_ends_only_when_nothing_is_in_flight(app: App, cast: Cast, sender: Sender) -> None:
    campaign_id = running(app, cast, sender)
    set_message(app, addresses(1)[0], status="sending")
    after = later(app, 2)
    assert campaigns.expire_due(after) == "4 messages expired"
    assert view(after, cast.acme.id, campaign_id).campaign.status == "SENDING"
    set_message(app, addresses(1)[0], status="pending")  # it came back
    assert campaigns.expire_due(after) == "1 messages expired"
    assert view(after, cast.acme.id, campaign_id).campaign.status == "SENT"


@pytest.mark.parametrize("status", ["PAUSED", "BLOCKED", "HOLDING"])
@SQLITE
def test_one_that_stands_still_expires_as_well(app: App, cast: Cast, sender: Sender, status: str) -> None:
    campaign_id = running(app, cast, sender)
    set_campaign(app, campaign_id, status=status)
    campaigns.expire_due(later(app, 2))
    assert counts(app, cast.acme.id, campaign_id) == {"expired": 5}


@SQLITE
def test_neither_a_draft_nor_one_that_was_cancelled_expires(app: App, cast: Cast, sender: Sender) -> None:
    campaign_id = draft(app, cast.acme.id, sender.id, addresses(2))
    give(app, cast.bob, cast, campaign_id, send_until=until(app, 1))
    other = running(app, cast, sender, people=2)
    campaigns.cancel(app, cast.bob, cast.acme.id, other)
    assert campaigns.expire_due(later(app, 2)) == "0 messages expired"
    assert counts(app, cast.acme.id, campaign_id) == {"pending": 2}
    assert counts(app, cast.acme.id, other) == {"cancelled": 2}


def test_more_time_given_at_the_last_moment_is_kept(app: App, cast: Cast, sender: Sender) -> None:
    campaign_id = running(app, cast, sender)
    after = later(app, 2)
    job = Visitor(lambda: campaigns.expire_due(after))
    with app.db.begin() as session:
        held = select(Campaign).where(Campaign.id == campaign_id).with_for_update(key_share=True)
        campaign = session.scalars(held).one()
        job.come()
        campaign.send_until = until(app, 5)
    assert job.left() is None
    assert counts(app, cast.acme.id, campaign_id) == {"pending": 5}


@SQLITE
def test_one_past_its_last_moment_neither_starts_nor_goes_on(app: App, cast: Cast, sender: Sender) -> None:
    campaign_id = draft(app, cast.acme.id, sender.id, addresses(2))
    give(app, cast.bob, cast, campaign_id, send_until=until(app, 1))
    after = later(app, 2)
    with pytest.raises(Conflict, match=r"was not to be sent after .* Give it a later moment"):
        campaigns.start(after, cast.bob, cast.acme.id, campaign_id)
    campaigns.start(app, cast.bob, cast.acme.id, campaign_id)
    campaigns.pause(app, cast.bob, cast.acme.id, campaign_id)
    with pytest.raises(Conflict, match="was not to be sent after"):
        campaigns.resume(after, cast.bob, cast.acme.id, campaign_id)
    give(after, cast.bob, cast, campaign_id, send_until=until(after, 1))
    assert campaigns.resume(after, cast.bob, cast.acme.id, campaign_id).campaign.status == "SENDING"


@SQLITE
def test_what_was_to_be_sent_again_stays_unknown_at_the_last_moment(
    app: App, cast: Cast, sender: Sender
) -> None:
    campaign_id = running(app, cast, sender)
    set_message(app, addresses(1)[0], resent_by="alice", provider="ses", earlier_attempts="00aa")
    campaigns.expire_due(later(app, 2))
    assert counts(app, cast.acme.id, campaign_id) == {"unknown": 1, "expired": 4}


def test_the_counts_add_up_in_every_state_and_are_seen_when_they_do_not(
    app: App, cast: Cast, sender: Sender
) -> None:
    people = addresses(len(MessageStatus))
    campaign_id = draft(app, cast.acme.id, sender.id, people)
    for address, state in zip(people, MessageStatus, strict=True):
        set_message(app, address, status=state.value)
        assert view(app, cast.acme.id, campaign_id).adds_up
    assert set(view(app, cast.acme.id, campaign_id).counts.values()) == {1}
    set_message(app, people[0], campaign_id=None)
    lost = view(app, cast.acme.id, campaign_id)
    assert not lost.adds_up
    assert (lost.recipients, lost.campaign.recipients) == (10, 11)

"""What people decide about a campaign on its page: its way, its pace, and what stays unknown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import update

from core import access, campaigns, senders
from core.access import Actor
from core.app import App
from core.campaigns import CampaignView
from core.db.models import Account, Campaign, Identity, Message, Sender, Tenant, User
from tests.campaigning import addresses, draft, started
from tests.conftest import Cast
from tests.simulators import Simulator
from tests.ui.conftest import Console
from tests.ui.test_campaigns_page import fill_in
from tests.ui.visits import Visit, shown, visits

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def page(console: Console, people: Callable[..., User], cast: Cast, app: App) -> Visit:
    with app.db.begin() as session:
        session.execute(update(Tenant).values(timezone="Europe/Berlin"))
    return visits(console, people, cast, "pages/sending/campaigns.py")


@pytest.fixture
def sender(app: App, cast: Cast) -> Sender:
    """Verified, as far as these pages look."""
    made = senders.add(app, access.SYSTEM, cast.acme.id, "news@acme-mail.io", "Acme News")
    with app.db.begin() as session:
        session.execute(update(Identity).values(verified_for_sending=True, dkim_status="SUCCESS"))
    return made


def seen(app: App, cast: Cast, campaign_id: int) -> CampaignView:
    return campaigns.status(app, access.SYSTEM, cast.acme.id, campaign_id)


def lose(app: App, cast: Cast, sender: Sender, hours: float = 80) -> int:
    """A campaign whose three messages nobody knows the fate of."""
    campaign_id = started(app, cast.acme.id, sender.id, addresses(3))
    lost = {"status": "unknown", "attempt": "00aa", "provider": "ses", "reason": "Its worker ended."}
    with app.db.begin() as session:
        session.execute(update(Message).values(**lost, armed_at=app.now() - timedelta(hours=hours)))
        session.execute(update(Campaign).values(status="SENT", finished_at=app.now()))
        session.execute(update(Account).values(queue_url=None))
    return campaign_id


def test_a_campaign_is_made_with_a_pace_in_the_tenants_time(
    page: Visit, app: App, cast: Cast, sender: Sender
) -> None:
    at = page(cast.bob, campaign="new")
    fill_in(at)
    at.number_input(key="campaign.new.rate").set_value(12.5)
    at.datetime_input(key="campaign.new.until").set_value(datetime(2031, 5, 3, 18, 0))
    at.run()
    at.button(key="campaign.new.create").click().run()
    assert not at.exception
    [view] = campaigns.list_campaigns(app, cast.bob, cast.acme.id)
    assert view.campaign.rate_per_second == 12.5
    assert view.campaign.send_until == datetime(2031, 5, 3, 16, 0, tzinfo=UTC)
    assert "at most 12.5 a second, nothing after 3 May 2031, 18:00" in shown(at)


def test_the_pace_is_changed_on_the_page(page: Visit, app: App, cast: Cast, sender: Sender) -> None:
    campaign_id = started(app, cast.acme.id, sender.id, addresses(2))
    at = page(cast.bob, campaign=str(campaign_id))
    at.button(key="campaign.pace").click().run()
    at.number_input(key="campaign.pace.rate").set_value(3.0)
    at.datetime_input(key="campaign.pace.until").set_value(datetime(2031, 12, 3, 18, 0))
    at.button(key="confirm.yes").click().run()
    assert not at.exception
    assert "Changed the pace of" in at.success[0].value
    assert "at most 3 a second, nothing after 3 Dec 2031, 18" in at.success[0].value
    campaign = seen(app, cast, campaign_id).campaign
    assert campaign.rate_per_second == 3.0
    assert campaign.send_until == datetime(2031, 12, 3, 18, 0, tzinfo=BERLIN)


def test_a_moment_that_has_passed_is_refused_in_the_dialog(
    page: Visit, app: App, cast: Cast, sender: Sender
) -> None:
    campaign_id = draft(app, cast.acme.id, sender.id, addresses(2))
    at = page(cast.bob, campaign=str(campaign_id))
    at.button(key="campaign.pace").click().run()
    at.number_input(key="campaign.pace.rate").set_value(0.0)
    at.button(key="confirm.yes").click().run()
    assert "more than 0" in at.error[0].value
    at.number_input(key="campaign.pace.rate").set_value(1.0)
    at.datetime_input(key="campaign.pace.until").set_value(datetime(2020, 1, 1, 18, 0))
    at.button(key="confirm.yes").click().run()
    assert "has passed already" in at.error[0].value
    assert seen(app, cast, campaign_id).campaign.send_until is None


def test_the_way_is_said_before_the_start(page: Visit, app: App, cast: Cast, sender: Sender) -> None:
    at = page(cast.bob, campaign=str(draft(app, cast.acme.id, sender.id, addresses(2))))
    assert "Will go through Amazon SES, from Acme News, news@acme-mail.io." in shown(at)
    assert not at.button(key="campaign.start").disabled


def test_a_fallback_is_a_warning_that_the_start_repeats(
    page: Visit, app: App, cast: Cast, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    unverified = senders.add(app, access.SYSTEM, cast.acme.id, "news@acme-mail.io", "Acme News")
    campaign_id = draft(app, cast.acme.id, unverified.id, addresses(2))
    for name, value in simulator.resend().items():
        monkeypatch.setenv(f"POSTYARD_{name.upper()}", value)
    with app.db.begin() as session:
        session.execute(update(Tenant).values(fallback_policy="no_verified_domain"))
    at = page(cast.bob, campaign=str(campaign_id))
    assert "Through Resend, not Amazon SES." in at.warning[0].value
    assert "replies go to" in at.warning[0].value
    assert "reports no deliveries" in at.warning[0].value
    at.button(key="campaign.start").click().run()
    assert len([warning for warning in at.warning if "goes through Resend" in warning.value]) == 2
    at.button(key="confirm.yes").click().run()
    assert not at.exception
    campaign = seen(app, cast, campaign_id).campaign
    assert (campaign.status, campaign.provider) == ("SENDING", "resend")


def test_staff_sends_unknown_messages_again_after_a_warning(
    page: Visit, app: App, cast: Cast, sender: Sender, alice: Actor
) -> None:
    campaign_id = lose(app, cast, sender)
    at = page(alice, campaign=str(campaign_id))
    assert "whether 3 messages arrived" in shown(at)
    assert "3: Its worker ended." in shown(at)
    at.button(key="campaign.unknown.resend").click().run()
    assert "may get it twice" in shown(at)
    assert seen(app, cast, campaign_id).counts["unknown"] == 3
    at.button(key="confirm.yes").click().run()
    assert not at.exception
    assert seen(app, cast, campaign_id).counts["pending"] == 3


def test_staff_leaves_unknown_messages_as_they_are(
    page: Visit, app: App, cast: Cast, sender: Sender, alice: Actor
) -> None:
    campaign_id = lose(app, cast, sender)
    at = page(alice, campaign=str(campaign_id))
    at.button(key="campaign.unknown.leave").click().run()
    at.button(key="confirm.yes").click().run()
    assert not at.exception
    assert "A person decided that 3 messages of them stay so." in shown(at)
    assert not {button.key for button in at.button} & {"campaign.unknown.resend", "campaign.unknown.leave"}


def test_while_events_are_awaited_nobody_is_asked(
    page: Visit, app: App, cast: Cast, sender: Sender, alice: Actor
) -> None:
    at = page(alice, campaign=str(lose(app, cast, sender, hours=5)))
    assert "For 3 of them events are awaited, until" in shown(at)
    assert not {button.key for button in at.button} & {"campaign.unknown.resend", "campaign.unknown.leave"}


@pytest.mark.parametrize("who", ["bob", "carol"])
def test_who_may_not_decide_sees_what_is_known(
    page: Visit, app: App, cast: Cast, sender: Sender, who: str
) -> None:
    at = page(getattr(cast, who), campaign=str(lose(app, cast, sender)))
    assert not at.exception
    assert "An operator or administrator can send them again" in shown(at)
    assert not {button.key for button in at.button} & {"campaign.unknown.resend", "campaign.unknown.leave"}


def test_numbers_that_do_not_add_up_are_an_error(page: Visit, app: App, cast: Cast, sender: Sender) -> None:
    campaign_id = draft(app, cast.acme.id, sender.id, addresses(2))
    at = page(cast.bob, campaign=str(campaign_id))
    assert "Together 2 recipients" in shown(at)
    with app.db.begin() as session:
        session.execute(update(Campaign).values(recipients=3))
    at.run()
    assert "together they are 2, and its list has 3 recipients" in at.error[0].value


@pytest.mark.parametrize(
    ("rate", "until", "told"),
    [
        (
            5.0,
            datetime(2099, 6, 30, 18, tzinfo=BERLIN),
            "at most 5 a second, nothing after 30 Jun 2099, 18:00",
        ),
        (None, None, "as fast as the account allows, without an end"),
    ],
)
def test_the_start_repeats_way_pace_and_end_before_it_is_confirmed(
    page: Visit, app: App, cast: Cast, sender: Sender, rate: float | None, until: datetime | None, told: str
) -> None:
    campaign_id = draft(app, cast.acme.id, sender.id, addresses(3))
    campaigns.set_pace(app, access.SYSTEM, cast.acme.id, campaign_id, rate_per_second=rate, send_until=until)
    at = page(cast.bob, campaign=str(campaign_id))
    at.button(key="campaign.start").click().run()
    assert f"Through Amazon SES, {told} (times in Europe/Berlin)." in shown(at).replace("\\", "")

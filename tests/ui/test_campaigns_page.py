"""The Campaigns page: from a file of people to a start, and what can be seen and done on the way."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Selectbox

from core import access, campaigns, senders, tenants
from core.access import Actor
from core.app import App
from core.db.models import Sender, User
from pages.sending import _campaign_progress as progress
from pages.sending._preview import sandboxed
from tests.campaigning import draft, send_until_idle, started
from tests.conftest import DATA, Cast
from tests.ui.conftest import Console
from tests.ui.visits import Visit, shown, visits

LIST = b"email,first_name\nada@example.com,Ada\nbroken,Bob\ngrace@example.org,Grace\nADA@example.com,Ada\n"


@pytest.fixture
def page(console: Console, people: Callable[..., User], cast: Cast) -> Visit:
    return visits(console, people, cast, "pages/sending/campaigns.py")


@pytest.fixture
def sender(news_sender: Sender) -> Sender:
    return news_sender


def fill_in(at: AppTest, content: bytes = LIST, filename: str = "people.csv", subject: str = "News") -> None:
    at.text_input(key="campaign.new.name").input("November letter")
    at.text_input(key="campaign.new.subject").input(subject)
    at.text_area(key="campaign.new.html").input("<p>Hello {{first_name}}</p>")
    at.file_uploader(key="campaign.new.csv").upload(filename, content, "text/csv")
    at.run()


def column(at: AppTest, label: str) -> Selectbox:
    """Where a field's column is chosen."""
    return next(box for box in at.selectbox if box.label == label)


def test_without_campaigns_there_is_one_button_to_press(page: Visit, cast: Cast) -> None:
    at = page(cast.bob)
    assert not at.exception
    assert "No campaigns yet" in shown(at)
    at.button(key="campaigns.first").click().run()
    assert at.query_params["campaign"] == "new"
    assert "there is none yet" in shown(at)  # a sender comes first


def test_a_list_is_checked_and_nothing_is_stored_before_create(
    page: Visit, app: App, cast: Cast, sender: Sender
) -> None:
    at = page(cast.bob, campaign="new")
    fill_in(at)
    assert not at.exception
    assert [metric.value for metric in at.metric] == ["2", "1", "1"]
    assert "broken" in shown(at)
    assert campaigns.list_campaigns(app, cast.bob, cast.acme.id) == []


def test_create_stores_the_campaign_and_shows_it(page: Visit, app: App, cast: Cast, sender: Sender) -> None:
    at = page(cast.bob, campaign="new")
    fill_in(at)
    at.button(key="campaign.new.create").click().run()
    assert not at.exception
    [view] = campaigns.list_campaigns(app, cast.bob, cast.acme.id)
    assert (view.campaign.name, view.recipients, view.campaign.status) == ("November letter", 2, "DRAFT")
    assert at.query_params["campaign"] == str(view.campaign.id)
    assert at.button(key="campaign.start").label == "Start"


def test_columns_with_other_names_are_proposed_and_can_be_chosen(
    page: Visit, cast: Cast, sender: Sender
) -> None:
    at = page(cast.bob, campaign="new")
    fill_in(at, (DATA / "recipients_dirty_latin1.csv").read_bytes(), "kunden.csv")
    assert not at.exception
    assert column(at, "Address").value.strip() == "E-Mail"
    assert column(at, "first_name").value == "Vorname"
    column(at, "first_name").select("Firma").run()
    assert not at.error


def test_the_next_file_gets_a_proposal_of_its_own(page: Visit, cast: Cast, sender: Sender) -> None:
    at = page(cast.bob, campaign="new")
    fill_in(at, b"a;b\n1;2\n")
    assert "No column holds e-mail addresses" in at.error[0].value
    fill_in(at, (DATA / "recipients_dirty_latin1.csv").read_bytes(), "kunden.csv")
    assert not at.error
    assert column(at, "Address").value.strip() == "E-Mail"


def test_a_file_without_rows_says_so(page: Visit, cast: Cast, sender: Sender) -> None:
    at = page(cast.bob, campaign="new")
    fill_in(at, b"email,first_name\n")
    assert "no rows below its first" in at.error[0].value
    assert at.button(key="campaign.new.create").disabled


def test_the_link_to_unsubscribe_needs_no_column_and_no_fallback(
    page: Visit, app: App, cast: Cast, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTYARD_PUBLIC_URL", "https://mail.acme-mail.io")
    at = page(cast.bob, campaign="new")
    fill_in(at)
    at.text_area(key="campaign.new.html").input('<a href="{{unsubscribe_url}}">Unsubscribe</a>').run()
    assert not at.error  # the preview is drawn
    assert "unsubscribe_url" not in [box.label for box in at.selectbox]
    assert not [field for field in at.text_input if "unsubscribe_url" in field.label]


def test_creating_tells_how_many_rows_were_taken(page: Visit, app: App, cast: Cast, sender: Sender) -> None:
    at = page(cast.bob, campaign="new")
    fill_in(at)
    at.button(key="campaign.new.create").click().run()
    assert "with 2 recipients; 1 row of the file could not be used" in at.success[0].value


def test_a_file_that_is_no_list_is_refused_and_what_was_typed_stays(
    page: Visit, app: App, cast: Cast, sender: Sender
) -> None:
    at = page(cast.bob, campaign="new")
    fill_in(at, b"%PDF-1.7 not a list", "people.csv", subject="Hello {{first_name}}")
    assert len(at.error) == 1
    assert at.text_input(key="campaign.new.subject").value == "Hello {{first_name}}"
    assert at.button(key="campaign.new.create").disabled


def test_a_field_the_file_lacks_asks_for_a_fallback(
    page: Visit, app: App, cast: Cast, sender: Sender
) -> None:
    at = page(cast.bob, campaign="new")
    fill_in(at, b"email\nada@example.com\n")
    at.text_input(key="campaign.fallback.first_name").input("friend").run()
    at.button(key="campaign.new.create").click().run()
    [view] = campaigns.list_campaigns(app, cast.bob, cast.acme.id)
    assert view.recipients == 1


def test_the_preview_lets_nothing_of_the_mail_out_of_its_frame() -> None:
    frame = sandboxed('<script>steal()</script>"></iframe><img src="http://tracker.example.net/p.gif">', 300)
    assert frame.startswith('<iframe sandbox=""')
    assert frame.count("<") == 2  # the frame's own two tags: everything of the mail is escaped
    assert "default-src &#x27;none&#x27;" in frame


def test_start_asks_with_the_number_and_the_sender_and_then_starts(
    page: Visit, app: App, cast: Cast, sender: Sender
) -> None:
    campaign_id = draft(app, cast.acme.id, sender.id, ["ada@example.com", "grace@example.org"])
    at = page(cast.bob, campaign=str(campaign_id))
    at.button(key="campaign.start").click().run()
    assert "2 recipients" in shown(at)
    assert "news@acme-mail.io" in shown(at)
    at.button(key="confirm.yes").click().run()
    assert not at.exception
    assert campaigns.status(app, cast.bob, cast.acme.id, campaign_id).campaign.status == "SENDING"
    at.button(key="campaign.pause").click().run()
    assert "Paused by bob" in shown(at)
    at.button(key="campaign.resume").click().run()
    send_until_idle(app)
    at.run()
    assert {metric.label: metric.value for metric in at.metric}["Accepted"] == "2"


def test_an_unverified_sender_cannot_start(page: Visit, app: App, cast: Cast) -> None:
    unverified = senders.add(app, access.SYSTEM, cast.acme.id, "news@acme-mail.io")
    campaign_id = draft(app, cast.acme.id, unverified.id, ["ada@example.com"])
    at = page(cast.bob, campaign=str(campaign_id))
    assert at.button(key="campaign.start").disabled
    assert "is not verified" in at.warning[0].value


def test_cancel_asks_first(page: Visit, app: App, cast: Cast, sender: Sender) -> None:
    campaign_id = draft(app, cast.acme.id, sender.id, ["ada@example.com"])
    at = page(cast.bob, campaign=str(campaign_id))
    at.button(key="campaign.cancel").click().run()
    assert campaigns.status(app, cast.bob, cast.acme.id, campaign_id).campaign.status == "DRAFT"
    at.button(key="confirm.yes").click().run()
    assert campaigns.status(app, cast.bob, cast.acme.id, campaign_id).counts["cancelled"] == 1


def test_an_analyst_sees_counts_but_no_addresses_and_no_buttons(
    page: Visit, app: App, cast: Cast, sender: Sender
) -> None:
    campaign_id = draft(app, cast.acme.id, sender.id, ["ada@example.com"])
    at = page(cast.carol, campaign=str(campaign_id))
    assert not at.exception
    assert len(at.metric) == 11
    assert "ada@example.com" not in shown(at)
    assert not {button.key for button in at.button} & {"campaign.start", "campaign.cancel", "campaigns.new"}


def test_another_tenants_campaign_is_not_there(
    page: Visit, app: App, cast: Cast, sender: Sender, alice: Actor
) -> None:
    campaign_id = draft(app, cast.acme.id, sender.id, ["ada@example.com"], name="Secret plan")
    at = page(cast.charlie, tenant="acme", campaign=str(campaign_id))
    assert not at.exception
    assert f"no campaign {campaign_id}" in at.error[0].value
    assert "Secret plan" not in shown(at)


def test_what_holds_a_campaign_is_shown_in_the_list_and_on_its_page(
    page: Visit, app: App, cast: Cast, sender: Sender
) -> None:
    campaign_id = started(app, cast.acme.id, sender.id, ["ada@example.com"])
    at = page(cast.bob, campaign=str(campaign_id))
    assert "Holding" not in shown(at)
    tenants.pause(app, access.SYSTEM, cast.acme.id, "too many bounces")
    at.run()
    assert "Holding" in shown(at)
    assert "too many bounces" in at.warning[0].value
    del at.query_params["campaign"]
    at.run()
    assert "Holding" in shown(at)
    assert "too many bounces" in shown(at)


def test_pace_is_what_moved_between_the_first_and_the_last_look() -> None:
    start = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    looks = [(start, 100), (start + timedelta(seconds=2), 300), (start + timedelta(seconds=4), 500)]
    assert progress.pace(looks) == 100.0
    assert progress.pace(looks[:1]) is None
    assert progress.pace([(start, 5), (start + timedelta(seconds=9), 5)]) is None

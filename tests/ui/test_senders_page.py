"""The Senders page: what people see of their senders, and what its buttons do."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core import access, senders
from core.access import Actor
from core.app import App
from core.db.models import User
from tests.conftest import Cast, verified_sender
from tests.simulators import Simulator
from tests.ui.conftest import Console
from tests.ui.visits import Visit, shown, visits


@pytest.fixture
def page(console: Console, people: Callable[..., User], cast: Cast) -> Visit:
    return visits(console, people, cast, "pages/sending/senders.py")


def test_without_senders_there_is_one_button_to_press(page: Visit, cast: Cast) -> None:
    at = page(cast.bob)
    assert not at.exception
    assert "No senders yet" in shown(at)
    assert at.button(key="senders.first").label == "Add sender"


def test_an_analyst_sees_no_button_that_changes_anything(page: Visit, app: App, cast: Cast) -> None:
    sender = senders.add(app, access.SYSTEM, cast.acme.id, "news@acme-mail.io")
    at = page(cast.carol)
    assert "news@acme-mail.io" in shown(at)
    keys = {button.key for button in at.button}
    assert f"senders.records.{sender.id}" in keys
    assert not keys & {"senders.add", f"senders.verify.{sender.id}", f"senders.delete.{sender.id}"}


def test_a_sender_is_added_in_two_steps(page: Visit, app: App, cast: Cast) -> None:
    at = page(cast.bob)
    at.button(key="senders.first").click().run()
    at.text_input(key="senders.address").input("news@acme-mail.io")
    at.text_input(key="senders.display_name").input("Acme News")
    at.button(key="senders.continue").click().run()
    assert not at.exception
    [view] = senders.list_senders(app, cast.bob, cast.acme.id)
    assert (view.sender.address, view.sender.display_name) == ("news@acme-mail.io", "Acme News")
    expected = senders.records(app, cast.bob, cast.acme.id, view.sender.id)
    values = {code.value for code in at.code}
    assert {record.value for record in expected} <= values
    assert {record.name for record in expected} <= values
    assert "up to 72 hours" in shown(at)


@pytest.mark.parametrize("address", ["not-an-address", "news@localhost", "news@example.com"])
def test_an_address_that_cannot_be_used_is_refused_and_kept_in_its_field(
    page: Visit, app: App, cast: Cast, address: str
) -> None:
    at = page(cast.bob)
    at.button(key="senders.first").click().run()
    at.text_input(key="senders.address").input(address)
    at.button(key="senders.continue").click().run()
    assert len(at.error) == 1
    assert at.text_input(key="senders.address").value == address
    assert senders.list_senders(app, cast.bob, cast.acme.id) == []


def test_verify_now_turns_the_badge_green_when_dns_holds_the_records(
    page: Visit, app: App, cast: Cast, simulator: Simulator
) -> None:
    sender = senders.add(app, access.SYSTEM, cast.acme.id, "news@acme-mail.io")
    records = senders.records(app, access.SYSTEM, cast.acme.id, sender.id)
    simulator.put_dns([record.as_json() for record in records])
    at = page(cast.bob)
    assert "Pending" in shown(at)
    at.button(key=f"senders.verify.{sender.id}").click().run()
    assert "Verified" in shown(at)
    assert "is verified" in at.success[0].value


def test_what_ses_misses_is_said_in_words(page: Visit, app: App, cast: Cast) -> None:
    sender = senders.add(app, access.SYSTEM, cast.acme.id, "news@acme-mail.io")
    at = page(cast.bob)
    at.button(key=f"senders.verify.{sender.id}").click().run()
    assert "SES has not found the records in DNS yet." in shown(at)
    at.button(key=f"senders.records.{sender.id}").click().run()
    assert "Step 2 of 2" in shown(at)


def test_the_cooldown_is_said_in_a_sentence(page: Visit, app: App, cast: Cast) -> None:
    sender = senders.add(app, access.SYSTEM, cast.acme.id, "news@acme-mail.io")
    at = page(cast.bob)
    at.button(key=f"senders.verify.{sender.id}").click().run()
    at.button(key=f"senders.verify.{sender.id}").click().run()
    assert "Try again in" in at.error[0].value


def test_an_unverified_sender_cannot_be_made_the_default(page: Visit, app: App, cast: Cast) -> None:
    sender = senders.add(app, access.SYSTEM, cast.acme.id, "news@acme-mail.io")
    at = page(cast.bob)
    at.button(key=f"senders.default.{sender.id}").click().run()
    assert "Domain must be verified" in at.error[0].value


def test_deleting_asks_first_and_then_removes(
    page: Visit, app: App, cast: Cast, alice: Actor, simulator: Simulator
) -> None:
    sender = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    at = page(alice)
    at.button(key=f"senders.delete.{sender.id}").click().run()
    assert len(senders.list_senders(app, alice, cast.acme.id)) == 1
    at.button(key="confirm.yes").click().run()
    assert senders.list_senders(app, alice, cast.acme.id) == []
    assert "No senders yet" in shown(at)


def test_another_tenants_slug_shows_nothing_of_it(page: Visit, app: App, cast: Cast) -> None:
    senders.add(app, access.SYSTEM, cast.globex.id, "secret@globex-post.net")
    at = page(cast.bob, tenant="globex")
    assert not at.exception
    assert "globex" not in shown(at).lower()

"""The Messages page: the story of one address."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from core import access, suppressions
from core.app import App
from core.db.models import Event, Message, User
from tests.campaigning import draft
from tests.conftest import Cast, verified_sender
from tests.simulators import Simulator
from tests.ui.conftest import Console
from tests.ui.visits import Visit, shown, visits

HOSTILE = "552 <script>alert(1)</script> [click](https://evil.example.net) **full**"


@pytest.fixture
def page(console: Console, people: Callable[..., User], cast: Cast) -> Visit:
    return visits(console, people, cast, "pages/deliverability/messages.py")


@pytest.fixture
def bounced(app: App, cast: Cast, simulator: Simulator) -> str:
    """An address whose mail bounced, with a diagnostic nobody should trust."""
    sender = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    campaign_id = draft(app, cast.acme.id, sender.id, ["ada@example.com"], name="Winter <b>letter</b>")
    with app.db.begin() as session:
        message = session.query(Message).filter_by(campaign_id=campaign_id).one()
        message.status = "bounced"
        for kind in ("SEND", "BOUNCE"):
            session.add(
                Event(
                    uid=kind,
                    tenant_id=cast.acme.id,
                    message_id=message.id,
                    type=kind,
                    recipient="ada@example.com",
                    occurred_at=app.now(),
                    received_at=app.now(),
                    diagnostic=HOSTILE if kind == "BOUNCE" else None,
                    raw="{}",
                )
            )
    return "ada@example.com"


def test_the_story_of_an_address_is_told_in_order(page: Visit, app: App, cast: Cast, bounced: str) -> None:
    suppressions.add(app, access.SYSTEM, cast.acme.id, bounced)
    at = page(cast.bob)
    at.text_input(key="messages.address").input(bounced.upper())
    at.button(key="messages.search").click().run()
    assert not at.exception
    told = shown(at)
    assert "Winter <b>letter</b>" in [text.value for text in at.text]
    assert told.index("Queued") < told.index("Accepted") < told.rindex("Bounce")
    assert "On the suppression list since" in told


def test_a_servers_words_are_shown_as_text_only(page: Visit, cast: Cast, bounced: str) -> None:
    at = page(cast.bob)
    at.text_input(key="messages.address").input(bounced)
    at.button(key="messages.search").click().run()
    assert HOSTILE in [code.value for code in at.code]
    assert not any("evil.example.net" in markdown.value for markdown in at.markdown)


def test_what_a_machine_opened_or_clicked_is_told_apart(
    page: Visit, app: App, cast: Cast, bounced: str
) -> None:
    hostile = "https://acme-mail.io/<img src=x onerror=alert(1)>"
    with app.db.begin() as session:
        message = session.query(Message).one()
        for kind, values in {
            "OPEN": {"bot_likely": True, "user_agent": HOSTILE},
            "CLICK": {"bot_likely": False, "link": hostile, "diagnostic": hostile},
        }.items():
            session.add(
                Event(
                    uid=kind, tenant_id=cast.acme.id, message_id=message.id, type=kind, recipient=bounced,
                    occurred_at=app.now() + timedelta(hours=1), received_at=app.now(), raw="{}", **values,
                )
            )  # fmt: skip
    at = page(cast.bob)
    at.text_input(key="messages.address").input(bounced)
    at.button(key="messages.search").click().run()
    assert not at.exception
    told = shown(at)
    assert "Open by a machine" in told
    assert "SES takes it for a machine's" in [text.value for text in at.text]
    assert "Click by a machine" not in told
    assert hostile in [code.value for code in at.code]


def test_an_unknown_address_has_no_message(page: Visit, cast: Cast) -> None:
    at = page(cast.bob)
    at.text_input(key="messages.address").input("nobody@example.com")
    at.button(key="messages.search").click().run()
    assert not at.exception
    assert "No message to this address" in shown(at)


def test_an_analyst_may_not_open_the_page(page: Visit, cast: Cast) -> None:
    at = page(cast.carol)
    assert "may not open this page" in shown(at)
    assert not at.text_input


def test_another_tenants_slug_finds_nothing_of_it(page: Visit, cast: Cast, bounced: str) -> None:
    at = page(cast.charlie, tenant="acme")
    at.text_input(key="messages.address").input(bounced)
    at.button(key="messages.search").click().run()
    assert "No message to this address" in shown(at)
    assert HOSTILE not in shown(at)

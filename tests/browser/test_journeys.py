"""Whole journeys in a real browser: a list that becomes a campaign and is sent, another one taken home.

A sender's journey is in test_sender_steps.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core import access, campaigns, suppressions
from core.access import Role
from core.app import App
from core.db.models import User
from tests.browser.conftest import sign_in
from tests.conftest import Cast, verified_sender
from tests.consoles import Console
from tests.processes import work_until_idle
from tests.simulators import Simulator

pytestmark = pytest.mark.browser
Make = Callable[..., User]
HOSTILE = "<p>Dear {{first_name}}</p><script>parent.document.title='owned'</script>"


def test_a_list_becomes_a_campaign_that_is_sent_while_the_page_watches(
    app: App,
    cast: Cast,
    simulator: Simulator,
    browser_console: Console,
    somebody: Make,
    page: Page,
    tmp_path: Path,
) -> None:
    verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    people = tmp_path / "people.csv"
    people.write_text("Vorname;E-Mail\nÅsa;asa@example.com\nBob;broken\nGrace;grace@example.org\n")
    somebody("dora", Role.OPERATOR)
    sign_in(page, f"{browser_console.url}/campaigns?tenant=acme", "dora")

    page.get_by_role("button", name="New campaign").click()
    page.get_by_label("Campaign name").fill("November letter")
    page.get_by_label("Subject").fill("News for {{first_name}}")
    page.get_by_label("HTML part").fill(HOSTILE)
    page.get_by_label("HTML part").press("Control+Enter")
    expect(page.get_by_text("Add the recipients to see the mail")).to_be_visible()
    page.locator("input[type=file]").last.set_input_files(people)
    expect(page.get_by_text("Rejected rows (1)")).to_be_visible()

    mail = page.frame_locator("iframe[data-testid=stIFrame]").frame_locator("iframe")
    expect(mail.get_by_text("Dear Åsa")).to_be_visible()
    assert page.title() != "owned"
    assert campaigns.list_campaigns(app, access.SYSTEM, cast.acme.id) == []

    page.get_by_role("button", name="Create campaign").click()
    page.get_by_role("button", name="Start").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text("2 recipients")).to_be_visible()
    dialog.get_by_role("button", name="Start").click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()

    work_until_idle(app)
    expect(page.get_by_text("2 of 2")).to_be_visible(timeout=30_000)
    expect(page.get_by_role("button", name="Pause")).to_be_hidden(timeout=30_000)
    assert sorted(str(sent["subject"]) for sent in simulator.messages()) == ["News for Grace", "News for Åsa"]


def test_an_analyst_takes_the_suppression_list_home(
    app: App, cast: Cast, browser_console: Console, somebody: Make, page: Page
) -> None:
    suppressions.add(app, access.SYSTEM, cast.acme.id, "ada@example.com", "=HYPERLINK(1)")
    somebody("carol", Role.ANALYST, "acme")
    sign_in(page, f"{browser_console.url}/suppressions?tenant=acme", "carol")

    with page.expect_download() as download:
        page.get_by_role("button", name="Export CSV").click()
    assert download.value.suggested_filename == "suppressions-acme.csv"
    content = download.value.path().read_text()
    assert "ada@example.com" in content
    assert ",=HYPERLINK" not in content
    expect(page.get_by_role("button", name="Import CSV")).to_have_count(0)

"""What comes back, as its acceptance steps say and a person sees it, in one browser.

Below its face: tests/integration/test_event_steps.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from core import access, tenants, users
from core.access import Role
from core.app import App, build_app
from core.settings import Settings
from tests.browser.conftest import PASSWORD, settle, sign_in
from tests.campaigning import ingest_until_idle, send_until_idle, started
from tests.conftest import verified_sender
from tests.consoles import start_console
from tests.databases import copy_sqlite
from tests.simulators import Simulator

pytestmark = pytest.mark.browser
GONE, ANNA = "gone@example.org", "anna@example.com"


@pytest.fixture(scope="module")
def app(
    simulator_process: Simulator, migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    """Two letters to an address that is gone and to one that opens and clicks; the second skips the first."""
    directory = tmp_path_factory.mktemp("event-steps")
    simulator_process.reset()
    url = copy_sqlite(migrated_sqlite, directory / "postyard.db")
    app = build_app(Settings.load(database_url=url, data_dir=directory, dns_servers=simulator_process.dns))
    acme = tenants.create(app, access.SYSTEM, slug="acme", name="Acme Retail")
    users.create(
        app, access.SYSTEM, username="bob", name="Bob", role=Role.ACCOUNT_MANAGER, password=PASSWORD,
        tenant_slugs=("acme",),
    )  # fmt: skip
    sender = verified_sender(app, simulator_process, acme.id, "news@acme-mail.io")
    simulator_process.scenario(
        addresses={GONE: "bounce"}, domains={"example.com": {"open": 1.0, "click": 1.0}}
    )
    for name in ("First letter", "Second letter"):
        started(app, acme.id, sender.id, [GONE, ANNA], name)
        send_until_idle(app)
        ingest_until_idle(app)
    yield app
    app.db.dispose()


@pytest.fixture(scope="module")
def tab(app: App, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1600, "height": 1200})
    context.set_default_timeout(20_000)
    with start_console(app, tmp_path_factory.mktemp("event-steps-console")) as console:
        page = context.new_page()
        sign_in(page, f"{console.url}/messages?tenant=acme", "bob")
        yield page
    context.close()


def look_up(tab: Page, address: str) -> None:
    field = tab.get_by_label("Recipient's address")
    field.fill(address)
    tab.get_by_role("button", name="Search").click()
    expect(tab.get_by_text("What happened, in order").first).to_be_visible()
    settle(tab)


def test_v3_9_a_bounce_is_seen_with_the_suppression_it_made_and_the_mail_that_was_not_sent(tab: Page) -> None:
    look_up(tab, GONE)
    expect(tab.get_by_text("On the suppression list since")).to_be_visible()
    expect(tab.get_by_text("Second letter")).to_be_visible()
    badges = tab.locator(".stMarkdownBadge")
    expect(badges.filter(has_text="Suppressed").first).to_be_visible()
    expect(badges.filter(has_text="Bounce").first).to_be_visible()
    expect(tab.get_by_text("PERMANENT / General")).to_be_visible()


def test_v3_11_opens_and_clicks_are_seen(tab: Page) -> None:
    look_up(tab, ANNA)
    expect(tab.get_by_text("This address is not on the suppression list.")).to_be_visible()
    badges = tab.locator(".stMarkdownBadge")
    for kind in ("Open", "Click"):
        expect(badges.filter(has_text=kind)).to_have_count(2)

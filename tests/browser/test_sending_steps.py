"""Sending by Amazon SES and by the second provider, as its acceptance steps say, in one browser.

The steps run in order, from a tenant without a verified domain to one that loses it. Those without a face
(V3.5, V3.7) are in tests/integration/test_sending_steps.py, which looks below the face of the others, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from core import access, campaigns, senders, suppressions, tenants, users
from core.access import Role
from core.app import App, build_app
from core.db.models import Identity, Sender
from core.settings import Settings
from tests.browser.conftest import PASSWORD, sign_in
from tests.campaigning import addresses, draft, send_until_idle
from tests.consoles import Console, start_console
from tests.databases import copy_sqlite
from tests.engine import go_out
from tests.integration.test_identities import cool_down, unpublish
from tests.simulators import Simulator

pytestmark = pytest.mark.browser  # one process runs them, in order: tests/scheduling.py
NEWS, SHOP, OURS = "news@acme-mail.io", "hello@acme-shop.net", "news@postyard-mail.io"
PEOPLE = addresses(3)


@dataclass(frozen=True)
class Story:
    """One console, one tab; `app` is the same database, to look at and to arrange."""

    app: App
    console: Console
    simulator: Simulator
    tab: Page
    tenant_id: int

    def sender(self, address: str) -> Sender:
        return senders.by_address(self.app, access.SYSTEM, self.tenant_id, address)

    def draft(self, name: str, address: str, people: list[str] = PEOPLE) -> int:
        """A campaign that has not been started, open in the tab."""
        campaign_id = draft(self.app, self.tenant_id, self.sender(address).id, people, name)
        self.tab.goto(f"{self.console.url}/campaigns?tenant=acme&campaign={campaign_id}")
        expect(self.tab.get_by_role("heading", name=name)).to_be_visible()
        return campaign_id

    def start(self, told: str) -> None:
        """By the button, and a dialog that says `told`."""
        self.tab.get_by_role("button", name="Start", exact=True).click()
        dialog = self.tab.get_by_role("dialog")
        expect(dialog.get_by_text(told)).to_be_visible()
        dialog.get_by_role("button", name="Start", exact=True).click()
        expect(dialog).to_have_count(0)

    def sent(self, people: int) -> None:
        """The scheduler has run; the page shows it by itself."""
        send_until_idle(self.app)
        expect(self.tab.get_by_text(f"{people} of {people}")).to_be_visible(timeout=30_000)

    def cells(self, text: str) -> Locator:
        """Of the table of recipients, which draws itself on a canvas and says its cells beside it."""
        return self.tab.get_by_test_id("stDataFrame").last.locator("canvas td").filter(has_text=text)


@pytest.fixture(scope="module")
def app(
    simulator_process: Simulator, migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    directory = tmp_path_factory.mktemp("steps")
    url = copy_sqlite(migrated_sqlite, directory / "postyard.db")
    simulator_process.reset()
    given = {"database_url": url, "data_dir": directory, "dns_servers": simulator_process.dns}
    app = build_app(Settings.load(**given, **simulator_process.resend()))
    yield app
    app.db.dispose()


@pytest.fixture(scope="module")
def tenant_id(app: App) -> int:
    acme = tenants.create(app, access.SYSTEM, slug="acme", name="Acme Retail")
    tenants.set_fallback_policy(app, access.SYSTEM, acme.id, "no_verified_domain")
    for address in (NEWS, SHOP):
        senders.add(app, access.SYSTEM, acme.id, address)
    users.create(
        app, access.SYSTEM, username="dora", name="Dora", role=Role.OPERATOR, password=PASSWORD,
        tenant_slugs=(),
    )  # fmt: skip
    return acme.id


@pytest.fixture(scope="module")
def story(
    app: App,
    tenant_id: int,
    simulator_process: Simulator,
    browser: Browser,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Story]:
    context = browser.new_context(viewport={"width": 1900, "height": 1200})
    context.set_default_timeout(20_000)
    extra = {f"POSTYARD_{name.upper()}": value for name, value in simulator_process.resend().items()}
    with start_console(app, tmp_path_factory.mktemp("console"), extra=extra) as console:
        tab = context.new_page()
        sign_in(tab, f"{console.url}/campaigns?tenant=acme", "dora")
        yield Story(app, console, simulator_process, tab, tenant_id)
    context.close()


def badge(within: Locator | Page, label: str) -> Locator:
    return within.locator(".stMarkdownBadge").filter(has_text=label)


def test_v3_1_without_a_verified_domain_resend_is_announced_before_the_start(story: Story) -> None:
    story.draft("First letter", NEWS)
    expect(story.tab.get_by_text("Through Resend, not Amazon SES.")).to_be_visible()
    expect(story.tab.get_by_text("Acme Retail has no verified domain.")).to_be_visible()
    story.start(f"Its mail goes through Resend, from {OURS}; replies go to {NEWS}.")
    story.sent(3)
    assert [mail["provider"] for mail in story.simulator.messages()] == ["resend"] * 3
    expect(story.cells("Resend")).to_have_count(3)


def test_v3_2_the_domain_is_verified(story: Story) -> None:
    sender = story.sender(NEWS)
    records = senders.records(story.app, access.SYSTEM, story.tenant_id, sender.id)
    story.simulator.put_dns([each.as_json() for each in records])
    story.tab.goto(f"{story.console.url}/senders?tenant=acme")
    row = story.tab.locator(f".st-key-senders_row_{sender.id}")
    row.get_by_role("button", name="Verify now").click()
    expect(badge(row, "Verified")).to_be_visible()


def test_v3_3_its_sender_becomes_the_default(story: Story) -> None:
    row = story.tab.locator(f".st-key-senders_row_{story.sender(NEWS).id}")
    row.get_by_role("button", name="Actions").click()
    story.tab.get_by_role("menuitem", name="Make default").click()
    expect(badge(row, "Default")).to_be_visible()


def test_v3_4_a_sender_that_matches_goes_through_ses(story: Story) -> None:
    story.draft("Second letter", NEWS)
    expect(story.tab.get_by_text(f"Will go through Amazon SES, from {NEWS}.")).to_be_visible()
    expect(story.tab.get_by_text("Through Resend")).to_have_count(0)
    story.start(f"Send to 3 recipients, from {NEWS}?")
    story.sent(3)
    expect(story.cells("SES")).to_have_count(3)


def test_v3_6_a_sender_that_does_not_match_goes_through_resend_with_a_warning(story: Story) -> None:
    campaign_id = story.draft("Shop letter", SHOP)
    expect(story.tab.get_by_text(f"The sender {SHOP} is not verified.")).to_be_visible()
    expect(story.tab.get_by_role("button", name="Start", exact=True)).to_be_disabled()
    tenants.set_fallback_policy(story.app, access.SYSTEM, story.tenant_id, "unmatched_sender")
    story.tab.goto(f"{story.console.url}/campaigns?tenant=acme&campaign={campaign_id}")
    expect(story.tab.get_by_text("acme-shop.net is not verified.")).to_be_visible()
    story.start(f"Its mail goes through Resend, from {OURS}; replies go to {SHOP}.")
    story.sent(3)


def test_v3_8_the_provider_column_is_right(story: Story) -> None:
    expect(story.cells("Resend")).to_have_count(3)
    expect(story.cells("SES")).to_have_count(0)
    story.tab.goto(f"{story.console.url}/messages?tenant=acme")
    story.tab.get_by_label("Recipient's address").fill(PEOPLE[0])
    story.tab.get_by_role("button", name="Search").click()
    expect(story.tab.get_by_text("3 messages, newest first")).to_be_visible()
    expect(story.tab.get_by_text("· SES id")).to_have_count(1)
    expect(story.tab.get_by_text("· Resend id")).to_have_count(2)


def test_v3_10_a_suppressed_address_is_skipped(story: Story) -> None:
    story.draft("Third letter", NEWS)
    suppressions.add(story.app, access.SYSTEM, story.tenant_id, PEOPLE[1])
    story.start("Send to 3 recipients")
    story.sent(3)
    expect(story.cells("Suppressed")).to_have_count(1)
    expect(story.cells("The address is on the suppression list.")).to_have_count(1)
    expect(story.cells("SES")).to_have_count(2)


def test_v3_12_a_domain_that_is_lost_in_mid_campaign_goes_on_by_the_fallback_or_says_why_not(
    story: Story,
) -> None:
    campaign_id = story.draft("Long letter", NEWS, addresses(40, "example.org"))
    story.start("Send to 40 recipients")
    go_out(story.app)
    tenants.set_fallback_policy(story.app, access.SYSTEM, story.tenant_id, "none")
    lose_domain(story)
    send_until_idle(story.app)
    expect(story.tab.get_by_text("Blocked: acme-mail.io is not verified any more.")).to_be_visible()
    expect(story.tab.get_by_text("20 of 40")).to_be_visible()

    tenants.set_fallback_policy(story.app, access.SYSTEM, story.tenant_id, "unmatched_sender")
    story.tab.get_by_role("button", name="Resume").click()
    expect(story.tab.get_by_text("Resumed Long letter.")).to_be_visible()
    story.sent(40)
    expect(story.tab.get_by_text(f"goes through Resend, from {OURS}")).to_be_visible()
    rows = campaigns.list_messages(story.app, access.SYSTEM, story.tenant_id, campaign_id)
    assert sorted(row.provider or "" for row in rows) == ["resend"] * 20 + ["ses"] * 20


def lose_domain(story: Story) -> None:
    """Its records are gone from DNS, and the next check sees it."""
    sender = story.sender(NEWS)
    with story.app.db.read() as session:
        identity = session.get_one(Identity, sender.identity_id)
    unpublish(story.simulator, identity)
    cool_down(story.app, identity)
    senders.verify_now(story.app, access.SYSTEM, story.tenant_id, sender.id)

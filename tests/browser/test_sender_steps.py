"""A sender from its first step to a verified default, as its acceptance steps say, in one browser.

The steps run in order: each goes on where the one before it left the tab. Those without a face (V1.1, V1.10,
V2.7) are in tests/integration/test_sender_steps.py, which looks below the face of others, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect
from sqlalchemy import update

from core import access, onboarding, senders, tenants, users
from core.access import Role
from core.app import App
from core.db.models import Identity, Sender
from core.dns import Finding, Kind
from tests.browser.conftest import PASSWORD, emptied, sign_in
from tests.consoles import Console
from tests.simulators import Simulator

pytestmark = pytest.mark.browser  # one process runs them, in order: tests/scheduling.py
NEWS, TEAM = "news@acme-mail.io", "team@acme-mail.io"
SHOP, OLD = "hello@acme-shop.net", "old@acme-old.org"  # pending before the story begins


@dataclass(frozen=True)
class Story:
    """One console, one browser, one tab; `app` is the same database, to look at and to arrange."""

    app: App
    console: Console
    simulator: Simulator
    context: BrowserContext
    tab: Page
    tenant_id: int

    def open(self, page: str = "senders", **query: object) -> None:
        asked = "".join(f"&{name}={value}" for name, value in query.items())
        self.tab.goto(f"{self.console.url}/{page}?tenant=acme{asked}")

    def sender(self, address: str) -> Sender:
        return senders.by_address(self.app, access.SYSTEM, self.tenant_id, address)

    def findings(self, *kinds: Kind) -> list[Finding]:
        found = senders.findings(self.app, access.SYSTEM, self.tenant_id, self.sender(NEWS).id)
        return [each for each in found if not kinds or each.record.kind in kinds]

    def publish(self, *kinds: Kind) -> None:
        self.simulator.put_dns([each.record.as_json() for each in self.findings(*kinds)])

    def half_a_minute_later(self) -> None:
        """As if the last check had been then: nobody waits for the cooldown."""
        before = self.app.now() - timedelta(minutes=1)
        with self.app.db.begin() as session:
            session.execute(update(Identity).values(checked_at=before))

    def row(self, address: str) -> Locator:
        return self.tab.locator(f".st-key-senders_row_{self.sender(address).id}")

    @property
    def state(self) -> Locator:
        return self.tab.locator(".st-key-sender_state")

    def choose(self, address: str, option: str) -> None:
        self.row(address).get_by_role("button", name="Actions").click()
        self.tab.get_by_role("menuitem", name=option).click()

    def verify(self) -> None:
        self.half_a_minute_later()
        self.state.get_by_role("button", name="Verify now").click()


@pytest.fixture(scope="module")
def app(simulator_process: Simulator, shared_console: Console, migrated_sqlite: Path) -> App:
    simulator_process.reset()
    return emptied(shared_console, migrated_sqlite).app


@pytest.fixture(scope="module")
def tenant_id(app: App) -> int:
    acme = tenants.create(app, access.SYSTEM, slug="acme", name="Acme Retail")
    for address in (SHOP, OLD):
        senders.add(app, access.SYSTEM, acme.id, address)
    users.create(
        app, access.SYSTEM, username="dora", name="Dora", role=Role.OPERATOR, password=PASSWORD,
        tenant_slugs=(),
    )  # fmt: skip
    return acme.id


@pytest.fixture(scope="module")
def story(
    app: App, tenant_id: int, simulator_process: Simulator, browser: Browser, shared_console: Console
) -> Iterator[Story]:
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    context.set_default_timeout(20_000)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab = context.new_page()
    sign_in(tab, f"{shared_console.url}/senders?tenant=acme", "dora")
    yield Story(app, shared_console, simulator_process, context, tab, tenant_id)
    context.close()


def badge(within: Locator | Page, label: str) -> Locator:
    return within.locator(".stMarkdownBadge").filter(has_text=label)


def test_v1_2_the_senders_page_opens_in_the_described_layout(story: Story) -> None:
    expect(story.tab.get_by_role("heading", name="Senders", exact=True)).to_be_visible()
    expect(story.tab.get_by_role("button", name="Add sender")).to_be_visible()
    head = story.tab.locator(".st-key-senders_head")
    expect(head).to_have_text("Email address\nStatus\nCreated\nActions", use_inner_text=True)
    expect(badge(story.row(SHOP), "Pending")).to_be_visible()
    expect(story.tab.get_by_text("Page 1 of 1, 2 senders")).to_be_visible()


def test_v1_3_add_sender_opens_step_1(story: Story) -> None:
    story.tab.get_by_role("button", name="Add sender").click()
    expect(story.tab.get_by_role("dialog").get_by_text("Step 1 of 2")).to_be_visible()


def test_v1_4_not_an_email_cannot_go_on(story: Story) -> None:
    dialog = story.tab.get_by_role("dialog")
    dialog.get_by_label("Email address").fill("not-an-email")
    dialog.get_by_role("button", name="Continue").click()
    expect(dialog.get_by_text("'not-an-email' is no e-mail address")).to_be_visible()
    expect(dialog.get_by_label("Email address")).to_have_value("not-an-email")
    expect(dialog.get_by_text("Step 1 of 2")).to_be_visible()
    assert len(senders.list_senders(story.app, access.SYSTEM, story.tenant_id)) == 2


def test_v1_5_a_good_address_goes_to_step_2(story: Story) -> None:
    dialog = story.tab.get_by_role("dialog")
    dialog.get_by_label("Email address").fill(NEWS)
    dialog.get_by_role("button", name="Continue").click()
    expect(story.tab.get_by_text("Step 2 of 2")).to_be_visible()
    expect(story.tab.get_by_text(NEWS)).to_be_visible()
    expect(dialog).to_have_count(0)


def test_v1_6_the_domain_identity_exists_in_ses(story: Story) -> None:
    found = story.app.providers.email(story.app.settings.region).find_identity("acme-mail.io")
    assert found is not None
    assert len(found.dkim_tokens) == 3


def test_v1_7_the_txt_record_and_three_cnames_are_shown(story: Story) -> None:
    expect(story.tab.get_by_text("up to 72 hours")).to_be_visible()
    story.tab.get_by_text("Optional: Amazon SES's older way").click()
    shown = story.tab.get_by_test_id("stCode")
    expected = story.findings(Kind.DKIM, Kind.OWNERSHIP)
    assert [each.record.type for each in expected] == ["CNAME", "CNAME", "CNAME", "TXT"]
    for each in expected:
        expect(shown.filter(has_text=each.record.name)).to_be_visible()
        expect(shown.filter(has_text=each.record.value)).to_be_visible()


def test_v1_8_copy_puts_the_value_on_the_clipboard(story: Story) -> None:
    for each in story.findings(Kind.DKIM, Kind.OWNERSHIP)[-2:]:
        card = story.tab.locator(f".st-key-record_{_as_class(each.record.key)}")
        for position, expected in enumerate((each.record.name, each.record.value)):
            card.get_by_role("button", name="Copy to clipboard").nth(position).click()
            assert story.tab.evaluate("navigator.clipboard.readText()") == expected


def test_v1_9_the_sender_is_listed_pending_with_its_time(story: Story) -> None:
    story.tab.get_by_role("button", name="All senders").click()
    row = story.row(NEWS)
    expect(badge(row, "Pending")).to_be_visible()
    at = story.sender(NEWS).created_at
    expect(row.get_by_text(f"{at.day} {at:%b %Y, %H:%M}")).to_be_visible()
    expect(story.tab.get_by_text("Page 1 of 1, 3 senders")).to_be_visible()


def test_while_one_types_the_table_refreshes_behind_the_dialog(story: Story) -> None:
    story.tab.get_by_role("button", name="Add sender").click()
    dialog = story.tab.get_by_role("dialog")
    dialog.get_by_label("Email address").fill(NEWS)
    expect(story.row(SHOP).get_by_text("Not checked yet")).to_be_visible()
    story.half_a_minute_later()
    expect(story.row(SHOP).get_by_text("Checked 1 min ago")).to_be_visible()
    expect(dialog.get_by_label("Email address")).to_have_value(NEWS)


def test_v1_11_the_same_address_again_is_refused(story: Story) -> None:
    dialog = story.tab.get_by_role("dialog")
    dialog.get_by_role("button", name="Continue").click()
    expect(dialog.get_by_text("Sender already exists")).to_be_visible()
    dialog.get_by_role("button", name="Close", exact=True).click()
    expect(dialog).to_have_count(0)


def test_v1_12_delete_asks_then_removes_it_here_and_in_ses(story: Story) -> None:
    ses = story.app.providers.email(story.app.settings.region)
    row = story.row(OLD)
    story.choose(OLD, "Delete")
    dialog = story.tab.get_by_role("dialog")
    expect(dialog.get_by_text("For 7 days it can be restored")).to_be_visible()
    assert ses.find_identity("acme-old.org") is not None
    dialog.get_by_text("Remove it for good at once").click()
    dialog.get_by_role("button", name="Delete for good").click()
    expect(dialog.get_by_text("These DNS records may be taken out now")).to_be_visible()
    dialog.get_by_role("button", name="Done").click()
    expect(row).to_have_count(0)
    assert ses.find_identity("acme-old.org") is None


def test_v1_13_the_reputation_page_leads_to_senders(story: Story) -> None:
    story.open("reputation")
    story.tab.get_by_role("link", name="Manage senders").click()
    expect(story.tab.get_by_role("heading", name="Senders", exact=True)).to_be_visible()
    expect(story.row(NEWS)).to_be_visible()


def test_a_double_click_makes_one_link(story: Story) -> None:
    story.choose(NEWS, "Send to your DNS person")
    dialog = story.tab.get_by_role("dialog")
    dialog.get_by_role("button", name="Make a link").dblclick()
    expect(dialog.get_by_text("/onboarding/")).to_be_visible()
    expect(dialog.get_by_role("button", name="Make a link")).to_have_count(0)
    expect(dialog.get_by_role("button", name="Revoke")).to_have_count(1)
    assert len(onboarding.list_links(story.app, access.SYSTEM, story.tenant_id)) == 1
    dialog.get_by_role("button", name="Revoke").click()
    expect(dialog.get_by_role("button", name="Make a link")).to_be_visible()
    dialog.get_by_role("button", name="Close", exact=True).click()
    expect(dialog).to_have_count(0)


def test_v2_1_verified_at_once_it_is_still_pending_without_an_error(story: Story) -> None:
    story.choose(NEWS, "DNS records")
    story.verify()
    expect(story.tab.get_by_text("of 8 DNS records found; SES has not verified it yet")).to_be_visible()
    expect(badge(story.state, "Pending")).to_be_visible()
    expect(story.tab.get_by_test_id("stAlertContentError")).to_have_count(0)


def test_v2_2_the_txt_record_is_published(story: Story) -> None:
    story.publish(Kind.OWNERSHIP)
    [record] = [each.record for each in story.findings(Kind.OWNERSHIP)]
    assert record.name == "_amazonses.acme-mail.io"


def test_v2_3_verify_makes_it_verified(story: Story) -> None:
    story.verify()
    expect(story.tab.get_by_text("acme-mail.io is verified")).to_be_visible()
    expect(badge(story.state, "Verified")).to_be_visible()
    expect(story.tab.get_by_text("DKIM pending")).to_be_visible()


def test_v2_4_the_cnames_are_published(story: Story) -> None:
    story.publish()
    assert len(story.findings(Kind.DKIM)) == 3


def test_v2_5_verify_makes_dkim_a_success(story: Story) -> None:
    story.verify()
    expect(story.tab.get_by_text("8 of 8 records found")).to_be_visible()
    expect(story.tab.get_by_text("DKIM success")).to_be_visible()


def test_v2_6_the_list_shows_a_green_badge_with_details(story: Story) -> None:
    story.tab.get_by_role("button", name="All senders").click()
    row = story.row(NEWS)
    expect(badge(row, "Verified")).to_be_visible()
    green = badge(row, "Verified").evaluate("shown => getComputedStyle(shown).color")
    red, green_part, blue = (int(part) for part in green.strip("rgb()").split(","))
    assert green_part > max(red, blue)
    expect(row.get_by_text("DKIM success · 8 of 8 records found · Checked")).to_be_visible()


def test_v2_8_an_unverified_sender_cannot_be_the_default(story: Story) -> None:
    story.choose(SHOP, "Make default")
    expect(story.tab.get_by_text("Domain must be verified")).to_be_visible()
    expect(badge(story.tab, "Default")).to_have_count(0)


def test_v2_9_a_verified_sender_as_default_has_a_badge(story: Story) -> None:
    story.choose(NEWS, "Make default")
    expect(badge(story.row(NEWS), "Default")).to_be_visible()


def test_v2_10_a_second_default_unsets_the_first(story: Story) -> None:
    senders.add(story.app, access.SYSTEM, story.tenant_id, TEAM)
    story.open()
    story.choose(TEAM, "Make default")
    expect(badge(story.row(TEAM), "Default")).to_be_visible()
    expect(badge(story.row(NEWS), "Default")).to_have_count(0)


def test_v2_11_the_cooldown_cannot_be_got_round_in_another_tab(story: Story) -> None:
    other = story.context.new_page()
    other.goto(f"{story.console.url}/senders?tenant=acme")
    row = other.locator(f".st-key-senders_row_{story.sender(SHOP).id}")
    expect(row).to_be_visible()
    story.half_a_minute_later()
    story.row(SHOP).get_by_role("button", name="Verify now").click()
    expect(story.tab.get_by_text("Checked acme-shop.net")).to_be_visible()
    row.get_by_role("button", name="Verify now").click()
    expect(other.get_by_text("was checked a moment ago. Try again in")).to_be_visible()
    other.goto(f"{story.console.url}/senders?tenant=acme&sender={story.sender(SHOP).id}")
    expect(other.get_by_role("button", name="Verify again in")).to_be_disabled()
    other.close()


def test_nothing_is_wider_than_a_phone(story: Story) -> None:
    story.tab.set_viewport_size({"width": 380, "height": 800})
    for query in ({}, {"sender": story.sender(SHOP).id}):
        story.open(**query)
        expect(story.tab.get_by_text("hello@acme-shop.net")).to_be_visible()
        main = story.tab.get_by_test_id("stMain")
        assert main.evaluate("shown => shown.scrollWidth - shown.clientWidth") == 0
        assert story.tab.evaluate("document.documentElement.scrollWidth") == 380


def _as_class(key: str) -> str:
    """A container's key as Streamlit makes a class of it."""
    return "".join(sign if sign.isalnum() or sign in "_-" else "-" for sign in key)

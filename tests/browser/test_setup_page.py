"""A tenant's setup in a real browser: half-made, repaired, proven, and let out of the sandbox."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from core import access, accounts, tenants
from core.access import Role
from core.app import App
from core.db.models import User
from tests.browser.conftest import sign_in
from tests.campaigning import ingest_until_idle, send_until_idle
from tests.conftest import verified_sender
from tests.consoles import Console
from tests.simulators import Simulator

pytestmark = pytest.mark.browser
Make = Callable[..., User]
REFUSED = {"kind": "error", "status": 400, "code": "BadRequestException", "times": 0}
USE_CASE = "Newsletters to people who subscribed at acme-mail.io, about 2,000 a day; bounces are suppressed."


def test_a_half_made_tenant_is_repaired_proven_and_let_out_of_the_sandbox(
    app: App, simulator: Simulator, browser_console: Console, somebody: Make, page: Page
) -> None:
    somebody("root", Role.ADMIN)
    simulator.scenario(account={"production_access": False})
    simulator.faults({**REFUSED, "operation": "CreateConfigurationSet"})
    sign_in(page, f"{browser_console.url}/tenants", "root")
    dialog = page.get_by_role("dialog")

    page.get_by_role("button", name="Add tenant").click()
    dialog.get_by_label("Name", exact=True).fill("Acme Retail")
    dialog.get_by_role("textbox", name="Short name").fill("acme")
    dialog.get_by_role("button", name="Add tenant").click()
    expect(dialog.get_by_text("Configuration set · failed")).to_be_visible()
    expect(dialog.get_by_text("Repeat to go on")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_text("Its setup in AWS is not complete")).to_be_visible()

    simulator.faults()
    page.get_by_role("button", name="Repair").click()
    dialog.get_by_role("button", name="Repair").click()
    expect(page.get_by_text("Acme Retail is complete in SES.")).to_be_visible()
    expect(page.get_by_text("Its setup in AWS is not complete")).to_have_count(0)

    acme = tenants.get_by_slug(app, access.SYSTEM, "acme")
    verified_sender(app, simulator, acme.id, "news@acme-mail.io")
    page.get_by_role("tab", name="Setup").click()
    page.wait_for_url("**view=Setup**")
    page.get_by_role("button", name="Send a test through the pipeline").click()
    expect(page.get_by_role("button", name="Send a test through the pipeline")).to_be_disabled()
    send_until_idle(app)
    ingest_until_idle(app)
    expect(page.get_by_text("A test message came back")).to_be_visible()

    banner = page.get_by_text("Amazon SES sandbox:")
    expect(banner).to_be_visible()
    page.get_by_test_id("stMain").get_by_role("link", name="AWS accounts").first.click()
    page.get_by_role("textbox", name="Website").fill("https://acme-mail.io")
    page.get_by_role("textbox", name="Use case").fill(USE_CASE)
    page.get_by_role("button", name="Request production access").click()
    dialog.get_by_role("button", name="Send to AWS").click()
    expect(page.get_by_text("AWS is reviewing the request").first).to_be_visible()
    expect(banner).to_be_visible()
    simulator.scenario(account={"review": "GRANTED"})
    accounts.refresh_due(app)
    expect(banner).to_have_count(0)
    expect(page.locator(".stMarkdownBadge").filter(has_text="Production")).to_be_visible()

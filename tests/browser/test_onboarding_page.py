"""The onboarding page in a browser: copied values, live verdicts, a phone's width, and no script at all."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect
from sqlalchemy import select, update

from core import access, onboarding, senders, tenants
from core.app import App, AwsProviders
from core.db.models import Identity
from core.dns import Finding
from tests.processes import serving_webhooks
from tests.simulators import Simulator

pytestmark = pytest.mark.browser
PHONE = {"width": 380, "height": 800}


@pytest.fixture
def app(app: App, aws: AwsProviders, monkeypatch: pytest.MonkeyPatch) -> App:
    monkeypatch.setenv("POSTYARD_CONTROL_CALLS_PER_SECOND", "1000")  # of the process that serves the page
    return dataclasses.replace(app, providers=aws)


@pytest.fixture
def token(simulator: Simulator, app: App) -> str:
    tenant = tenants.create(app, access.SYSTEM, slug="acme", name="Acme Retail")
    sender = senders.add(app, access.SYSTEM, tenant.id, "news@acme-mail.io")
    _, path = onboarding.create_link(app, access.SYSTEM, tenant.id, sender.identity_id)
    return path.rpartition("/")[2]


@pytest.fixture
def address(app: App, token: str) -> Iterator[str]:
    with serving_webhooks(app) as url:
        yield f"{url}/onboarding/{token}"


def records(app: App, token: str) -> list[Finding]:
    return onboarding.open_page(app, token).records


def rest(app: App) -> None:
    """As if the last check were a minute ago."""
    with app.db.begin() as session:
        session.execute(update(Identity).values(checked_at=app.now() - timedelta(minutes=1)))


def complaints(page: Page) -> list[str]:
    """What the browser refuses or stumbles over, from now on."""
    heard: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            heard.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("dialog", lambda dialog: heard.append(dialog.message))
    return heard


def too_wide(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth > window.innerWidth"))


def test_a_copy_button_puts_the_exact_value_on_the_clipboard(
    app: App, context: BrowserContext, page: Page, address: str, token: str
) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    heard = complaints(page)
    page.goto(address)

    wanted = [(f.record.name, f.record.value) for f in records(app, token) if f.record.type != "MX"]
    cards = page.locator("details.record")
    for name, value in wanted:
        card = cards.filter(has_text=value).filter(has_text=name).first
        if card.get_attribute("open") is None:
            card.locator("summary").click()
        for label, expected in (("Copy the name", name), ("Copy the value", value)):
            button = card.get_by_role("button", name=label, exact=True)
            button.click()
            expect(button).to_have_text("Copied")
            assert page.evaluate("navigator.clipboard.readText()") == expected
    expect(page.get_by_role("button", name="Copy the priority")).to_have_attribute("data-copy", "10")
    assert heard == []


def test_check_again_shows_live_verdicts_once_the_zone_is_mended(
    app: App, simulator: Simulator, page: Page, address: str, token: str
) -> None:
    heard = complaints(page)
    page.goto(address)
    # DNS was looked at when the domain was added; SES has not been asked since.
    expect(page.get_by_text("Not checked yet")).to_be_visible()
    page.get_by_role("button", name="Check again").click()
    expect(page.get_by_text("Last checked just now")).to_be_visible()
    expect(page.get_by_role("heading", name="3 of 3 required records are not right yet")).to_be_visible()
    expect(page.locator("summary .badge.bad").first).to_have_text("✕ Not there yet")
    button = page.get_by_role("button", name="Check again")
    expect(button).to_be_disabled()
    expect(button).to_contain_text("Check again in")

    simulator.put_dns([finding.record.as_json() for finding in records(app, token)])
    rest(app)
    page.reload()
    page.get_by_role("button", name="Check again").click()

    expect(page.get_by_role("heading", name="Everything is in place")).to_be_visible()
    assert set(page.locator("summary .badge").all_inner_texts()) == {"✓ Found"}
    assert page.url == address
    assert heard == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_without_scrolling_sideways(
    app: App, browser: Browser, address: str, token: str, scheme: str
) -> None:
    onboarding.check_again(app, token)
    evil = "<img src=x onerror=alert(1)>\u202eevil " + "x" * 10_000
    with app.db.begin() as session:
        identity = session.scalars(select(Identity)).one()
        identity.dns_findings = [
            {**finding, "found": [evil, "שלום.example"], "advice": evil, "verdict": "different"}
            for finding in identity.dns_findings
        ]
    context = browser.new_context(viewport=PHONE, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    heard = complaints(page)
    page.goto(address)

    assert not too_wide(page)
    expect(page.get_by_text("<img src=x onerror=alert(1)>").first).to_be_visible()
    assert page.locator("img[src=x]").count() == 0
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(245, 247, 250)", "dark": "rgb(14, 20, 32)"}[scheme]
    assert heard == []
    context.close()


def test_it_works_without_a_script(app: App, browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    expect(page.get_by_role("button", name="Copy")).to_have_count(0)
    page.get_by_role("button", name="Check again").click()
    expect(page.get_by_role("heading", name="3 of 3 required records are not right yet")).to_be_visible()
    expect(page.get_by_text("Can be checked again in")).to_be_visible()
    page.get_by_role("button", name="Check again").click()  # too soon: told, and the page stays
    expect(page.get_by_role("alert")).to_contain_text("was checked a moment ago")
    expect(page.get_by_role("heading", name="DNS records for acme-mail.io")).to_be_visible()
    context.close()

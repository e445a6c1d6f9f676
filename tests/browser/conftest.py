"""A browser and a console for it: headless Chromium, a fresh server process, its own SQLite database.

def test_…(browser_console, page, somebody):
    somebody("dora", Role.OPERATOR)
    sign_in(page, browser_console.url, "dora")
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from core import access, users
from core.access import Role
from core.app import App, build_app
from core.db.models import User
from core.settings import Settings
from tests.consoles import Console, start_console
from tests.databases import copy_sqlite

PASSWORD = "correct horse battery"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
expect.set_options(timeout=20_000)


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    found = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    browser = playwright.chromium.launch(executable_path=found, args=FLAGS)
    yield browser
    browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """One person's browser: its tabs share cookies."""
    context = browser.new_context(viewport={"width": 1440, "height": 1000})
    context.set_default_timeout(20_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture
def app(migrated_sqlite: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[App]:
    """On SQLite; with the simulator behind it when the test asks for `simulator` too."""
    url = copy_sqlite(migrated_sqlite, tmp_path / "postyard.db")
    dns = {}
    if "simulator" in request.fixturenames:
        dns = {"dns_servers": request.getfixturevalue("simulator").dns}
    app = build_app(Settings.load(database_url=url, data_dir=tmp_path, **dns))
    yield app
    app.db.dispose()


@pytest.fixture
def browser_console(app: App, tmp_path: Path) -> Iterator[Console]:
    """A server process nobody has visited yet."""
    with start_console(app, tmp_path) as console:
        yield console


@pytest.fixture
def somebody(app: App) -> Callable[..., User]:
    """Make a user with PASSWORD: somebody("bob", Role.ACCOUNT_MANAGER, "acme")."""

    def make(username: str, role: Role, *tenant_slugs: str) -> User:
        return users.create(
            app,
            access.SYSTEM,
            username=username,
            name=username.title(),
            role=role,
            password=PASSWORD,
            tenant_slugs=tenant_slugs,
        )[0]

    return make


def fill_form(page: Page, username: str, password: str) -> None:
    page.get_by_role("textbox", name="Username").fill(username)
    page.get_by_role("textbox", name="Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def sign_in(page: Page, address: str, username: str, password: str = PASSWORD) -> None:
    """Open the address as a stranger, sign in, and wait for the menu."""
    page.goto(address)
    fill_form(page, username, password)
    expect(page.get_by_test_id("stSidebarNav")).to_be_attached()

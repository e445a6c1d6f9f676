"""A browser and a console for it: headless Chromium, one server process, its SQLite database emptied for each
test.

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
from core.installation import watch
from core.settings import Settings
from tests.consoles import Console, start_console
from tests.databases import copy_sqlite, empty_sqlite
from tests.simulators import Simulator

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


@pytest.fixture(scope="session")
def shared_console(
    simulator_process: Simulator, migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Console]:
    """For all tests of a process, with the simulator behind it."""
    directory = tmp_path_factory.mktemp("console")
    url = copy_sqlite(migrated_sqlite, directory / "postyard.db")
    app = build_app(Settings.load(database_url=url, data_dir=directory, dns_servers=simulator_process.dns))
    with start_console(app, directory) as console:
        yield console
    app.db.dispose()


def emptied(console: Console, migrated: Path) -> Console:
    """A new installation: nobody can sign in, and nothing is remembered of the database that was there."""
    directory = console.app.settings.data_dir
    empty_sqlite(migrated, directory / "postyard.db")
    (directory / watch.FILE).unlink(missing_ok=True)
    return console


@pytest.fixture
def browser_console(shared_console: Console, sqlite_template: Path) -> Console:
    return emptied(shared_console, sqlite_template)


@pytest.fixture
def app(sqlite_template: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[App]:
    """The console's when the test asks for `browser_console`, otherwise on a SQLite database of its own; with
    the simulator behind it when the test asks for `simulator` too."""
    if "browser_console" in request.fixturenames:
        console: Console = request.getfixturevalue("browser_console")
        yield console.app
        return
    url = copy_sqlite(sqlite_template, tmp_path / "postyard.db")
    dns = {}
    if "simulator" in request.fixturenames:
        dns = {"dns_servers": request.getfixturevalue("simulator").dns}
    app = build_app(Settings.load(database_url=url, data_dir=tmp_path, **dns))
    yield app
    app.db.dispose()


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


def settle(page: Page) -> None:
    """Wait until the page is drawn: its run has ended, its images are there or have failed."""
    state = "[data-testid=stApp][data-test-script-state=notRunning][data-test-connection-state=CONNECTED]"
    expect(page.locator(state)).to_be_attached()
    page.wait_for_function("[...document.images].every(image => image.complete)")
    page.evaluate("new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")

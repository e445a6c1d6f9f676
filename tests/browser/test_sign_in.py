"""Signing in and out as a person does, in a real browser over a real websocket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from sqlalchemy import select

from core import users
from core.access import SYSTEM, Role
from core.app import App
from core.db.models import Account, Tenant, User, UserSession
from tests.browser.conftest import PASSWORD, fill_form, settle, sign_in
from tests.consoles import Console, start_console

pytestmark = pytest.mark.browser
Make = Callable[..., User]
PATHS = (
    "",
    "tenants",
    "senders",
    "campaigns",
    "reputation",
    "suppressions",
    "messages",
    "users",
    "audit",
    "health",
)


@pytest.fixture
def tenants(app: App) -> None:
    with app.db.begin() as session:
        account = Account(name="platform", region="ap-southeast-1", created_at=app.now())
        session.add(account)
        session.flush()
        for slug in ("acme", "globex"):
            session.add(
                Tenant(
                    account_id=account.id,
                    slug=slug,
                    name=f"The {slug} company",
                    created_at=app.now(),
                    provisioned_at=app.now(),
                )
            )


def heading(page: Page, name: str) -> None:
    expect(page.get_by_role("heading", level=1, name=name, exact=True)).to_be_visible()


def form(page: Page) -> None:
    expect(page.get_by_role("textbox", name="Username")).to_be_visible()
    expect(page.get_by_test_id("stSidebarNav")).to_have_count(0)


@pytest.mark.parametrize("script", ["console.py", "Home.py"])
def test_every_page_of_a_fresh_server_shows_a_stranger_the_form_and_nothing_else(
    app: App, tmp_path: Path, page: Page, somebody: Make, tenants: None, script: str
) -> None:
    somebody("dora", Role.ADMIN)
    with start_console(app, tmp_path, script=script) as console:
        for path in reversed(PATHS):
            page.goto(f"{console.url}/{path}")
            expect(page.get_by_role("textbox", name="Username")).to_be_attached()
            shown = page.get_by_test_id("stApp").inner_text()
            assert "company" not in shown
            assert "Dora" not in shown
            assert page.get_by_test_id("stDataFrame").count() == 0
            assert page.get_by_test_id("stSidebarNav").count() == 0


def test_a_deep_link_is_kept_through_signing_in_reloading_and_a_second_tab(
    browser_console: Console, context: BrowserContext, page: Page, somebody: Make, tenants: None
) -> None:
    somebody("dora", Role.OPERATOR)
    address = f"{browser_console.url}/tenants?tenant=globex"
    sign_in(page, address, "dora")
    heading(page, "Tenants")
    expect(page.get_by_role("combobox", name="Tenant")).to_have_value("The globex company")
    assert page.url == address
    page.reload()
    heading(page, "Tenants")
    assert page.url == address
    second = context.new_page()
    second.goto(f"{browser_console.url}/audit")
    heading(second, "Audit log")
    expect(second.get_by_text("Signed in as Dora")).to_be_visible()


def test_the_cookie_cannot_be_read_by_scripts_and_no_other_keeps_the_session(
    browser_console: Console, context: BrowserContext, page: Page, somebody: Make
) -> None:
    somebody("dora", Role.OPERATOR)
    sign_in(page, browser_console.url, "dora")
    cookies = {cookie["name"]: cookie for cookie in context.cookies()}
    kept = cookies.pop("postyard_session")
    assert (kept["httpOnly"], kept["sameSite"], kept["expires"]) == (True, "Lax", -1)
    assert kept["value"] not in page.evaluate("document.cookie")
    assert not [name for name in cookies if not name.startswith("_streamlit")]
    assert "ticket" not in page.url


def test_signing_out_ends_the_other_tab_at_its_next_click(
    browser_console: Console, context: BrowserContext, page: Page, somebody: Make, tenants: None
) -> None:
    somebody("dora", Role.OPERATOR)
    sign_in(page, browser_console.url, "dora")
    heading(page, "Overview")
    other = context.new_page()
    other.goto(f"{browser_console.url}/tenants")
    heading(other, "Tenants")
    page.get_by_role("button", name="Sign out").click()
    form(page)
    assert "postyard_session" not in {cookie["name"] for cookie in context.cookies()}
    other.get_by_role("link", name="Health").click()
    form(other)
    page.reload()
    form(page)


def test_a_revoked_session_and_a_lower_role_act_at_the_next_click(
    browser_console: Console, app: App, page: Page, somebody: Make, tenants: None
) -> None:
    somebody("dora", Role.ADMIN)
    somebody("root", Role.ADMIN)
    sign_in(page, f"{browser_console.url}/users", "dora")
    heading(page, "Users")
    users.assign(app, SYSTEM, "dora", role=Role.ANALYST, tenant_slugs=("acme",))
    page.get_by_role("link", name="Tenants").click()
    heading(page, "Tenants")
    expect(page.get_by_role("link", name="Users")).to_have_count(0)
    expect(page.get_by_text("The globex company")).to_have_count(0)
    users.revoke_all(app, SYSTEM, "dora")
    page.get_by_role("link", name="Overview").click()
    form(page)


def test_after_five_wrong_passwords_even_the_right_one_must_wait(
    browser_console: Console, app: App, page: Page, somebody: Make
) -> None:
    somebody("dora", Role.OPERATOR)
    page.goto(browser_console.url)
    for _ in range(4):
        users.check_password(app, "dora", "wrong horse battery", None)
    fill_form(page, "dora", "wrong horse battery")
    expect(page.get_by_text("Username or password is not right.")).to_be_visible()
    fill_form(page, "dora", PASSWORD)
    expect(page.get_by_text("Too many wrong passwords.")).to_be_visible()
    form(page)
    with app.db.read() as session:
        assert session.scalars(select(UserSession.id)).all() == []


def test_the_first_password_must_be_changed_before_anything_is_shown(
    browser_console: Console, app: App, page: Page
) -> None:
    _, made = users.create(app, SYSTEM, username="dora", name="Dora", role=Role.ADMIN)
    page.goto(f"{browser_console.url}/users")
    fill_form(page, "dora", str(made))
    heading(page, "Choose your own password")
    expect(page.get_by_test_id("stDataFrame")).to_have_count(0)
    page.get_by_role("textbox", name="Present password").fill(str(made))
    page.get_by_role("textbox", name="New password", exact=True).fill("a sentence of my own")
    page.get_by_role("textbox", name="New password again").fill("a sentence of my own")
    page.get_by_role("button", name="Change password").click()
    heading(page, "Users")
    assert users.check_password(app, "dora", "a sentence of my own", None) is not None


def test_started_as_home_py_a_sign_in_lasts_for_its_tab(
    app: App, tmp_path: Path, page: Page, somebody: Make, tenants: None
) -> None:
    somebody("dora", Role.OPERATOR)
    with start_console(app, tmp_path, script="Home.py") as console:
        sign_in(page, console.url, "dora")
        heading(page, "Overview")
        page.get_by_role("link", name="Tenants").click()
        heading(page, "Tenants")
        page.get_by_role("button", name="Sign out").click()
        form(page)


def test_nothing_is_asked_of_another_host(
    browser_console: Console, page: Page, somebody: Make, tenants: None
) -> None:
    asked: set[str] = set()
    told: list[str] = []
    page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
    page.on("console", lambda message: told.append(message.text))
    somebody("dora", Role.ADMIN)
    sign_in(page, browser_console.url, "dora")
    for path in PATHS:
        page.goto(f"{browser_console.url}/{path}")
        expect(page.get_by_role("heading", level=1).first).to_be_visible()
        settle(page)
    assert asked - {""} == {urlsplit(browser_console.url).netloc}
    assert [text for text in told if "Content Security Policy" in text] == []

"""A tab that is open when its session ends: dialogs and tables that refresh run without the page's gate."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from core import users
from core.access import SYSTEM, Role
from core.app import App
from core.db.models import Account, Identity, Sender, Suppression, Tenant, User
from tests.browser.conftest import sign_in
from tests.consoles import Console

pytestmark = pytest.mark.browser
Make = Callable[..., User]


@pytest.fixture
def acme(app: App) -> None:
    """A tenant with a pending sender, whose table refreshes by itself, and one suppressed address."""
    at = app.now()
    with app.db.begin() as session:
        account = Account(name="platform", region="ap-southeast-1", created_at=at)
        session.add(account)
        session.flush()
        tenant = Tenant(account_id=account.id, slug="acme", name="Acme", created_at=at, provisioned_at=at)
        session.add(tenant)
        session.flush()
        identity = Identity(tenant_id=tenant.id, name="acme-mail.io", type="DOMAIN", created_at=at)
        session.add(identity)
        session.flush()
        session.add(Sender(tenant_id=tenant.id, identity_id=identity.id, address="news@acme-mail.io",
                           created_at=at))  # fmt: skip
        session.add(Suppression(tenant_id=tenant.id, address="gone@example.org", reason="BOUNCE",
                                source="event", created_by="postyard", created_at=at))  # fmt: skip


def form(page: Page) -> None:
    expect(page.get_by_role("textbox", name="Username")).to_be_visible(timeout=15_000)


def test_a_table_that_refreshes_by_itself_ends_with_the_session(
    browser_console: Console, app: App, page: Page, somebody: Make, acme: None
) -> None:
    somebody("dora", Role.OPERATOR)
    sign_in(page, f"{browser_console.url}/senders", "dora")
    expect(page.get_by_text("news@acme-mail.io")).to_be_visible()
    users.revoke_all(app, SYSTEM, "dora")
    form(page)
    expect(page.get_by_text("news@acme-mail.io")).to_have_count(0)


@pytest.mark.parametrize("what", ["revoked", "demoted"])
def test_an_open_dialog_does_nothing_for_somebody_who_may_no_longer(
    browser_console: Console, app: App, page: Page, somebody: Make, acme: None, what: str
) -> None:
    somebody("dora", Role.ADMIN)
    somebody("root", Role.ADMIN)
    sign_in(page, f"{browser_console.url}/users", "dora")
    page.get_by_role("button", name="Add user").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name", exact=True).fill("Eve")
    dialog.get_by_label("Username").fill("eve")
    if what == "revoked":
        users.revoke_all(app, SYSTEM, "dora")
    else:
        users.assign(app, SYSTEM, "dora", role=Role.ANALYST)
    dialog.get_by_role("button", name="Add user").click()
    if what == "revoked":
        form(page)
    else:
        expect(dialog).to_have_count(0)
    assert {user.username for user in users.list_users(app, SYSTEM)} == {"dora", "root"}


def test_an_export_that_was_offered_before_is_refused_after_the_session_ended(
    browser_console: Console, context: BrowserContext, app: App, page: Page, somebody: Make, acme: None
) -> None:
    somebody("dora", Role.OPERATOR)
    sign_in(page, f"{browser_console.url}/suppressions", "dora")
    button = page.get_by_role("button", name="Export CSV")
    expect(button).to_be_visible()
    users.revoke_all(app, SYSTEM, "dora")
    downloads: list[object] = []
    page.on("download", lambda download: downloads.append(download))
    button.click()
    page.wait_for_timeout(1500)
    assert downloads == []

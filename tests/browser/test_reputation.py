"""The Reputation page in a browser: its range, its files, and nobody else's figures."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from core.access import Role
from core.app import App
from core.db.models import Account, AuditEntry, DailyCount, DomainCount, DomainTotal, Tenant, User
from pages._ui.format import local
from tests.browser.conftest import settle, sign_in
from tests.consoles import Console

pytestmark = pytest.mark.browser
EVIL = "=1+1 <img src=x onerror=alert(1)> [click](javascript:alert(2))"
ZONE = "Pacific/Kiritimati"


@pytest.fixture
def two_tenants(app: App) -> None:
    """With mail on two days each; one of the tenants has hostile names, and was paused."""
    with app.db.begin() as session:
        account = Account(name="platform", region="ap-southeast-1", created_at=app.now())
        session.add(account)
        session.flush()
        for slug, domain in (("acme", EVIL), ("globex", "secret.example.net")):
            tenant = Tenant(account_id=account.id, slug=slug, name=slug.title(), timezone=ZONE,
                            created_at=app.now(), provisioned_at=app.now())  # fmt: skip
            session.add(tenant)
            session.flush()
            today = local(app.now(), ZONE).date()
            for days_ago in (2, 60):
                counts = {"tenant_id": tenant.id, "day": today - timedelta(days=days_ago), "sent": 1000,
                          "delivered": 940, "permanent_bounces": 60, "complaints": 1, "opened": 300,
                          "opened_by_machine": 200}  # fmt: skip
                session.add(DailyCount(campaign_id=0, **counts))
                session.add(DomainCount(domain=domain, **counts))
            session.add(DomainTotal(tenant_id=tenant.id, domain=domain, sent=2000))
            session.add(
                AuditEntry(at=app.now() - timedelta(days=1), actor="postyard", role="admin", subject=slug,
                           tenant_id=tenant.id, action="pause tenant",
                           detail={"reason": f"{slug}: {EVIL}", "signal": "bounce", "bad": 60,
                                   "outcomes": 1000})
            )  # fmt: skip


def test_an_account_manager_reads_and_takes_along_the_reputation_of_their_tenant(
    browser_console: Console, app: App, page: Page, somebody: Callable[..., User], two_tenants: None,
    tmp_path: Path,
) -> None:  # fmt: skip
    asked: set[str] = set()
    ran: list[str] = []
    page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
    page.on("dialog", lambda dialog: (ran.append(dialog.message), dialog.dismiss()))
    somebody("bob", Role.ACCOUNT_MANAGER, "acme")
    sign_in(page, f"{browser_console.url}/reputation?tenant=globex", "bob")
    card = page.get_by_test_id("stMetric").filter(has_text="Sent")
    expect(card).to_contain_text("1,000")

    page.get_by_role("radio", name="90 days").or_(page.get_by_role("button", name="90 days")).click()
    expect(card).to_contain_text("2,000")
    settle(page)
    picture = _saved(page, "bounces", "png", tmp_path)
    assert picture.startswith(b"\x89PNG")
    assert len(picture) > 20_000
    for name in ("complaints", "volume"):
        assert _saved(page, name, "png", tmp_path).startswith(b"\x89PNG")
    days = _rows(_saved(page, "days", "csv", tmp_path))
    assert len(days) == 90
    assert [row["Sent"] for row in days if row["Sent"] != "0"] == ["1000", "1000"]
    today = local(app.now(), ZONE).date()
    assert days[-1]["Day"] == today.isoformat()
    (pause,) = _rows(_saved(page, "pauses", "csv", tmp_path))
    assert (pause["By"], pause["Evidence"]) == ("Postyard", "60 of 1,000 bounced")

    page.get_by_role("tab", name="By recipient domain").click()
    (row,) = _rows(_saved(page, "domains", "csv", tmp_path))
    assert (row["Domain"], row["Sent"], row["Bounce rate %"]) == (f"'{EVIL}", "2000", "6.00")
    assert (row["Opened by people"], row["Opened by machines"]) == ("600", "400")
    page.get_by_role("tab", name="By mailbox provider").click()
    (row,) = _rows(_saved(page, "providers", "csv", tmp_path))
    assert row["Provider"] == "Other"

    tables = page.get_by_test_id("stDataFrame")
    tables.last.hover()
    expect(page.get_by_role("button", name="Fullscreen").last).to_be_visible()
    expect(page.get_by_role("button", name="Download as CSV").filter(visible=True)).to_have_count(0)

    drawn = page.get_by_test_id("stApp").inner_html() + "".join(file.read_text("utf-8", "replace") for file in
                                                               tmp_path.iterdir())  # fmt: skip
    assert "globex" not in drawn.lower()
    assert "secret" not in drawn
    assert EVIL in _told_of_the_pause(page)
    assert page.locator("img[src=x], a[href^=javascript]").count() == 0
    assert ran == []
    assert asked - {""} == {urlsplit(browser_console.url).netloc}


def _told_of_the_pause(page: Page) -> str:
    """By the chart, to who points at its right end."""
    page.get_by_text("7 days", exact=True).click()
    settle(page)
    box = page.get_by_test_id("stVegaLiteChart").first.bounding_box()
    assert box is not None
    told = page.locator("#vg-tooltip-element.visible")
    for share in (0.9, 0.92, 0.94, 0.96):
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + 100, steps=3)
        page.wait_for_timeout(300)
        if told.count():
            break
    return told.inner_text()


def _saved(page: Page, name: str, kind: str, directory: Path) -> bytes:
    button = page.locator(f".st-key-reputation-{kind}-{name} button")
    with page.expect_download() as download:
        button.click()
    assert download.value.suggested_filename.startswith(f"reputation-acme-{name}-")
    path = directory / f"{name}.{kind}"
    download.value.save_as(path)
    return path.read_bytes()


def _rows(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))

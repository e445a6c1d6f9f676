"""What others write (names, subjects, answers of receiving servers, rows of a file) is text on every page."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, expect

from core.access import Role
from core.app import App
from core.db.models import (
    Account,
    Alert,
    AuditEntry,
    Campaign,
    Content,
    Event,
    Identity,
    JobRun,
    Message,
    ParkedEvent,
    Sender,
    Suppression,
    Tenant,
    TenantResource,
    User,
)
from pages.sending._preview import sandboxed
from tests.browser.conftest import settle, sign_in
from tests.consoles import Console

pytestmark = pytest.mark.browser
Make = Callable[..., User]
EVIL = (
    "<img src=x onerror=alert(1)><script>alert(2)</script> ![i](http://evil.example/i.png) "
    "[click](javascript:alert(3)) :red[x] $x$ \u202egpj.exe\r\nBcc: v@example.com"
)
PAGES = ("", "tenants", "tenants?view=Setup", "accounts", "senders", "senders?sender=1", "campaigns",
         "campaigns?campaign=1", "reputation", "suppressions", "messages", "audit", "health",
         "users", "alerts", "events")  # fmt: skip
ADDRESS = "ann@example.com"
# What a domain's name server answered, and what was made of it.
FINDING = {"key": "CNAME a._domainkey.acme-mail.io dkim", "type": "CNAME", "required": True,
           "name": "a._domainkey.acme-mail.io", "expected": "a.dkim.amazonses.com", "found": [EVIL],
           "verdict": "different", "mistake": "other value", "advice": EVIL, "better": EVIL}  # fmt: skip


@pytest.fixture
def hostile(app: App) -> None:
    """One of everything a stranger can bring a text into, past every check: as if one had been forgotten."""
    at = app.now()
    with app.db.begin() as session:

        def add(row: object) -> int:
            session.add(row)
            session.flush()
            return int(row.id)  # type: ignore[attr-defined]

        account = add(
            Account(
                name=EVIL,
                region="ap-southeast-1",
                created_at=at,
                checked_at=at,
                aws_account_id=EVIL,
                review_status="PENDING",
                review_case_id=EVIL,
                access_request={"website_url": EVIL, "contacts": [EVIL]},
                access_requested_by=EVIL,
                access_requested_at=at,
                queue_url="q",
                dead_letter_queue_url="q-dlq",
            )
        )
        tenant = add(
            Tenant(
                account_id=account,
                slug="acme",
                name=EVIL,
                created_at=at,
                provisioned_at=at,
                sending_status="DISABLED",
                paused_reason=EVIL,
                paused_by=EVIL,
                paused_at=at,
                aws_status="DISABLED",
                aws_status_cause=EVIL,
                reputation_checked_at=at,
                reputation_findings=[{"type": EVIL, "description": EVIL, "impact": EVIL}],
            )
        )
        session.add(
            TenantResource(tenant_id=tenant, key=EVIL, position=0, name=EVIL, state="failed", detail=EVIL,
                           checked_at=at)
        )  # fmt: skip
        session.add(Alert(tenant_id=tenant, kind="drift", cause="tenant", sentence=EVIL, raised_at=at))
        identity = add(
            Identity(
                tenant_id=tenant,
                name="acme-mail.io",
                type="DOMAIN",
                created_at=at,
                verification_status="FAILED",
                error_detail=EVIL,
                error_type=EVIL,
                dkim_tokens=["a"],
                dns_findings=[FINDING],
                verification_info={"primary_name_server": EVIL},
            )
        )
        sender = add(
            Sender(
                tenant_id=tenant,
                identity_id=identity,
                address="news@acme-mail.io",
                display_name=EVIL,
                created_at=at,
            )
        )
        add(Sender(tenant_id=tenant, identity_id=identity, address="old@acme-mail.io", created_at=at,
                   deleted_at=at, deleted_by=EVIL))  # fmt: skip
        content = add(
            Content(tenant_id=tenant, subject=EVIL, html=EVIL, text=EVIL, fallbacks={}, created_at=at)
        )
        campaign = add(
            Campaign(
                tenant_id=tenant,
                sender_id=sender,
                content_id=content,
                name=EVIL,
                recipients=1,
                rejected=0,
                csv_sha256="",
                created_by=EVIL,
                created_at=at,
                status="BLOCKED",
                status_reason=EVIL,
            )
        )
        message = add(
            Message(
                tenant_id=tenant,
                campaign_id=campaign,
                sender_id=sender,
                content_id=content,
                address=ADDRESS,
                address_key=ADDRESS,
                fields={"first_name": EVIL},
                status="bounced",
                reason=EVIL,
                created_by=EVIL,
                created_at=at,
                counts_in_rates=True,
            )
        )
        add(
            Event(
                tenant_id=tenant,
                message_id=message,
                type="BOUNCE",
                recipient=ADDRESS,
                occurred_at=at,
                received_at=at,
                uid="1",
                raw="{}",
                diagnostic=EVIL,
                bounce_type=EVIL,
                bounce_subtype=EVIL,
            )
        )
        add(
            Event(
                tenant_id=tenant,
                message_id=message,
                type="CLICK",
                recipient=ADDRESS,
                occurred_at=at,
                received_at=at,
                uid="2",
                raw=EVIL,
                link=EVIL,
                user_agent=EVIL,
                ip_address=EVIL,
            )
        )
        add(
            ParkedEvent(
                uid="3",
                account_id=account,
                tenant_id=tenant,
                reason="unreadable",
                body=EVIL,
                received_at=at,
            )
        )
        add(
            Suppression(
                tenant_id=tenant,
                address=ADDRESS,
                reason="COMPLAINT",
                source=EVIL,
                note=EVIL,
                created_by=EVIL,
                created_at=at,
            )
        )
        add(
            AuditEntry(
                at=at,
                actor=EVIL,
                role="admin",
                tenant_id=tenant,
                action=EVIL,
                subject=EVIL,
                detail={"reason": EVIL},
            )
        )
        session.add(JobRun(name=EVIL, started_at=at, finished_at=at, error=EVIL))


def test_hostile_text_is_inert_on_every_page(
    browser_console: Console, app: App, page: Page, somebody: Make, hostile: None
) -> None:
    asked: set[str] = set()
    ran: list[str] = []
    page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
    page.on("dialog", lambda dialog: (ran.append(dialog.message), dialog.dismiss()))
    somebody("dora", Role.ADMIN)
    sign_in(page, browser_console.url, "dora")
    for path in PAGES:
        page.goto(f"{browser_console.url}/{path}")
        expect(page.get_by_role("heading", level=1).first).to_be_visible()
        if path == "messages":
            page.get_by_label("Recipient's address").fill(ADDRESS)
            page.get_by_role("button", name="Search").click()
            expect(page.get_by_text("What happened, in order").first).to_be_visible()
        if path == "events":
            page.get_by_role("tab", name="Parked events").click()
            table = page.get_by_test_id("stDataFrame").filter(visible=True)
            table.click(position={"x": 16, "y": 52})  # its first row
            expect(page.get_by_text("Parked event 1:")).to_be_visible()
        settle(page)
        main = page.get_by_test_id("stApp")
        assert main.locator("img[src*=evil], img[src=x], a[href^=javascript]").count() == 0, path
        assert main.locator("a", has_text="click").count() == 0, path
        assert page.get_by_text("Oh no").count() == 0, path
        if path in (
            "",
            "tenants",
            "tenants?view=Setup",
            "accounts",
            "senders",
            "senders?sender=1",
            "campaigns?campaign=1",
            "events",
        ):
            assert "onerror=alert(1)" in main.inner_text(), f"{path} shows none of it: nothing is proved"
    assert ran == []
    assert asked - {""} == {urlsplit(browser_console.url).netloc}


@pytest.fixture
def evil() -> Iterator[tuple[str, list[str]]]:
    """A server of somebody else's, and what was asked of it."""
    asked: list[str] = []

    class Ear(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Ear)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_the_preview_of_a_mail_runs_nothing_and_calls_nobody(page: Page, evil: tuple[str, list[str]]) -> None:
    there, asked = evil
    ran: list[str] = []
    page.on("dialog", lambda dialog: (ran.append(dialog.message), dialog.dismiss()))
    mail = (
        f"{EVIL}</iframe>\"><script>parent.document.title = 'taken'</script><svg onload=alert(4)>"
        f'<img src="{there}/pixel"><meta http-equiv="refresh" content="0;url={there}/refresh">'
        f'<base href="{there}/"><form action="/form"><button autofocus onfocus=alert(5)>x</button></form>'
        f'<link rel=stylesheet href="{there}/a.css"><iframe src="{there}/frame"></iframe>'
        f"<style>@import '{there}/b.css'; body {{ background: url({there}/c) }}</style>"
        f'<link rel=prefetch href="{there}/prefetch"><object data="{there}/object"></object>'
    )
    page.set_content(f"<title>mine</title>{sandboxed(mail, 300)}")
    page.wait_for_timeout(1500)
    assert page.title() == "mine"
    assert ran == []
    assert asked == []

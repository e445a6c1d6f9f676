"""The onboarding page as the internet sees it: over HTTP, from the app that uvicorn serves, to anybody."""

from __future__ import annotations

import logging
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Table, select, update

from core import access, identities, onboarding, senders
from core.app import App
from core.db.base import Base
from core.db.models import Identity, OnboardingLink, Tenant
from tests.conftest import Cast
from tests.integration.test_webhooks import Answer, Ask, ask
from tests.simulators import Simulator
from webpages.guards import MAX_BODY_BYTES
from webpages.routes.onboarding import BUSY, NO_ANSWER

__all__ = ["ask"]
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
FORMATS = ("bind", "route53", "cloudflare")
DOMAIN = "acme-mail.io"


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator has no limit on control calls."""
    monkeypatch.setenv("POSTYARD_CONTROL_CALLS_PER_SECOND", "1000")


@pytest.fixture
def identity_id(app: App, cast: Cast) -> int:
    return senders.add(app, access.SYSTEM, cast.acme.id, f"news@{DOMAIN}").identity_id


@pytest.fixture
def token(app: App, cast: Cast, identity_id: int) -> str:
    return share(app, cast, identity_id)


def share(app: App, cast: Cast, identity_id: int) -> str:
    return onboarding.create_link(app, cast.bob, cast.acme.id, identity_id)[1].rpartition("/")[2]


def publish(app: App, simulator: Simulator, token: str) -> None:
    records = [finding.record.as_json() for finding in onboarding.open_page(app, token).records]
    simulator.put_dns(records)


def set_columns(app: App, model: Any, **values: Any) -> None:
    with app.db.begin() as session:
        session.execute(update(model).values(**values))


def rest(app: App) -> None:
    """As if the last check were a minute ago."""
    set_columns(app, Identity, checked_at=app.now() - timedelta(minutes=1))


def rows(app: App) -> dict[str, list[Any]]:
    """Everything in the database but when a link was opened."""
    with app.db.read() as session:
        return {
            table.name: [
                tuple(value for key, value in row._mapping.items() if key != "opened_at")
                for row in session.execute(select(table))
            ]
            for table in Base.metadata.tables.values()
            if isinstance(table, Table)
        }


def test_the_page_names_the_domain_and_each_record(app: App, ask: Ask, token: str) -> None:
    answer = ask("GET", f"/onboarding/{token}")

    assert answer.status == 200
    assert "DNS records for" in answer.text
    for finding in onboarding.open_page(app, token).records:
        for value in (finding.record.name, *finding.record.value.split(" ", finding.record.type == "MX")):
            assert f'data-copy="{value}"' in answer.text
    assert "Not checked yet" in answer.text
    assert "72 hours" in answer.text


def test_it_shows_nobody_and_nothing_else(app: App, ask: Ask, cast: Cast, token: str) -> None:
    senders.add(app, access.SYSTEM, cast.acme.id, "post@acme-shop.net")
    ask("POST", f"/onboarding/{token}/check")
    for path in ("", *(f"/{name}" for name in FORMATS)):
        text = ask("GET", f"/onboarding/{token}{path}").text
        for secret in ("news@", "post@", "acme-shop", "Acme Retail", "bob", "000000000000", "arn:"):
            assert secret not in text, (path, secret)


def test_it_is_kept_nowhere_and_runs_nothing_that_is_not_ours(ask: Ask, token: str) -> None:
    answer = ask("GET", f"/onboarding/{token}")

    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "noindex" in answer.headers["x-robots-tag"]
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert re.findall(r"<script(?! src=)|<style|\sstyle=|\son[a-z]+=|javascript:", answer.text) == []


def test_looking_changes_nothing_but_when_it_was_opened(app: App, ask: Ask, token: str) -> None:
    before = rows(app)
    for _ in range(5):
        for path in ("", *(f"/{name}" for name in FORMATS)):
            assert ask("GET", f"/onboarding/{token}{path}").status == 200
            assert ask("HEAD", f"/onboarding/{token}{path}").text == ""
    ask("GET", f"/onboarding/{token}/check")

    assert rows(app) == before
    with app.db.read() as session:
        assert session.scalars(select(OnboardingLink.opened_at)).one() is not None


def test_whatever_does_not_open_looks_the_same(app: App, ask: Ask, cast: Cast, identity_id: int) -> None:
    dead = {name: share(app, cast, identity_id) for name in ("revoked", "expired")}
    dead |= {"unknown": "A" * 43, "short": "x", "long": "a" * 9_000, "bytes": "%00%ff", "up": "..%2f..%2fetc"}
    [revoked, expired] = onboarding.list_links(app, cast.bob, cast.acme.id)[::-1]
    onboarding.revoke_link(app, cast.bob, cast.acme.id, revoked.link.id)
    with app.db.begin() as session:
        link = session.get_one(OnboardingLink, expired.link.id)
        link.expires_at = app.now()
    removed = share(app, cast, identity_id)
    assert ask("GET", f"/onboarding/{removed}").status == 200
    set_columns(app, Identity, removed_at=app.now())
    dead["removed"] = removed

    answers: set[tuple[int, str, str]] = set()
    for name, token in dead.items():
        for method, path in (("GET", ""), ("POST", "/check"), *(("GET", f"/{each}") for each in FORMATS)):
            if "%2f" in token and path:
                continue  # a slash in the address: no such page at all
            answer = ask(method, f"/onboarding/{token}{path}")
            assert answer.status == 404, (name, path)
            headers = {key: value for key, value in answer.headers.items() if key != "date"}
            answers.add((answer.status, answer.text, repr(headers)))
    assert len(answers) == 1


def test_checking_again_shows_what_was_published(
    app: App, ask: Ask, simulator: Simulator, token: str
) -> None:
    first = ask("POST", f"/onboarding/{token}/check")
    assert (first.status, first.headers["location"]) == (303, f"/onboarding/{token}")
    page = ask("GET", f"/onboarding/{token}").text
    assert "3 of 3 required records are not right yet" in page
    assert "✕ Not there yet" in page

    publish(app, simulator, token)
    rest(app)
    assert ask("POST", f"/onboarding/{token}/check").status == 303

    page = ask("GET", f"/onboarding/{token}").text
    assert "Everything is in place" in page
    assert "Not there" not in page


def test_once_in_thirty_seconds_is_enough_however_many_ask(app: App, ask: Ask, token: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers: list[Answer] = list(pool.map(lambda _: ask("POST", f"/onboarding/{token}/check"), range(4)))

    assert sorted(answer.status for answer in answers) == [303, 429, 429, 429]
    refused = ask("POST", f"/onboarding/{token}/check")
    assert refused.headers["retry-after"] == "30"
    assert re.search(r"Try again in \d+ seconds", refused.text)
    assert re.search(r'data-wait="(2\d|30)"', refused.text)
    assert "DNS records for" in refused.text


def test_where_ses_does_not_answer_the_page_stays(
    app: App, ask: Ask, simulator: Simulator, token: str
) -> None:
    simulator.faults({"kind": "error", "operation": "GetEmailIdentity", "status": 400, "times": 0})

    answer = ask("POST", f"/onboarding/{token}/check")

    assert (answer.status, answer.headers["retry-after"]) == (503, "30")
    assert NO_ANSWER in answer.text
    assert "GetEmailIdentity" not in answer.text


def test_a_refusal_that_is_not_about_waiting_names_nobody(
    app: App, ask: Ask, cast: Cast, token: str, simulator: Simulator
) -> None:
    app.providers.email(app.settings.region).delete_identity(DOMAIN, "acme")
    set_columns(app, Tenant, configuration_set=None, name="Acme Secret Shops")

    answer = ask("POST", f"/onboarding/{token}/check")

    assert (answer.status, answer.headers["retry-after"]) == (503, "30")
    assert NO_ANSWER in answer.text
    assert "Secret" not in answer.text


@pytest.mark.slow
def test_slow_checks_leave_room_for_everybody_else(
    app: App, ask: Ask, cast: Cast, simulator: Simulator
) -> None:
    domains = [identities.add(app, cast.bob, cast.acme.id, f"shop{n}-mail.io").id for n in range(5)]
    tokens = [share(app, cast, domain) for domain in domains]
    simulator.faults({"kind": "latency", "operation": "GetEmailIdentity", "times": 0, "seconds": 2})
    with ThreadPoolExecutor(5) as pool:
        checks = [pool.submit(ask, "POST", f"/onboarding/{token}/check") for token in tokens]
        time.sleep(0.2)
        began = time.monotonic()
        assert ask("GET", f"/onboarding/{tokens[0]}").status == 200
        assert time.monotonic() - began < 1
    answers = sorted((check.result() for check in checks), key=lambda answer: answer.status)

    assert [answer.status for answer in answers] == [303, 303, 303, 303, 503]
    refused = answers[-1]
    assert refused.headers["retry-after"] == "30"
    assert BUSY in refused.text
    assert "DNS records for" in refused.text


def test_an_address_with_a_slash_too_many_leads_nowhere(ask: Ask, token: str) -> None:
    for method, path in (("GET", ""), ("POST", "/check"), *(("GET", f"/{name}") for name in FORMATS)):
        answer = ask(method, f"/onboarding/{token}{path}/")
        assert answer.status == 404, path
        assert "location" not in answer.headers
    assert ask("GET", "/u/abc/").status == 404


@pytest.mark.parametrize("name", FORMATS)
def test_a_download_is_a_file_of_the_domain(ask: Ask, token: str, name: str) -> None:
    answer = ask("GET", f"/onboarding/{token}/{name}")

    assert answer.status == 200
    assert re.fullmatch(
        rf'attachment; filename="{DOMAIN}[.-][a-z0-9.]+"', answer.headers["content-disposition"]
    )
    assert "_domainkey" in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_every_other_way_to_ask_is_refused(ask: Ask, token: str) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        assert ask(method, f"/onboarding/{token}").status == 405
        assert ask(method, f"/onboarding/{token}/bind").status == 405
    assert ask("PUT", f"/onboarding/{token}/check").status == 405
    for path in ("", "/", f"/{token}/zone", f"/{token}/bind/x", f"/{token}/check/x"):
        assert ask("GET", f"/onboarding{path}").status == 404
    large = b"x" * (MAX_BODY_BYTES + 1)
    assert ask("POST", f"/onboarding/{token}/check", large).status == 413
    back = ask("GET", f"/onboarding/{token}/check")
    assert (back.status, back.headers["location"]) == (303, f"/onboarding/{token}")


def test_what_dns_answers_is_shown_as_text_and_cut(app: App, ask: Ask, token: str) -> None:
    ask("POST", f"/onboarding/{token}/check")
    evil = "<script>alert(1)</script>\u202egpj.exe\x00\r\n" + "x" * 10_000
    with app.db.begin() as session:
        identity = session.scalars(select(Identity)).one()
        identity.dns_findings = [
            {**finding, "found": [evil] * 50, "advice": evil, "better": evil, "verdict": "different"}
            for finding in identity.dns_findings
        ]

    answer = ask("GET", f"/onboarding/{token}")

    assert answer.status == 200
    assert "<script>alert" not in answer.text
    assert "&lt;script&gt;alert(1)" in answer.text
    assert "\u202e" not in answer.text
    assert "\x00" not in answer.text
    assert f"({len(evil):,} characters)" in answer.text
    assert 'data-copy="&lt;' not in answer.text
    assert len(answer.text) < 100_000
    for name in FORMATS:
        file = ask("GET", f"/onboarding/{token}/{name}")
        assert file.status == 200
        assert "\u202e" not in file.text
        assert "\x00" not in file.text


def test_where_only_the_owner_can_merge_nothing_is_offered_to_copy(app: App, ask: Ask, token: str) -> None:
    ask("POST", f"/onboarding/{token}/check")
    two = {"found": ["v=spf1 a -all", "v=spf1 mx -all"], "mistake": "two spf", "advice": "Merge them."}
    with app.db.begin() as session:
        identity = session.scalars(select(Identity)).one()
        identity.dns_findings = [
            {**finding, **two, "verdict": "different"} if finding["key"].endswith(" spf") else finding
            for finding in identity.dns_findings
        ]
    text = ask("GET", f"/onboarding/{token}").text
    assert "What is there must be kept: follow the advice above." in text
    assert "include:amazonses.com" not in text
    file = ask("GET", f"/onboarding/{token}/bind").text
    assert "By hand, TXT acme-mail.io: Merge them." in file
    assert "include:amazonses.com" not in file
    assert "As of" in file


@pytest.fixture
def behind_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTYARD_PUBLIC_URL", "https://mail.acme-mail.io/hooks/")


def test_links_follow_the_path_that_the_proxy_hands_on(behind_a_proxy: None, ask: Ask, token: str) -> None:
    page = ask("GET", f"/onboarding/{token}").text
    assert set(re.findall(r'(?:href|src|action)="([^"]+)"', page)) == {
        *(f"/hooks/assets/{name}" for name in ("icon.svg", "page.css", "page.js")),
        *(f"/hooks/onboarding/{token}/{name}" for name in ("check", *FORMATS)),
    }
    done = ask("POST", f"/onboarding/{token}/check")
    assert done.headers["location"] == f"/hooks/onboarding/{token}"


def test_the_assets_and_no_other_file(ask: Ask) -> None:
    for name, media_type in (
        ("page.css", "text/css"),
        ("page.js", "text/javascript"),
        ("icon.svg", "image/svg"),
    ):
        answer = ask("GET", f"/assets/{name}")
        assert (answer.status, answer.headers["content-type"].startswith(media_type)) == (200, True)
    for name in ("", "page", "../webhooks.py", "..%2fwebhooks.py", "%2e%2e/layout.py", "layout.py"):
        assert ask("GET", f"/assets/{name}").status == 404


def test_the_token_is_in_no_line_of_the_log(
    ask: Ask, token: str, caplog: pytest.LogCaptureFixture, simulator: Simulator
) -> None:
    caplog.set_level(logging.DEBUG)
    simulator.faults({"kind": "error", "operation": "GetEmailIdentity", "status": 400, "times": 0})
    ask("GET", f"/onboarding/{token}")
    ask("POST", f"/onboarding/{token}/check")
    ask("POST", f"/onboarding/{token}/check")

    assert "could not be checked again" in caplog.text
    assert token not in caplog.text
    assert logging.getLogger("uvicorn.access").disabled

"""The console's routes, headers and refusals, spoken to over HTTP; what a browser does is tests/browser."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import streamlit
from sqlalchemy import select
from streamlit.runtime.pages_manager import PagesManager

from core import users
from core.access import SYSTEM, Role
from core.app import App, build_app
from core.db.models import User, UserSession
from core.settings import Settings
from tests.consoles import Console, start_console
from tests.databases import copy_sqlite

pytestmark = pytest.mark.slow

Answer = tuple[int, dict[str, str], str]


@pytest.fixture(scope="module")
def app(migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    directory = tmp_path_factory.mktemp("console")
    url = copy_sqlite(migrated_sqlite, directory / "postyard.db")
    app = build_app(Settings.load(database_url=url, data_dir=directory))
    yield app
    app.db.dispose()


@pytest.fixture(scope="module")
def dora(app: App) -> User:
    return users.create(
        app, SYSTEM, username="dora", name="Dora", role=Role.ADMIN, password="long enough it is"
    )[0]


@pytest.fixture(scope="module")
def console(app: App, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with start_console(app, tmp_path_factory.mktemp("log")) as console:
        yield console


def ask(console: Console, path: str, method: str = "GET", **headers: str) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(console.url).netloc, timeout=20)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): v for name, v in headers.items()})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode()
    finally:
        connection.close()


def session_cookie(console: Console, user: User, **headers: str) -> Answer:
    ticket = users.issue_ticket(console.app, user.id)
    return ask(console, f"/session?ticket={ticket}&next=/tenants%3Ftenant%3Dacme", **headers)


def test_a_ticket_is_swapped_for_a_cookie_scripts_cannot_read(console: Console, dora: User) -> None:
    status, headers, _ = session_cookie(console, dora)
    assert (status, headers["location"]) == (303, "/tenants?tenant=acme")
    name, _, rest = headers["set-cookie"].partition("=")
    assert name == "postyard_session"
    _, *flags = [part.strip().lower() for part in rest.split(";")]
    assert {"httponly", "samesite=lax", "path=/"} <= set(flags)
    assert "secure" not in flags
    assert not any(flag.startswith(("max-age", "expires")) for flag in flags)
    assert headers["cache-control"] == "no-store"
    found = users.find_sign_in(console.app, rest.split(";")[0])
    assert found is not None
    assert found.actor.username == "dora"


@pytest.mark.parametrize("ticket", ["", "made-up", "%00"])
def test_a_ticket_nobody_was_given_leads_to_the_form_without_a_cookie(console: Console, ticket: str) -> None:
    status, headers, _ = ask(console, f"/session?ticket={ticket}&next=/users")
    assert (status, headers["location"]) == (303, "/")
    assert "set-cookie" not in headers


def test_a_link_from_elsewhere_signs_nobody_in(console: Console, dora: User) -> None:
    for site in ("cross-site", "same-site", "none"):
        status, headers, _ = session_cookie(console, dora, Sec_Fetch_Site=site)
        assert (status, headers["location"]) == (303, "/")
        assert "set-cookie" not in headers


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example", "//evil.example", "/%5Cevil.example", "%5C%5Cevil.example",
     "javascript:alert(1)", "evil", "/%09/evil.example", "/%0Aevil", "%20//evil.example"],
)  # fmt: skip
def test_signing_in_never_leads_to_another_host(console: Console, dora: User, elsewhere: str) -> None:
    ticket = users.issue_ticket(console.app, dora.id)
    status, headers, _ = ask(console, f"/session?ticket={ticket}&next={elsewhere}")
    assert (status, headers["location"]) == (303, "/")


def test_signing_out_ends_the_session_and_clears_the_cookie(console: Console, dora: User) -> None:
    _, headers, _ = session_cookie(console, dora)
    cookie = headers["set-cookie"].split(";")[0]
    ask(console, "/signout", Cookie=cookie)
    token = cookie.partition("=")[2]
    assert users.find_sign_in(console.app, token) is not None, "a link must not sign anybody out"
    status, headers, _ = ask(console, "/signout", "POST", Cookie=cookie)
    assert status == 303
    assert 'postyard_session=""' in headers["set-cookie"]
    assert users.find_sign_in(console.app, token) is None
    assert "set-cookie" not in ask(console, "/signout", "POST")[1]


@pytest.mark.parametrize("path", ["/", "/tenants", "/healthz", "/session", "/_stcore/health"])
def test_every_answer_carries_the_security_headers(console: Console, path: str) -> None:
    _, headers, _ = ask(console, path)
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-frame-options"] == "SAMEORIGIN"
    policy = headers["content-security-policy"]
    for part in ("default-src 'self'", "object-src 'none'", "base-uri 'none'", "frame-ancestors 'self'"):
        assert part in policy
    assert "http:" not in policy
    assert "unsafe-eval'" not in policy.replace("'wasm-unsafe-eval'", "")


def test_another_host_name_reaches_no_session(console: Console) -> None:
    handshake = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    port = urlsplit(console.url).port
    assert ask(console, "/_stcore/stream", Origin=console.url, **handshake)[0] == 101
    rebound = ask(console, "/_stcore/stream", Host=f"evil.example:{port}", Origin=f"http://evil.example:{port}",
                  **handshake)  # fmt: skip
    foreign = ask(console, "/_stcore/stream", Origin="http://evil.example", **handshake)
    assert (rebound[0], foreign[0]) == (403, 403)

    assert "external IP" not in console.log.read_text(), "Streamlit asked the internet for its own address"


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", "/_stcore/upload_file/a/b"), ("DELETE", "/_stcore/upload_file/a/b"), ("GET", "/_stcore/metrics"),
     ("GET", "/_stcore/agent/openapi.json"), ("GET", "/media/abc.csv"), ("GET", "//media/static/abc.csv")],
)  # fmt: skip
def test_a_stranger_uploads_nothing_and_reads_no_file(
    console: Console, dora: User, method: str, path: str
) -> None:
    cookie = session_cookie(console, dora)[1]["set-cookie"].split(";")[0]
    refused = (403, "Sign in first.\n")
    for stranger in ("", "postyard_session=made-up", "postyard_session="):
        status, headers, body = ask(console, path, method, Cookie=stranger)
        assert (status, body) == refused
        assert headers["x-content-type-options"] == "nosniff"
    status, _, body = ask(console, path, method, Cookie=cookie)
    assert (status, body) != refused


def test_a_stranger_sees_the_sign_in_page_with_its_fonts_and_icons(console: Console) -> None:
    fonts = Path(streamlit.__file__).parent / "static" / "static" / "media"
    for font in (next(fonts.glob("MaterialSymbols*.woff2")), next(fonts.glob("SourceSans*.woff2"))):
        connection = http.client.HTTPConnection(urlsplit(console.url).netloc, timeout=20)
        connection.request("GET", f"/static/media/{font.name}")
        answer = connection.getresponse()
        assert (answer.status, len(answer.read())) == (200, font.stat().st_size)
        connection.close()


def test_behind_a_proxy_the_address_is_the_clients(console: Console, dora: User) -> None:
    """The last address the proxy itself added; what the client put before it is not believed."""
    session_cookie(console, dora, X_Forwarded_For="6.6.6.6, 203.0.113.9")
    with console.app.db.read() as session:
        newest = select(UserSession.ip_address).order_by(UserSession.id.desc()).limit(1)
        assert session.scalar(newest) == "203.0.113.9"


@pytest.mark.parametrize(
    ("variable", "value"),
    [("SERVER_ENABLE_XSRF_PROTECTION", "false"), ("SERVER_ALLOWED_HOSTS", "*")],
)
def test_the_console_does_not_start_with_its_protection_off(
    app: App, tmp_path: Path, variable: str, value: str
) -> None:
    with (
        pytest.raises(RuntimeError, match="The console does not start like this"),
        start_console(app, tmp_path, extra={f"STREAMLIT_{variable}": value}),
    ):
        pass


def test_health_is_the_databases(
    console: Console, app: App, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    status, _, body = ask(console, "/healthz")
    assert (status, json.loads(body)) == (200, {"database": "ok"})
    gone = tmp_path / "not-a-database"
    gone.mkdir()
    broken = replace(app, settings=Settings.load(database_url=f"sqlite:///{gone}", data_dir=tmp_path))
    with start_console(broken, tmp_path) as without:
        assert ask(without, "/healthz")[0] == 503
        assert ask(without, "/")[0] == 200


def test_behind_tls_the_cookie_is_secure(app: App, dora: User, tmp_path: Path) -> None:
    with start_console(
        app, tmp_path, extra={"POSTYARD_CONSOLE_URL": "https://console.example.com"}
    ) as console:
        _, headers, _ = session_cookie(console, dora)
    assert "; secure" in headers["set-cookie"].lower()
    assert headers["strict-transport-security"].startswith("max-age=")


def test_streamlit_still_has_the_flag_that_the_console_switches_off() -> None:
    """Private: when a new Streamlit lacks it, look again at how a folder named pages/ is served."""
    assert "uses_pages_directory" in vars(PagesManager)

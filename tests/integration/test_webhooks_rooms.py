"""Rooms: whatever is thrown at one kind of request, the others go on; what is too large or too slow ends."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

import webhooks
from core import campaigns
from core.access import SYSTEM
from core.app import App
from core.db.models import Message
from core.hooks.certificates import Certificates
from tests import signing
from tests.conftest import Cast
from tests.databases import ON_SQLITE
from tests.integration.test_webhooks import ANN, Ask, ask, suppressed, token
from tests.processes import serving_webhooks
from webpages import guards

__all__ = ["ask", "token"]
pytestmark = ON_SQLITE
HOOK = "/webhooks/ses-events"


@contextmanager
def half_sent(address: str, path: str, count: int) -> Iterator[None]:
    """Requests that announce a body and never send it."""
    host, _, port = address.removeprefix("http://").partition(":")
    with contextlib.ExitStack() as opened:
        for _ in range(count):
            connection = opened.enter_context(socket.create_connection((host, int(port)), timeout=10))
            connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{{".encode())
        yield


def answered(address: str, request: bytes) -> str:
    """The status line."""
    host, _, port = address.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        return connection.recv(200).decode().split("\r\n")[0]


def status(address: str, method: str, path: str) -> str:
    return answered(address, f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())


def test_a_room_full_of_slow_bodies_closes_itself_alone(app: App, token: str) -> None:
    with serving_webhooks(app) as address:
        with half_sent(address, HOOK, guards.HOOKS.places):
            until = time.monotonic() + 10
            while "503" not in status(address, "POST", HOOK):
                assert time.monotonic() < until
            assert "200" in status(address, "POST", f"/u/{token}")
            assert "404" in status(address, "GET", "/onboarding/x")
            assert "503" in status(address, "GET", "/healthz")  # of no scheduler, not of no place
        until = time.monotonic() + 10
        while "400" not in status(address, "POST", HOOK):
            assert time.monotonic() < until

    assert suppressed(app)


@pytest.mark.parametrize("path", ["/u/x", "/healthz", "/onboarding/x/check"])
def test_a_body_that_nobody_reads_holds_no_place(app: App, path: str) -> None:
    with serving_webhooks(app) as address, half_sent(address, path, 140):
        assert "404" in status(address, "POST", "/u/x")
        assert "404" in status(address, "POST", "/onboarding/x/check")
        assert "404" in status(address, "GET", "/x")
        assert "405" in status(address, "POST", "/healthz")


def test_hooks_that_wait_do_not_keep_unsubscribing_waiting(
    app: App, ask: Ask, cast: Cast, token: str
) -> None:
    go_on = threading.Event()

    def fetch(address: str) -> bytes:
        go_on.wait(20)
        return signing.certificate()

    webhooks.app.state.certificates = Certificates(fetch)
    said = signing.signed(signing.notification(str(cast.acme.topic_arn), "no event", app.now()))
    request = json.dumps(said).encode()
    with ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(ask, "POST", HOOK, request) for _ in range(20)]
        time.sleep(0.3)
        began = time.monotonic()
        assert ask("POST", f"/u/{token}", b"List-Unsubscribe=One-Click").status == 200
        assert time.monotonic() - began < 1.0
        go_on.set()
        statuses = {each.result().status for each in waiting}

    assert statuses <= {200, 503}
    assert [address for _, address, _ in suppressed(app)] == [ANN]


def test_what_announces_too_much_is_refused_before_it_comes(app: App) -> None:
    with serving_webhooks(app) as address:
        for path, most in (
            (HOOK, 1024 * 1024),
            ("/u/x", guards.MAX_BODY_BYTES),
            ("/x", guards.MAX_BODY_BYTES),
        ):
            began = time.monotonic()
            head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {most + 1}\r\n\r\n"
            assert "413" in answered(address, head.encode())
            assert time.monotonic() - began < 2


def test_what_announces_nothing_is_refused_as_soon_as_it_is_too_much(app: App) -> None:
    chunk = b"1000\r\n" + b"x" * 4096 + b"\r\n"
    with serving_webhooks(app) as address:
        head = f"POST {HOOK} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        assert "413" in answered(address, head + chunk * 300)


@pytest.mark.parametrize("length", ["-1", "x", "9" * 30, "1e3"])
def test_a_length_that_is_none_harms_nobody(app: App, length: str) -> None:
    with serving_webhooks(app) as address:
        head = f"POST /u/x HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        first = answered(address, head.encode())
        assert first == "" or any(code in first for code in ("400", "404", "408", "413"))
        assert "404" in status(address, "POST", "/u/x")


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"List-Unsubscribe=One-Click", "application/x-www-form-urlencoded"),
        (b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n',
         "multipart/form-data; boundary=x"),
        (b"", "text/plain"),
        (b"\xff\x00<script>", "application/octet-stream"),
    ],
)  # fmt: skip
def test_one_click_works_in_every_spelling(app: App, ask: Ask, token: str, body: bytes, kind: str) -> None:
    """RFC 8058, 3.2: clients send either form; no cookie, no further step, no redirection."""
    answer = ask("POST", f"/u/{token}", body, {"Content-Type": kind})

    assert (answer.status, "location" in answer.headers, "set-cookie" in answer.headers) == (
        200,
        False,
        False,
    )
    assert [(address, reason) for _, address, reason in suppressed(app)] == [(ANN, "UNSUBSCRIBE")]


def test_a_link_works_after_its_campaign_is_cancelled(app: App, ask: Ask, cast: Cast, token: str) -> None:
    with app.db.read() as session:
        campaign_id = session.query(Message.campaign_id).scalar()
    campaigns.cancel(app, SYSTEM, cast.acme.id, campaign_id)

    assert ask("GET", f"/u/{token}").status == 200
    assert ask("POST", f"/u/{token}").status == 200
    assert [address for _, address, _ in suppressed(app)] == [ANN]


def test_other_ways_to_ask_for_a_link_change_nothing(app: App, ask: Ask, token: str) -> None:
    for method in ("HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"):
        ask(method, f"/u/{token}")
    ask("GET", f"/u/{token}", b"List-Unsubscribe=One-Click")
    ask("GET", f"/u/{token}?List-Unsubscribe=One-Click")

    assert suppressed(app) == []


def test_the_log_holds_no_link(app: App, ask: Ask, token: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        ask("GET", f"/u/{token}")
        ask("POST", f"/u/{token}")
        ask("POST", f"/u/{token[:-1]}")

    assert token[:20] not in caplog.text
    assert ANN not in caplog.text


def test_nor_does_the_log_of_whoever_asks_for_a_websocket(
    app: App, token: str, capfd: pytest.CaptureFixture[str]
) -> None:
    head = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    with serving_webhooks(app, log_level="info", ws="auto") as address:
        request = f"GET /u/{token} HTTP/1.1\r\nHost: x\r\n{head}{key}\r\n\r\n"
        assert "403" in answered(address, request.encode())

    assert token[:20] not in "".join(capfd.readouterr())

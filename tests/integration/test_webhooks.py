"""What the internet sees: health and unsubscribe links, over HTTP, from the app that uvicorn serves."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select
from starlette.responses import PlainTextResponse
from starlette.types import Message as Message_

import webhooks
from core import campaigns, senders, suppressions
from core.access import SYSTEM
from core.app import App
from core.db.models import Message, Suppression, Worker
from core.hooks.metrics import Meters
from tests.conftest import Cast
from tests.processes import serving_webhooks
from webpages import guards

ANN = "ann@example.com"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str


Ask = Callable[..., Answer]


@pytest.fixture
def ask(app: App) -> Iterator[Ask]:
    with serving_webhooks(app) as address:

        def ask(
            method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
        ) -> Answer:
            connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=10)
            try:
                connection.request(method, path, body, headers or {})
                answer = connection.getresponse()
                got = {name.lower(): value for name, value in answer.getheaders()}
                return Answer(answer.status, got, answer.read().decode())
            finally:
                connection.close()

        yield ask


@pytest.fixture
def token(app: App, cast: Cast) -> str:
    """Of acme's mail to Ann."""
    sender = senders.add(app, SYSTEM, cast.acme.id, "news@acme-mail.io")
    created = campaigns.create(
        app, SYSTEM, cast.acme.id, name="Spring", sender_id=sender.id, subject="Hi", html="<p>Hi</p>",
        csv=f"email\n{ANN}\n".encode(),
    )  # fmt: skip
    with app.db.read() as session:
        message_id = session.scalars(
            select(Message.id).where(Message.campaign_id == created.campaign_id)
        ).one()
    return suppressions.unsubscribe_token(app.secret_key(), cast.acme.id, message_id)


def suppressed(app: App) -> list[tuple[int, str, str]]:
    with app.db.read() as session:
        query = select(Suppression.tenant_id, Suppression.address, Suppression.reason)
        return [(row.tenant_id, row.address, row.reason) for row in session.execute(query)]


def beat(app: App, seconds_ago: float) -> None:
    at = app.now() - timedelta(seconds=seconds_ago)
    with app.db.begin() as session:
        session.execute(insert(Worker).values(name="w", host="h", pid=1, started_at=at, beat_at=at))


def test_healthz_is_well_while_a_scheduler_beats(app: App, ask: Ask) -> None:
    beat(app, seconds_ago=5)

    answer = ask("GET", "/healthz")

    assert (answer.status, json.loads(answer.text)) == (
        200,
        {"ok": True, "database": "ok", "scheduler": "ok", "events": "ok"},
    )


@pytest.mark.parametrize("seconds_ago", [None, 61.0], ids=["never ran", "silent"])
def test_healthz_is_unwell_without_a_scheduler(app: App, ask: Ask, seconds_ago: float | None) -> None:
    if seconds_ago:
        beat(app, seconds_ago)

    answer = ask("GET", "/healthz")

    assert answer.status == 503
    assert json.loads(answer.text)["database"] == "ok"


def test_a_scanner_that_follows_the_link_changes_nothing(app: App, ask: Ask, token: str) -> None:
    for _ in range(100):
        assert ask("GET", f"/u/{token}").status == 200
    ask("HEAD", f"/u/{token}")

    assert suppressed(app) == []
    assert ANN in ask("GET", f"/u/{token}").text


def test_a_post_suppresses_once(app: App, ask: Ask, token: str, cast: Cast) -> None:
    body = b"List-Unsubscribe=One-Click"

    assert [ask("POST", f"/u/{token}", body).status for _ in range(3)] == [200, 200, 200]

    assert suppressed(app) == [(cast.acme.id, ANN, "UNSUBSCRIBE")]


def test_an_altered_token_is_not_found(app: App, ask: Ask, token: str) -> None:
    for place in range(len(token)):
        other = "A" if token[place] != "A" else "B"
        altered = token[:place] + other + token[place + 1 :]
        assert ask("POST", f"/u/{altered}").status == 404, place
    for rubbish in ("x", "a" * 500, "%00", "..%2F..", "%C3%BC"):
        assert ask("GET", f"/u/{rubbish}").status == 404

    assert suppressed(app) == []


def test_a_token_works_for_its_own_tenant_only(app: App, ask: Ask, token: str, cast: Cast) -> None:
    with app.db.read() as session:
        message_id = session.scalar(select(func.max(Message.id)))
    assert message_id is not None
    foreign = suppressions.unsubscribe_token(app.secret_key(), cast.globex.id, message_id)

    assert ask("POST", f"/u/{foreign}").status == 404
    assert suppressed(app) == []


def test_an_address_is_shown_as_text(app: App, ask: Ask, token: str) -> None:
    with app.db.begin() as session:
        session.execute(Message.__table__.update().values(address="<script>alert(1)</script>@example.com"))

    page = ask("GET", f"/u/{token}").text

    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_every_answer_carries_the_security_headers(ask: Ask, token: str) -> None:
    for path in ("/healthz", f"/u/{token}", "/u/x", "/nothing"):
        headers = ask("GET", path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "set-cookie" not in headers


def test_a_large_body_is_refused(app: App, ask: Ask, token: str) -> None:
    assert ask("POST", f"/u/{token}", b"x" * (guards.MAX_BODY_BYTES + 1)).status == 413
    assert suppressed(app) == []


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    answers: list[int] = []

    async def silence() -> Message_:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def heard(message: Message_) -> None:
        answers.extend([message["status"]] if "status" in message else [])

    async def never(*_: object) -> None:
        raise AssertionError("the request went on without its body")

    scope = {"type": "http", "method": "POST", "path": "/webhooks/resend", "headers": []}
    limited = guards.BodyLimit(never, seconds=0.05)
    with ThreadPoolExecutor(1) as pool:  # a browser test of this process may have a loop on the main thread
        pool.submit(lambda: asyncio.run(limited(scope, silence, heard))).result()

    assert answers == [408]


def test_whoever_takes_no_answer_gives_the_place_back() -> None:
    """Many requests down one connection, and nothing read: what is written stays with us."""

    async def deaf(message: Message_) -> None:
        await asyncio.sleep(60)

    async def silence() -> Message_:
        return {"type": "http.disconnect"}

    said: list[int] = []

    async def heard(message: Message_) -> None:
        said.extend([message["status"]] if "status" in message else [])

    async def hold_then_ask(rooms: guards.Rooms) -> None:
        scope = {"type": "http", "method": "GET", "path": "/webhooks/resend", "app": webhooks.app}
        await asyncio.gather(*(rooms(scope, silence, deaf) for _ in range(guards.HOOKS.places)))
        await rooms(scope, silence, heard)

    webhooks.app.state.meters = Meters()
    rooms = guards.Rooms(PlainTextResponse("ok"), seconds=0.05)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: asyncio.run(asyncio.wait_for(hold_then_ask(rooms), 10))).result()

    assert said == [200]


def test_only_behind_tls_browsers_are_told_to_stay_there(ask: Ask, app: App) -> None:
    assert not app.settings.public_url.startswith("https:")
    assert "strict-transport-security" not in ask("GET", "/healthz").headers


def test_nothing_else_is_there(ask: Ask) -> None:
    for path in ("/", "/admin", "/docs", "/u/", "/webhooks"):
        assert ask("GET", path).status == 404
    assert ask("PUT", "/healthz").status == 405


def test_there_is_no_session_code_in_webhooks() -> None:
    root = Path(webhooks.__file__).parent
    for path in (root / "webhooks.py", *(root / "webpages").rglob("*.py"), *(root / "core/hooks").glob("*")):
        if path.suffix == ".py":
            source = path.read_text(encoding="utf-8")
            assert "users" not in source, path
            assert "cookie" not in source.replace("no cookies", ""), path

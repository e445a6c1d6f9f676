"""Webhooks: the only process that faces the internet. No sessions, no cookies, no console.

Run: uvicorn webhooks:app --port 8503
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import logging
from collections.abc import AsyncIterator

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core import doctor, logs, suppressions
from core.app import build_app
from core.db import migrate
from core.errors import NotFound
from core.settings import Settings

logger = logging.getLogger("webhooks")

MAX_BODY_BYTES = 64 * 1024
BODY_SECONDS = 10.0
HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
    b"content-security-policy": (
        b"default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
        b"frame-ancestors 'none'; base-uri 'none'"
    ),
}
HSTS = (b"strict-transport-security", b"max-age=31536000")


class SecurityHeaders:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                hsts = [HSTS] if scope["app"].state.postyard.settings.public_url.startswith("https:") else []
                message["headers"] = [*message["headers"], *HEADERS.items(), *hsts]
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


class BodyLimit:
    """Reads the body before anything else sees it, and answers 413 as soon as it is too large, 408 when it
    does not come."""

    def __init__(self, app: ASGIApp, seconds: float = BODY_SECONDS) -> None:
        self._app = app
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._seconds):
                body = await _body_of(receive)
        except TimeoutError:
            await _refusal("Too slow.", 408)(scope, receive, send)
            return
        if body is None:
            await _refusal("Too large.", 413)(scope, receive, send)
            return

        async def whole() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, whole, send)


async def _body_of(receive: Receive) -> bytes | None:
    """All of it, or None as soon as it is too large; a client that left has sent what it sent."""
    body, more = b"", True
    while more and len(body) <= MAX_BODY_BYTES:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return body if len(body) <= MAX_BODY_BYTES else None


def _refusal(sentence: str, status: int) -> Response:
    return PlainTextResponse(f"{sentence}\n", status_code=status, headers={"Connection": "close"})


@contextlib.asynccontextmanager
async def opened(server: Starlette) -> AsyncIterator[None]:
    settings = Settings.load()
    logs.to_stderr(settings.log_level)
    logging.getLogger("uvicorn.access").disabled = True  # its lines hold whole unsubscribe links
    server.state.postyard = build_app(settings)
    server.state.postyard.db.check()
    migrate.check(server.state.postyard.db)
    yield
    server.state.postyard.db.dispose()


async def healthz(request: Request) -> Response:
    """200 when the database answers and a scheduler lives, else 503; calls nobody."""
    parts = await run_in_threadpool(doctor.liveness, request.app.state.postyard)
    well = all(state == "ok" for state in parts.values())
    return JSONResponse({"ok": well, **parts}, status_code=200 if well else 503)


async def show_unsubscribe(request: Request) -> Response:
    """Changes nothing: mail scanners follow every link (RFC 8058 therefore acts on POST alone)."""
    address = await run_in_threadpool(
        suppressions.address_of, request.app.state.postyard, request.path_params["token"]
    )
    return _page(
        "Unsubscribe",
        f"<p>Stop all mail from this sender to <b>{html.escape(address)}</b>?</p>"
        '<form method="post"><button type="submit">Unsubscribe</button></form>',
    )


async def unsubscribe(request: Request) -> Response:
    """Twice is the same; a mail client's one-click POST and the page's button are one."""
    await run_in_threadpool(
        suppressions.unsubscribe, request.app.state.postyard, request.path_params["token"]
    )
    return _page("Unsubscribed", "<p>You will get no more mail from this sender.</p>")


async def not_found(request: Request, error: Exception) -> Response:
    return _page("Not found", "<p>This link is not valid. Use the link in the newest mail.</p>", status=404)


async def try_again(request: Request, error: Exception) -> Response:
    logger.error("the database does not answer", exc_info=error)
    return _page("Try again", "<p>This did not work. Please try again in a minute.</p>", status=503)


def _page(title: str, body: str, status: int = 200) -> HTMLResponse:
    """`body` is HTML: escape in it whatever somebody else wrote."""
    style = "body{font:16px/1.5 system-ui,sans-serif;max-width:32rem;margin:15vh auto;padding:0 1rem}"
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">'
        f"<title>{html.escape(title)}</title><style>{style}</style></head>"
        f"<body><h1>{html.escape(title)}</h1>{body}</body></html>",
        status_code=status,
    )


app = Starlette(
    routes=[
        Route("/healthz", healthz),
        Route("/u/{token}", show_unsubscribe, methods=["GET"]),
        Route("/u/{token}", unsubscribe, methods=["POST"]),
    ],
    middleware=[Middleware(SecurityHeaders), Middleware(BodyLimit)],
    exception_handlers={NotFound: not_found, 404: not_found, SQLAlchemyError: try_again},
    lifespan=opened,
)

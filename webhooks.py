"""Webhooks: the only process that faces the internet. No sessions, no cookies, no console.

Run: uvicorn webhooks:app --port 8503
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import datetime
from typing import NamedTuple
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core import doctor, identities, logs, onboarding, suppressions, zonefiles
from core.app import App, build_app
from core.db import migrate
from core.dns import Finding
from core.errors import Conflict, NotFound, ProviderError, TooSoon
from core.settings import Settings
from webpages import layout
from webpages import onboarding as onboarding_page

logger = logging.getLogger("webhooks")

MAX_BODY_BYTES = 64 * 1024
BODY_SECONDS = 10.0
HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
    b"x-robots-tag": b"noindex, nofollow",
    b"content-security-policy": (
        b"default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; "
        b"frame-ancestors 'none'; base-uri 'none'"
    ),
}
HSTS = (b"strict-transport-security", b"max-age=31536000")
RETRY = {"Retry-After": str(identities.COOLDOWN_SECONDS)}
CHECKS_AT_ONCE = 4  # a check may take half a minute, and unsubscribing shares its threads
TURN_SECONDS = 1.0
BUSY = "Many domains are being checked just now. Nothing is lost: check again in a minute."
NO_ANSWER = "Amazon SES could not be asked just now. Nothing is lost: check again in a minute."


class Export(NamedTuple):
    write: Callable[[str, Sequence[Finding], datetime | None], str]
    ending: str
    media_type: str


EXPORTS = {
    "bind": Export(zonefiles.bind, ".zone.txt", "text/plain"),
    "route53": Export(zonefiles.route53, "-route53.json", "application/json"),
    "cloudflare": Export(zonefiles.cloudflare, "-cloudflare.txt", "text/plain"),
}


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
    server.state.checks = asyncio.Semaphore(CHECKS_AT_ONCE)
    yield
    server.state.postyard.db.dispose()


async def healthz(request: Request) -> Response:
    """200 when the database answers and a scheduler lives, else 503; calls nobody."""
    parts = await run_in_threadpool(doctor.liveness, request.app.state.postyard)
    well = all(state == "ok" for state in parts.values())
    return JSONResponse({"ok": well, **parts}, status_code=200 if well else 503)


async def show_asset(request: Request) -> Response:
    if found := layout.asset(request.path_params["name"]):
        return Response(found[0], media_type=found[1])
    raise HTTPException(404)


async def show_unsubscribe(request: Request) -> Response:
    """Changes nothing: mail scanners follow every link (RFC 8058 therefore acts on POST alone)."""
    address = await run_in_threadpool(
        suppressions.address_of, request.app.state.postyard, request.path_params["token"]
    )
    return _message(
        request,
        "Unsubscribe",
        f"<p>Stop all mail from this sender to <b>{layout.shown(address)}</b>?</p>"
        '<form method="post"><button type="submit">Unsubscribe</button></form>',
    )


async def unsubscribe(request: Request) -> Response:
    """Twice is the same; a mail client's one-click POST and the page's button are one."""
    await run_in_threadpool(
        suppressions.unsubscribe, request.app.state.postyard, request.path_params["token"]
    )
    return _message(request, "Unsubscribed", "<p>You will get no more mail from this sender.</p>")


async def show_onboarding(request: Request) -> Response:
    return HTMLResponse(await run_in_threadpool(_onboarding, request))


async def check_onboarding(request: Request) -> Response:
    """Done: back to the page, so that loading it again asks nobody. A GET, of whoever goes back to this
    address, only goes there, too."""
    if request.method != "POST":
        return RedirectResponse(_onboarding_path(request), status_code=303)
    turns: asyncio.Semaphore = request.app.state.checks
    try:
        async with asyncio.timeout(TURN_SECONDS):
            await turns.acquire()
    except TimeoutError:
        return await _not_checked(request, BUSY, status=503)
    try:
        return await _checked(request)
    finally:
        turns.release()


async def _checked(request: Request) -> Response:
    """A refusal that is not about waiting may name what this page does not show: it is only logged."""
    try:
        await run_in_threadpool(
            onboarding.check_again, request.app.state.postyard, request.path_params["token"]
        )
    except TooSoon as e:
        return await _not_checked(request, str(e), status=429)
    except (Conflict, ProviderError) as e:
        logger.warning("a domain could not be checked again: %s", e)
        return await _not_checked(request, NO_ANSWER, status=503)
    return RedirectResponse(_onboarding_path(request), status_code=303)


async def _not_checked(request: Request, notice: str, *, status: int) -> Response:
    text = await run_in_threadpool(_onboarding, request, notice)
    return HTMLResponse(text, status_code=status, headers=RETRY)


async def download_zone(request: Request) -> Response:
    export = EXPORTS.get(request.path_params["format"])
    if export is None:
        raise HTTPException(404)
    shown = await run_in_threadpool(
        onboarding.open_page, request.app.state.postyard, request.path_params["token"]
    )
    return Response(
        export.write(shown.domain, shown.records, shown.checked_at),
        media_type=export.media_type,
        headers={"Content-Disposition": f'attachment; filename="{shown.domain}{export.ending}"'},
    )


def _onboarding(request: Request, notice: str = "") -> str:
    page = onboarding.open_page(request.app.state.postyard, request.path_params["token"])
    return onboarding_page.render(page, here=_onboarding_path(request), root=_root(request), notice=notice)


def _onboarding_path(request: Request) -> str:
    return _root(request) + str(request.app.url_path_for("onboarding", token=request.path_params["token"]))


def _root(request: Request) -> str:
    """The path of public_url: a proxy may hand on what lies below one."""
    postyard: App = request.app.state.postyard
    return urlsplit(postyard.settings.public_url).path.rstrip("/")


async def not_found(request: Request, error: Exception) -> Response:
    """One page for whatever is not, or not any more: nobody learns which."""
    body = "<p>This link is not valid, or not any more. Use the newest one, or ask whoever sent it.</p>"
    return _message(request, "Not found", body, status=404)


async def try_again(request: Request, error: Exception) -> Response:
    logger.error("the database does not answer", exc_info=error)
    return _message(
        request, "Try again", "<p>This did not work. Please try again in a minute.</p>", status=503
    )


def _message(request: Request, title: str, body: str, status: int = 200) -> HTMLResponse:
    return HTMLResponse(layout.message(title, body, root=_root(request)), status_code=status)


app = Starlette(
    routes=[
        Route("/healthz", healthz),
        Route("/assets/{name}", show_asset, methods=["GET"]),
        Route("/u/{token}", show_unsubscribe, methods=["GET"]),
        Route("/u/{token}", unsubscribe, methods=["POST"]),
        Route("/onboarding/{token}", show_onboarding, methods=["GET"], name="onboarding"),
        Route("/onboarding/{token}/check", check_onboarding, methods=["GET", "POST"]),
        Route("/onboarding/{token}/{format}", download_zone, methods=["GET"]),
    ],
    middleware=[Middleware(SecurityHeaders), Middleware(BodyLimit)],
    exception_handlers={NotFound: not_found, 404: not_found, SQLAlchemyError: try_again},
    lifespan=opened,
)
# It would lead to http, on whatever host was named, with the token.
app.router.redirect_slashes = False

"""The console as an ASGI app: Home.py with the routes, headers and checks that Streamlit alone cannot give.

`streamlit run console.py` (or `postyard up`) serves it. The routes: /session swaps a sign-in ticket for the
session's cookie, /signout ends the session, /healthz is for load balancers. One process per console:
sessions of tabs live in its memory.
"""

from __future__ import annotations

import logging
from pathlib import Path
from urllib.parse import urlsplit

import streamlit as st
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.runtime.pages_manager import PagesManager

from core import users
from core.errors import ConfigurationError, NotFound
from pages._ui import session
from pages._ui.runtime import get_app

logger = logging.getLogger(__name__)

# Streamlit would serve files below pages/ by themselves, without Home.py, until st.navigation was called
# once in this process. Private, so Streamlit is pinned and tests/integration/test_console.py looks at it.
PagesManager.uses_pages_directory = False

# 'unsafe-inline': Streamlit's own start-up script and styles, and the redirect after signing in.
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "frame-src 'self' blob: data:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'self'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",  # not DENY: Streamlit shows its own components in frames
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}

_SAFE = {
    "server.enableXsrfProtection": True,
    "server.enableCORS": True,
    "server.enableAgentApi": False,
    "client.showErrorDetails": "none",
}


class SecurityHeaders:
    """Pure ASGI, so that websockets and streamed downloads pass untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                if _is_https():
                    headers["Strict-Transport-Security"] = "max-age=31536000"
            await send(message)

        await self._app(scope, receive, send_with_headers)


class Gate:
    """What Streamlit serves to whoever asks: uploads are kept in memory, media are others' downloads, metrics
    are nobody's business; all of it is for those who are signed in. A websocket of a foreign page is refused
    before Streamlit asks a server on the internet what its own address is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket" and _is_foreign(HTTPConnection(scope)):
            await send({"type": "websocket.close", "code": 1008})
        elif (
            scope["type"] == "http" and _is_guarded(scope) and not await _is_signed_in(HTTPConnection(scope))
        ):
            await PlainTextResponse("Sign in first.\n", status_code=403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def _is_foreign(connection: HTTPConnection) -> bool:
    """Browsers always send Origin with a websocket; what sends none is not a page."""
    origin = connection.headers.get("origin")
    if origin is None:
        return False
    ours = {connection.headers.get("host"), urlsplit(get_app().settings.console_url).netloc}
    return urlsplit(origin).netloc not in ours - {None, ""}


def _is_guarded(scope: Scope) -> bool:
    path: str = scope["path"]
    if scope["method"] == "OPTIONS":
        return False
    before, is_media, _ = path.partition("/media/")
    if is_media and not before.endswith("/static"):  # there Streamlit's own fonts and icons are
        return not path.endswith(".png")  # the mark beside the sign-in form
    return any(f"/_stcore/{name}" in path for name in ("upload_file", "metrics", "agent"))


async def _is_signed_in(connection: HTTPConnection) -> bool:
    token = connection.cookies.get(session.COOKIE)
    return token is not None and await run_in_threadpool(users.find_sign_in, get_app(), token) is not None


def open_session(request: Request) -> Response:
    """Swap the ticket for a session. Only our own page may lead here: a link elsewhere with somebody's ticket
    would sign its reader in as that somebody."""
    if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return _leave_to("/")
    client = request.client.host if request.client else None
    agent = request.headers.get("user-agent")
    try:
        token = users.redeem_ticket(get_app(), request.query_params.get("ticket", ""), client, agent)
    except NotFound:
        return _leave_to("/")
    answer = _leave_to(_inside(request.query_params.get("next", "/")))
    answer.set_cookie(
        session.COOKIE, token, httponly=True, secure=_is_https(), samesite="lax", path="/"
    )  # ends with the browser; the database ends it earlier
    return answer


def end_session(request: Request) -> Response:
    """POST only: SameSite=Lax keeps the cookie from a foreign page's form, which therefore ends nothing."""
    answer = _leave_to("/")
    token = request.cookies.get(session.COOKIE)
    if token is not None:
        users.sign_out(get_app(), token)
        answer.delete_cookie(session.COOKIE, httponly=True, secure=_is_https(), samesite="lax", path="/")
    return answer


def healthz(_request: Request) -> Response:
    try:
        get_app().db.check()
    except ConfigurationError:
        return JSONResponse({"database": "does not answer"}, status_code=503)
    return JSONResponse({"database": "ok"})


def _leave_to(address: str) -> Response:
    return RedirectResponse(address, status_code=303, headers={"Cache-Control": "no-store"})


def _inside(address: str) -> str:
    """An address on this console, or its first page: never another host's, in any spelling browsers
    accept."""
    parts = urlsplit(address)
    foreign = parts.scheme or parts.netloc or not address.startswith("/") or address.startswith("//")
    if foreign or "\\" in address or any(ord(character) < 33 for character in address):
        return "/"
    return address


def _is_https() -> bool:
    return get_app().settings.console_url.startswith("https://")


def log_error(error: Exception) -> None:
    """What a page shows as "Oh no" is found here; arguments of frames are not logged."""
    logger.error("a page failed", exc_info=error)


def refuse_unsafe_options() -> None:
    """.streamlit/config.toml sets these; a variable or flag that undoes one opens the console to other
    people's pages. Raises ConfigurationError that names each."""
    hosts = st.get_option("server.allowedHosts")
    faults = [f"{name} must be {wanted}" for name, wanted in _SAFE.items() if st.get_option(name) != wanted]
    if not hosts or "*" in hosts:
        faults.append("server.allowedHosts must name the hosts the console is reached by")
    if faults:
        raise ConfigurationError(f"The console does not start like this: {'; '.join(faults)}.")


refuse_unsafe_options()
session.serve_routes()
app = st.App(
    Path(__file__).parent / "Home.py",
    routes=[
        Route(session.SESSION_ROUTE, open_session),
        Route(session.SIGN_OUT_ROUTE, end_session, methods=["POST"]),
        Route("/healthz", healthz),
    ],
    middleware=[Middleware(SecurityHeaders), Middleware(Gate)],
    on_script_error=log_error,
)

"""Webhooks: the only process that faces the internet. No sessions, no cookies, no console.

Run: uvicorn webhooks:app --port 8503
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from sqlalchemy.exc import SQLAlchemyError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from core import logs, notices
from core.app import build_app
from core.db import migrate
from core.errors import NotFound
from core.hooks.certificates import Certificates
from core.hooks.metrics import Meters
from core.settings import Settings
from webpages import layout
from webpages.guards import BodyLimit, Rooms, SecurityHeaders, thread_limits
from webpages.routes import hooks, onboarding, operation, unsubscribing
from webpages.routes.asking import first_line, page

logger = logging.getLogger("webhooks")


def names_no_link(record: logging.LogRecord) -> bool:
    """Of whoever asks for a WebSocket uvicorn tells the address here, whatever becomes of its access log."""
    return "WebSocket" not in str(record.msg)


@contextlib.asynccontextmanager
async def opened(server: Starlette) -> AsyncIterator[None]:
    settings = Settings.load()
    logs.to_stderr(settings.log_level)
    logging.getLogger("uvicorn.access").disabled = True  # its lines hold whole unsubscribe links
    logging.getLogger("uvicorn.error").addFilter(names_no_link)
    server.state.postyard = build_app(settings)
    server.state.postyard.db.check()
    migrate.check(server.state.postyard.db)
    server.state.threads = thread_limits()
    server.state.checks = asyncio.Semaphore(onboarding.CHECKS_AT_ONCE)
    server.state.certificates = Certificates()
    server.state.meters = Meters()
    server.state.refusals = hooks.Refusals()
    with notices.watching(server.state.postyard):
        yield
    server.state.postyard.db.dispose()


async def show_asset(request: Request) -> Response:
    if found := layout.asset(request.path_params["name"]):
        return Response(found[0], media_type=found[1])
    raise HTTPException(404)


async def not_found(request: Request, error: Exception) -> Response:
    """One page for whatever is not, or not any more: nobody learns which."""
    body = "<p>This link is not valid, or not any more. Use the newest one, or ask whoever sent it.</p>"
    return page(request, "Not found", body, status=404)


async def try_again(request: Request, error: Exception) -> Response:
    logger.error("the database did not do as asked: %s", first_line(error))
    return page(request, "Try again", "<p>This did not work. Please try again in a minute.</p>", status=503)


app = Starlette(
    routes=[
        Route("/healthz", operation.healthz),
        Route("/metrics", operation.metrics, methods=["GET"]),
        Route("/webhooks/ses-events", hooks.receive_ses_events, methods=["POST"]),
        Route("/webhooks/resend", hooks.receive_resend_events, methods=["POST"]),
        Route("/assets/{name}", show_asset, methods=["GET"]),
        Route("/u/{token}", unsubscribing.show, methods=["GET"]),
        Route("/u/{token}", unsubscribing.unsubscribe, methods=["POST"]),
        Route("/onboarding/{token}", onboarding.show, methods=["GET"], name="onboarding"),
        Route("/onboarding/{token}/check", onboarding.check, methods=["GET", "POST"]),
        Route("/onboarding/{token}/{format}", onboarding.download, methods=["GET"]),
    ],
    middleware=[Middleware(SecurityHeaders), Middleware(Rooms), Middleware(BodyLimit)],
    exception_handlers={NotFound: not_found, 404: not_found, SQLAlchemyError: try_again},
    lifespan=opened,
)
# It would lead to http, on whatever host was named, with the token.
app.router.redirect_slashes = False

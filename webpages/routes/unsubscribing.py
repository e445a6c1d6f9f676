"""Unsubscribing: the link in every mail, for people and for mail clients that post to it (RFC 8058)."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from core import suppressions
from webpages import layout
from webpages.routes.asking import app_of, in_thread, page


async def show(request: Request) -> Response:
    """Changes nothing: mail scanners follow every link (RFC 8058 therefore acts on POST alone)."""
    address = await in_thread(request, suppressions.address_of, app_of(request), request.path_params["token"])
    return page(
        request,
        "Unsubscribe",
        f"<p>Stop all mail from this sender to <b>{layout.shown(address)}</b>?</p>"
        '<form method="post"><button type="submit">Unsubscribe</button></form>',
    )


async def unsubscribe(request: Request) -> Response:
    """Twice is the same; a mail client's one-click POST and the page's button are one. Whatever the body
    says: the token alone decides, and a client that spells the body otherwise means the same."""
    await in_thread(request, suppressions.unsubscribe, app_of(request), request.path_params["token"])
    return page(request, "Unsubscribed", "<p>You will get no more mail from this sender.</p>")

"""Onboarding: the page of a domain's DNS records, its check and its downloads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from core import identities, onboarding, zonefiles
from core.dns import Finding
from core.errors import Conflict, ProviderError, TooSoon
from webpages import onboarding as onboarding_page
from webpages.routes.asking import app_of, in_thread, root_of

RETRY = {"Retry-After": str(identities.COOLDOWN_SECONDS)}
CHECKS_AT_ONCE = 4  # a check may take half a minute, and the page itself shares its threads
TURN_SECONDS = 1.0
BUSY = "Many domains are being checked just now. Nothing is lost: check again in a minute."
NO_ANSWER = "Amazon SES could not be asked just now. Nothing is lost: check again in a minute."

logger = logging.getLogger("webhooks")


class Export(NamedTuple):
    write: Callable[[str, Sequence[Finding], datetime | None], str]
    ending: str
    media_type: str


EXPORTS = {
    "bind": Export(zonefiles.bind, ".zone.txt", "text/plain"),
    "route53": Export(zonefiles.route53, "-route53.json", "application/json"),
    "cloudflare": Export(zonefiles.cloudflare, "-cloudflare.txt", "text/plain"),
}


async def show(request: Request) -> Response:
    return HTMLResponse(await in_thread(request, _rendered, request))


async def check(request: Request) -> Response:
    """Done: back to the page, so that loading it again asks nobody. A GET, of whoever goes back to this
    address, only goes there, too."""
    if request.method != "POST":
        return RedirectResponse(_path(request), status_code=303)
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


async def download(request: Request) -> Response:
    export = EXPORTS.get(request.path_params["format"])
    if export is None:
        raise HTTPException(404)
    shown = await in_thread(request, onboarding.open_page, app_of(request), request.path_params["token"])
    return Response(
        export.write(shown.domain, shown.records, shown.checked_at),
        media_type=export.media_type,
        headers={"Content-Disposition": f'attachment; filename="{shown.domain}{export.ending}"'},
    )


async def _checked(request: Request) -> Response:
    """A refusal that is not about waiting may name what this page does not show: it is only logged."""
    try:
        await in_thread(request, onboarding.check_again, app_of(request), request.path_params["token"])
    except TooSoon as e:
        return await _not_checked(request, str(e), status=429)
    except (Conflict, ProviderError) as e:
        logger.warning("a domain could not be checked again: %s", e)
        return await _not_checked(request, NO_ANSWER, status=503)
    return RedirectResponse(_path(request), status_code=303)


async def _not_checked(request: Request, notice: str, *, status: int) -> Response:
    text = await in_thread(request, _rendered, request, notice)
    return HTMLResponse(text, status_code=status, headers=RETRY)


def _rendered(request: Request, notice: str = "") -> str:
    page = onboarding.open_page(app_of(request), request.path_params["token"])
    return onboarding_page.render(page, here=_path(request), root=root_of(request), notice=notice)


def _path(request: Request) -> str:
    return root_of(request) + str(request.app.url_path_for("onboarding", token=request.path_params["token"]))

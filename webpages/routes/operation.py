"""Operation: what monitoring asks: whether everything lives, and how much of everything there is."""

from __future__ import annotations

import hmac

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from core import doctor
from core.hooks.metrics import CONTENT_TYPE, Meters
from webpages.routes.asking import app_of, in_thread


async def healthz(request: Request) -> Response:
    """200 when the database answers, a scheduler lives and events are not far behind, else 503; calls
    nobody else."""
    parts = await in_thread(request, doctor.liveness, app_of(request))
    well = all(state == "ok" for state in parts.values())
    return JSONResponse({"ok": well, **parts}, status_code=200 if well else 503)


async def metrics(request: Request) -> Response:
    """For whoever has the token; where there is none there is nothing. Not open to the own host alone: behind
    a proxy everybody comes from there."""
    token = app_of(request).settings.metrics_token
    if token is None:
        raise HTTPException(404)
    wanted = f"Bearer {token.get_secret_value()}"
    if not hmac.compare_digest(request.headers.get("authorization", "").encode(), wanted.encode()):
        return PlainTextResponse("Refused.\n", status_code=401, headers={"WWW-Authenticate": "Bearer"})
    meters: Meters = request.app.state.meters
    return Response(await in_thread(request, meters.text, app_of(request)), media_type=CONTENT_TYPE)

"""Hooks: SNS and Resend tell of events. 2xx: it is ours now; 4xx: never send it again; 5xx: try again.

An answer says nothing about why: whoever has to guess learns nothing, and whoever may know reads the log.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from core.hooks import resend, sns
from core.hooks.answers import Again, Done, Never
from webpages.routes.asking import app_of, in_thread

RAW = "x-amz-sns-rawdelivery"
RETRY = {"Retry-After": "20"}

logger = logging.getLogger("webhooks")


async def receive_ses_events(request: Request) -> Response:
    if request.headers.get(RAW, "false").lower() != "false":  # delivered without envelope and signature
        return _answer(request, "sns", Never("raw delivery"))
    certificates = request.app.state.certificates
    return await _answered(
        request, "sns", functools.partial(sns.receive, app_of(request), certificates, await request.body())
    )


async def receive_resend_events(request: Request) -> Response:
    headers = dict(request.headers)
    return await _answered(
        request, "resend", functools.partial(resend.receive, app_of(request), headers, await request.body())
    )


async def _answered(request: Request, hook: str, receive: Callable[[], Done]) -> Response:
    try:
        return _answer(request, hook, await in_thread(request, receive))
    except (Never, Again) as e:
        return _answer(request, hook, e)
    except SQLAlchemyError as e:
        logger.error("the database does not answer", exc_info=e)
        return _answer(request, hook, Again("database"))


def _answer(request: Request, hook: str, what: Done | Never | Again) -> Response:
    if isinstance(what, Done):
        request.app.state.meters.hook(hook, what.value)
        return PlainTextResponse("Taken.\n")
    logger.warning("a request of %s was not taken: %s", hook, what.why)
    request.app.state.meters.hook(hook, what.why)
    if isinstance(what, Never):
        return PlainTextResponse("Refused.\n", status_code=what.status)
    return PlainTextResponse("Try again.\n", status_code=503, headers=RETRY)

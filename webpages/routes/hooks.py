"""Hooks: SNS and Resend tell of events. 2xx: it is ours now; 4xx: never send it again; 5xx: try again.

An answer says nothing about why: whoever has to guess learns nothing, and whoever may know reads the log.
"""

from __future__ import annotations

import functools
import logging
import time
from collections import Counter
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from core.db.engine import AWAY
from core.hooks import resend, sns
from core.hooks.answers import Again, Done, Never
from webpages.routes.asking import app_of, first_line, in_thread

RAW = "x-amz-sns-rawdelivery"
RETRY = {"Retry-After": "20"}
LOG_EVERY_SECONDS = 10.0

logger = logging.getLogger("webhooks")


class Refusals:
    """Their log: of each kind a line in LOG_EVERY_SECONDS, so that nobody fills a disk with them. For the
    event loop alone."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._told: dict[tuple[str, str], float] = {}
        self._untold: Counter[tuple[str, str]] = Counter()

    def log(self, hook: str, why: str) -> None:
        kind, now = (hook, why), self._monotonic()
        if kind in self._told and now - self._told[kind] < LOG_EVERY_SECONDS:
            self._untold[kind] += 1
            return
        self._told[kind], before = now, self._untold.pop(kind, 0)
        more = f", and {before} like it before" if before else ""
        logger.warning("a request to the hook of %s was not taken: %s%s", hook, why, more)


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
        if not isinstance(e, AWAY):
            logger.error("the database refused what a hook brought: %s", first_line(e))
        return _answer(request, hook, Again("database"))


def _answer(request: Request, hook: str, what: Done | Never | Again) -> Response:
    if isinstance(what, Done):
        request.app.state.meters.hook(hook, what.value)
        return PlainTextResponse("Taken.\n")
    request.app.state.refusals.log(hook, what.why)
    request.app.state.meters.hook(hook, what.why)
    if isinstance(what, Never):
        return PlainTextResponse("Refused.\n", status_code=what.status)
    return PlainTextResponse("Try again.\n", status_code=503, headers=RETRY)

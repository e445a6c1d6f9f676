"""Asking: what every route needs: the app, a thread for what waits, and a page with one thing to say."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar
from urllib.parse import urlsplit

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse

from core.app import App
from webpages import layout
from webpages.guards import room_of

P = ParamSpec("P")
T = TypeVar("T")


def app_of(request: Request) -> App:
    app: App = request.app.state.postyard
    return app


async def in_thread(request: Request, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """In one of the room's threads, as soon as one is free."""
    limit = request.app.state.threads[room_of(request.scope["path"]).name]
    return await to_thread.run_sync(functools.partial(call, *args, **kwargs), limiter=limit)


def root_of(request: Request) -> str:
    """The path of public_url: a proxy may hand on what lies below one."""
    return urlsplit(app_of(request).settings.public_url).path.rstrip("/")


def page(request: Request, title: str, body: str, status: int = 200) -> HTMLResponse:
    """`body` is HTML."""
    return HTMLResponse(layout.message(title, body, root=root_of(request)), status_code=status)


def first_line(error: Exception) -> str:
    """For a log: in what follows PostgreSQL tells the whole row, and addresses are for no log."""
    return str(error).partition("\n")[0]

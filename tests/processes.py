"""Postyard's own processes, started as an operator starts them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import pytest
import uvicorn

import webhooks
from core.app import App
from tests.simulators import ROOT, free_port


def environment(app: App) -> dict[str, str]:
    """What a process needs to work on the test's database and simulator; AWS's variables are set already."""
    return {
        **os.environ,
        "POSTYARD_DATABASE_URL": app.settings.database_url.get_secret_value(),
        "POSTYARD_DATA_DIR": str(app.settings.data_dir),
        "POSTYARD_DNS_SERVERS": app.settings.dns_servers,
    }


def start_work(app: App, *arguments: str, errors: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "core", "work", *arguments],
        cwd=ROOT,
        env=environment(app),
        stdout=subprocess.DEVNULL,
        stderr=errors,
    )


def work_until_idle(app: App, seconds: int = 150) -> None:
    process = start_work(app, "--until-idle", "--seconds", str(seconds), errors=subprocess.PIPE)
    _, errors = process.communicate(timeout=seconds + 60)
    assert process.returncode == 0, errors.decode()[-3000:]


@contextmanager
def serving_webhooks(
    app: App, *, log_level: str = "warning", ws: Literal["none", "auto"] = "none"
) -> Iterator[str]:
    """webhooks.py on the test's database, on a thread of this process; its address."""
    port = free_port()
    config = uvicorn.Config(webhooks.app, host="127.0.0.1", port=port, log_level=log_level, ws=ws)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    with pytest.MonkeyPatch.context() as variables:
        for name, value in environment(app).items():
            variables.setenv(name, value)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "webhooks did not start"
            time.sleep(0.01)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(10)

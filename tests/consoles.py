"""The console as tests use it: `streamlit run console.py` on a free port with a database of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from core.app import App
from tests.simulators import ROOT, free_port


@dataclass(frozen=True)
class Console:
    """`app`: the same database, for a test to arrange and to look at."""

    url: str
    app: App
    log: Path


@contextmanager
def start_console(
    app: App, directory: Path, *, script: str = "console.py", extra: Mapping[str, str] | None = None
) -> Iterator[Console]:
    port = free_port()
    environment = {
        **os.environ,
        "POSTYARD_DATABASE_URL": app.settings.database_url.get_secret_value(),
        "POSTYARD_DATA_DIR": str(app.settings.data_dir),
        "POSTYARD_DNS_SERVERS": app.settings.dns_servers,
        **(extra or {}),
    }
    command = [sys.executable, "-m", "streamlit", "run", script, "--server.port", str(port)]
    console = Console(url=f"http://127.0.0.1:{port}", app=app, log=directory / "console.log")
    with console.log.open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=environment)
        try:
            _wait_until_ready(console, process)
            yield console
        finally:
            process.terminate()
            process.wait(timeout=20)


def _wait_until_ready(console: Console, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the console ended at its start:\n{console.log.read_text()[-3000:]}")
        try:
            with urllib.request.urlopen(f"{console.url}/_stcore/health", timeout=5):
                return
        except urllib.error.HTTPError as e:
            raise RuntimeError(f"the console answers {e.code}") from e
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the console did not answer within a minute")

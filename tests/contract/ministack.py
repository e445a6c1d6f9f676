"""MiniStack's own SES v2, as a process of its own: what somebody else makes of SES's documentation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.simulators import free_port

READY_SECONDS = 60


@dataclass(frozen=True)
class MiniStack:
    url: str

    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def reset(self) -> None:
        self._call("POST", "/_ministack/reset")

    def messages(self) -> list[dict[str, Any]]:
        by_account = self._call("GET", "/_ministack/ses/messages")["messages"]
        return [message for messages in by_account.values() for message in messages]

    def _call(self, method: str, path: str) -> Any:
        with urllib.request.urlopen(
            urllib.request.Request(self.url + path, method=method), timeout=10
        ) as answer:
            return json.loads(answer.read())


@contextmanager
def running_ministack(data: Path) -> Iterator[MiniStack]:
    """It refuses credentials it does not know. Without its lifespan, which opens ports of other services."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "ministack.app:app", "--port", str(port)]
    environment = {
        **os.environ,
        "AUTH": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "GATEWAY_PORT": str(port),
        "LOG_LEVEL": "WARNING",
    }
    with (data / "ministack.log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--lifespan", "off", "--no-access-log"], env=environment, stdout=log, stderr=log
        )
        try:
            _wait_until_ready(f"http://127.0.0.1:{port}/_ministack/health", process)
            yield MiniStack(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
            process.wait(timeout=20)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError("MiniStack did not answer")

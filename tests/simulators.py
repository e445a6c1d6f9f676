"""The simulator as tests use it: one process per test run, talked to over HTTP as a script would."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

ROOT = Path(__file__).parent.parent


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def free_dns_port() -> int:
    """Free for UDP and TCP alike."""
    while True:
        port = free_port(socket.SOCK_DGRAM)
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@dataclass(frozen=True)
class Simulator:
    url: str
    dns: str  # host:port

    def environment(self) -> dict[str, str]:
        """AWS's own variables, as boto3 reads them; control calls come as fast as they like."""
        return {
            "POSTYARD_CONTROL_CALLS_PER_SECOND": "1000",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "ap-southeast-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def resend(self) -> dict[str, str]:
        """Settings of the second way out; its one verified domain at first is postyard-mail.io."""
        return {
            "resend_api_key": "re_test",
            "resend_url": f"{self.url}/resend",
            "resend_from": "Postyard <news@postyard-mail.io>",
        }

    def call(self, method: str, path: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")

    def reset(self, to: str | None = None) -> None:
        """Empty, or as it was when `keep` named it so."""
        self.call("POST", "/_sim/reset", {"to": to} if to else {})

    def keep(self, name: str) -> None:
        self.call("POST", "/_sim/keep", {"name": name})

    def put_dns(self, records: list[dict[str, Any]]) -> None:
        self.call("PUT", "/_sim/dns", records)

    def remove_dns(self, *records: dict[str, Any]) -> None:
        """Whole RRsets, or only the values that are given."""
        self.call("DELETE", "/_sim/dns", list(records))

    def dns_faults(self, *faults: dict[str, Any]) -> None:
        """In place of those set before; none: all is well again."""
        self.call("POST", "/_sim/dns_faults", list(faults))

    def advance_clock(self, seconds: float) -> None:
        self.call("POST", "/_sim/clock", {"advance_seconds": seconds})

    def scenario(self, **scenario: Any) -> None:
        self.call("POST", "/_sim/scenario", scenario)

    def faults(self, *faults: dict[str, Any]) -> None:
        self.call("POST", "/_sim/faults", list(faults))

    def messages(self, **query: str) -> list[dict[str, Any]]:
        return list(self.call("GET", f"/_sim/messages?{urlencode(query)}")["messages"])

    def tenant(self, name: str, **decided: Any) -> dict[str, Any]:
        """What AWS itself finds and decides of a tenant: aws_status, cause, findings."""
        return dict(self.call("POST", "/_sim/tenants", {"name": name, **decided}))

    def calls(self, after: int = 0) -> list[dict[str, Any]]:
        """SES's control operations with a higher id, oldest first: id, operation, at (epoch), status."""
        return list(self.call("GET", f"/_sim/calls?after={after}")["calls"])

    def refusal(self, method: str, path: str, body: Any = None) -> tuple[int, str]:
        """Status and sentence of a control request that must fail."""
        try:
            answer = self.call(method, path, body)
        except urllib.error.HTTPError as e:
            return e.code, str(json.loads(e.read())["error"])
        raise AssertionError(f"{method} {path} was accepted: {answer}")


@contextmanager
def start_simulator(data: Path) -> Iterator[Simulator]:
    with running_simulator(data) as (simulator, _):
        yield simulator


@contextmanager
def running_simulator(data: Path) -> Iterator[tuple[Simulator, subprocess.Popen[bytes]]]:
    """The simulator and its process, for tests that end it; `data` may hold an earlier one's state."""
    port, dns_port = free_port(), free_dns_port()
    arguments = ["--data", str(data), "--port", str(port), "--dns-port", str(dns_port)]
    with (data / "simulator.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "simulator", *arguments],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        simulator = Simulator(url=f"http://127.0.0.1:{port}", dns=f"127.0.0.1:{dns_port}")
        try:
            _wait_until_ready(simulator, process, data / "simulator.log")
            yield simulator, process
        finally:
            process.terminate()
            process.wait(timeout=20)


def _wait_until_ready(simulator: Simulator, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the simulator ended at its start:\n{log.read_text()[-3000:]}")
        try:
            simulator.call("GET", "/_sim/health")
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the simulator did not answer within a minute")

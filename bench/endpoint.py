"""The stub as a process of its own, seen from the bench: started, told how to behave, asked what it saw."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.stub import Options

ROOT = Path(__file__).parent.parent
ANSWER_WITHIN_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Endpoint:
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def reset(self, options: Options) -> None:
        self._ask("POST", "/reset", asdict(options))

    def stats(self) -> dict[str, Any]:
        return self._ask("GET", "/stats")

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_WITHIN_SECONDS)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer
        finally:
            connection.close()


@contextmanager
def started() -> Iterator[Endpoint]:
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.stub"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield Endpoint(int(process.stdout.readline()))
    finally:
        process.communicate(timeout=10)  # it ends with its input


def ceiling(endpoint: Endpoint, path: str, body: bytes, calls: int = 3000, connections: int = 4) -> float:
    """Calls per second that the stub answers a client that does nothing but write and read bytes."""
    head = f"POST {path} HTTP/1.1\r\nHost: stub\r\nContent-Length: {len(body)}\r\n\r\n"
    request = head.encode() + body
    sockets = [socket.create_connection(("127.0.0.1", endpoint.port)) for _ in range(connections)]
    try:
        begun = time.perf_counter()
        for _ in range(calls // connections):
            for each in sockets:
                each.sendall(request)
            for each in sockets:
                _read_answer(each)
        return calls / (time.perf_counter() - begun)
    finally:
        for each in sockets:
            each.close()


def _read_answer(connection: socket.socket) -> None:
    arrived = connection.recv(65536)
    while b"\r\n\r\n" not in arrived:
        arrived += connection.recv(65536)
    head, _, body = arrived.partition(b"\r\n\r\n")
    missing = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0]) - len(body)
    while missing > 0:
        missing -= len(connection.recv(65536))

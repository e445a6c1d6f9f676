"""A bare server in SES's or Resend's place: it notes what it is asked and answers what a test says."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, dict[str, str], bytes]


@dataclass
class Wire:
    url: str = ""
    requests: list[tuple[str, str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)  # of each request, names in lower case
    answer: Callable[[], Answer | None] = lambda: (200, {}, b"{}")

    def forget(self) -> None:
        self.requests.clear()
        self.headers.clear()
        self.says(200, {})

    def says(self, status: int, body: Any, code: str = "") -> None:
        headers = {"x-amzn-ErrorType": code} if code else {}
        self.answer = lambda: (status, headers, json.dumps(body).encode())

    def says_in_turn(self, *bodies: Any) -> None:
        self.answers_in_turn(*((200, body) for body in bodies))

    def answers_in_turn(self, *answers: tuple[int, Any] | None) -> None:
        """None: the connection is closed without a word."""
        left = iter(answers)

        def following() -> Answer | None:
            given = next(left)
            return None if given is None else (given[0], {}, json.dumps(given[1]).encode())

        self.answer = following

    def says_text(self, status: int, text: str) -> None:
        self.answer = lambda: (status, {"Content-Type": "text/xml"}, text.encode())

    def says_statuses(self, *statuses: str) -> None:
        results = [
            {"Status": status, **({"MessageId": f"m{number}"} if status == "SUCCESS" else {"Error": "why"})}
            for number, status in enumerate(statuses)
        ]
        self.says(200, {"BulkEmailEntryResults": results})

    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "hush-hush",
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextmanager
def listening() -> Iterator[Wire]:
    wire = Wire()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            wire.headers.append({name.lower(): value for name, value in self.headers.items()})
            wire.requests.append((self.command, self.path, _content(body)))
            answer = wire.answer()
            if answer is None:
                self.close_connection = True
                return
            status, headers, content = answer
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = handle_any

        def log_message(self, *_: Any) -> None:
            """A test's output is not a server's log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    wire.url = f"http://127.0.0.1:{server.server_port}"
    yield wire
    server.shutdown()
    server.server_close()
    thread.join()


def _content(body: bytes) -> Any:
    """JSON, or the text of the older query protocol."""
    return json.loads(body) if body.startswith((b"{", b"[")) else body.decode() or None

"""Fetching a certificate: from where it is and no further, and no more than a certificate."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from core.hooks.answers import Again, Never
from core.hooks.certificates import fetch_from_sns
from tests import signing


@pytest.mark.parametrize(
    ("answer", "error"),
    [((200, {}), None), ((302, {"Location": "http://127.0.0.1:1/"}), Never), ((404, {}), Never),
     ((500, {}), Again), ((429, {}), Again)],
)  # fmt: skip
def test_a_certificate_is_fetched_from_where_it_is_and_no_further(
    answer: tuple[int, dict[str, str]], error: type[Exception] | None
) -> None:
    with serving(answer, signing.certificate()) as address:
        if error is None:
            assert fetch_from_sns(address) == signing.certificate()
            return
        with pytest.raises(error):
            fetch_from_sns(address)


def test_a_certificate_that_is_too_large_or_out_of_reach_is_none() -> None:
    with serving((200, {}), b"x" * 40_000) as address, pytest.raises(Never):
        fetch_from_sns(address)
    with pytest.raises(Again):
        fetch_from_sns("http://127.0.0.1:1/x.pem")


@contextmanager
def serving(answer: tuple[int, dict[str, str]], content: bytes) -> Iterator[str]:
    class Serving(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answer[0])
            for name, value in answer[1].items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Serving) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/x.pem"
        server.shutdown()

"""A webhook is dialled where its name was checked, and nowhere else."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from core.errors import ProviderError
from core.notices import Dialler, targets
from core.notices.webhook import addresses_of
from tests.alerting import HOST, SECRET, Hook, webhook


@pytest.fixture
def hook() -> Iterator[Hook]:
    with webhook() as served:
        yield served


def post(hook: Hook, dialler: Dialler | None = None) -> None:
    (dialler or hook.dialler()).post(targets.web_address(hook.url), b'{"text": "x"}')


def refusal(hook: Hook, dialler: Dialler | None = None) -> str:
    with pytest.raises(ProviderError) as told:
        post(hook, dialler)
    sentence = str(told.value)
    assert SECRET not in sentence
    assert sentence.endswith(".")
    return sentence


def test_a_body_is_posted_to_the_path_under_the_hosts_name(hook: Hook) -> None:
    post(hook)
    assert hook.got == [{"text": "x"}]
    assert hook.paths == [SECRET]
    assert hook.hosts == [f"{HOST}:{hook.port}"]


def test_a_name_that_leads_to_this_host_is_refused_before_anything_is_dialled(hook: Hook) -> None:
    private = Dialler(addresses_of=lambda host: ["127.0.0.1"])
    assert "private network" in refusal(hook, private)
    assert hook.got == []


@pytest.mark.parametrize("address", ["169.254.169.254", "10.0.0.1", "fd00:ec2::254", "::ffff:127.0.0.1"])
def test_one_private_address_beside_public_ones_is_enough(hook: Hook, address: str) -> None:
    mixed = Dialler(addresses_of=lambda host: ["203.0.113.1", address])
    assert "private network" in refusal(hook, mixed)


def test_a_name_that_leads_elsewhere_a_moment_later_is_dialled_where_it_was_checked(
    hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DNS rebinding: whoever looks the name up a second time gets another address."""
    asked: list[str] = []

    def rebinding(host: str) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["127.0.0.66"]

    def nobody_else_looks_up(host: object, *rest: object, **named: object) -> object:
        assert host != HOST, "the name was looked up again"
        return look_up(host, *rest, **named)  # type: ignore[arg-type]

    look_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", nobody_else_looks_up)
    post(hook, hook.dialler(addresses_of=rebinding))
    assert asked == [HOST]
    assert len(hook.got) == 1


def test_a_second_answer_that_leads_to_this_host_is_refused(hook: Hook) -> None:
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    dialler = hook.dialler(addresses_of=lambda host: next(answers))
    post(hook, dialler)
    assert "private network" in refusal(hook, dialler)
    assert len(hook.got) == 1


def test_the_certificate_must_be_good_for_the_name(hook: Hook) -> None:
    assert "no good certificate" in refusal(hook, Dialler(hook.dialler().addresses_of, lambda _: True))
    with webhook("hooks.globex-post.net") as other:
        assert "no good certificate" in refusal(other)
        assert other.got == []


def test_a_redirection_is_not_followed(hook: Hook) -> None:
    hook.status, hook.headers = 307, {"Location": f"https://{HOST}:{hook.port}/elsewhere"}
    assert "redirection (307)" in refusal(hook)
    assert hook.paths == [SECRET]


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (b"no_service", "answered 404 no_service."),
        (SECRET.encode(), "answered 404."),
        (b"<img src=x onerror=alert(1)>", "answered 404."),
        (b"x" * 1_000_000, "answered 404."),
        (b"\x1b[2J", "answered 404."),
    ],
)
def test_of_a_refusal_no_more_than_slacks_word_for_it_is_kept(hook: Hook, said: bytes, kept: str) -> None:
    hook.status, hook.said = 404, said
    assert refusal(hook).endswith(kept)


def test_what_was_taken_is_not_sent_again_for_a_broken_answer(hook: Hook) -> None:
    hook.headers, hook.said = {"Transfer-Encoding": "chunked"}, b"this is no chunk"
    post(hook)
    assert len(hook.got) == 1
    hook.status = 500
    assert "did not answer" in refusal(hook)


def test_an_answer_that_drips_ends_in_time(hook: Hook) -> None:
    hook.dripping.set()
    began = time.monotonic()
    assert "did not answer within" in refusal(hook, hook.dialler(seconds=0.4))
    assert time.monotonic() - began < 3


def test_a_handshake_that_drips_ends_in_time() -> None:
    with serving(drip) as port:
        began = time.monotonic()
        hook = Hook(port=port)
        assert "did not answer within" in refusal(hook, hook.dialler(seconds=0.4))
        assert time.monotonic() - began < 3


@pytest.mark.parametrize("answer", [b"", b"\x00" * 100, b"HTTP/1.1 200 OK\r\n\r\n"])
def test_what_speaks_no_tls_gets_nothing(answer: bytes) -> None:
    with serving(partial(say, answer)) as port:
        hook = Hook(port=port)
        assert "did not answer" in refusal(hook)


def test_a_port_nobody_listens_on_is_told_as_such() -> None:
    with serving(drip) as port:
        closed = Hook(port=port)
    assert "ConnectionRefusedError" in refusal(closed)


def test_a_name_that_does_not_exist_is_told_as_such(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(ProviderError, match="was not found"):
        addresses_of("hooks.acme-mail.invalid")
    assert SECRET not in caplog.text


def say(answer: bytes, connection: socket.socket) -> None:
    connection.recv(1000)
    connection.sendall(answer)


def drip(connection: socket.socket) -> None:
    """A record that says it is long, byte by byte."""
    connection.sendall(b"\x16\x03\x03\x3f\xff\x02\x00\x3f\xfb")
    for _ in range(500):
        connection.sendall(b"\x00")
        time.sleep(0.02)


class serving:
    """Answers one caller after the other on a port of this host."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        self._answer = answer
        self._server = socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> int:
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        return int(self._server.getsockname()[1])

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
                with connection:
                    self._answer(connection)
            except OSError:
                if self._server.fileno() < 0:
                    return

    def __exit__(self, *_: object) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(12)

"""What the simulator's Resend tells of its mail, as a receiver sees it: signed, tried again."""

from __future__ import annotations

import http.server
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from standardwebhooks import Webhook

from core.db.states import EventType
from core.providers.base import ProviderEvent
from core.providers.resend_events import parse
from tests.contract.test_simulator_resend import ask, mail
from tests.signing import SVIX_SECRET
from tests.simulators import Simulator

SEND = EventType.SEND
FATES = {
    "delivery": [SEND, EventType.DELIVERY],
    "bounce": [SEND, EventType.BOUNCE],
    "transient": [SEND, EventType.BOUNCE],
    "complaint": [SEND, EventType.DELIVERY, EventType.COMPLAINT],
    "reject": [EventType.REJECT],
}


@contextmanager
def receiver(*statuses: int) -> Iterator[tuple[str, queue.Queue[tuple[dict[str, str], bytes]]]]:
    """Answers with these first and with 200 from then on."""
    heard: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()
    left = list(statuses)

    class Heard(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(left.pop(0) if left else 200)
            self.end_headers()
            heard.put(({name.lower(): value for name, value in self.headers.items()}, body))

        def log_message(self, *_: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Heard) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/webhooks/resend", heard
        server.shutdown()


def checked(request: tuple[dict[str, str], bytes]) -> ProviderEvent:
    headers, body = request
    names = {f"webhook-{name}": headers[f"svix-{name}"] for name in ("id", "timestamp", "signature")}
    Webhook(SVIX_SECRET).verify(body, names)
    [event] = parse(body.decode(), headers["svix-id"])
    return event


@pytest.mark.parametrize("fate", FATES)
def test_each_fate_is_told_signed_with_its_tags(simulator: Simulator, fate: str) -> None:
    with receiver() as (url, heard):
        simulator.scenario(
            resend_domains=["acme-mail.io"],
            addresses={"ann@example.com": fate},
            resend_webhook={"url": url, "secret": SVIX_SECRET},
        )
        tags = [{"name": "msg_uid", "value": "5-abc"}, {"name": "tenant", "value": "acme"}]
        _, said = ask(simulator, "/emails", mail("ann@example.com", tags=tags))
        events = [checked(heard.get(timeout=10)) for _ in FATES[fate]]

    assert sorted(event.type for event in events) == sorted(FATES[fate])
    assert {(event.msg_uid, event.tenant_tag, event.recipient) for event in events} == {
        ("5-abc", "acme", "ann@example.com")
    }
    assert {event.provider_message_id for event in events} == {said["id"]}


def test_what_is_not_taken_comes_again_as_the_same(simulator: Simulator) -> None:
    with receiver(503) as (url, heard):
        simulator.scenario(
            resend_domains=["acme-mail.io"],
            addresses={"ann@example.com": "reject"},
            resend_webhook={"url": url, "secret": SVIX_SECRET},
        )
        ask(simulator, "/emails", mail("ann@example.com"))
        first = checked(heard.get(timeout=10))
        simulator.call("POST", "/_sim/clock", {"advance_seconds": 6})
        again = checked(heard.get(timeout=10))

    assert first.uid == again.uid


def test_without_an_address_nobody_is_told(simulator: Simulator) -> None:
    with receiver() as (url, heard):
        simulator.scenario(
            resend_domains=["acme-mail.io"], resend_webhook={"url": url, "secret": SVIX_SECRET}
        )
        simulator.scenario(resend_webhook={})
        ask(simulator, "/emails", mail())
        with pytest.raises(queue.Empty):
            heard.get(timeout=0.5)

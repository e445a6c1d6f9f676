"""SNS over HTTPS: only what SNS signed for a tenant's own topic does anything, and it does it once."""

from __future__ import annotations

import http.server
import json
import queue
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import psycopg
import pytest
from sqlalchemy import select

import webhooks
from core.app import App, build_app
from core.db.models import AuditEntry
from core.errors import ProviderError
from core.hooks import sns
from core.hooks.answers import Again, Done, Never
from core.hooks.certificates import Certificates
from core.settings import Settings
from tests import signing
from tests.conftest import Cast
from tests.databases import ON_POSTGRESQL, ON_SQLITE
from tests.integration.test_webhooks import Ask, ask
from tests.ledger import Ledger, new_account, new_ledger
from tests.simulators import Simulator

__all__ = ["ask"]
PATH = "/webhooks/ses-events"
BOUNCE = json.loads(
    (Path(__file__).parents[1] / "data/ses_events/bounce_permanent_general.json").read_text(encoding="utf-8")
)


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    app = build_app(settings)
    yield new_ledger(app, new_account(app), "acme")
    app.db.dispose()


@pytest.fixture
def served() -> signing.Served:
    return signing.Served()


def record(message: Any, number: int = 1) -> str:
    """A bounce of the message, as SES writes it."""
    said = json.loads(json.dumps(BOUNCE))
    said["mail"]["tags"] |= {"msg_uid": [f"{message.id}-{message.attempt}"], "tenant": ["acme"]}
    said["mail"]["tags"].pop("ses:tenant-name", None)
    said["bounce"]["feedbackId"] = f"feedback-{number}"
    said["bounce"]["bouncedRecipients"][0]["emailAddress"] = message.address
    return json.dumps(said)


def body(ledger: Ledger, message: str, *, version: str = "2", **values: Any) -> bytes:
    said = signing.notification(str(ledger.tenant.topic_arn), message, ledger.app.now(), **values)
    return json.dumps(signing.signed(said, version)).encode()


def receive(ledger: Ledger, served: signing.Served, request: bytes) -> Done:
    return sns.receive(ledger.app, Certificates(served), request)


def refused(ledger: Ledger, served: signing.Served, request: bytes) -> str:
    with pytest.raises(Never) as told:
        receive(ledger, served, request)
    assert not ledger.events()
    assert not ledger.parked()
    return told.value.why


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "Amazon SES Email Event Notification"])
def test_a_notification_has_all_its_effects(
    ledger: Ledger, served: signing.Served, version: str, subject: str | None
) -> None:
    message = ledger.add_message("gone@example.com")

    assert (
        receive(ledger, served, body(ledger, record(message), version=version, subject=subject)) == "stored"
    )

    assert ledger.look(message).status == "bounced"
    assert [row.address for row in ledger.suppressions()] == ["gone@example.com"]
    assert served.asked == [signing.CERTIFICATE_URL]


def test_the_same_over_https_and_through_the_queue_is_one(ledger: Ledger, served: signing.Served) -> None:
    message = ledger.add_message("gone@example.com")
    request = body(ledger, record(message))

    assert receive(ledger, served, request) == Done.STORED
    assert receive(ledger, served, request) == Done.KNOWN
    assert receive(ledger, served, body(ledger, record(message))) == Done.KNOWN

    assert len(ledger.events()) == 1
    assert ledger.total("permanent_bounces") == 1


@pytest.mark.slow
def test_a_thousand_times_at_once_is_once(ledger: Ledger) -> None:
    message = ledger.add_message("gone@example.com")
    request, certificates = body(ledger, record(message)), Certificates(signing.Served())

    with ThreadPoolExecutor(6) as pool:
        said = list(pool.map(lambda _: sns.receive(ledger.app, certificates, request), range(1000)))

    assert (said.count(Done.STORED), said.count(Done.KNOWN)) == (1, 999)
    assert len(ledger.events()) == 1
    assert ledger.total("permanent_bounces") == 1


@ON_SQLITE
def test_an_unsigned_body_stores_nothing_and_asks_nobody(ledger: Ledger, served: signing.Served) -> None:
    message = ledger.add_message("gone@example.com")
    whole = json.loads(body(ledger, record(message)))
    for name in ("Signature", "SignatureVersion", "SigningCertURL"):
        left = {key: value for key, value in whole.items() if key != name}
        assert refused(ledger, served, json.dumps(left).encode()) == "unsigned"
    assert refused(ledger, served, record(message).encode()) == "unreadable"

    assert served.asked == []


@ON_SQLITE
def test_a_topic_that_is_no_tenants_asks_nobody(ledger: Ledger, served: signing.Served) -> None:
    """Signed by SNS as everybody's messages are."""
    message = ledger.add_message("gone@example.com")
    own = str(ledger.tenant.topic_arn)
    others = [own + "-2", own.upper(), own.replace("acme", "*"), own.replace("acme", "_cme")]
    others += [own.replace("123456789012", "999999999999"), own.replace("ap-southeast-1", "us-east-1")]
    for topic in others:
        for kind in ("Notification", "SubscriptionConfirmation", "UnsubscribeConfirmation"):
            said = signing.notification(topic, record(message), ledger.app.now())
            if kind != "Notification":
                said = signing.handshake(topic, ledger.app.now(), kind=kind)
            assert refused(ledger, served, json.dumps(signing.signed(said)).encode()) == "foreign topic"

    assert served.asked == []


@ON_SQLITE
def test_a_certificate_from_elsewhere_is_not_fetched(ledger: Ledger, served: signing.Served) -> None:
    message = ledger.add_message("gone@example.com")
    for address in ("https://evil.com/SimpleNotificationService-6209.pem", "http://169.254.169.254/x.pem"):
        assert refused(ledger, served, body(ledger, record(message), SigningCertURL=address))
    served.content = signing.certificate(common_name="evil.com")
    assert refused(ledger, served, body(ledger, record(message))) == "certificate"

    assert served.asked == [signing.CERTIFICATE_URL]


@ON_SQLITE
def test_an_altered_message_and_another_key_store_nothing(ledger: Ledger, served: signing.Served) -> None:
    message = ledger.add_message("gone@example.com")
    whole = json.loads(body(ledger, record(message)))
    later = signing.stamp(ledger.app.now() + timedelta(seconds=5))
    for change in (
        {"Message": record(message, 2)},
        {"MessageId": "x"},
        {"Timestamp": later},
        {"Subject": "x"},
    ):
        assert refused(ledger, served, json.dumps({**whole, **change}).encode()) == "signature"
    served.content = signing.certificate(signed_with=signing.key("thief"))
    assert refused(ledger, served, json.dumps(whole).encode()) == "signature"


@ON_SQLITE
def test_what_is_too_old_is_refused_before_anybody_is_asked(ledger: Ledger, served: signing.Served) -> None:
    message = ledger.add_message("gone@example.com")
    at = ledger.app.now() - timedelta(hours=2, minutes=1)
    said = signing.notification(str(ledger.tenant.topic_arn), record(message), at)

    assert refused(ledger, served, json.dumps(signing.signed(said)).encode()) == "stale"
    assert served.asked == []


def test_signed_but_unreadable_is_parked_and_not_sent_again(ledger: Ledger, served: signing.Served) -> None:
    for number, text_ in enumerate(("no JSON", '{"eventType": "Bounce"}', "\0", "[]", '{"a": "\\u0000"}')):
        assert receive(ledger, served, body(ledger, text_, subject=f"Number {number}")) == Done.PARKED

    assert [row.reason for row in ledger.parked()] == ["unreadable"] * 5
    assert not ledger.events()


def test_what_ses_says_of_a_new_topic_is_taken_and_kept_nowhere(
    ledger: Ledger, served: signing.Served
) -> None:
    said = "Successfully validated SNS topic for Amazon SES event publishing."

    assert receive(ledger, served, body(ledger, said)) == Done.IGNORED
    assert not ledger.parked()


def test_an_event_about_another_tenants_mail_is_quarantined(ledger: Ledger, served: signing.Served) -> None:
    globex = new_ledger(ledger.app, ledger.account, "globex")
    message = globex.add_message("gone@example.com")

    assert receive(ledger, served, body(ledger, record(message).replace("acme", "globex"))) == Done.PARKED

    [parked] = ledger.parked()
    assert (parked.reason, parked.tenant_id) == ("wrong tenant", ledger.tenant.id)
    assert globex.look(message).status == "sending"


def test_hostile_text_is_stored_as_text(ledger: Ledger, served: signing.Served) -> None:
    message = ledger.add_message("gone@example.com")
    said = json.loads(record(message))
    said["bounce"]["bouncedRecipients"][0]["diagnosticCode"] = (
        "<script>\0'; DROP TABLE events; --\u202e" * 200
    )

    assert receive(ledger, served, body(ledger, json.dumps(said))) == Done.STORED
    [event] = ledger.events()
    assert event.diagnostic.startswith("<script>\N{REPLACEMENT CHARACTER}'; DROP TABLE events")
    assert len(event.diagnostic) <= 2000


@ON_SQLITE
def test_no_address_in_a_message_is_ever_opened(
    ledger: Ledger, served: signing.Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SubscribeURL leads to the cloud's metadata; AWS itself is told to be out of reach."""
    opened: list[Any] = []

    def connect(_: socket.socket, address: Any) -> None:
        opened.append(address)
        raise ConnectionRefusedError

    def resolve(host: str, *_: Any, **__: Any) -> list[Any]:
        opened.append(host)
        raise socket.gaierror

    said = signing.handshake(str(ledger.tenant.topic_arn), ledger.app.now())
    forged = json.dumps({**signing.signed(said), "Token": "other"}).encode()
    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "connect", connect)
        patch.setattr(socket, "getaddrinfo", resolve)
        assert refused(ledger, served, forged) == "signature"
        assert opened == []
        app = replace(ledger.app, providers=_NoAws())
        with pytest.raises(Again):
            sns.receive(app, Certificates(served), json.dumps(signing.signed(said)).encode())
    assert opened == []


class _NoAws:
    """AWS does not answer."""

    def queue(self, region: str) -> Any:
        raise ProviderError("SNS does not answer.", permanent=False)

    email = resend = queue


@contextmanager
def listening() -> Iterator[tuple[str, queue.Queue[dict[str, Any]]]]:
    """What SNS posts to an endpoint of somebody's."""
    heard: queue.Queue[dict[str, Any]] = queue.Queue()

    class Heard(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            heard.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Heard) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/", heard
        server.shutdown()


@ON_SQLITE
def test_a_subscription_is_confirmed_by_the_api_and_its_end_recorded(
    app: App, cast: Cast, simulator: Simulator, served: signing.Served
) -> None:
    topic = str(cast.acme.topic_arn)
    client = boto3.client("sns", region_name="ap-southeast-1")
    certificates = Certificates(served)

    def confirm(token: str) -> Done:
        said = signing.handshake(topic, app.now(), token=token)
        return sns.receive(app, certificates, json.dumps(signing.signed(said)).encode())

    address, token = subscribed(client, topic)
    assert pending(client, topic, address)
    assert confirm(token) == Done.CONFIRMED
    assert not pending(client, topic, address)
    ended = signing.handshake(topic, app.now(), kind="UnsubscribeConfirmation")
    request = json.dumps(signing.signed(ended)).encode()
    assert [sns.receive(app, certificates, request) for _ in range(3)] == [Done.ENDED, Done.KNOWN, Done.KNOWN]
    with pytest.raises(Never):
        confirm("a token of nobody")
    with app.db.read() as session:
        entries = list(session.scalars(select(AuditEntry).where(AuditEntry.action.contains("subscription"))))
    assert [(entry.action, entry.tenant_id) for entry in entries] == [
        ("confirm subscription", cast.acme.id),
        ("end subscription", cast.acme.id),
    ]
    assert token not in str([entry.detail for entry in entries])


def subscribed(client: Any, topic: str) -> tuple[str, str]:
    """An endpoint that waits to be confirmed, and the token that was sent there."""
    with listening() as (address, heard):
        client.subscribe(TopicArn=topic, Protocol="http", Endpoint=address)
        return address, heard.get(timeout=10)["Token"]


def pending(client: Any, topic: str, address: str) -> bool:
    listed = client.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    [arn] = [each["SubscriptionArn"] for each in listed if each["Endpoint"] == address]
    found = client.get_subscription_attributes(SubscriptionArn=arn)["Attributes"]
    return bool(found["PendingConfirmation"] == "true")


@ON_SQLITE
def test_over_http_the_answers_tell_sns_what_to_do(app: App, ask: Ask, cast: Cast) -> None:
    webhooks.app.state.certificates = Certificates(signing.Served())
    topic = str(cast.acme.topic_arn)
    good = signing.signed(signing.notification(topic, "no event", app.now()))

    taken = ask("POST", PATH, json.dumps(good).encode())
    assert (taken.status, taken.text) == (200, "Taken.\n")
    forged = ask("POST", PATH, json.dumps({**good, "Message": "<b>forged</b>"}).encode())
    assert (forged.status, forged.text) == (403, "Refused.\n")
    foreign = signing.signed(signing.notification(topic + "x", "no event", app.now()))
    assert ask("POST", PATH, json.dumps(foreign).encode()).status == 403
    assert ask("POST", PATH, b"no JSON").status == 400
    assert ask("POST", PATH, b"x" * (1024 * 1024 + 1)).status == 413
    assert ask("GET", PATH).status == 405
    assert ask("POST", PATH + "/").status == 404


@ON_SQLITE
def test_a_message_of_the_largest_size_is_taken(app: App, ask: Ask, cast: Cast) -> None:
    webhooks.app.state.certificates = Certificates(signing.Served())
    large = signing.notification(str(cast.acme.topic_arn), '"' * 256 * 1024, app.now())

    assert ask("POST", PATH, json.dumps(signing.signed(large)).encode()).status == 200


@ON_SQLITE
def test_raw_delivery_is_refused(app: App, cast: Cast, ask: Ask) -> None:
    webhooks.app.state.certificates = Certificates(signing.Served())
    good = signing.signed(signing.notification(str(cast.acme.topic_arn), "no event", app.now()))
    request = json.dumps(good).encode()

    assert ask("POST", PATH, request, {"x-amz-sns-rawdelivery": "true"}).status == 403
    assert ask("POST", PATH, request, {"x-amz-sns-message-type": "Notification"}).status == 200


@ON_POSTGRESQL
def test_while_the_database_is_away_sns_is_asked_to_come_again(app: App, cast: Cast, ask: Ask) -> None:
    webhooks.app.state.certificates = Certificates(signing.Served())
    good = signing.signed(signing.notification(str(cast.acme.topic_arn), "no event", app.now()))
    request = json.dumps(good).encode()
    assert ask("POST", PATH, request).status == 200

    with away(app):
        answer = ask("POST", PATH, request)
        unsubscribing = ask("POST", "/u/x")

    assert (answer.status, answer.text, answer.headers["retry-after"]) == (503, "Try again.\n", "20")
    assert unsubscribing.status == 404
    assert ask("POST", PATH, request).status == 200


@contextmanager
def away(app: App) -> Iterator[None]:
    """The database takes no connections and ends those it has."""
    url, name = app.db.engine.url, app.db.engine.url.database
    address = url.set(drivername="postgresql", database="postgres").render_as_string(hide_password=False)
    app.db.dispose()
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        yield
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

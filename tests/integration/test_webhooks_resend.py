"""Resend's webhooks: signed by Svix, now, over these very bytes; then they count as SES's events do."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr

from core.app import App, build_app
from core.db.models import Message
from core.hooks import resend
from core.hooks.answers import Done, Never
from core.providers.base import BulkEntry, BulkMail, Outcome
from core.providers.resend import ResendProvider
from core.settings import Settings
from tests import signing
from tests.databases import ON_SQLITE
from tests.integration.test_webhooks import Ask, ask
from tests.ledger import Ledger, new_account, new_ledger
from tests.processes import serving_webhooks
from tests.simulators import Simulator

__all__ = ["ask"]
PATH = "/webhooks/resend"
OTHER_SECRET = "whsec_" + "QUFB" * 8


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    app = build_app(settings.model_copy(update={"resend_webhook_secret": SecretStr(signing.SVIX_SECRET)}))
    yield new_ledger(app, new_account(app), "acme")
    app.db.dispose()


@pytest.fixture
def message(ledger: Ledger) -> Message:
    """Ann's, that Resend was given."""
    return ledger.add_message("ann@example.com", provider="resend", provider_message_id="e-1")


def body(message: Message, name: str = "email.delivered", **values: Any) -> bytes:
    tags = {"tenant": "acme", "msg_uid": f"{message.id}-{message.attempt}"}
    return signing.resend_event(name, "e-1", message.address, **{"tags": tags, **values})


def receive(ledger: Ledger, request: bytes, headers: dict[str, str]) -> Done:
    return resend.receive(ledger.app, headers, request)


def refused(ledger: Ledger, request: bytes, headers: dict[str, str]) -> str:
    with pytest.raises(Never) as told:
        receive(ledger, request, headers)
    assert not ledger.events()
    assert not ledger.parked()
    return told.value.why


def test_a_delivery_is_stored_once_however_often_it_comes(ledger: Ledger, message: Message) -> None:
    request = body(message)

    assert receive(ledger, request, signing.svix_headers(request)) == Done.STORED
    assert receive(ledger, request, signing.svix_headers(request)) == Done.KNOWN
    late = signing.svix_headers(request, late=timedelta(minutes=4))
    assert receive(ledger, request, late) == Done.KNOWN

    assert ledger.look(message).status == "delivered"
    assert (len(ledger.events()), ledger.total("delivered")) == (1, 1)


def test_a_bounce_suppresses_and_a_complaint_outranks_it(ledger: Ledger, message: Message) -> None:
    bounce = body(message, "email.bounced", bounce={"type": "Permanent", "subType": "General"})
    assert receive(ledger, bounce, signing.svix_headers(bounce)) == Done.STORED
    assert (ledger.look(message).status, ledger.total("permanent_bounces")) == ("bounced", 1)
    assert [row.reason for row in ledger.suppressions()] == ["BOUNCE"]

    complaint = body(message, "email.complained")
    assert receive(ledger, complaint, signing.svix_headers(complaint, id_="msg_2")) == Done.STORED
    assert ledger.look(message).status == "complained"


@pytest.mark.parametrize("name", ["email.failed", "email.suppressed"])
@ON_SQLITE
def test_what_resend_did_not_send_is_not_told_of_ses(ledger: Ledger, message: Message, name: str) -> None:
    request = body(message, name)
    receive(ledger, request, signing.svix_headers(request))

    assert "SES" not in str(ledger.look(message).reason)
    assert "AWS" not in str(ledger.look(message).reason)


@pytest.mark.parametrize("name", ["svix-id", "svix-timestamp", "svix-signature"])
@pytest.mark.parametrize("value", [None, ""])
@ON_SQLITE
def test_a_header_that_is_missing_is_a_refusal(
    ledger: Ledger, message: Message, name: str, value: str | None
) -> None:
    headers = signing.svix_headers(body(message))
    left = {key: text for key, text in headers.items() if key != name or value is not None}

    assert refused(ledger, body(message), {**left, **({} if value is None else {name: value})}) == "unsigned"


@ON_SQLITE
def test_another_secret_time_id_or_body_is_refused(ledger: Ledger, message: Message) -> None:
    request = body(message)
    headers = signing.svix_headers(request)
    for late in (timedelta(minutes=6), timedelta(minutes=-6), timedelta(days=400)):
        assert refused(ledger, request, signing.svix_headers(request, late=late)) == "signature"
    assert refused(ledger, request, signing.svix_headers(request, secret=OTHER_SECRET)) == "signature"
    assert refused(ledger, request, {**headers, "svix-id": "msg_2"}) == "signature"
    assert refused(ledger, request, {**headers, "svix-timestamp": str(int(headers["svix-timestamp"]) + 1)})
    assert refused(ledger, json.dumps(json.loads(request), indent=1).encode(), headers) == "signature"
    assert refused(ledger, request + b"\n", headers) == "signature"
    assert refused(ledger, request[:-1], headers) == "signature"
    assert refused(ledger, b"", headers) == "signature"
    assert refused(ledger, b"\xff\xfe", headers) == "signature"


@pytest.mark.parametrize(
    "signature",
    ["v1", "v1,", "v1,,", ",", " ", "v1,AAAA", "v1,not base64!", "v1a,{}", "V1,{}", "v2,{}", "{}", "v1,{},x",
     "v1,\N{SNOWMAN}", "v1," + "A" * 100_000],
)  # fmt: skip
@ON_SQLITE
def test_a_signature_that_is_none_is_refused(ledger: Ledger, message: Message, signature: str) -> None:
    headers = signing.svix_headers(body(message))
    digest = headers["svix-signature"].removeprefix("v1,")

    assert refused(ledger, body(message), {**headers, "svix-signature": signature.format(digest)})


@pytest.mark.parametrize("at", ["nan", "inf", "-inf", "1e400", "x", "9" * 400, "-1", "0", "\N{SNOWMAN}"])
@ON_SQLITE
def test_a_time_that_is_none_is_refused(ledger: Ledger, message: Message, at: str) -> None:
    headers = signing.svix_headers(body(message))

    assert refused(ledger, body(message), {**headers, "svix-timestamp": at}) == "signature"


@ON_SQLITE
def test_while_a_secret_is_changed_one_of_two_signatures_is_enough(ledger: Ledger, message: Message) -> None:
    request = body(message)
    headers, old = signing.svix_headers(request), signing.svix_headers(request, secret=OTHER_SECRET)
    both = f"{old['svix-signature']} {headers['svix-signature']}"

    assert receive(ledger, request, {**headers, "svix-signature": both}) == Done.STORED


@pytest.mark.slow
@ON_SQLITE
def test_the_same_a_thousand_times_at_once_is_once(ledger: Ledger, message: Message) -> None:
    request = body(message)
    headers = signing.svix_headers(request)
    with ThreadPoolExecutor(6) as pool:
        said = list(pool.map(lambda _: receive(ledger, request, headers), range(1000)))

    assert (said.count(Done.STORED), said.count(Done.KNOWN)) == (1, 999)
    assert (len(ledger.events()), ledger.total("delivered")) == (1, 1)


def test_signed_but_unreadable_or_about_nothing(ledger: Ledger) -> None:
    for number, request in enumerate((b"[]", b'{"type": "email.sent"}', b"no JSON \x00")):
        assert receive(ledger, request, signing.svix_headers(request, id_=f"msg_{number}")) == Done.PARKED
    domain = b'{"type": "domain.updated", "data": {}}'
    assert receive(ledger, domain, signing.svix_headers(domain)) == Done.IGNORED

    assert [(row.reason, row.account_id) for row in ledger.parked()] == [("unreadable", None)] * 3


@ON_SQLITE
def test_a_tag_does_not_make_one_mail_another(ledger: Ledger, message: Message) -> None:
    """Whoever sends through the same team writes what tags he likes; the id is Resend's own word."""
    globex = new_ledger(ledger.app, ledger.account, "globex")
    foreign = globex.add_message("gone@example.com", provider="resend", provider_message_id="e-2")
    sent_twice = globex.add_message(
        "far@example.com", provider="resend", provider_message_id="e-3", earlier_attempts="aabb"
    )
    for other in (foreign, sent_twice):
        request = signing.resend_event(
            "email.bounced", "e-1", "ann@example.com", tags={"msg_uid": f"{other.id}-{other.attempt}"}
        )
        receive(ledger, request, signing.svix_headers(request, id_=f"msg_{other.id}"))

    assert [row.reason for row in ledger.parked()] == ["wrong tenant"]
    assert globex.look(foreign).status == "sending"
    assert globex.look(sent_twice).status == "bounced"  # each attempt has an id of its own


@ON_SQLITE
def test_of_somebody_elses_mail_it_is_not_believed(ledger: Ledger) -> None:
    """The tag is whatever the mail's sender wrote: mail that went through SES is not Resend's to speak of."""
    foreign = ledger.add_message("ann@example.com", provider="ses")
    request = body(foreign)

    assert receive(ledger, request, signing.svix_headers(request)) == Done.PARKED
    assert ledger.look(foreign).status == "sending"


@pytest.mark.parametrize(("fate", "status"), [("delivery", "delivered"), ("bounce", "bounced")])
@ON_SQLITE
def test_what_the_simulators_resend_was_given_comes_back(
    app: App, simulator: Simulator, monkeypatch: pytest.MonkeyPatch, fate: str, status: str
) -> None:
    monkeypatch.setenv("POSTYARD_RESEND_WEBHOOK_SECRET", signing.SVIX_SECRET)
    acme = new_ledger(app, new_account(app), "acme")
    message = acme.add_message("ann@example.com", provider="resend")
    with serving_webhooks(app) as address:
        simulator.scenario(
            addresses={"ann@example.com": fate},
            resend_webhook={"url": address + PATH, "secret": signing.SVIX_SECRET},
        )
        told = simulator.resend()
        provider = ResendProvider(told["resend_api_key"], told["resend_url"])
        entry = BulkEntry("ann@example.com", f"{message.id}-{message.attempt}", {})
        mail = BulkMail(
            from_address=told["resend_from"],
            subject="Hi",
            html="<p>Hi</p>",
            text="Hi",
            entries=(entry,),
            tenant_name="acme",
            configuration_set="acme",
            tags={"tenant": "acme"},
        )
        assert provider.send_one(mail).outcome is Outcome.ACCEPTED
        deadline = time.monotonic() + 20
        while acme.look(message).status != status and time.monotonic() < deadline:
            time.sleep(0.05)

    assert acme.look(message).status == status


@ON_SQLITE
def test_over_http_it_is_closed_without_a_secret(ask: Ask) -> None:
    request = b'{"type": "domain.updated"}'

    assert ask("POST", PATH, request, signing.svix_headers(request)).status == 404


@ON_SQLITE
def test_over_http_nothing_of_the_request_is_told(
    app: App,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setenv("POSTYARD_RESEND_WEBHOOK_SECRET", signing.SVIX_SECRET)
    ask: Ask = request.getfixturevalue("ask")
    good, forged = b'{"type": "domain.updated"}', b'{"type": "<script>forged</script>"}'
    headers = signing.svix_headers(good)
    with caplog.at_level(logging.DEBUG):
        taken = ask("POST", PATH, good, {**headers, "svix-signature": f"v1,QQ== {headers['svix-signature']}"})
        refusal = ask("POST", PATH, forged, headers)

    assert (taken.status, taken.text) == (200, "Taken.\n")
    assert (refusal.status, refusal.text) == (403, "Refused.\n")
    for secret in ("forged", headers["svix-signature"], signing.SVIX_SECRET, "msg_1"):
        assert secret not in caplog.text

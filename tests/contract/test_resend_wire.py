"""Resend's adapter against a bare server: what it puts on the wire, how often, and what each answer means."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any

import pytest

from core.errors import ConfigurationError
from core.providers.base import BulkEntry, BulkMail, EntryResult, Outcome
from core.providers.resend import LARGEST_REQUEST, ResendProvider
from core.providers.resend_mail import from_field
from tests.contract.ses_mail import mail
from tests.contract.ways import resend
from tests.contract.wire import Wire

TAKEN = (200, {"data": [{"id": "m0"}, {"id": "m1"}]})
MIXED = (200, {"data": [{"id": "m0"}], "errors": [{"index": 0, "message": "Invalid `to` field."}]})


def keyed(count: int = 2, **changes: Any) -> BulkMail:
    return mail(count, **{"idempotency_key": "campaign-7/1", **changes})


def error(status: int, name: str, message: str = "Why.") -> tuple[int, dict[str, Any]]:
    return status, {"statusCode": status, "name": name, "message": message}


def outcomes(results: list[EntryResult]) -> list[Outcome]:
    return [each.outcome for each in results]


@pytest.fixture
def provider(wire: Wire) -> ResendProvider:
    return resend(wire.url, read_timeout_seconds=0.3)


@pytest.mark.parametrize(
    ("status", "name", "outcome"),
    [
        (429, "rate_limit_exceeded", Outcome.THROTTLED),
        (429, "something_new", Outcome.THROTTLED),
        (429, "daily_quota_exceeded", Outcome.QUOTA),
        (429, "monthly_quota_exceeded", Outcome.QUOTA),
        (401, "missing_api_key", Outcome.CREDENTIALS),
        (401, "restricted_api_key", Outcome.CREDENTIALS),
        (403, "invalid_api_key", Outcome.CREDENTIALS),
        (403, "something_new", Outcome.CREDENTIALS),
        (403, "validation_error", Outcome.REFUSED),
        (400, "validation_error", Outcome.REFUSED),
        (422, "validation_error", Outcome.REFUSED),
        (422, "missing_required_field", Outcome.REFUSED),
        (422, "invalid_from_address", Outcome.REFUSED),
        (413, "", Outcome.REFUSED),
        (451, "security_error", Outcome.REFUSED),
        (404, "not_found", Outcome.NOT_SENT),
        (405, "method_not_allowed", Outcome.NOT_SENT),
        (301, "", Outcome.NOT_SENT),
    ],
)
def test_each_refusal_has_its_outcome_and_is_asked_once(
    wire: Wire, provider: ResendProvider, status: int, name: str, outcome: Outcome
) -> None:
    wire.answers_in_turn(error(status, name), error(status, name))
    results = provider.send_bulk(keyed(2))
    assert outcomes(results) == [outcome] * 2
    assert provider.send_one(keyed(1)).outcome is outcome
    assert len(wire.requests) == 2
    assert "Why." in results[0].reason


@pytest.mark.parametrize(
    "answer",
    [
        None,
        error(500, "internal_server_error"),
        error(502, ""),
        error(408, ""),
        error(409, "concurrent_idempotent_requests"),
        error(409, "invalid_idempotent_request"),
        error(402, "something_new"),
        (200, {}),
        (200, []),
        (200, "text"),
        (200, {"data": None}),
        (200, {"data": [{"id": "m0"}]}),
        (200, {"data": [{"id": "m0"}, {"id": ""}]}),
        (200, {"data": [{"id": "m0"}, 7]}),
        (200, {"data": [{"id": "m0"}], "errors": [{"index": 2, "message": "x"}]}),
        (200, {"data": [{"id": "m0"}], "errors": [{"index": "1"}]}),
        (200, {"data": [{"id": "m0"}], "errors": "x"}),
    ],
)
def test_what_tells_nothing_is_asked_again_once_with_the_same_key_and_body(
    wire: Wire, provider: ResendProvider, answer: Any
) -> None:
    wire.answers_in_turn(answer, TAKEN, answer, answer)
    assert [each.provider_message_id for each in provider.send_bulk(keyed(2))] == ["m0", "m1"]
    results = provider.send_bulk(keyed(2, idempotency_key="campaign-7/2"))
    assert outcomes(results) == [Outcome.UNKNOWN] * 2
    assert "Resend's own log tells" in results[0].reason
    keys = [headers["idempotency-key"] for headers in wire.headers]
    assert keys == ["campaign-7/1", "campaign-7/1", "campaign-7/2", "campaign-7/2"]
    bodies = [body for _, _, body in wire.requests]
    assert bodies == [bodies[0]] * 4


def test_a_time_out_is_asked_again_once_and_then_unknown(wire: Wire, provider: ResendProvider) -> None:
    answered = threading.Event()

    def late() -> None:
        answered.wait(5)

    wire.answer = late
    results = provider.send_bulk(keyed(2))
    answered.set()
    assert outcomes(results) == [Outcome.UNKNOWN] * 2
    assert results[0].code == "ReadTimeoutError"
    assert len(wire.requests) == 2


def test_a_page_of_somebody_elses_is_unknown(wire: Wire, provider: ResendProvider) -> None:
    wire.says_text(200, "<html>a proxy's page</html>")
    assert provider.send_one(keyed(1)).outcome is Outcome.UNKNOWN
    wire.says_text(403, "<html>a proxy's page</html>")
    assert provider.send_one(keyed(1)).outcome is Outcome.CREDENTIALS


@pytest.mark.parametrize(
    "second",
    [
        error(429, "rate_limit_exceeded"),
        error(403, "invalid_api_key"),
        error(422, "validation_error"),
        error(404, "not_found"),
    ],
)
def test_a_refusal_of_the_repetition_says_nothing_about_the_first(
    wire: Wire, provider: ResendProvider, second: Any
) -> None:
    wire.answers_in_turn(None, second)
    assert outcomes(provider.send_bulk(keyed(2))) == [Outcome.UNKNOWN] * 2


def test_without_a_key_nothing_is_asked_again(wire: Wire, provider: ResendProvider) -> None:
    wire.answer = lambda: None
    assert outcomes(provider.send_bulk(keyed(2, idempotency_key=""))) == [Outcome.UNKNOWN] * 2
    assert len(wire.requests) == 1
    assert "idempotency-key" not in wire.headers[0]


def test_each_refused_mail_of_a_batch_is_found_by_its_position(wire: Wire, provider: ResendProvider) -> None:
    wire.answers_in_turn(MIXED)
    refused, accepted = provider.send_bulk(keyed(2))
    assert refused.outcome is Outcome.REFUSED
    assert refused.reason == "Resend refused: Invalid `to` field."
    assert accepted == EntryResult(Outcome.ACCEPTED, provider_message_id="m0")
    assert wire.headers[0]["x-batch-validation"] == "permissive"


def test_a_batch_carries_each_recipient_alone(wire: Wire, provider: ResendProvider) -> None:
    wire.answers_in_turn(TAKEN)
    provider.send_bulk(keyed(2, reply_to="ann@acme-mail.io"))
    [(method, path, body)] = wire.requests
    assert (method, path) == ("POST", "/emails/batch")
    assert body[1] == {
        "from": "Acme News <news@acme-mail.io>",
        "to": ["r1@example.com"],
        "subject": 'Hello Zoë "Z"',
        "html": "<p>Zoë &quot;Z&quot;</p>",
        "text": 'Zoë "Z"',
        "reply_to": "ann@acme-mail.io",
        "headers": {"List-Unsubscribe": "<https://u.acme-mail.io/u/1>"},
        "tags": [
            {"name": "tenant", "value": "acme"},
            {"name": "campaign", "value": "7"},
            {"name": "user", "value": "a_b_c"},
            {"name": "msg_uid", "value": "1-abc"},
        ],
    }
    assert wire.headers[0]["authorization"] == "Bearer re_test"
    assert wire.headers[0]["user-agent"].startswith("postyard/")


def test_one_mail_carries_the_same_and_nothing_that_is_empty(wire: Wire, provider: ResendProvider) -> None:
    wire.says(200, {"id": "m"})
    entry = BulkEntry("a@example.com", "1-a", {})
    plain = keyed(entries=(entry,), subject="Hello", html="", text="Hello", tags={"user": ""})
    assert provider.send_one(plain) == EntryResult(Outcome.ACCEPTED, provider_message_id="m")
    [(_, path, body)] = wire.requests
    assert path == "/emails"
    assert body == {
        "from": "Acme News <news@acme-mail.io>",
        "to": ["a@example.com"],
        "subject": "Hello",
        "text": "Hello",
        "tags": [{"name": "msg_uid", "value": "1-a"}],
    }


def test_a_value_is_never_looked_into_again(wire: Wire, provider: ResendProvider) -> None:
    wire.says(200, {"id": "m"})
    fields = {"first_name": "{{first_name__html}} {{x}}", "first_name__html": "H"}
    provider.send_one(keyed(entries=(BulkEntry("a@example.com", "1-a", fields),)))
    assert wire.requests[0][2]["subject"] == "Hello {{first_name__html}} {{x}}"


def test_a_recipient_without_a_value_is_refused_and_the_others_are_not(
    wire: Wire, provider: ResendProvider
) -> None:
    wire.answers_in_turn(TAKEN, TAKEN)
    first, last = keyed(2).entries
    results = provider.send_bulk(keyed(entries=(first, BulkEntry("b@example.com", "2-a", {}), last)))
    assert [each.provider_message_id for each in results] == ["m0", None, "m1"]
    assert results[1].outcome is Outcome.REFUSED
    assert "{{first_name}}" in results[1].reason
    alone = keyed(entries=(BulkEntry("b@example.com", "2-a", {}),))
    assert provider.send_one(alone).outcome is Outcome.REFUSED
    assert outcomes(provider.send_bulk(alone)) == [Outcome.REFUSED]
    assert len(wire.requests) == 1


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "k" * 257, "schlüssel"])
def test_a_key_that_no_header_carries_never_leaves_the_house(
    wire: Wire, provider: ResendProvider, key: str
) -> None:
    assert outcomes(provider.send_bulk(keyed(1, idempotency_key=key))) == [Outcome.REFUSED]
    assert provider.send_one(keyed(1, idempotency_key=key)).outcome is Outcome.REFUSED
    assert wire.requests == []


@pytest.mark.parametrize("key", ["re_hush\r\nX: y", "re_hüsh"])
def test_an_api_key_that_no_header_carries_is_told_and_not_shown(key: str) -> None:
    with pytest.raises(ConfigurationError) as told:
        ResendProvider(key, "https://api.resend.com")
    assert "re_h" not in str(told.value)


@pytest.mark.parametrize(
    ("written", "field"),
    [
        ("news@acme-mail.io", "news@acme-mail.io"),
        ("Acme <news@acme-mail.io>", "Acme <news@acme-mail.io>"),
        ("Acme, Inc. <news@acme-mail.io>", '"Acme, Inc." <news@acme-mail.io>'),
        ('"The \\"A\\"" <news@acme-mail.io>', '"The \\"A\\"" <news@acme-mail.io>'),
        ("Zoë <news@acme-mail.io>", "Zoë <news@acme-mail.io>"),
        ("=?utf-8?b?Wm/Dqw==?= <news@acme-mail.io>", "Zoë <news@acme-mail.io>"),
        ("=?utf-8?q?Zo=0D=0ABcc?= <news@acme-mail.io>", "Zo Bcc <news@acme-mail.io>"),
        ("=?nonsense?b?AAAA?= <news@acme-mail.io>", "=?nonsense?b?AAAA?= <news@acme-mail.io>"),
    ],
)
def test_a_display_name_is_unicode_and_quoted_where_it_must_be(written: str, field: str) -> None:
    assert from_field(written) == field


@pytest.fixture
def patient(wire: Wire) -> ResendProvider:
    """Forty megabytes take their time."""
    return resend(wire.url, read_timeout_seconds=15)


def heavy(count: int, html_bytes: int) -> BulkMail:
    return keyed(count, html="h" * html_bytes)


def test_no_request_is_larger_than_resend_takes_and_the_rest_waits(
    wire: Wire, patient: ResendProvider
) -> None:
    wire.answers_in_turn((200, {"data": [{"id": f"m{number}"} for number in range(79)]}))
    results = patient.send_bulk(heavy(100, 500_000))
    assert Counter(outcomes(results)) == {Outcome.ACCEPTED: 79, Outcome.NOT_SENT: 21}
    assert outcomes(results[79:]) == [Outcome.NOT_SENT] * 21
    assert "no room" in results[99].reason
    [(_, _, body)] = wire.requests
    assert len(body) == 79
    assert int(wire.headers[0]["content-length"]) < LARGEST_REQUEST


def test_a_mail_that_is_too_large_by_itself_is_resends_to_refuse(wire: Wire, patient: ResendProvider) -> None:
    wire.answers_in_turn(error(413, ""))
    results = patient.send_bulk(heavy(2, LARGEST_REQUEST))
    assert outcomes(results) == [Outcome.REFUSED, Outcome.NOT_SENT]
    assert len(wire.requests) == 1

"""SES's adapter against a bare server: what it puts on the wire, how often, and what each answer means."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from core.errors import ProviderError, Throttled
from core.providers.base import BulkMail, EntryResult, Outcome
from core.providers.ses import SesProvider
from core.providers.ses_mail import bulk_request, from_header, single_request
from tests.contract.ses_mail import REGION, mail
from tests.contract.wire import Wire
from tests.simulators import free_port


@pytest.fixture(scope="module")
def provider(wires: Wire) -> SesProvider:
    """One for all: making its clients costs more than everything a test does with them."""
    with pytest.MonkeyPatch.context() as environment:
        for name, value in wires.environment().items():
            environment.setenv(name, value)
        provider = SesProvider(REGION)
        provider.send_bulk(mail(1))  # finds the credentials while they are set
        return provider


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("SUCCESS", Outcome.ACCEPTED),
        ("MESSAGE_REJECTED", Outcome.REFUSED),
        ("MAIL_FROM_DOMAIN_NOT_VERIFIED", Outcome.REFUSED),
        ("CONFIGURATION_SET_NOT_FOUND", Outcome.PAUSED),
        ("CONFIGURATION_SET_DOES_NOT_EXIST", Outcome.PAUSED),
        ("TEMPLATE_NOT_FOUND", Outcome.REFUSED),
        ("TEMPLATE_DOES_NOT_EXIST", Outcome.REFUSED),
        ("ACCOUNT_SUSPENDED", Outcome.PAUSED),
        ("ACCOUNT_THROTTLED", Outcome.THROTTLED),
        ("ACCOUNT_DAILY_QUOTA_EXCEEDED", Outcome.QUOTA),
        ("INVALID_SENDING_POOL_NAME", Outcome.REFUSED),
        ("ACCOUNT_SENDING_PAUSED", Outcome.PAUSED),
        ("CONFIGURATION_SET_SENDING_PAUSED", Outcome.PAUSED),
        ("INVALID_PARAMETER", Outcome.REFUSED),
        ("INVALID_PARAMETER_VALUE", Outcome.REFUSED),
        ("TRANSIENT_FAILURE", Outcome.UNKNOWN),
        ("FAILED", Outcome.UNKNOWN),
        ("WHAT_SES_MAY_ADD", Outcome.UNKNOWN),
    ],
)
def test_each_status_of_an_entry_has_its_outcome(
    wire: Wire, provider: SesProvider, status: str, outcome: Outcome
) -> None:
    wire.says_statuses("SUCCESS", status)
    first, second = provider.send_bulk(mail(2))
    assert first == EntryResult(Outcome.ACCEPTED, provider_message_id="m0")
    assert second.outcome is outcome
    assert second.code == ("" if status == "SUCCESS" else status)


def test_ses_knows_no_status_that_is_missing_here(wire: Wire, provider: SesProvider) -> None:
    model = botocore.session.get_session().get_service_model("sesv2")
    known = {"TRANSIENT_FAILURE", "FAILED"}  # UNKNOWN on purpose
    for status in set(model.shape_for("BulkEmailStatus").enum) - known:
        wire.says_statuses(status)
        [result] = provider.send_bulk(mail(1))
        assert result.outcome is not Outcome.UNKNOWN, status


@pytest.mark.parametrize(
    ("http_status", "code", "message", "outcome"),
    [
        (429, "TooManyRequestsException", "Too Many Requests", Outcome.THROTTLED),
        (400, "ThrottlingException", "Maximum sending rate exceeded.", Outcome.THROTTLED),
        (400, "ThrottlingException", "Daily message quota exceeded.", Outcome.QUOTA),
        (400, "LimitExceededException", "Daily message quota exceeded.", Outcome.QUOTA),
        (400, "LimitExceededException", "Too much.", Outcome.THROTTLED),
        (400, "SendingPausedException", "Sending is paused for configuration set x", Outcome.PAUSED),
        (400, "AccountSuspendedException", "Account suspended.", Outcome.PAUSED),
        (400, "MessageRejected", "Sending paused for this account.", Outcome.PAUSED),
        (403, "AccessDeniedException", "Tenant not associated with resources [arn].", Outcome.PAUSED),
        (404, "NotFoundException", "Configuration set <x> does not exist.", Outcome.PAUSED),
        (403, "AccessDeniedException", "User is not authorized.", Outcome.CREDENTIALS),
        (403, "ExpiredTokenException", "The security token expired.", Outcome.CREDENTIALS),
        (403, "ExpiredToken", "The security token expired.", Outcome.CREDENTIALS),
        (403, "InvalidClientTokenId", "The token is invalid.", Outcome.CREDENTIALS),
        (403, "UnrecognizedClientException", "The token is invalid.", Outcome.CREDENTIALS),
        (403, "SignatureDoesNotMatch", "The signature does not match.", Outcome.CREDENTIALS),
        (400, "MessageRejected", "Email address is not verified.", Outcome.REFUSED),
        (400, "MailFromDomainNotVerifiedException", "MAIL FROM is not verified.", Outcome.REFUSED),
        (400, "BadRequestException", "Invalid.", Outcome.REFUSED),
        (400, "ValidationException", "Invalid.", Outcome.REFUSED),
        (500, "InternalFailure", "Oops.", Outcome.UNKNOWN),
        (503, "ServiceUnavailable", "Oops.", Outcome.UNKNOWN),
        (400, "SomethingNewException", "New.", Outcome.UNKNOWN),
    ],
)
def test_each_error_has_its_outcome_and_is_asked_once(
    wire: Wire, provider: SesProvider, http_status: int, code: str, message: str, outcome: Outcome
) -> None:
    wire.says(http_status, {"message": message}, code)
    results = provider.send_bulk(mail(3))
    assert [result.outcome for result in results] == [outcome] * 3
    assert len(wire.requests) == 1
    assert provider.send_one(mail(1)).outcome is outcome
    assert len(wire.requests) == 2


def test_a_pause_of_the_account_is_told_from_one_of_the_tenant(wire: Wire, provider: SesProvider) -> None:
    wire.says(400, {"message": "Sending is paused for tenant acme."}, "SendingPausedException")
    assert provider.send_one(mail(1)).account_wide is False
    wire.says(400, {"message": "Sending is paused for this account."}, "SendingPausedException")
    assert provider.send_one(mail(1)).account_wide is True
    wire.says_statuses("ACCOUNT_SENDING_PAUSED", "CONFIGURATION_SET_SENDING_PAUSED")
    assert [result.account_wide for result in provider.send_bulk(mail(2))] == [True, False]


def test_a_lost_answer_is_unknown_and_never_asked_for_again(wire: Wire, provider: SesProvider) -> None:
    wire.answer = lambda: None
    results = provider.send_bulk(mail(50))
    assert [result.outcome for result in results] == [Outcome.UNKNOWN] * 50
    assert len(wire.requests) == 1


def test_a_time_out_is_unknown_and_never_asked_for_again(wire: Wire) -> None:
    answered = threading.Event()

    def late() -> None:
        answered.wait(5)

    wire.answer = late
    results = SesProvider(REGION, read_timeout_seconds=0.3).send_bulk(mail(2))
    answered.set()
    assert [result.outcome for result in results] == [Outcome.UNKNOWN] * 2
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>a proxy's page</html>",
        b"{}",
        b"[]",
        b'{"BulkEmailEntryResults": [{"Status": "SUCCESS", "MessageId": "m"}]}',
        b'{"BulkEmailEntryResults": null}',
        b'{"BulkEmailEntryResults": "two"}',
        b'{"BulkEmailEntryResults": [1, 2]}',
        b'{"BulkEmailEntryResults": [null, {}]}',
    ],
)
def test_an_answer_that_does_not_fit_is_unknown_for_everybody(
    wire: Wire, provider: SesProvider, body: bytes
) -> None:
    wire.answer = lambda: (200, {"Content-Type": "application/json"}, body)
    results = provider.send_bulk(mail(2))
    assert [result.outcome for result in results] == [Outcome.UNKNOWN] * 2


@pytest.mark.slow
def test_where_nobody_listens_nothing_was_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    for url in (f"http://127.0.0.1:{free_port()}", "http://nowhere.invalid"):
        for name, value in Wire(url).environment().items():
            monkeypatch.setenv(name, value)
        provider = SesProvider(REGION)
        [result] = provider.send_bulk(mail(1))
        assert result.outcome is Outcome.NOT_SENT
        assert provider.send_one(mail(1)).outcome is Outcome.NOT_SENT
        with pytest.raises(ProviderError, match=f"does not answer at {url}") as caught:
            provider.get_account()
        assert (caught.value.permanent, caught.value.accepted) == (False, False)


@pytest.fixture
def nobody(wire: Wire, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Wire:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    return wire


def test_without_credentials_nothing_is_sent_and_a_person_learns_what_to_do(nobody: Wire) -> None:
    provider = SesProvider(REGION)
    [result] = provider.send_bulk(mail(1))
    assert result.outcome is Outcome.CREDENTIALS
    with pytest.raises(ProviderError, match=r"no AWS credentials.*postyard up") as caught:
        provider.get_account()
    assert caught.value.permanent
    assert nobody.requests == []


def test_a_profile_that_does_not_exist_is_a_sentence(nobody: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "missing")
    with pytest.raises(ProviderError, match="no AWS credentials"):
        SesProvider(REGION)


def test_an_endpoint_that_is_no_address_names_the_variable(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "not an address")
    with pytest.raises(ProviderError, match="AWS_ENDPOINT_URL"):
        SesProvider(REGION)


def test_errors_say_what_to_do_and_no_secret(wire: Wire, provider: SesProvider) -> None:
    wire.says(400, {"message": "Tenant name is bad"}, "BadRequestException")
    with pytest.raises(ProviderError, match="SES refused GetTenant: Tenant name is bad") as refused:
        provider.get_tenant("acme")
    assert (refused.value.permanent, refused.value.code) == (True, "BadRequestException")
    wire.says(403, {"message": "User arn:aws:iam::1:user/x may not"}, "AccessDeniedException")
    with pytest.raises(ProviderError, match=r"do GetTenant.+Add it to their IAM policy"):
        provider.get_tenant("acme")
    wire.says(403, {"message": "expired"}, "ExpiredTokenException")
    with pytest.raises(ProviderError, match="Renew the access key") as expired:
        provider.get_tenant("acme")
    assert "hush-hush" not in str(expired.value)


@pytest.mark.slow
def test_control_calls_are_repeated_and_then_given_up(wire: Wire, provider: SesProvider) -> None:
    wire.says(429, {"message": "slow"}, "TooManyRequestsException")
    with pytest.raises(Throttled):
        provider.get_tenant("acme")
    assert len(wire.requests) == 3
    wire.says(500, {"message": "oops"}, "InternalFailure")
    with pytest.raises(ProviderError, match="fault of its own") as caught:
        provider.get_tenant("acme")
    assert (caught.value.permanent, caught.value.accepted) == (False, None)


@pytest.mark.parametrize(
    ("operation", "request_of", "entries"),
    [("SendBulkEmail", bulk_request, 50), ("SendEmail", single_request, 1)],
)
def test_what_goes_out_is_what_botocores_model_knows(
    operation: str, request_of: Callable[[BulkMail], dict[str, Any]], entries: int
) -> None:
    shape = botocore.session.get_session().get_service_model("sesv2").operation_model(operation).input_shape
    report = ParamValidator().validate(request_of(mail(entries, reply_to="Ann <ann@acme-mail.io>")), shape)
    assert report.generate_report() == ""


def test_a_bulk_call_carries_each_recipient_alone(wire: Wire, provider: SesProvider) -> None:
    wire.says_statuses("SUCCESS", "SUCCESS")
    provider.send_bulk(mail(2, reply_to="Zoë <ann@acme-mail.io>"))
    [(method, path, body)] = wire.requests
    assert (method, path) == ("POST", "/v2/email/outbound-bulk-emails")
    assert body["TenantName"] == "acme"
    assert body["ReplyToAddresses"] == ["=?utf-8?q?Zo=C3=AB?= <ann@acme-mail.io>"]
    assert body["ConfigurationSetName"] == "postyard-acme"
    assert body["DefaultContent"]["Template"] == {
        "TemplateContent": {
            "Subject": "Hello {{first_name}}",
            "Text": "{{first_name}}",
            "Html": "<p>{{first_name__html}}</p>",
        },
        "TemplateData": "{}",
    }
    assert {"Name": "user", "Value": "a_b_c"} in body["DefaultEmailTags"]
    entry = body["BulkEmailEntries"][1]
    assert entry["Destination"] == {"ToAddresses": ["r1@example.com"]}
    assert entry["ReplacementTags"] == [{"Name": "msg_uid", "Value": "1-abc"}]
    assert entry["ReplacementHeaders"] == [
        {"Name": "List-Unsubscribe", "Value": "<https://u.acme-mail.io/u/1>"}
    ]
    data = json.loads(entry["ReplacementEmailContent"]["ReplacementTemplate"]["ReplacementTemplateData"])
    assert data["first_name"] == 'Zoë "Z"'


def test_one_mail_carries_the_same(wire: Wire, provider: SesProvider) -> None:
    wire.says(200, {"MessageId": "m"})
    assert provider.send_one(mail(1)) == EntryResult(Outcome.ACCEPTED, provider_message_id="m")
    [(_, path, body)] = wire.requests
    assert path == "/v2/email/outbound-emails"
    assert "ReplyToAddresses" not in body
    assert body["EmailTags"][-1] == {"Name": "msg_uid", "Value": "0-abc"}
    assert json.loads(body["Content"]["Template"]["TemplateData"])["first_name"] == 'Zoë "Z"'
    assert body["Content"]["Template"]["Headers"][0]["Name"] == "List-Unsubscribe"


@pytest.mark.parametrize(
    ("written", "header"),
    [
        ("news@acme-mail.io", "news@acme-mail.io"),
        ("<news@acme-mail.io>", "news@acme-mail.io"),
        ("Acme <news@acme-mail.io>", "Acme <news@acme-mail.io>"),
        ("Acme, Inc. <news@acme-mail.io>", '"Acme, Inc." <news@acme-mail.io>'),
        ('"Acme, Inc." <news@acme-mail.io>', '"Acme, Inc." <news@acme-mail.io>'),
        ('The "A" <Team> <news@acme-mail.io>', '"The \\"A\\" <Team>" <news@acme-mail.io>'),
        ("Zoë <news@acme-mail.io>", "=?utf-8?q?Zo=C3=AB?= <news@acme-mail.io>"),
    ],
)
def test_a_display_name_is_quoted_or_encoded(written: str, header: str) -> None:
    assert from_header(written) == header


def test_a_long_name_in_another_script_stays_in_words_of_legal_length() -> None:
    header = from_header("아크미 소매 주식회사 고객 소식지 편집부 그리고 친구들 모두 <news@acme-mail.io>")
    assert header.isascii()
    assert "\n" not in header
    assert all(len(word) <= 76 for word in header.split())

"""Settings of the second way out: whole or not at all, and every fault at once."""

from __future__ import annotations

from typing import Any

import pytest

from core.errors import ConfigurationError
from core.settings import Settings

KEY = "re_123456"


def faults(**values: Any) -> list[str]:
    with pytest.raises(ConfigurationError) as told:
        Settings.load(**values)
    return str(told.value).removeprefix("Postyard cannot start: ").split("; POSTYARD_")


@pytest.mark.parametrize("sender", ["news@acme-mail.io", "Acme <news@acme-mail.io>", " news@acme-mail.io\n"])
def test_a_key_and_a_sender_are_enough(sender: str) -> None:
    settings = Settings.load(resend_api_key=f"{KEY}\n", resend_from=sender)

    assert settings.resend_api_key is not None
    assert settings.resend_api_key.get_secret_value() == KEY
    assert settings.resend_from == sender.strip()
    assert settings.resend_url == "https://api.resend.com"


@pytest.mark.parametrize("values", [{}, {"resend_api_key": "", "resend_from": ""}])
def test_without_both_there_is_no_second_way_out(values: dict[str, str]) -> None:
    assert Settings.load(**values).resend_api_key is None


def test_one_without_the_other_is_a_fault() -> None:
    [without_sender] = faults(resend_api_key=KEY)
    [without_key] = faults(resend_from="news@acme-mail.io")

    assert without_sender.startswith("POSTYARD_RESEND_FROM: ")
    assert without_key.startswith("POSTYARD_RESEND_FROM: ")
    assert "POSTYARD_RESEND_API_KEY" in without_sender
    assert "set both, or neither" in without_key


@pytest.mark.parametrize(
    "sender", ["nobody", "Acme <nobody>", "Acme\nBcc: x <news@acme-mail.io>", "a@b@c.io"]
)
def test_a_sender_that_is_no_address_is_a_fault(sender: str) -> None:
    [fault] = faults(resend_api_key=KEY, resend_from=sender)

    assert "write news@example.com" in fault


def test_all_faults_are_told_together_and_the_key_is_not_shown() -> None:
    told = faults(
        resend_api_key="re_hush hush", resend_from="nobody", resend_url="ftp:x", secret_key="too short"
    )

    assert len(told) == 4
    assert "hush" not in "".join(told)


@pytest.mark.parametrize("url", ["api.resend.com", "ftp://api.resend.com", "https://", "http://["])
def test_an_address_that_is_none_is_a_fault(url: str) -> None:
    [fault] = faults(resend_url=url)

    assert fault.startswith("POSTYARD_RESEND_URL: ")


@pytest.mark.parametrize("secret", ["whsec_" + "QUFB" * 8, "whsec_" + "QUFB" * 8 + "\n", "", " "])
def test_a_webhooks_secret_is_one_or_none(secret: str) -> None:
    found = Settings.load(resend_webhook_secret=secret).resend_webhook_secret

    assert (found.get_secret_value() if found else "") == secret.strip()


@pytest.mark.parametrize(
    "secret", ["whsec_", "whsec_QUFB", "QUFB" * 8, "whsec_not base64 at all, but long", "re_123"]
)
def test_what_is_no_webhooks_secret_is_a_fault_and_is_not_shown(secret: str) -> None:
    [fault] = faults(resend_webhook_secret=secret)

    assert "begins with whsec_" in fault
    assert secret.removeprefix("whsec_") not in fault or secret == "whsec_"


@pytest.mark.parametrize("token", ["short", "two words of enough length", "ünicode-is-no-header-text"])
def test_a_token_that_is_easily_guessed_or_fits_no_header_is_a_fault(token: str) -> None:
    [fault] = faults(metrics_token=token)

    assert "16 characters or more" in fault
    assert token not in fault
    assert Settings.load(metrics_token="").metrics_token is None

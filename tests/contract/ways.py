"""The ways out under contract: an adapter each, who answers it, and what that one saw arrive."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from email.header import decode_header, make_header
from typing import Any, Protocol

import boto3
import pytest

from core.providers.base import MailProvider, Outcome
from core.providers.resend import ResendProvider
from core.providers.ses import SesProvider
from tests.contract.ministack import MiniStack
from tests.contract.ses_mail import REGION, ready_to_send
from tests.simulators import Simulator

IMPATIENT_SECONDS = 0.3


class Way(Protocol):
    provider: MailProvider

    def arrived(self) -> list[dict[str, Any]]:
        """message_id, from, to, subject, html, text of each mail that was accepted, in order."""

    def with_wrong_key(self, key: str) -> MailProvider: ...

    def refused_recipient(self, *others: str) -> str:
        """An address that is refused when these others are not."""


class Simulated(Way, Protocol):
    """More that only the simulator can do. `arrived` has tags, headers and reply_to as well."""

    after_lost_answer: Outcome
    operations: tuple[str, str]  # bulk, single

    def faults(self, **fault: Any) -> None:
        """The same for both operations."""

    def impatient(self) -> MailProvider: ...

    def use_up_quota(self) -> None: ...


@dataclass
class SesBySimulator:
    provider: MailProvider
    simulator: Simulator
    environment: pytest.MonkeyPatch
    after_lost_answer = Outcome.UNKNOWN
    operations = ("SendBulkEmail", "SendEmail")

    def arrived(self) -> list[dict[str, Any]]:
        return _shown(self.simulator.messages(), "ses")

    def with_wrong_key(self, key: str) -> MailProvider:
        fault = {"kind": "error", "status": 403, "code": "UnrecognizedClientException"}
        self.faults(**fault)
        self.environment.setenv("AWS_SECRET_ACCESS_KEY", key)
        return SesProvider(REGION)

    def refused_recipient(self, *others: str) -> str:
        return "nobody"

    def faults(self, **fault: Any) -> None:
        self.simulator.faults(*({**fault, "operation": operation} for operation in self.operations))

    def impatient(self) -> MailProvider:
        return SesProvider(REGION, read_timeout_seconds=IMPATIENT_SECONDS)

    def use_up_quota(self) -> None:
        self.simulator.scenario(account={"max_24_hour_send": 0})


@dataclass
class ResendBySimulator:
    provider: MailProvider
    simulator: Simulator
    after_lost_answer = Outcome.ACCEPTED  # the key makes one mail of the repetition
    operations = ("resend.batch", "resend.emails")

    def arrived(self) -> list[dict[str, Any]]:
        return _shown(self.simulator.messages(), "resend")

    def with_wrong_key(self, key: str) -> MailProvider:
        return resend(f"{self.simulator.url}/resend", key=key)

    def refused_recipient(self, *others: str) -> str:
        return "nobody"

    def faults(self, **fault: Any) -> None:
        self.simulator.faults(*({**fault, "operation": operation} for operation in self.operations))

    def impatient(self) -> MailProvider:
        return resend(f"{self.simulator.url}/resend", read_timeout_seconds=IMPATIENT_SECONDS)

    def use_up_quota(self) -> None:
        self.faults(kind="throttle", code="daily_quota_exceeded")


@dataclass
class SesByMiniStack:
    provider: MailProvider
    ministack: MiniStack
    environment: pytest.MonkeyPatch

    def arrived(self) -> list[dict[str, Any]]:
        return [
            {
                "message_id": message["MessageId"],
                "from": _read_header(message["Source"]),
                "to": message["To"][0],
                "subject": message["Subject"],
                "html": message["BodyHtml"],
                "text": message["BodyText"],
            }
            for message in self.ministack.messages()
        ]

    def with_wrong_key(self, key: str) -> MailProvider:
        self.environment.setenv("AWS_ACCESS_KEY_ID", "AKIDNOBODY")
        self.environment.setenv("AWS_SECRET_ACCESS_KEY", key)
        return SesProvider(REGION)

    def refused_recipient(self, *others: str) -> str:
        """Back in the sandbox only verified recipients get mail."""
        client = boto3.client("sesv2", region_name=REGION)
        client.put_account_details(
            MailType="MARKETING", WebsiteURL="https://acme-mail.io", ProductionAccessEnabled=False
        )
        for other in others:
            client.create_email_identity(EmailIdentity=other)
        return "stranger@example.net"


def resend(url: str, *, key: str = "re_test", read_timeout_seconds: float = 5) -> ResendProvider:
    """Without the pause before a repetition."""
    return ResendProvider(key, url, read_timeout_seconds=read_timeout_seconds, repeat_after_seconds=0)


def ses_by_simulator(request: pytest.FixtureRequest, environment: pytest.MonkeyPatch) -> Way:
    simulator: Simulator = request.getfixturevalue("simulator")
    _set(environment, simulator.environment())
    ses = SesProvider(REGION)
    ready_to_send(ses, simulator)
    return SesBySimulator(ses, simulator, environment)


def resend_by_simulator(request: pytest.FixtureRequest, environment: pytest.MonkeyPatch) -> Way:
    simulator: Simulator = request.getfixturevalue("simulator")
    simulator.scenario(resend_domains=["acme-mail.io"])
    return ResendBySimulator(resend(f"{simulator.url}/resend"), simulator)


def ses_by_ministack(request: pytest.FixtureRequest, environment: pytest.MonkeyPatch) -> Way:
    ministack: MiniStack = request.getfixturevalue("ministack")
    ministack.reset()
    _set(environment, ministack.environment())
    ses = SesProvider(REGION)
    ses.create_tenant("acme")
    configuration_set = ses.create_configuration_set("postyard-acme")
    ses.create_identity("acme-mail.io", "postyard-acme", "acme")
    for arn in (configuration_set, ses.identity_arn("acme-mail.io")):
        ses.associate("acme", arn)
    return SesByMiniStack(ses, ministack, environment)


WAYS: dict[str, Callable[[pytest.FixtureRequest, pytest.MonkeyPatch], Way]] = {
    "ses": ses_by_simulator,
    "resend": resend_by_simulator,
    "ministack": ses_by_ministack,
}


def _set(environment: pytest.MonkeyPatch, values: dict[str, str]) -> None:
    for name, value in values.items():
        environment.setenv(name, value)


def _shown(messages: list[dict[str, Any]], provider: str) -> list[dict[str, Any]]:
    assert {message["provider"] for message in messages} <= {provider}
    return [{**message, "from": _read_header(message["from"])} for message in messages]


def _read_header(written: str) -> str:
    return str(make_header(decode_header(written)))

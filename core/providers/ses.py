"""SES: Amazon SES v2 behind the contract of base.py. Facts: API reference v2 and botocore's own model."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from email.header import Header
from email.utils import formataddr, unquote
from typing import Any

import boto3
import orjson
from botocore.config import Config
from botocore.exceptions import ClientError

from core.providers.aws_errors import (
    SEND_FAILED,
    entry_result,
    error_code,
    is_account_wide,
    translated,
)
from core.providers.base import (
    AccountState,
    BulkMail,
    EntryResult,
    IdentityState,
    Outcome,
    TenantState,
)

SEND_TIMEOUT_SECONDS = 15.0
DEFAULT_SIGNING_ZONE = "dkim.amazonses.com"
EVENT_DESTINATION = "postyard"
EVENT_TYPES = (
    "SEND",
    "REJECT",
    "BOUNCE",
    "COMPLAINT",
    "DELIVERY",
    "OPEN",
    "CLICK",
    "RENDERING_FAILURE",
    "DELIVERY_DELAY",
    "SUBSCRIPTION",
)
_REPUTATION_ENTITY = "RESOURCE"

# BulkEmailStatus. The enumeration and its own documentation spell some differently: both are known here.
# What is not in the table, TRANSIENT_FAILURE and FAILED among it, is UNKNOWN: SES may have taken the message.
_OUTCOMES = {
    "SUCCESS": Outcome.ACCEPTED,
    "ACCOUNT_THROTTLED": Outcome.THROTTLED,
    "ACCOUNT_DAILY_QUOTA_EXCEEDED": Outcome.QUOTA,
    "ACCOUNT_SUSPENDED": Outcome.PAUSED,
    "ACCOUNT_SENDING_PAUSED": Outcome.PAUSED,
    "CONFIGURATION_SET_SENDING_PAUSED": Outcome.PAUSED,
    # A person repairs the configuration set: its mail waits instead of failing.
    "CONFIGURATION_SET_NOT_FOUND": Outcome.PAUSED,
    "CONFIGURATION_SET_DOES_NOT_EXIST": Outcome.PAUSED,
    "MESSAGE_REJECTED": Outcome.REFUSED,
    "MAIL_FROM_DOMAIN_NOT_VERIFIED": Outcome.REFUSED,
    "TEMPLATE_NOT_FOUND": Outcome.REFUSED,
    "TEMPLATE_DOES_NOT_EXIST": Outcome.REFUSED,
    "INVALID_SENDING_POOL_NAME": Outcome.REFUSED,
    "INVALID_PARAMETER": Outcome.REFUSED,
    "INVALID_PARAMETER_VALUE": Outcome.REFUSED,
}
_LINE_BREAK = re.compile(r"[\r\n\0]")
_NO_TAG_CHARACTER = re.compile(r"[^A-Za-z0-9_-]")


# A tenant's bounces and complaints go on its own list at SES, and only that list is asked when it sends.
_OWN_SUPPRESSIONS: dict[str, Any] = {
    "SuppressedReasons": ["BOUNCE", "COMPLAINT"],
    "SuppressionScope": "TENANT",
}


class SesProvider:
    """One AWS region. Safe for threads. Making it reads the credentials' place but calls nobody."""

    name = "ses"

    def __init__(
        self, region: str, connections: int = 20, *, read_timeout_seconds: float = SEND_TIMEOUT_SECONDS
    ) -> None:
        self.region = region
        with translated("SES"):
            self._session = boto3.Session(region_name=region)
            self._control = self._session.client("sesv2", config=_control_config())
            self._sending = self._session.client(
                "sesv2", config=_sending_config(connections, read_timeout_seconds)
            )
        self._lock = threading.Lock()
        self._account_id: str | None = None

    def get_account(self) -> AccountState:
        with translated("SES"):
            said = self._control.get_account()
        quota = said.get("SendQuota", {})
        return AccountState(
            max_send_rate=float(quota.get("MaxSendRate", 1.0)),
            max_24_hour_send=float(quota.get("Max24HourSend", 200.0)),
            sent_last_24_hours=float(quota.get("SentLast24Hours", 0.0)),
            production_access=bool(said.get("ProductionAccessEnabled", False)),
            sending_enabled=bool(said.get("SendingEnabled", False)),
            enforcement_status=str(said.get("EnforcementStatus", "HEALTHY")),
        )

    def caller_account_id(self) -> str:
        """Asked once: a session keeps its account."""
        with self._lock:
            if self._account_id is None:
                with translated("AWS STS"):
                    sts = self._session.client("sts", config=_control_config())
                    self._account_id = str(sts.get_caller_identity()["Account"])
            return self._account_id

    def create_tenant(self, name: str) -> TenantState:
        with translated("SES"):
            if not _created(
                lambda: self._control.create_tenant(TenantName=name, SuppressionAttributes=_OWN_SUPPRESSIONS)
            ):
                self._control.put_tenant_suppression_attributes(TenantName=name, **_OWN_SUPPRESSIONS)
        return self.get_tenant(name)

    def get_tenant(self, name: str) -> TenantState:
        with translated("SES"):
            return _tenant_state(self._control.get_tenant(TenantName=name)["Tenant"])

    def release_suppressed(self, tenant_name: str, address: str) -> None:
        with translated("SES"):
            _removed(
                lambda: self._control.delete_suppressed_destination(
                    EmailAddress=address, TenantName=tenant_name
                )
            )

    def set_tenant_sending(self, arn: str, *, enabled: bool) -> None:
        """Our own of SES's three statuses. REINSTATED, which sends despite open findings, only where AWS
        itself has paused the tenant."""
        entity = {"ReputationEntityType": _REPUTATION_ENTITY, "ReputationEntityReference": arn}
        with translated("SES"):
            status = self._enabling_status(entity) if enabled else "DISABLED"
            self._control.update_reputation_entity_customer_managed_status(**entity, SendingStatus=status)

    def associate(self, tenant_name: str, resource_arn: str) -> None:
        with translated("SES"):
            _created(
                lambda: self._control.create_tenant_resource_association(
                    TenantName=tenant_name, ResourceArn=resource_arn
                )
            )

    def create_configuration_set(self, name: str) -> str:
        with translated("SES"):
            _created(lambda: self._control.create_configuration_set(ConfigurationSetName=name))
        return self._arn(f"configuration-set/{name}")

    def create_event_destination(self, configuration_set: str, topic_arn: str) -> None:
        """All ten event types to the topic; one that exists is pointed at it."""
        wanted = {
            "ConfigurationSetName": configuration_set,
            "EventDestinationName": EVENT_DESTINATION,
            "EventDestination": {
                "Enabled": True,
                "MatchingEventTypes": list(EVENT_TYPES),
                "SnsDestination": {"TopicArn": topic_arn},
            },
        }
        with translated("SES"):
            if not _created(lambda: self._control.create_configuration_set_event_destination(**wanted)):
                self._control.update_configuration_set_event_destination(**wanted)

    def create_identity(self, name: str, configuration_set: str) -> IdentityState:
        with translated("SES"):
            wanted = {"EmailIdentity": name, "ConfigurationSetName": configuration_set}
            if not _created(lambda: self._control.create_email_identity(**wanted)):
                self._control.put_email_identity_configuration_set_attributes(**wanted)
        return self.get_identity(name)

    def get_identity(self, name: str) -> IdentityState:
        with translated("SES"):
            return _identity_state(self._control.get_email_identity(EmailIdentity=name))

    def delete_identity(self, name: str, tenant_name: str) -> None:
        with translated("SES"):
            _removed(
                lambda: self._control.delete_tenant_resource_association(
                    TenantName=tenant_name, ResourceArn=self.identity_arn(name)
                )
            )
            _removed(lambda: self._control.delete_email_identity(EmailIdentity=name))

    def identity_arn(self, name: str) -> str:
        return self._arn(f"identity/{name}")

    def send_bulk(self, mail: BulkMail) -> list[EntryResult]:
        if reason := _forbidden(mail):
            return [EntryResult(Outcome.REFUSED, code="INVALID_PARAMETER", reason=reason)] * len(mail.entries)
        request = bulk_request(mail)
        try:
            answer = self._sending.send_bulk_email(**request)
        except SEND_FAILED as e:
            return [entry_result(e)] * len(mail.entries)
        results = answer.get("BulkEmailEntryResults") or []
        if len(results) != len(mail.entries):
            reason = (
                f"SES gave {len(results)} answers for {len(mail.entries)} recipients; its events will tell."
            )
            return [EntryResult(Outcome.UNKNOWN, reason=reason)] * len(mail.entries)
        return [_entry_result(result) for result in results]

    def send_one(self, mail: BulkMail) -> EntryResult:
        if reason := _forbidden(mail):
            return EntryResult(Outcome.REFUSED, code="INVALID_PARAMETER", reason=reason)
        request = single_request(mail)
        try:
            answer = self._sending.send_email(**request)
        except SEND_FAILED as e:
            return entry_result(e)
        if not answer.get("MessageId"):
            return EntryResult(
                Outcome.UNKNOWN, reason="SES answered without a message id; its events will tell."
            )
        return EntryResult(Outcome.ACCEPTED, provider_message_id=answer["MessageId"])

    def _enabling_status(self, entity: dict[str, str]) -> str:
        found = self._control.get_reputation_entity(**entity).get("ReputationEntity", {})
        paused_by_aws = found.get("AwsSesManagedStatus", {}).get("Status") == "DISABLED"
        return "REINSTATED" if paused_by_aws else "ENABLED"

    def _arn(self, resource: str) -> str:
        partition = self._session.get_partition_for_region(self.region)
        return f"arn:{partition}:ses:{self.region}:{self.caller_account_id()}:{resource}"


def bulk_request(mail: BulkMail) -> dict[str, Any]:
    """SendBulkEmail's parameters. Tags all entries share travel once; msg_uid with each."""
    return {
        **_envelope(mail),
        "DefaultEmailTags": _tags(mail.tags),
        "DefaultContent": {"Template": {"TemplateContent": _content(mail), "TemplateData": "{}"}},
        "BulkEmailEntries": [
            {
                "Destination": {"ToAddresses": [entry.address]},
                "ReplacementTags": [{"Name": "msg_uid", "Value": entry.msg_uid}],
                "ReplacementHeaders": _headers(entry.headers),
                "ReplacementEmailContent": {
                    "ReplacementTemplate": {"ReplacementTemplateData": orjson.dumps(entry.fields).decode()}
                },
            }
            for entry in mail.entries
        ],
    }


def single_request(mail: BulkMail) -> dict[str, Any]:
    """SendEmail's parameters; the content is rendered by SES exactly as in a bulk call."""
    [entry] = mail.entries
    return {
        **_envelope(mail),
        "Destination": {"ToAddresses": [entry.address]},
        "EmailTags": [*_tags(mail.tags), {"Name": "msg_uid", "Value": entry.msg_uid}],
        "Content": {
            "Template": {
                "TemplateContent": _content(mail),
                "TemplateData": orjson.dumps(entry.fields).decode(),
                "Headers": _headers(entry.headers),
            }
        },
    }


def from_header(written: str) -> str:
    """`Name <address>` or a bare address as a From header carries it: quoted, RFC 2047 where not ASCII."""
    name, bracket, address = written.rpartition("<")
    name = unquote(name.strip())  # as email.utils.formataddr wrote it
    if not bracket or not name:
        return written.strip("<> ")
    address = address.rstrip("> ")
    if name.isascii():
        return formataddr((name, address))
    return f"{Header(name, 'utf-8').encode(linesep='')} <{address}>"


def _envelope(mail: BulkMail) -> dict[str, Any]:
    return {
        "FromEmailAddress": from_header(mail.from_address),
        "ConfigurationSetName": mail.configuration_set,
        "TenantName": mail.tenant_name,
    }


def _content(mail: BulkMail) -> dict[str, str]:
    parts = {"Subject": mail.subject, "Text": mail.text, "Html": mail.html}
    return {name: part for name, part in parts.items() if part}


def _tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [
        {"Name": name, "Value": _NO_TAG_CHARACTER.sub("_", value)[:256]}
        for name, value in tags.items()
        if value
    ]


def _headers(headers: dict[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in headers.items()]


def _forbidden(mail: BulkMail) -> str:
    """Why this mail must not reach a header: a line break there would begin a header of somebody's own."""
    if _LINE_BREAK.search(mail.from_address):
        return "The sender's name or address contains a line break. Remove it from the sender."
    for entry in mail.entries:
        if any(_LINE_BREAK.search(text) for header in entry.headers.items() for text in header):
            return "A header of the mail contains a line break. Remove it."
    return ""


def _entry_result(result: Any) -> EntryResult:
    if not isinstance(result, dict):
        return EntryResult(
            Outcome.UNKNOWN, reason="SES gave no answer for this recipient; its events will tell."
        )
    status, said = str(result.get("Status", "")), str(result.get("Error") or "")[:500]
    outcome = _OUTCOMES.get(status, Outcome.UNKNOWN)
    if outcome is Outcome.ACCEPTED:
        return EntryResult(outcome, provider_message_id=result.get("MessageId"))
    if outcome is Outcome.REFUSED and "paused" in said.lower():
        outcome = Outcome.PAUSED  # "Sending paused for this account" also comes as MESSAGE_REJECTED
    return EntryResult(
        outcome,
        provider_message_id=result.get("MessageId"),
        code=status,
        reason=f"SES answered {status}" + (f": {said}" if said else ""),
        account_wide=outcome is Outcome.PAUSED and is_account_wide(status, said),
    )


def _created(call: Callable[[], Any]) -> bool:
    """False when it exists already."""
    try:
        call()
    except ClientError as e:
        if error_code(e) != "AlreadyExistsException":
            raise
        return False
    return True


def _removed(call: Callable[[], Any]) -> None:
    try:
        call()
    except ClientError as e:
        if error_code(e) != "NotFoundException":
            raise


def _tenant_state(tenant: dict[str, Any]) -> TenantState:
    return TenantState(
        tenant_id=tenant["TenantId"],
        arn=tenant["TenantArn"],
        sending_status=tenant.get("SendingStatus", "ENABLED"),
    )


def _identity_state(said: dict[str, Any]) -> IdentityState:
    dkim, mail_from = said.get("DkimAttributes", {}), said.get("MailFromAttributes", {})
    return IdentityState(
        verification_status=said.get("VerificationStatus", "PENDING"),
        verified_for_sending=bool(said.get("VerifiedForSendingStatus", False)),
        dkim_status=dkim.get("Status", "NOT_STARTED"),
        dkim_tokens=tuple(dkim.get("Tokens", ())),
        signing_hosted_zone=dkim.get("SigningHostedZone") or DEFAULT_SIGNING_ZONE,
        mail_from_domain=mail_from.get("MailFromDomain") or None,
        mail_from_status=mail_from.get("MailFromDomainStatus") or None,
        error_type=said.get("VerificationInfo", {}).get("ErrorType"),
    )


def _control_config() -> Config:
    # Reads and idempotent creations: botocore may repeat them.
    return Config(retries={"mode": "standard", "total_max_attempts": 3}, connect_timeout=3, read_timeout=10)


def _sending_config(connections: int, read_timeout_seconds: float) -> Config:
    # SES has no idempotency token, so no call is repeated below us: a time-out repeated is a second mail.
    # Validating 50 entries costs more than sending them; the contract tests do it instead.
    return Config(
        retries={"total_max_attempts": 1},
        parameter_validation=False,
        max_pool_connections=connections,
        connect_timeout=3,
        read_timeout=read_timeout_seconds,
        tcp_keepalive=True,
    )

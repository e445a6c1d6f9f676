"""SES mail: what a send request carries and what its answer means. Pure; ses.py sends it."""

from __future__ import annotations

from email.header import Header
from email.utils import formataddr
from typing import Any

import orjson

from core.providers.aws_errors import is_account_wide
from core.providers.base import BulkMail, EntryResult, Outcome, PlainMail
from core.providers.headers import name_and_address, tag_value

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


def plain_request(mail: PlainMail) -> dict[str, Any]:
    """SendEmail's parameters for a mail of no tenant."""
    return {
        "FromEmailAddress": from_header(mail.from_address),
        "Destination": {"ToAddresses": [mail.to_address]},
        "Content": {
            "Simple": {
                "Subject": {"Data": mail.subject, "Charset": "UTF-8"},
                "Body": {"Text": {"Data": mail.text, "Charset": "UTF-8"}},
                "Headers": [{"Name": "Auto-Submitted", "Value": "auto-generated"}],
            }
        },
    }


def from_header(written: str) -> str:
    """`Name <address>` or a bare address as a From header carries it: quoted, RFC 2047 where not ASCII."""
    name, address = name_and_address(written)
    if not name:
        return address
    if name.isascii():
        return formataddr((name, address))
    return f"{Header(name, 'utf-8').encode(linesep='')} <{address}>"


def _envelope(mail: BulkMail) -> dict[str, Any]:
    envelope: dict[str, Any] = {
        "FromEmailAddress": from_header(mail.from_address),
        "ConfigurationSetName": mail.configuration_set,
        "TenantName": mail.tenant_name,
    }
    if mail.reply_to:
        envelope["ReplyToAddresses"] = [from_header(mail.reply_to)]
    return envelope


def _content(mail: BulkMail) -> dict[str, str]:
    parts = {"Subject": mail.subject, "Text": mail.text, "Html": mail.html}
    return {name: part for name, part in parts.items() if part}


def _tags(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": tag_value(value)} for name, value in tags.items() if value]


def _headers(headers: dict[str, str]) -> list[dict[str, str]]:
    return [{"Name": name, "Value": value} for name, value in headers.items()]


def bulk_entry_result(result: Any) -> EntryResult:
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

"""SES events: what a queue's body says, as one ProviderEvent per recipient. Pure; nothing in it is trusted.

Shapes: SES developer guide, "Contents of event data that Amazon SES publishes to Amazon SNS".
"""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Any

import orjson

from core.db.states import BounceType, EventType
from core.providers.base import ProviderEvent
from core.providers.foreign import dict_in, text_in, text_up_to, time_in

MAX_DIAGNOSTIC = 2000
MAX_LINK, MAX_USER_AGENT, MAX_IP_ADDRESS = 2000, 500, 64
SIMULATOR_DOMAIN = "@simulator.amazonses.com"

_VALIDATION_TEXT = "Successfully validated SNS topic"
_SUBSCRIBED_TYPE = "AmazonSnsSubscriptionSucceeded"  # the same, of identity notifications
# SES refused these itself: they never reached a mailbox provider and AWS does not count them either.
_UNCOUNTED_SUBTYPES = {"OnAccountSuppressionList", "OnTenantSuppressionList", "EmailValidationSuppressed"}
_TYPES = {
    "send": (EventType.SEND, "send"),
    "delivery": (EventType.DELIVERY, "delivery"),
    "bounce": (EventType.BOUNCE, "bounce"),
    "complaint": (EventType.COMPLAINT, "complaint"),
    "reject": (EventType.REJECT, "reject"),
    "deliverydelay": (EventType.DELIVERY_DELAY, "deliveryDelay"),
    "open": (EventType.OPEN, "open"),
    "click": (EventType.CLICK, "click"),
    "renderingfailure": (EventType.RENDERING_FAILURE, "failure"),
    "subscription": (EventType.SUBSCRIPTION, "subscription"),
}
_RECIPIENT_LISTS = {
    EventType.BOUNCE: "bouncedRecipients",
    EventType.COMPLAINT: "complainedRecipients",
    EventType.DELIVERY: "recipients",
    EventType.DELIVERY_DELAY: "delayedRecipients",
}
_DIAGNOSTICS = {
    EventType.DELIVERY: "smtpResponse",
    EventType.DELIVERY_DELAY: "delayType",
    EventType.REJECT: "reason",
    EventType.RENDERING_FAILURE: "errorMessage",
    EventType.CLICK: "link",
}
# What SES says about a tenant on EventBridge's default bus. The end of a finding is spelled in two ways.
_TENANT_NOTICES = ("Sending Status ", "Advisor Recommendation Status ")
_BOT_EVENT = {"Likely": True, "Unlikely": False}  # since August 2026, and a text
_BOUNCE_TYPES = {kind.value: kind for kind in BounceType}


class UnreadableEvent(ValueError):
    """The body is no event of SES; its text says what is wrong with it."""


def parse(body: str) -> list[ProviderEvent]:
    """Every event in an SQS body: SNS envelope, EventBridge envelope or the bare record. Empty for what SES
    sends besides events (the validation of a topic, EventBridge's words about tenants). Raises
    UnreadableEvent for anything else."""
    if body.startswith(_VALIDATION_TEXT):
        return []
    envelope, topic_arn, raw = _object(body), None, body
    if envelope.get("Type") is not None and "TopicArn" in envelope:
        topic_arn, raw = text_in(envelope["TopicArn"]), _notification(envelope)
        if raw.startswith(_VALIDATION_TEXT):
            return []
        envelope = _object(raw)
    if "detail-type" in envelope:
        if not str(envelope["detail-type"]).startswith("Email "):
            return []
        envelope = dict_in(envelope.get("detail"))
    if envelope.get("notificationType") == _SUBSCRIBED_TYPE:
        return []
    return _events(envelope, raw, topic_arn)


def noticed_tenant(body: str) -> str | None:
    """ARN of the tenant that SES has something to say about: its sending status or a finding changed. None
    for every other body, events among them."""
    if '"detail-type"' not in body:
        return None
    try:
        envelope = _object(body)
    except UnreadableEvent:
        return None
    if envelope.get("source") != "aws.ses":
        return None
    if not str(envelope.get("detail-type")).startswith(_TENANT_NOTICES):
        return None
    arn = next(iter(_list(envelope.get("resources"))), None)
    return text_in(arn) or None


def _events(record: dict[str, Any], raw: str, topic_arn: str | None) -> list[ProviderEvent]:
    name = text_in(record.get("eventType")) or text_in(record.get("notificationType"))
    if name is None:
        raise UnreadableEvent("The record names no event type.")
    kind, key = _TYPES.get(name.replace(" ", "").replace("_", "").lower(), (EventType.OTHER, name))
    mail, what = dict_in(record.get("mail")), dict_in(record.get(key))
    message_id = text_in(mail.get("messageId"))
    if not message_id:
        raise UnreadableEvent("The record names no message.")
    occurred_at = time_in(what.get("timestamp")) or time_in(mail.get("timestamp"))
    if occurred_at is None:
        raise UnreadableEvent("The record names no time.")
    recipients = _recipients(kind, what, mail)
    if not recipients:
        raise UnreadableEvent("The record names no recipient.")
    identity = _identity(kind, name, message_id, what, occurred_at)
    tags = dict_in(mail.get("tags"))
    bounce_type, subtype = _bounce(kind, what)
    feedback_type = text_in(what.get("complaintFeedbackType")) if kind is EventType.COMPLAINT else None
    seen = _seen(what) if kind in (EventType.OPEN, EventType.CLICK) else {}
    return [
        ProviderEvent(
            uid=_uid(identity, address),
            type=kind,
            recipient=address,
            provider_message_id=message_id,
            msg_uid=_tag(tags, "msg_uid"),
            occurred_at=occurred_at,
            topic_arn=topic_arn,
            tenant_tag=_tag(tags, "ses:tenant-name") or _tag(tags, "tenant"),
            bounce_type=bounce_type,
            bounce_subtype=subtype,
            feedback_type=feedback_type,
            diagnostic=_diagnostic(kind, what, entry),
            counts_in_rates=_counts(kind, what, address, subtype, feedback_type),
            **seen,
            raw=raw,
        )
        for address, entry in recipients.items()
    ]


def _notification(envelope: dict[str, Any]) -> str:
    if envelope["Type"] != "Notification":
        raise UnreadableEvent(f"SNS sent a {str(envelope['Type'])[:40]}, which is no event.")
    message = envelope.get("Message")
    if not isinstance(message, str):
        raise UnreadableEvent("The SNS notification has no message.")
    return message


def _object(text: str) -> dict[str, Any]:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as e:
        raise UnreadableEvent("The body is no JSON.") from e
    if not isinstance(value, dict):
        raise UnreadableEvent("The body is no JSON object.")
    return value


def _recipients(kind: EventType, what: dict[str, Any], mail: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """By lower-case address, what the record says about each; the mail's own destination in default of it."""
    listed = _list(what.get(_RECIPIENT_LISTS.get(kind, ""))) or _list(mail.get("destination"))
    found: dict[str, dict[str, Any]] = {}
    for entry in listed:
        about = entry if isinstance(entry, dict) else {"emailAddress": entry}
        if address := _address(about.get("emailAddress")):
            found.setdefault(address, about)
    return found


def _address(value: Any) -> str:
    written = (text_in(value) or "").strip()
    if written.endswith(">"):
        written = written[:-1].rpartition("<")[2]
    return written.strip().lower()


def _identity(
    kind: EventType, name: str, message_id: str, what: dict[str, Any], occurred_at: datetime
) -> list[str | None]:
    """What tells this event from others of the same message and is the same when it is delivered again.
    Bounces and complaints have an id of their own; a person may open, or click the same link, many times."""
    feedback_id = text_in(what.get("feedbackId"))
    if feedback_id and kind in (EventType.BOUNCE, EventType.COMPLAINT):
        return [kind.value, message_id, feedback_id]
    spelled = name if kind is EventType.OTHER else kind.value
    return [
        spelled,
        message_id,
        occurred_at.isoformat(),
        text_in(what.get("link")),
        text_in(what.get("ipAddress")),
    ]


def _uid(identity: list[str | None], address: str) -> str:
    return hashlib.sha256(orjson.dumps([*identity, address])).hexdigest()


def _bounce(kind: EventType, what: dict[str, Any]) -> tuple[BounceType | None, str | None]:
    if kind is not EventType.BOUNCE:
        return None, None
    written = (text_in(what.get("bounceType")) or "").upper()
    return _BOUNCE_TYPES.get(written, BounceType.UNDETERMINED), text_in(what.get("bounceSubType"))


def _counts(
    kind: EventType, what: dict[str, Any], address: str, subtype: str | None, feedback_type: str | None
) -> bool:
    if address.endswith(SIMULATOR_DOMAIN):
        return False
    if kind is EventType.COMPLAINT:
        return (
            feedback_type != "not-spam" and text_in(what.get("complaintSubType")) not in _UNCOUNTED_SUBTYPES
        )
    return subtype not in _UNCOUNTED_SUBTYPES


def _seen(what: dict[str, Any]) -> dict[str, Any]:
    """What is known of who opened or clicked; whoever does may say anything of any length."""
    return {
        "link": text_up_to(MAX_LINK, what.get("link")),
        "user_agent": text_up_to(MAX_USER_AGENT, what.get("userAgent")),
        "ip_address": text_up_to(MAX_IP_ADDRESS, what.get("ipAddress")),
        "bot_likely": _BOT_EVENT.get(text_in(what.get("isBotEvent")) or ""),
    }


def _diagnostic(kind: EventType, what: dict[str, Any], entry: dict[str, Any]) -> str | None:
    said = text_in(entry.get("diagnosticCode")) or text_in(entry.get("status"))
    said = said or text_in(what.get(_DIAGNOSTICS.get(kind, "")))
    return text_up_to(MAX_DIAGNOSTIC, said)


def _tag(tags: dict[str, Any], name: str) -> str | None:
    values = tags.get(name)
    return text_in(values[0]) if isinstance(values, list) and values else text_in(values)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []

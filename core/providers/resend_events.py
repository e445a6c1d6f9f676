"""Resend events: what one of its webhooks says, as one ProviderEvent per recipient. Pure; nothing in it is
trusted beyond its signature.

Shapes: resend.com/docs, Webhooks, Event Types and one page for each. Resend reports as SES does, whose
customer it is: bounces have SES's types and subtypes.
"""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from core.db.states import BounceType, EventType
from core.providers.base import ProviderEvent
from core.providers.foreign import dict_in, text_in, text_up_to, time_in
from core.providers.ses_events import UnreadableEvent

MAX_DIAGNOSTIC, MAX_EMAIL_ID = 2000, 256  # PostgreSQL's indexes take no id of any length
MAX_LINK, MAX_USER_AGENT, MAX_IP_ADDRESS, MAX_SUBTYPE = 2000, 500, 64, 100
ABOUT_MAIL = "email."
INBOUND = "email.received"  # mail that somebody sent to Resend: none of ours

_TYPES = {
    "email.sent": (EventType.SEND, "sent"),
    "email.delivered": (EventType.DELIVERY, "delivered"),
    "email.bounced": (EventType.BOUNCE, "bounce"),
    "email.complained": (EventType.COMPLAINT, "complaint"),
    "email.opened": (EventType.OPEN, "open"),
    "email.clicked": (EventType.CLICK, "click"),
    "email.delivery_delayed": (EventType.DELIVERY_DELAY, "delivery_delayed"),
    "email.failed": (EventType.REJECT, "failed"),
    # Resend's list is the whole team's: as the list of an AWS account, it counts in no rate.
    "email.suppressed": (EventType.BOUNCE, "suppressed"),
}
_SUPPRESSED = "email.suppressed"
_ON_THE_LIST = "OnAccountSuppressionList"
_BOUNCE_TYPES = {kind.value: kind for kind in BounceType}


def parse(body: str, webhook_id: str) -> list[ProviderEvent]:
    """`webhook_id`: the signed id, the same whenever this is delivered again. Empty for what is about no mail
    that was sent (domains, contacts, inbound mail). Raises UnreadableEvent."""
    value = _object(body)
    name = text_in(value.get("type"))
    if name is None:
        raise UnreadableEvent("The webhook names no event type.")
    if not name.startswith(ABOUT_MAIL) or name == INBOUND:
        return []
    kind, key = _TYPES.get(name, (EventType.OTHER, name.removeprefix(ABOUT_MAIL)))
    about, occurred_at = dict_in(value.get("data")), time_in(value.get("created_at"))
    what = dict_in(about.get(key))
    number, recipients = text_in(about.get("email_id")), _recipients(about.get("to"))
    if not number or len(number) > MAX_EMAIL_ID:
        raise UnreadableEvent("The webhook names no email.")
    if occurred_at is None:
        raise UnreadableEvent("The webhook names no time.")
    if not recipients:
        raise UnreadableEvent("The webhook names no recipient.")
    tags = _tags(about.get("tags"))
    bounce_type, subtype = _bounce(name, kind, what)
    return [
        ProviderEvent(
            uid=_uid(webhook_id, name, address),
            type=kind,
            recipient=address,
            provider_message_id=number,
            msg_uid=tags.get("msg_uid"),
            occurred_at=time_in(what.get("timestamp")) or occurred_at,
            topic_arn=None,
            tenant_tag=tags.get("tenant"),
            bounce_type=bounce_type,
            bounce_subtype=subtype,
            diagnostic=_diagnostic(what),
            counts_in_rates=name != _SUPPRESSED,
            link=text_up_to(MAX_LINK, what.get("link")),
            user_agent=text_up_to(MAX_USER_AGENT, what.get("userAgent")),
            ip_address=text_up_to(MAX_IP_ADDRESS, what.get("ipAddress")),
            raw=body,
        )
        for address in recipients
    ]


def _object(body: str) -> dict[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as e:
        raise UnreadableEvent("The webhook is no JSON.") from e
    if not isinstance(value, dict):
        raise UnreadableEvent("The webhook is no JSON object.")
    return value


def _recipients(value: Any) -> list[str]:
    written = value if isinstance(value, list) else [value]
    addresses = [(text_in(each) or "").strip().rstrip(">").rpartition("<")[2].lower() for each in written]
    return list(dict.fromkeys(address for address in addresses if address))


def _tags(value: Any) -> dict[str, str]:
    """An object by name, or the list that a send request has."""
    if isinstance(value, list):
        value = {text_in(tag.get("name")): tag.get("value") for tag in value if isinstance(tag, dict)}
    return {name: text for name, each in dict_in(value).items() if name and (text := text_in(each))}


def _bounce(name: str, kind: EventType, what: dict[str, Any]) -> tuple[BounceType | None, str | None]:
    if kind is not EventType.BOUNCE:
        return None, None
    if name == _SUPPRESSED:
        return BounceType.PERMANENT, _ON_THE_LIST
    written = (text_in(what.get("type")) or "").upper()
    return _BOUNCE_TYPES.get(written, BounceType.UNDETERMINED), text_up_to(MAX_SUBTYPE, what.get("subType"))


def _diagnostic(what: dict[str, Any]) -> str | None:
    codes = what.get("diagnosticCode")
    said = codes[0] if isinstance(codes, list) and codes else codes
    said = (
        text_in(said)
        or text_in(what.get("message"))
        or text_in(what.get("reason"))
        or text_in(what.get("link"))
    )
    return text_up_to(MAX_DIAGNOSTIC, said)


def _uid(webhook_id: str, name: str, address: str) -> str:
    return "resend-" + hashlib.sha256(orjson.dumps([webhook_id, name, address])).hexdigest()

"""Event records in the shape SES publishes them (tests/data/ses_events holds one sample of each)."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from simulator.clock import iso_millis
from simulator.settings import ACCOUNT_ID

SEND = "Send"
DELIVERY = "Delivery"
BOUNCE = "Bounce"
COMPLAINT = "Complaint"
REJECT = "Reject"
DELIVERY_DELAY = "DeliveryDelay"
OPEN = "Open"
CLICK = "Click"
RENDERING_FAILURE = "Rendering Failure"

MATCHING = {
    SEND: "SEND",
    DELIVERY: "DELIVERY",
    BOUNCE: "BOUNCE",
    COMPLAINT: "COMPLAINT",
    REJECT: "REJECT",
    DELIVERY_DELAY: "DELIVERY_DELAY",
    OPEN: "OPEN",
    CLICK: "CLICK",
    RENDERING_FAILURE: "RENDERING_FAILURE",
}
DETAIL_TYPES = {
    SEND: "Email Sent",
    DELIVERY: "Email Delivered",
    BOUNCE: "Email Bounced",
    COMPLAINT: "Email Complaint Received",
    REJECT: "Email Rejected",
    DELIVERY_DELAY: "Email Delivery Delayed",
    OPEN: "Email Opened",
    CLICK: "Email Clicked",
    RENDERING_FAILURE: "Email Rendering Failed",
}
REPORTING = "smtp-out.amazonses.com"
REMOTE_IP = "203.0.113.25"
_NOT_SENT = (
    "Amazon SES did not send the message to this address because it is on the suppression list for your "
)
ON_TENANT_LIST = _NOT_SENT + "tenant."
ON_ACCOUNT_LIST = (
    _NOT_SENT
    + "account. For more information about removing addresses from the suppression list, see the Amazon SES "
    "Developer Guide at https://docs.aws.amazon.com/ses/latest/DeveloperGuide/sending-email-suppression-list.html"
)
_DELAY_HORIZON = 14 * 3600.0


@dataclass(frozen=True, slots=True)
class BounceKind:
    """One way to bounce; without `status` the record has no delivery status fields (out of office)."""

    type: str
    subtype: str
    status: str = ""
    diagnostic: str = ""
    remote: bool = True


HARD = BounceKind("Permanent", "General", "5.1.1", "smtp; 550 5.1.1 user unknown")
MAILBOX_FULL = BounceKind("Transient", "MailboxFull", "4.2.2", "smtp; 452 4.2.2 mailbox full")
OUT_OF_OFFICE = BounceKind("Transient", "General")
TENANT_LIST = BounceKind("Permanent", "OnTenantSuppressionList", "5.1.1", ON_TENANT_LIST, remote=False)
ACCOUNT_LIST = BounceKind("Permanent", "OnAccountSuppressionList", "5.1.1", ON_ACCOUNT_LIST, remote=False)
GLOBAL_LIST = BounceKind("Permanent", "General", "5.1.1", "smtp; 550 5.1.1 user unknown")


@dataclass(frozen=True, slots=True)
class Letter:
    """What the records of one message have in common."""

    message_id: str
    at: float
    sender: str
    identity_arn: str
    to: Sequence[str]
    destination: Sequence[str]
    subject: str
    headers: Sequence[tuple[str, str]]
    tags: dict[str, list[str]]
    tenant: str

    def mail(self, extra_tags: dict[str, list[str]] | None = None, *, brief: bool = False) -> dict[str, Any]:
        mail: dict[str, Any] = {
            "timestamp": iso_millis(self.at),
            "source": self.sender,
            "sourceArn": self.identity_arn,
            "sendingAccountId": ACCOUNT_ID,
            "messageId": self.message_id,
            "destination": self.destination,
            "headersTruncated": False,
        }
        if not brief:
            mail["headers"] = [{"name": name, "value": value} for name, value in self._headers()]
            mail["commonHeaders"] = {
                "from": [self.sender],
                "to": self.to,
                "messageId": self.message_id,
                "subject": self.subject,
            }
        mail["tags"] = {**self.tags, **extra_tags} if extra_tags else self.tags
        return mail

    def _headers(self) -> list[tuple[str, str]]:
        return [
            ("From", self.sender),
            ("To", ", ".join(self.to)),
            ("Subject", self.subject),
            ("MIME-Version", "1.0"),
            ("Content-Type", f'multipart/alternative; boundary="----=_Part_{self.message_id[-12:-7]}"'),
            *self.headers,
        ]

    def feedback_tags(self) -> dict[str, list[str]]:
        return {"ses:tenant-name": [self.tenant]} if self.tenant else {}


_OUTGOING = {"ses:outgoing-ip": ["54.240.48.102"], "ses:outgoing-tls-version": ["TLSv1.3"]}


def message_id(at: float) -> str:
    """As SES makes them: time in hex, a random part, a counter."""
    return f"010e{int(at * 1000):012x}-{uuid.uuid4()}-000000"


def feedback_id(letter: Letter, kind: str) -> str:
    digest = hashlib.blake2b(f"{letter.message_id} {kind}".encode(), digest_size=16).hexdigest()
    return f"010e{int(letter.at * 1000):012x}-{uuid.UUID(digest)}-000000"


def sent(letter: Letter) -> str:
    return _text({"eventType": SEND, "mail": letter.mail(), "send": {}})


def delivered(letter: Letter, address: str, at: float) -> str:
    return _text(
        {
            "eventType": DELIVERY,
            "mail": letter.mail(_OUTGOING),
            "delivery": {
                "timestamp": iso_millis(at),
                "processingTimeMillis": int((at - letter.at) * 1000),
                "recipients": [address],
                "smtpResponse": f"250 2.0.0 OK  {int(at)} {letter.message_id[17:30]} - gsmtp",
                "remoteMtaIp": REMOTE_IP,
                "reportingMTA": f"a48-102.{REPORTING}",
            },
        }
    )


def bounced(letter: Letter, address: str, at: float, kind: BounceKind) -> str:
    recipient = {"emailAddress": address}
    if kind.status:
        recipient |= {"action": "failed", "status": kind.status, "diagnosticCode": kind.diagnostic}
    bounce: dict[str, Any] = {
        "feedbackId": feedback_id(letter, f"{kind.subtype} {address}"),
        "bounceType": kind.type,
        "bounceSubType": kind.subtype,
        "bouncedRecipients": [recipient],
        "timestamp": iso_millis(at),
    }
    if kind.status and kind.remote:
        bounce |= {"remoteMtaIp": REMOTE_IP, "reportingMTA": f"dns; a48-89.{REPORTING}"}
    elif kind.status:
        bounce["reportingMTA"] = "dns; amazonses.com"
    return _text({"eventType": BOUNCE, "bounce": bounce, "mail": letter.mail(letter.feedback_tags())})


def complained(letter: Letter, address: str, at: float, agent: str) -> str:
    complaint = {
        "feedbackId": feedback_id(letter, f"complaint {address}"),
        "complaintSubType": None,
        "complainedRecipients": [{"emailAddress": address}],
        "timestamp": iso_millis(at),
        "userAgent": agent,
        "complaintFeedbackType": "abuse",
        "arrivalDate": iso_millis(at),
    }
    return _text(
        {"eventType": COMPLAINT, "complaint": complaint, "mail": letter.mail(letter.feedback_tags())}
    )


def rejected(letter: Letter) -> str:
    return _text({"eventType": REJECT, "mail": letter.mail(), "reject": {"reason": "Bad content"}})


def delayed(letter: Letter, address: str, at: float) -> str:
    delay = {
        "timestamp": iso_millis(at),
        "delayType": "TransientCommunicationFailure",
        "expirationTime": iso_millis(at + _DELAY_HORIZON),
        "delayedRecipients": [
            {
                "emailAddress": address,
                "status": "4.4.1",
                "diagnosticCode": "smtp; 421 4.4.1 Unable to connect to remote host",
            }
        ],
    }
    return _text({"eventType": DELIVERY_DELAY, "mail": letter.mail(brief=True), "deliveryDelay": delay})


def opened(letter: Letter, at: float, *, bot: bool) -> str:
    return _text(
        {
            "eventType": OPEN,
            "mail": letter.mail(_OUTGOING),
            "open": {
                "timestamp": iso_millis(at),
                "userAgent": "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 "
                "(via ggpht.com GoogleImageProxy)",
                "ipAddress": "66.102.8.97",
                "isBotEvent": _likely(bot),
            },
        }
    )


def clicked(letter: Letter, at: float, link: str, *, bot: bool) -> str:
    return _text(
        {
            "eventType": CLICK,
            "mail": letter.mail(_OUTGOING),
            "click": {
                "timestamp": iso_millis(at),
                "ipAddress": "192.0.2.1",
                "userAgent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)",
                "link": link,
                "linkTags": None,
                "isBotEvent": _likely(bot),
            },
        }
    )


def rendering_failed(letter: Letter, name: str, template: str) -> str:
    failure = {
        "errorMessage": f"Attribute '{name}' is not present in the rendering data.",
        "templateName": template,
    }
    return _text({"eventType": RENDERING_FAILURE, "mail": letter.mail(brief=True), "failure": failure})


def _likely(bot: bool) -> str:
    return "Likely" if bot else "Unlikely"


def _text(record: dict[str, Any]) -> str:
    return orjson.dumps(record).decode()

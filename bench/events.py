"""What SES would say about mail that was sent: SNS envelopes of 2.4 kB, some twice, none in order."""

from __future__ import annotations

import random
from typing import Any

import orjson

TOPIC = "arn:aws:sns:ap-southeast-1:123456789012:postyard-shop1"
ATTEMPT = "00112233aabbccdd"
ONE_BOUNCES_OF = 50
REPEATED = 0.2  # of all
LATE_BY = 800  # places in the queue, at most
_AT = "2026-11-20T09:00:0{}.000Z"


def message_id(number: int) -> str:
    """SES's, of our message with this number."""
    return f"010e0199f1c2d3e4-5b6a7c8d-9e0f-4a1b-8c2d-{number:012x}-000000"


def count(messages: int) -> int:
    return 2 * messages + int(2 * messages * REPEATED)


def bodies(messages: int, seed: int = 1) -> list[str]:
    """Two events of each message, SEND and its outcome, and a fifth of them again."""
    chance = random.Random(seed)
    said = [body for number in range(1, messages + 1) for body in (_send(number), _outcome(number))]
    said += chance.sample(said, int(len(said) * REPEATED))
    return [
        body
        for _, body in sorted((place + chance.random() * LATE_BY, body) for place, body in enumerate(said))
    ]


def _send(number: int) -> str:
    return _notification({"eventType": "Send", "send": {}}, number)


def _outcome(number: int) -> str:
    address = _address(number)
    if number % ONE_BOUNCES_OF == 0:
        bounce = {
            "bounceType": "Permanent",
            "bounceSubType": "General",
            "bouncedRecipients": [
                {
                    "emailAddress": address,
                    "action": "failed",
                    "status": "5.1.1",
                    "diagnosticCode": "smtp; 550 5.1.1 user unknown",
                }
            ],
            "timestamp": _AT.format(3),
            "feedbackId": f"bounce-{number}",
            "reportingMTA": "dns; e1.smtp-out.amazonses.com",
        }
        return _notification({"eventType": "Bounce", "bounce": bounce}, number)
    delivery = {
        "timestamp": _AT.format(2),
        "processingTimeMillis": 1843,
        "recipients": [address],
        "smtpResponse": "250 2.0.0 OK 1732093202 d2e1a72fcca58 - gsmtp",
        "reportingMTA": "e1.smtp-out.amazonses.com",
        "remoteMtaIp": "192.0.2.25",
    }
    return _notification({"eventType": "Delivery", "delivery": delivery}, number)


def _address(number: int) -> str:
    return f"c1.person{number}@example.com"


def _notification(what: dict[str, Any], number: int) -> str:
    record = {**what, "mail": _mail(number)}
    return orjson.dumps(
        {
            "Type": "Notification",
            "MessageId": f"5f2b6c1e-93d4-4c0a-8e77-{number:012x}",
            "TopicArn": TOPIC,
            "Subject": "Amazon SES Email Event Notification",
            "Message": orjson.dumps(record).decode(),
            "Timestamp": _AT.format(4),
            "SignatureVersion": "1",
            "Signature": "A" * 344,
            "SigningCertURL": "https://sns.ap-southeast-1.amazonaws.com/SimpleNotificationService-0a1b.pem",
            "UnsubscribeURL": "https://sns.ap-southeast-1.amazonaws.com/?Action=Unsubscribe&SubscriptionArn=x",
        }
    ).decode()


def _mail(number: int) -> dict[str, Any]:
    address, headers = _address(number), {"From": "Shop 1 <news@shop1.acme-mail.io>", "MIME-Version": "1.0"}
    return {
        "timestamp": _AT.format(0),
        "source": "Shop 1 <news@shop1.acme-mail.io>",
        "sourceArn": "arn:aws:ses:ap-southeast-1:123456789012:identity/shop1.acme-mail.io",
        "sendingAccountId": "123456789012",
        "messageId": message_id(number),
        "destination": [address],
        "headersTruncated": False,
        "headers": [{"name": name, "value": value} for name, value in {**headers, "To": address}.items()],
        "commonHeaders": {"from": [headers["From"]], "to": [address], "subject": "New arrivals"},
        "tags": {
            "msg_uid": [f"{number}-{ATTEMPT}"],
            "tenant": ["shop1"],
            "campaign": ["1"],
            "ses:operation": ["SendBulkEmail"],
            "ses:configuration-set": ["postyard-shop1"],
            "ses:source-ip": ["192.0.2.1"],
            "ses:from-domain": ["shop1.acme-mail.io"],
            "ses:caller-identity": ["postyard"],
        },
    }

"""SNS messages: what is signed in one, and whether the signature is SNS's. Pure.

From: SNS developer guide, "Verifying the signatures of Amazon SNS messages" and "Parsing Amazon SNS message
formats". A valid signature says that some topic of some AWS account sent this, no more.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from core.hooks.answers import Never

NOTIFICATION = "Notification"
SUBSCRIPTION = "SubscriptionConfirmation"
UNSUBSCRIPTION = "UnsubscribeConfirmation"

# SNS tries an HTTPS endpoint again for an hour at most, whatever the topic's delivery policy says (developer
# guide, "Amazon SNS message delivery retries"); one hour more for a topic and a clock that are late.
OLDEST = timedelta(hours=2)
NEWEST = timedelta(minutes=15)

# In the order in which they are signed; Subject is signed when it is there.
_NOTICE = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_HANDSHAKE = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {NOTIFICATION: _NOTICE, SUBSCRIPTION: _HANDSHAKE, UNSUBSCRIPTION: _HANDSHAKE}
_HASHES: dict[str, hashes.HashAlgorithm] = {"1": hashes.SHA1(), "2": hashes.SHA256()}
_TOPIC = re.compile(r"arn:aws[a-z-]*:sns:([a-z0-9-]{4,40}):[0-9]{12}:[A-Za-z0-9_.-]{1,256}")
_CERTIFICATE_PATH = r"/SimpleNotificationService-[0-9a-f]{1,64}\.pem"


@dataclass(frozen=True, slots=True)
class SnsMessage:
    """`text`: its envelope as JSON, without what is not signed: anybody could change that. Nothing of it is
    true before `must_be_signed_by`."""

    type: str
    topic_arn: str
    region: str
    fields: dict[str, str]
    text: str

    def certificate_address(self) -> str:
        """Raises Never unless it is SNS's own address in the topic's region: whoever chooses it chooses the
        key. The whole of it is compared, so that no port, user, query or line end fits anywhere."""
        suffix = ".cn" if self.region.startswith("cn-") else ""
        host = re.escape(f"sns.{self.region}.amazonaws.com{suffix}")
        address = self.fields.get("SigningCertURL", "")
        if not re.fullmatch(f"https://{host}{_CERTIFICATE_PATH}", address, re.ASCII):
            raise Never("certificate address")
        return address

    def must_be_recent(self, now: datetime) -> None:
        """Raises Never for what SNS would not deliver now."""
        try:
            at = datetime.fromisoformat(self.fields["Timestamp"])
        except ValueError as e:
            raise Never("unreadable", 400) from e
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        if not now - OLDEST <= at <= now + NEWEST:
            raise Never("stale")

    def must_be_signed_by(self, key: RSAPublicKey) -> None:
        try:
            signature = base64.b64decode(self.fields["Signature"], validate=True)
            key.verify(signature, self._canonical(), PKCS1v15(), _HASHES[self.fields["SignatureVersion"]])
        except (InvalidSignature, binascii.Error, ValueError) as e:
            raise Never("signature") from e

    def _canonical(self) -> bytes:
        names = (name for name in _SIGNED[self.type] if name in self.fields)
        return "".join(f"{name}\n{self.fields[name]}\n" for name in names).encode()


def read(body: bytes) -> SnsMessage:
    """Raises Never for what is no message of SNS, or is not signed."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as e:
        raise Never("unreadable", 400) from e
    if not isinstance(value, dict) or not isinstance(value.get("Type"), str) or value["Type"] not in _SIGNED:
        raise Never("unreadable", 400)
    fields = {name: text for name, text in value.items() if isinstance(text, str)}
    _must_be_whole(value, fields)
    topic = _TOPIC.fullmatch(fields["TopicArn"])
    if topic is None:
        raise Never("foreign topic")
    signed = {name: fields[name] for name in _SIGNED[fields["Type"]] if name in fields}
    return SnsMessage(fields["Type"], fields["TopicArn"], topic[1], fields, orjson.dumps(signed).decode())


def _must_be_whole(value: dict[str, Any], fields: dict[str, str]) -> None:
    signed = _SIGNED[fields["Type"]]
    if not set(signed) - {"Subject"} <= fields.keys() or value.get("Subject") != fields.get("Subject"):
        raise Never("unreadable", 400)
    if not {"Signature", "SigningCertURL"} <= fields.keys() or fields.get("SignatureVersion") not in _HASHES:
        raise Never("unsigned")
    # Fields are signed one below the other: with a line end in another than the first, one signature would
    # fit two messages.
    if any("\n" in fields[name] for name in signed if name in fields and name != "Message"):
        raise Never("unreadable", 400)

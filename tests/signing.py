"""Signed as SNS and Svix sign, with keys of our own; written from their documents, not with the product's
code."""

from __future__ import annotations

import base64
import functools
import hashlib
import hmac
import itertools
import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

REGION = "ap-southeast-1"
CERTIFICATE_URL = f"https://sns.{REGION}.amazonaws.com/SimpleNotificationService-6209c161c6221fdf56ec.pem"
FROM, UNTIL = datetime(2020, 1, 1, tzinfo=UTC), datetime(2045, 1, 1, tzinfo=UTC)
SVIX_SECRET = "whsec_" + base64.b64encode(b"a signing secret of 24 b").decode()
HASHES = {"1": hashes.SHA1(), "2": hashes.SHA256()}
_numbers = itertools.count(1)


def key(name: str = "sns") -> rsa.RSAPrivateKey:
    return _made_once(name)


@functools.cache
def _made_once(name: str) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(
    *,
    common_name: str = "sns.amazonaws.com",
    names: tuple[str, ...] = (),
    since: datetime = FROM,
    until: datetime = UNTIL,
    signed_with: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | None = None,
) -> bytes:
    """PEM, signed by itself."""
    own = signed_with or key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(subject).serial_number(1)
    builder = builder.public_key(own.public_key()).not_valid_before(since).not_valid_after(until)
    if names:
        alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternative, critical=False)
    return builder.sign(own, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


class Served:
    """Serves one certificate wherever it is asked, and keeps what it was asked for."""

    def __init__(self, content: bytes | None = None) -> None:
        self.content = certificate() if content is None else content
        self.asked: list[str] = []

    def __call__(self, address: str) -> bytes:
        self.asked.append(address)
        return self.content


def signature(text: str, version: str = "2", name: str = "sns") -> str:
    return base64.b64encode(key(name).sign(text.encode(), padding.PKCS1v15(), HASHES[version])).decode()


def signed(message: dict[str, Any], version: str = "2", name: str = "sns") -> dict[str, Any]:
    """The message as SNS sends it: signed over these names, in their alphabetical order."""
    names = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
    text = "".join(f"{each}\n{message[each]}\n" for each in names if each in message)
    return {
        **message,
        "SignatureVersion": version,
        "Signature": signature(text, version, name),
        "SigningCertURL": message.get("SigningCertURL", CERTIFICATE_URL),
    }


def stamp(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def notification(
    topic_arn: str, text: str, at: datetime, *, subject: str | None = None, **values: str
) -> dict[str, Any]:
    message = {
        "Type": "Notification",
        "MessageId": f"22b80b92-fdea-4c2c-8f9d-{next(_numbers):012d}",
        "TopicArn": topic_arn,
        "Message": text,
        "Timestamp": stamp(at),
        "UnsubscribeURL": "https://sns.ap-southeast-1.amazonaws.com/?Action=Unsubscribe",
        **values,
    }
    return message if subject is None else {**message, "Subject": subject}


def handshake(
    topic_arn: str,
    at: datetime,
    *,
    kind: str = "SubscriptionConfirmation",
    token: str = "t0k3n",
    **values: str,
) -> dict[str, Any]:
    return {
        "Type": kind,
        "MessageId": f"165545c9-2a5c-472c-8df2-{next(_numbers):012d}",
        "Token": token,
        "TopicArn": topic_arn,
        "Message": f"You have chosen to subscribe to the topic {topic_arn}.",
        "SubscribeURL": "http://169.254.169.254/latest/meta-data/",
        "Timestamp": stamp(at),
        **values,
    }


def svix_headers(
    body: bytes, *, id_: str = "msg_1", secret: str = SVIX_SECRET, late: timedelta = timedelta()
) -> dict[str, str]:
    at = str(int(time.time() - late.total_seconds()))
    secret_key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(secret_key, f"{id_}.{at}.".encode() + body, hashlib.sha256).digest()
    return {
        "svix-id": id_,
        "svix-timestamp": at,
        "svix-signature": "v1," + base64.b64encode(digest).decode(),
    }


def resend_event(name: str, email_id: str, *to: str, **values: Any) -> bytes:
    """A webhook of Resend; `tags` and the part of the event's own (`bounce`, `click`) go into data."""
    data = {"email_id": email_id, "from": "Acme <news@acme-mail.io>", "to": to, "subject": "Hi", **values}
    created_at = values.pop("created_at", "2026-05-04T09:00:05.126Z")
    return json.dumps({"type": name, "created_at": created_at, "data": data}).encode()

"""SNS messages: what is signed, in which order, and that nothing of it can be changed."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.hooks import sns_messages
from core.hooks.answers import Never
from tests import signing

NOW = datetime(2026, 5, 4, 9, 0, tzinfo=UTC)
TOPIC = "arn:aws:sns:ap-southeast-1:123456789012:postyard-acme-events"
FIELDS = {
    "Type": "Notification",
    "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
    "TopicArn": TOPIC,
    "Message": "Hello\nworld!",
    "Timestamp": "2026-05-04T08:59:58.401Z",
}
GOLDEN = (
    "Message\nHello\nworld!\n"
    "MessageId\n22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324\n"
    "{subject}"
    "Timestamp\n2026-05-04T08:59:58.401Z\n"
    "TopicArn\narn:aws:sns:ap-southeast-1:123456789012:postyard-acme-events\n"
    "Type\nNotification\n"
)
GOLDEN_HANDSHAKE = (
    "Message\nYou have chosen.\n"
    "MessageId\n165545c9\n"
    "SubscribeURL\nhttps://sns.ap-southeast-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336\n"
    "Timestamp\n2026-05-04T08:59:58.401Z\n"
    "Token\n2336\n"
    "TopicArn\narn:aws:sns:ap-southeast-1:123456789012:postyard-acme-events\n"
    "Type\n{type}\n"
)


def accept(message: dict[str, Any]) -> None:
    read = sns_messages.read(json.dumps(message).encode())
    read.certificate_address()
    read.must_be_recent(NOW)
    read.must_be_signed_by(signing.key().public_key())


def refused(message: dict[str, Any]) -> str:
    with pytest.raises(Never) as told:
        accept(message)
    return told.value.why


def golden(version: str, subject: str | None) -> dict[str, Any]:
    text = GOLDEN.format(subject="" if subject is None else f"Subject\n{subject}\n")
    message: dict[str, Any] = {
        **FIELDS,
        "SignatureVersion": version,
        "Signature": signing.signature(text, version),
        "SigningCertURL": signing.CERTIFICATE_URL,
    }
    return message if subject is None else {**message, "Subject": subject}


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("subject", [None, "My subject", ""])
def test_a_golden_notification_is_accepted(version: str, subject: str | None) -> None:
    accept(golden(version, subject))


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("kind", ["SubscriptionConfirmation", "UnsubscribeConfirmation"])
def test_a_golden_handshake_is_accepted(version: str, kind: str) -> None:
    accept(
        {
            "Type": kind,
            "MessageId": "165545c9",
            "Token": "2336",
            "TopicArn": TOPIC,
            "Message": "You have chosen.",
            "SubscribeURL": "https://sns.ap-southeast-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336",
            "Timestamp": "2026-05-04T08:59:58.401Z",
            "SignatureVersion": version,
            "Signature": signing.signature(GOLDEN_HANDSHAKE.format(type=kind), version),
            "SigningCertURL": signing.CERTIFICATE_URL,
        }
    )


def test_without_the_last_line_end_nothing_is_signed() -> None:
    text = GOLDEN.format(subject="").removesuffix("\n")

    assert refused({**golden("2", None), "Signature": signing.signature(text)}) == "signature"


def test_a_subject_that_was_taken_away_or_added_is_missed() -> None:
    with_subject, without = golden("2", "My subject"), golden("2", None)

    assert refused({name: text for name, text in with_subject.items() if name != "Subject"}) == "signature"
    assert refused({**without, "Subject": "Amazon SES Email Event Notification"}) == "signature"
    assert refused({**without, "Subject": ["x"]}) == "unreadable"
    accept({**without, "Subject": None})


def test_nothing_is_kept_that_is_not_signed() -> None:
    """Whoever has seen one that nobody can read could else have it parked as often as he likes."""
    message = {**golden("2", "My subject"), "UnsubscribeURL": "https://evil.com/", "Another": "forged"}
    accept(message)

    kept = json.loads(sns_messages.read(json.dumps(message).encode()).text)
    assert kept == {**FIELDS, "Subject": "My subject"}


def test_a_version_stands_for_its_own_hash_alone() -> None:
    assert refused({**golden("1", None), "SignatureVersion": "2"}) == "signature"
    assert refused({**golden("2", None), "SignatureVersion": "1"}) == "signature"


@pytest.mark.parametrize("version", [None, "0", "3", "1.0", " 1", "", 1, True, ["1"]])
def test_any_other_version_is_refused(version: Any) -> None:
    assert refused({**golden("1", None), "SignatureVersion": version}) == "unsigned"


@pytest.mark.parametrize("name", ["Signature", "SigningCertURL", "SignatureVersion"])
def test_what_is_not_signed_is_refused(name: str) -> None:
    message = golden("2", None)

    assert refused({key: text for key, text in message.items() if key != name}) == "unsigned"
    assert refused({**message, name: None}) == "unsigned"


@pytest.mark.parametrize("signature", ["", "AAAA", "not base64", "=", "\N{SNOWMAN}", "A" * 100_000])
def test_rubbish_is_no_signature(signature: str) -> None:
    assert refused({**golden("2", None), "Signature": signature}) == "signature"


def test_another_key_is_not_ours() -> None:
    text = GOLDEN.format(subject="")

    assert refused({**golden("2", None), "Signature": signing.signature(text, name="thief")}) == "signature"


@settings(max_examples=150, deadline=None)
@given(
    name=st.sampled_from(["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type", "Signature"]),
    place=st.integers(0, 10_000),
    sign=st.characters(exclude_categories=["Cs"]),
)
def test_one_sign_changed_anywhere_is_refused(name: str, place: int, sign: str) -> None:
    message = golden("2", "My subject")
    text = message[name]
    place %= len(text)
    altered = text[:place] + sign + text[place + 1 :]
    if altered != text and not (name == "Signature" and same_bytes(altered, text)):
        refused({**message, name: altered})


def same_bytes(one: str, other: str) -> bool:
    """Base64 may spell the same bytes in two ways: its last sign has bits that count for nothing."""
    try:
        return base64.b64decode(one, validate=True) == base64.b64decode(other, validate=True)
    except ValueError:
        return False


@settings(max_examples=100, deadline=None)
@given(bit=st.integers(0, 255 * 8 + 7))
def test_one_bit_changed_in_the_signature_is_refused(bit: int) -> None:
    message = golden("1", None)
    altered = bytearray(base64.b64decode(message["Signature"]))
    altered[bit // 8] ^= 1 << bit % 8

    assert refused({**message, "Signature": base64.b64encode(altered).decode()}) == "signature"


@pytest.mark.parametrize("name", ["MessageId", "Subject", "Timestamp", "Type"])
def test_one_signature_fits_one_message(name: str) -> None:
    """Lines may not wander from one field into the next: the signed text would stay the same."""
    message = golden("2", "My subject")
    if name == "MessageId":
        message |= {"MessageId": f"{message['MessageId']}\nSubject\n{message.pop('Subject')}"}
    elif name == "Subject":
        message |= {"Subject": f"{message['Subject']}\nTimestamp\n{message['Timestamp']}"}
    else:
        message[name] += "\n"

    refused(message)


@pytest.mark.parametrize("field", ["Message", "MessageId", "Timestamp", "TopicArn", "Type"])
@pytest.mark.parametrize("value", [None, 1, {}, [], True])
def test_a_field_that_is_no_text_is_unreadable(field: str, value: Any) -> None:
    assert refused({**golden("2", None), field: value}) == "unreadable"


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"1", b'"x"', b"{}", b"\xff\xfe", b"{" * 5000, b'{"Type": "Notification"}', b"a=b"],
)
def test_what_is_no_message_of_sns_is_unreadable(body: bytes) -> None:
    with pytest.raises(Never) as told:
        sns_messages.read(body)

    assert (told.value.why, told.value.status) == ("unreadable", 400)


@pytest.mark.parametrize(
    "arn",
    ["", "x", "arn:aws:sqs:ap-southeast-1:123456789012:x", TOPIC + "\0", TOPIC + " ", TOPIC + ":sub",
     "arn:aws:sns:ap-southeast-1:12345:x", "arn:aws:sns:evil.com/:123456789012:x"],
)  # fmt: skip
def test_what_is_no_topic_is_foreign(arn: str) -> None:
    assert refused({**golden("2", None), "TopicArn": arn}) == "foreign topic"


HOST = "https://sns.ap-southeast-1.amazonaws.com"
PEM = "/SimpleNotificationService-6209c161c6221fdf56ec.pem"
TRICKS = [
    "",
    f"http://sns.ap-southeast-1.amazonaws.com{PEM}",
    f"HTTPS://sns.ap-southeast-1.amazonaws.com{PEM}",
    f"https://sns.us-east-1.amazonaws.com{PEM}",  # SNS's, but not of the topic's region
    f"https://sns.ap-southeast-1.amazonaws.com.cn{PEM}",
    f"https://sns.ap-southeast-1.amazonaws.com.evil.com{PEM}",
    f"https://sns.ap-southeast-1.amazonaws.com@evil.com{PEM}",
    f"https://evil.com@sns.ap-southeast-1.amazonaws.com{PEM}",
    f"https://user:pass@sns.ap-southeast-1.amazonaws.com{PEM}",
    f"https://sns.ap-southeast-1.amazonaws.com:443{PEM}",
    f"https://sns.ap-southeast-1.amazonaws.com:8443{PEM}",
    f"https://sns.ap-southeast-1.amazonaws.com.{PEM}",
    f"https://snsxap-southeast-1.amazonaws.com{PEM}",
    f"https://evil-sns.ap-southeast-1.amazonaws.com{PEM}",
    f"https://sns.ap-southeast-1.amazonaws.com.s3.amazonaws.com{PEM}",
    f"https://my-bucket.s3.amazonaws.com{PEM}",
    f"https://sns.ap-southeast-1.amazonaws.com\\@evil.com{PEM}",
    f"https:\\\\sns.ap-southeast-1.amazonaws.com{PEM}",
    f"https://evil.com/?https://sns.ap-southeast-1.amazonaws.com{PEM}",
    f"https://evil.com#sns.ap-southeast-1.amazonaws.com{PEM}",
    f"https://169.254.169.254{PEM}",
    f"https://[::1]{PEM}",
    f"https://localhost{PEM}",
    f"//sns.ap-southeast-1.amazonaws.com{PEM}",
    f"file:///etc/passwd#{HOST}{PEM}",
    f"{HOST}{PEM}?x=1",
    f"{HOST}{PEM}#x",
    f"{HOST}{PEM}\n",
    f"\n{HOST}{PEM}",
    f" {HOST}{PEM}",
    f"{HOST}{PEM}\0",
    f"{HOST}{PEM};x",
    f"{HOST}{PEM}%0a",
    f"{HOST}/x{PEM}",
    f"{HOST}//SimpleNotificationService-6209.pem",
    f"{HOST}/../SimpleNotificationService-6209.pem",
    f"{HOST}/SimpleNotificationService-../x.pem",
    f"{HOST}/SimpleNotificationService-6209.pem.txt",
    f"{HOST}/SimpleNotificationService-.pem",
    f"{HOST}/SimpleNotificationService-xyz.pem",
    f"{HOST}/SimpleNotificationService-６２０９.pem",
    f"{HOST}/?Action=ConfirmSubscription",
    f"https://sns.ap-southeast-1.amazonaws。com{PEM}",
    f"https://ѕns.ap-southeast-1.amazonaws.com{PEM}",
]


@pytest.mark.parametrize("address", TRICKS)
def test_a_certificate_from_anywhere_else_is_refused(address: str) -> None:
    assert refused({**golden("2", None), "SigningCertURL": address}) == "certificate address"


def test_in_china_the_certificate_is_at_the_chinese_host() -> None:
    topic = "arn:aws-cn:sns:cn-north-1:123456789012:postyard-acme-events"
    address = f"https://sns.cn-north-1.amazonaws.com.cn{PEM}"
    message = {**FIELDS, "TopicArn": topic}

    accept(signing.signed({**message, "SigningCertURL": address}))
    assert refused(signing.signed({**message, "SigningCertURL": address.replace(".cn/", "/")}))


@pytest.mark.parametrize(
    ("age", "taken"),
    [(timedelta(hours=1), True), (timedelta(minutes=119), True), (timedelta(minutes=121), False),
     (timedelta(days=400), False), (timedelta(minutes=-14), True), (timedelta(minutes=-16), False)],
)  # fmt: skip
def test_what_sns_would_not_deliver_now_is_stale(age: timedelta, taken: bool) -> None:
    message = signing.signed(signing.notification(TOPIC, "{}", NOW - age))

    if taken:
        accept(message)
    else:
        assert refused(message) == "stale"


@pytest.mark.parametrize("written", ["", "yesterday", "2026-13-01T00:00:00Z", "9" * 50])
def test_a_time_that_is_none_is_unreadable(written: str) -> None:
    assert refused(signing.signed({**FIELDS, "Timestamp": written})) == "unreadable"


def test_of_a_name_that_comes_twice_one_value_is_checked_and_used() -> None:
    body = (
        json.dumps(golden("2", None)).replace("{", '{"TopicArn": "arn:aws:sns:eu-west-1:1:x", ', 1).encode()
    )

    assert sns_messages.read(body).topic_arn == TOPIC

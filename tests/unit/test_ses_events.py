"""What SES says, in every envelope and every state of disrepair."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.db.states import BounceType, EventType
from core.providers.base import ProviderEvent
from core.providers.ses_events import UnreadableEvent, noticed_tenant, parse

SAMPLES = Path(__file__).parent.parent / "data" / "ses_events"
MESSAGE_ID = "0100019a9f3c2b1d-3f0c2a1e-7a4e-4c55-9d62-0e3a5c1f9b77-000000"
TOPIC = "arn:aws:sns:us-east-1:123456789012:postyard-acme-events"


def sample(name: str) -> dict[str, Any]:
    return dict(json.loads((SAMPLES / f"{name}.json").read_text()))


def in_sns(record: Any) -> str:
    message = record if isinstance(record, str) else json.dumps(record)
    return json.dumps({**sample("envelope_sns"), "TopicArn": TOPIC, "Message": message})


def one(record: dict[str, Any]) -> ProviderEvent:
    [event] = parse(json.dumps(record))
    return event


RECORDS = sorted(path.stem for path in SAMPLES.glob("*.json") if not path.stem.startswith("envelope"))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("send", EventType.SEND),
        ("delivery", EventType.DELIVERY),
        ("bounce_permanent_general", EventType.BOUNCE),
        ("complaint", EventType.COMPLAINT),
        ("reject", EventType.REJECT),
        ("delivery_delay", EventType.DELIVERY_DELAY),
        ("open", EventType.OPEN),
        ("click", EventType.CLICK),
        ("rendering_failure", EventType.RENDERING_FAILURE),
        ("subscription", EventType.SUBSCRIPTION),
    ],
)
def test_all_ten_types_are_understood(name: str, kind: EventType) -> None:
    event = one(sample(name))
    assert event.type is kind
    assert event.recipient == "rcpt@example.net"
    assert event.provider_message_id == MESSAGE_ID
    assert event.msg_uid == "01JD3W8Q9Z"
    assert event.counts_in_rates is True
    assert event.occurred_at.tzinfo is UTC


def test_a_type_that_ses_adds_some_day_is_kept_as_other() -> None:
    event = one({**sample("send"), "eventType": "Levitation"})
    assert event.type is EventType.OTHER


@pytest.mark.parametrize("name", RECORDS)
def test_all_three_envelopes_and_the_old_shape_give_the_same_event(name: str) -> None:
    record = sample(name)
    [raw] = parse(json.dumps(record))
    [sns] = parse(in_sns(record))
    bridged = {**sample("envelope_eventbridge"), "detail-type": "Email Something", "detail": record}
    [eventbridge] = parse(json.dumps(bridged))
    [bridged_sns] = parse(in_sns(bridged))
    old = {"notificationType" if key == "eventType" else key: value for key, value in record.items()}
    assert {raw.uid, sns.uid, eventbridge.uid, bridged_sns.uid, one(old).uid} == {raw.uid}
    assert {raw.type, sns.type, eventbridge.type, bridged_sns.type, one(old).type} == {raw.type}
    assert sns.topic_arn == bridged_sns.topic_arn == TOPIC
    assert raw.topic_arn is None
    assert json.loads(sns.raw) == record


def test_a_permanent_bounce_says_why() -> None:
    event = one(sample("bounce_permanent_general"))
    assert event.bounce_type is BounceType.PERMANENT
    assert event.bounce_subtype == "General"
    assert event.diagnostic == "smtp; 550 5.1.1 user unknown"
    assert event.tenant_tag == "acme"
    assert event.occurred_at == datetime(2026, 11, 20, 9, 0, 3, 111000, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "bounce_type"),
    [
        ("bounce_transient_mailbox_full", BounceType.TRANSIENT),
        ("bounce_transient_general_out_of_office", BounceType.TRANSIENT),
        ("bounce_undetermined", BounceType.UNDETERMINED),
    ],
)
def test_soft_bounces_are_told_from_hard_ones(name: str, bounce_type: BounceType) -> None:
    assert one(sample(name)).bounce_type is bounce_type


@pytest.mark.parametrize(
    "subtype", ["OnAccountSuppressionList", "OnTenantSuppressionList", "EmailValidationSuppressed"]
)
def test_what_ses_held_back_itself_does_not_count_in_rates(subtype: str) -> None:
    record = sample("bounce_permanent_general")
    record["bounce"]["bounceSubType"] = subtype
    assert one(record).counts_in_rates is False
    record["bounce"]["bounceSubType"] = "Suppressed"  # the global list does count
    assert one(record).counts_in_rates is True


def test_the_mailbox_simulator_does_not_count_in_rates() -> None:
    record = sample("bounce_permanent_general")
    record["bounce"]["bouncedRecipients"][0]["emailAddress"] = "Bounce+1@simulator.amazonses.com"
    event = one(record)
    assert event.recipient == "bounce+1@simulator.amazonses.com"
    assert event.counts_in_rates is False


def test_not_spam_is_kept_but_is_no_complaint_in_the_rates() -> None:
    record = sample("complaint")
    assert one(record).feedback_type == "abuse"
    record["complaint"]["complaintFeedbackType"] = "not-spam"
    event = one(record)
    assert (event.type, event.feedback_type, event.counts_in_rates) == (
        EventType.COMPLAINT,
        "not-spam",
        False,
    )


def test_a_complaint_from_the_suppression_list_does_not_count() -> None:
    record = sample("complaint")
    record["complaint"]["complaintSubType"] = "OnTenantSuppressionList"
    assert one(record).counts_in_rates is False


def test_each_recipient_has_an_event_and_an_id_of_its_own() -> None:
    record = sample("bounce_permanent_general")
    record["bounce"]["bouncedRecipients"] += [
        {"emailAddress": "B@Example.org", "diagnosticCode": "smtp; 550 no"},
        {"emailAddress": "rcpt@example.net"},
    ]
    first, second = parse(json.dumps(record))
    assert (first.recipient, second.recipient) == ("rcpt@example.net", "b@example.org")
    assert second.diagnostic == "smtp; 550 no"
    assert first.uid != second.uid


def test_a_redelivery_has_the_same_id_and_another_open_has_not() -> None:
    record = sample("open")
    again, later, elsewhere = copy.deepcopy(record), copy.deepcopy(record), copy.deepcopy(record)
    again["mail"]["tags"]["ses:outgoing-ip"] = ["198.51.100.9"]
    later["open"]["timestamp"] = "2026-11-20T09:05:59.634Z"
    elsewhere["open"]["ipAddress"] = "192.0.2.77"
    assert one(again).uid == one(record).uid
    assert len({one(each).uid for each in (record, later, elsewhere)}) == 3


def test_two_links_clicked_in_the_same_moment_are_two_events() -> None:
    record = sample("click")
    other = copy.deepcopy(record)
    other["click"]["link"] = "https://acme-mail.io/other"
    assert one(record).uid != one(other).uid
    assert one(other).diagnostic == "https://acme-mail.io/other"


def test_a_bounce_is_known_by_its_feedback_id_however_it_is_written() -> None:
    record = sample("bounce_permanent_general")
    rounded = copy.deepcopy(record)
    rounded["bounce"]["timestamp"] = "2026-11-20T09:00:03Z"
    another = copy.deepcopy(record)
    another["bounce"]["feedbackId"] = "another"
    assert one(record).uid == one(rounded).uid
    assert one(record).uid != one(another).uid


@pytest.mark.parametrize(
    "body",
    [
        "Successfully validated SNS topic for Amazon SES event publishing.",
        in_sns("Successfully validated SNS topic for Amazon SES event publishing."),
        in_sns({"notificationType": "AmazonSnsSubscriptionSucceeded", "message": "You have subscribed."}),
        json.dumps({"source": "aws.ses", "detail-type": "Sending Status Disabled", "detail": {}}),
    ],
)
def test_what_ses_says_besides_events_is_nothing(body: str) -> None:
    assert parse(body) == []


@pytest.mark.parametrize(
    "body",
    [
        "",
        "hello",
        "[]",
        "null",
        "{}",
        '"text"',
        "\ud800",
        "[" * 5000,
        in_sns("hello"),
        in_sns({"eventType": "Send"}),
        json.dumps({"Type": "SubscriptionConfirmation", "TopicArn": TOPIC, "SubscribeURL": "https://x"}),
        json.dumps({"Type": "Notification", "TopicArn": TOPIC}),
        json.dumps(sample("envelope_eventbridge")),
    ],
)
def test_garbage_is_unreadable_and_nothing_worse(body: str) -> None:
    with pytest.raises(UnreadableEvent):
        parse(body)


@pytest.mark.parametrize("missing", ["mail", "messageId", "timestamp", "destination"])
def test_a_record_without_the_essentials_is_unreadable(missing: str) -> None:
    record = sample("send")
    holder = record if missing in record else record["mail"]
    del holder[missing]
    with pytest.raises(UnreadableEvent):
        parse(json.dumps(record))


def test_nothing_that_a_database_refuses_gets_through() -> None:
    record = sample("bounce_permanent_general")
    record["bounce"]["bouncedRecipients"][0]["diagnosticCode"] = "smtp; \0" + "x" * 10_000
    event = one(record)
    assert event.diagnostic is not None
    assert "\0" not in event.diagnostic
    assert "\0" not in event.raw
    assert len(event.diagnostic) <= 2000


HOSTILE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.just("9999-12-31T23:59:59-23:59"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, each in inner for place in places(each, (*path, key)))]


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    record = sample(draw(st.sampled_from(RECORDS)))
    for place in draw(st.lists(st.sampled_from(places(record)[1:]), min_size=1, max_size=3)):
        holder: Any = record
        try:
            for key in place[:-1]:
                holder = holder[key]
            holder[place[-1]] = draw(HOSTILE)
        except (KeyError, IndexError, TypeError):
            continue
    return record


@settings(deadline=None)
@given(mutated(), st.booleans())
def test_a_damaged_record_is_read_or_unreadable(record: dict[str, Any], enveloped: bool) -> None:
    body = in_sns(record) if enveloped else json.dumps(record)
    try:
        events = parse(body)
    except UnreadableEvent:
        return
    for event in events:
        assert event.recipient
        assert event.provider_message_id
        assert event.occurred_at.tzinfo is UTC
        assert isinstance(event.msg_uid, str | None)
        assert isinstance(event.bounce_subtype, str | None)


ACME = "arn:aws:ses:us-east-1:123456789012:tenant/acme/tn-1f"


def notice(**changed: Any) -> str:
    envelope = {
        "detail-type": "Sending Status Disabled",
        "source": "aws.ses",
        "resources": [ACME],
        "detail": {"version": "1.0.0", "data": {"origin": "AWS_MANAGED", "record": {"status": "DISABLED"}}},
    }
    return json.dumps(envelope | changed)


@pytest.mark.parametrize(
    "kind",
    [
        "Sending Status Enabled",
        "Sending Status Disabled",
        "Advisor Recommendation Status Open",
        "Advisor Recommendation Status Closed",
        "Advisor Recommendation Status Resolved",
    ],
)
def test_a_notice_names_its_tenant_and_holds_no_event(kind: str) -> None:
    body = notice(**{"detail-type": kind}, detail={"data": "The bounce rate exceeded 15.0%"})
    assert noticed_tenant(body) == ACME
    assert parse(body) == []


@pytest.mark.parametrize(
    "body",
    [
        notice(source="com.somebody"),
        notice(resources=[]),
        notice(resources=None),
        notice(resources=[7]),
        notice(**{"detail-type": "Email Bounced"}),
        notice(**{"detail-type": None}),
        '"detail-type"',
        '{"detail-type": ',
        in_sns(sample(RECORDS[0])),
        "Successfully validated SNS topic for Amazon SES event publishing.",
    ],
)
def test_what_is_no_notice_names_no_tenant(body: str) -> None:
    assert noticed_tenant(body) is None


@settings(deadline=None)
@given(st.text() | HOSTILE.map(json.dumps))
def test_any_body_is_read_or_unreadable(body: str) -> None:
    noticed_tenant(body)
    try:
        parse(body)
    except UnreadableEvent:
        return

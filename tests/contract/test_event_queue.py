"""The queue that SES's events arrive in: SNS and SQS as boto3 and the simulator know them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from core.errors import ProviderError
from core.providers.queue import SqsQueue
from core.providers.ses_events import parse
from tests.contract.ses_mail import REGION, mail, ready_to_send
from tests.simulators import Simulator, free_port


@pytest.fixture
def sqs(queue: SqsQueue) -> Any:
    return boto3.client("sqs", region_name=REGION)


@pytest.fixture
def sns(queue: SqsQueue) -> Any:
    return boto3.client("sns", region_name=REGION)


def attributes(sqs: Any, url: str) -> dict[str, str]:
    return dict(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"])


def test_the_queue_keeps_events_for_two_weeks_and_sets_aside_what_fails_five_times(
    queue: SqsQueue, sqs: Any
) -> None:
    plumbing = queue.create_event_queue("postyard-events")
    found, dead = attributes(sqs, plumbing.queue_url), attributes(sqs, plumbing.dead_letter_queue_url)
    assert found["QueueArn"] == plumbing.queue_arn
    assert found["MessageRetentionPeriod"] == dead["MessageRetentionPeriod"] == "1209600"
    assert found["VisibilityTimeout"] == "60"
    redrive = json.loads(found["RedrivePolicy"])
    assert redrive["deadLetterTargetArn"] == dead["QueueArn"]
    assert int(redrive["maxReceiveCount"]) == 5


def test_only_our_own_topics_and_rules_may_write_to_the_queue(queue: SqsQueue, sqs: Any) -> None:
    plumbing = queue.create_event_queue("postyard-events")
    topics, rules = json.loads(attributes(sqs, plumbing.queue_url)["Policy"])["Statement"]
    assert topics["Principal"] == {"Service": "sns.amazonaws.com"}
    assert rules["Principal"] == {"Service": "events.amazonaws.com"}
    assert topics["Action"] == rules["Action"] == "sqs:SendMessage"
    ours = plumbing.queue_arn.removesuffix("postyard-events")
    assert topics["Condition"] == {
        "ArnLike": {"aws:SourceArn": ours.replace(":sqs:", ":sns:") + "postyard-*"}
    }
    assert rules["Condition"] == {
        "ArnLike": {"aws:SourceArn": ours.replace(":sqs:", ":events:") + "rule/postyard-*"}
    }


def test_only_ses_of_the_same_account_may_publish_to_the_topic(queue: SqsQueue, sns: Any) -> None:
    topic_arn = queue.create_topic("postyard-acme-events", queue.create_event_queue("postyard-events"))
    policy = sns.get_topic_attributes(TopicArn=topic_arn)["Attributes"]["Policy"]
    [statement] = json.loads(policy)["Statement"]
    assert statement["Principal"] == {"Service": "ses.amazonaws.com"}
    assert statement["Action"] == "sns:Publish"
    assert statement["Condition"] == {"StringEquals": {"AWS:SourceAccount": topic_arn.split(":")[4]}}


def test_made_twice_it_is_the_same_and_hears_everything_once(queue: SqsQueue, sns: Any) -> None:
    plumbing = queue.create_event_queue("postyard-events")
    topic_arn = queue.create_topic("postyard-acme-events", plumbing)
    assert queue.create_event_queue("postyard-events") == plumbing
    assert queue.create_topic("postyard-acme-events", plumbing) == topic_arn
    [subscription] = sns.list_subscriptions_by_topic(TopicArn=topic_arn)["Subscriptions"]
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("sqs", plumbing.queue_arn)
    sns.publish(TopicArn=topic_arn, Message="hello")
    [message] = queue.receive(plumbing.queue_url, wait_seconds=1)
    assert json.loads(message.body)["Message"] == "hello"
    assert json.loads(message.body)["TopicArn"] == topic_arn


def test_a_message_tells_its_age_and_how_often_it_came(queue: SqsQueue) -> None:
    url = queue.create_event_queue("postyard-events").queue_url
    queue.send_to(url, "body")
    [message] = queue.receive(url, wait_seconds=1)
    assert (message.body, message.receives) == ("body", 1)
    assert message.sent_at is not None
    assert abs(datetime.now(UTC) - message.sent_at) < timedelta(seconds=30)


def test_an_empty_queue_gives_nothing(queue: SqsQueue) -> None:
    url = queue.create_event_queue("postyard-events").queue_url
    assert queue.receive(url, wait_seconds=0) == []
    assert queue.depth(url) == 0
    queue.delete(url, [])


def test_more_than_ten_are_deleted_and_those_in_hand_count_as_waiting(queue: SqsQueue) -> None:
    url = queue.create_event_queue("postyard-events").queue_url
    for number in range(13):
        queue.send_to(url, str(number))
    assert queue.depth(url) == 13
    received = [*queue.receive(url, wait_seconds=1), *queue.receive(url, wait_seconds=1)]
    assert len(received) == 13
    assert queue.depth(url) == 13
    queue.delete(url, [message.receipt for message in received])
    assert queue.depth(url) == 0


def test_what_cannot_be_deleted_does_not_keep_the_rest(queue: SqsQueue) -> None:
    url = queue.create_event_queue("postyard-events").queue_url
    queue.send_to(url, "body")
    [message] = queue.receive(url, wait_seconds=1)
    queue.delete(url, [message.receipt, "no receipt at all"])
    assert queue.depth(url) == 0


def test_what_ses_accepts_comes_back_as_events(queue: SqsQueue, ses: Any, simulator: Simulator) -> None:
    plumbing = queue.create_event_queue("postyard-events")
    topic_arn = queue.create_topic("postyard-acme-events", plumbing)
    ses.create_configuration_set("postyard-acme")
    ses.create_event_destination("postyard-acme", topic_arn)
    ready_to_send(ses, simulator)
    result = ses.send_one(mail(1))
    seen = set()
    for _ in range(20):
        for message in queue.receive(plumbing.queue_url, wait_seconds=1):
            for event in parse(message.body):
                assert event.provider_message_id == result.provider_message_id
                assert (event.msg_uid, event.topic_arn) == ("0-abc", topic_arn)
                assert event.recipient == "r0@example.com"
                assert event.tenant_tag == "acme"
                seen.add(event.type.value)
            queue.delete(plumbing.queue_url, [message.receipt])
        if seen >= {"SEND", "DELIVERY"}:
            break
    assert seen == {"SEND", "DELIVERY"}
    assert queue.depth(plumbing.queue_url) == 0


@pytest.mark.slow
def test_where_nobody_listens_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    with pytest.raises(ProviderError, match=f"SQS does not answer at {url}"):
        SqsQueue(REGION).receive(f"{url}/1/postyard-events", wait_seconds=0)


def test_a_queue_that_is_gone_is_a_sentence(queue: SqsQueue, simulator: Simulator) -> None:
    with pytest.raises(ProviderError, match="SQS refused ReceiveMessage"):
        queue.receive(f"{simulator.url}/000000000000/nothing-here", wait_seconds=0)

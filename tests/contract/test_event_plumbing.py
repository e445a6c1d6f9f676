"""What must be set up for events to arrive: each fault is found, named, and mended by making it again."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from core.errors import ProviderError
from core.providers.base import Plumbing
from core.providers.queue import SqsQueue
from core.providers.queue_policies import meaning
from core.providers.ses import SesProvider
from tests.contract.ses_mail import REGION
from tests.simulators import Simulator

QUEUE = "postyard-events"
TOPIC = "postyard-acme-events"
RULE = "postyard-ses-status"


class Plumbed:
    """A queue, a topic and a rule as we make them, and boto3's own clients to spoil them with."""

    def __init__(self, queue: SqsQueue) -> None:
        self.queue = queue
        self.sqs, self.sns, self.events = (boto3.client(name, region_name=REGION) for name in SERVICES)
        self.make()

    def make(self) -> None:
        self.plumbing: Plumbing = self.queue.create_event_queue(QUEUE)
        self.topic_arn = self.queue.create_topic(TOPIC, self.plumbing)
        self.rule_arn = self.queue.create_status_rule(RULE, self.plumbing)

    def faults(self) -> list[str | None]:
        return [
            self.queue.queue_fault(QUEUE),
            self.queue.topic_fault(self.topic_arn, self.plumbing),
            self.queue.status_rule_fault(RULE, self.plumbing),
        ]

    def set_queue(self, **attributes: str) -> None:
        self.sqs.set_queue_attributes(QueueUrl=self.plumbing.queue_url, Attributes=attributes)

    def set_subscription(self, name: str, value: str) -> None:
        [found] = self.subscriptions()
        self.sns.set_subscription_attributes(
            SubscriptionArn=found["SubscriptionArn"], AttributeName=name, AttributeValue=value
        )

    def subscriptions(self) -> list[dict[str, Any]]:
        return list(self.sns.list_subscriptions_by_topic(TopicArn=self.topic_arn)["Subscriptions"])

    def unsubscribe(self) -> None:
        [found] = self.subscriptions()
        self.sns.unsubscribe(SubscriptionArn=found["SubscriptionArn"])

    def retarget(self) -> None:
        other = self.plumbing.queue_arn.replace(QUEUE, "another-queue")
        self.events.put_targets(Rule=RULE, Targets=[{"Id": "queue", "Arn": other}])


SERVICES = ("sqs", "sns", "events")
Spoil = Callable[[Plumbed], Any]


@pytest.fixture
def plumbed(queue: SqsQueue) -> Plumbed:
    return Plumbed(queue)


def test_what_we_make_has_no_fault_and_twice_is_the_same(plumbed: Plumbed) -> None:
    assert plumbed.faults() == [None, None, None]
    before = (plumbed.plumbing, plumbed.topic_arn, plumbed.rule_arn)
    plumbed.make()
    assert (plumbed.plumbing, plumbed.topic_arn, plumbed.rule_arn) == before
    assert plumbed.faults() == [None, None, None]
    assert len(plumbed.subscriptions()) == 1
    assert len(plumbed.events.list_targets_by_rule(Rule=RULE)["Targets"]) == 1


def test_what_is_not_there_is_named(queue: SqsQueue) -> None:
    arn = f"arn:aws:sns:{REGION}:000000000000:{TOPIC}"
    plumbing = Plumbing("http://nowhere/postyard-events", arn.replace(":sns:", ":sqs:"), "")
    assert queue.queue_fault(QUEUE) == "There is no queue postyard-events."
    assert queue.topic_fault(arn, plumbing) == "There is no SNS topic postyard-acme-events."
    assert queue.status_rule_fault(RULE, plumbing) == "There is no EventBridge rule postyard-ses-status."


SPOILS: dict[str, tuple[int, str, Spoil]] = {
    "dead-letter queue gone": (
        0,
        "There is no queue postyard-events-dlq.",
        lambda p: p.sqs.delete_queue(QueueUrl=p.plumbing.dead_letter_queue_url),
    ),
    "retention": (
        0,
        "Queue postyard-events has MessageRetentionPeriod 345600 instead of 1209600.",
        lambda p: p.set_queue(MessageRetentionPeriod="345600"),
    ),
    "retention of the dead-letter queue": (
        0,
        "Queue postyard-events-dlq has MessageRetentionPeriod 60 instead of 1209600.",
        lambda p: p.sqs.set_queue_attributes(
            QueueUrl=p.plumbing.dead_letter_queue_url, Attributes={"MessageRetentionPeriod": "60"}
        ),
    ),
    "visibility": (
        0,
        "Queue postyard-events has VisibilityTimeout 30 instead of 60.",
        lambda p: p.set_queue(VisibilityTimeout="30"),
    ),
    "redrive": (
        0,
        "Queue postyard-events has another RedrivePolicy than it should have.",
        lambda p: p.set_queue(
            RedrivePolicy=json.dumps(
                {"deadLetterTargetArn": f"{p.plumbing.queue_arn}-dlq", "maxReceiveCount": "50"}
            )
        ),
    ),
    "policy of the queue": (
        0,
        "Queue postyard-events has another Policy than it should have.",
        lambda p: p.set_queue(Policy=""),
    ),
    "policy of the topic": (
        1,
        "SNS topic postyard-acme-events has another Policy than it should have.",
        lambda p: p.sns.set_topic_attributes(
            TopicArn=p.topic_arn, AttributeName="Policy", AttributeValue='{"Version":"2012-10-17"}'
        ),
    ),
    "subscription gone": (
        1,
        "SNS topic postyard-acme-events does not write to queue postyard-events.",
        lambda p: p.unsubscribe(),
    ),
    "raw delivery": (
        1,
        "SNS topic postyard-acme-events delivers raw messages",
        lambda p: p.set_subscription("RawMessageDelivery", "true"),
    ),
    "filter": (
        1,
        "SNS topic postyard-acme-events filters what it delivers",
        lambda p: p.set_subscription("FilterPolicy", '{"eventType": ["Bounce"]}'),
    ),
    "rule disabled": (
        2,
        "EventBridge rule postyard-ses-status has State DISABLED instead of ENABLED.",
        lambda p: p.events.disable_rule(Name=RULE),
    ),
    "pattern": (
        2,
        "EventBridge rule postyard-ses-status has another EventPattern than it should have.",
        lambda p: p.events.put_rule(Name=RULE, EventPattern='{"source": ["aws.ec2"]}', State="ENABLED"),
    ),
    "target elsewhere": (
        2,
        "EventBridge rule postyard-ses-status does not write to queue postyard-events.",
        Plumbed.retarget,
    ),
    "target gone": (
        2,
        "EventBridge rule postyard-ses-status does not write to queue postyard-events.",
        lambda p: p.events.remove_targets(Rule=RULE, Ids=["queue"]),
    ),
}


@pytest.mark.parametrize("spoiled", SPOILS)
def test_each_change_is_found_and_making_it_again_mends_it(plumbed: Plumbed, spoiled: str) -> None:
    place, sentence, spoil = SPOILS[spoiled]
    spoil(plumbed)
    found = plumbed.faults()
    said = found.pop(place) or ""
    assert said.startswith(sentence)
    assert said.endswith(".")
    assert found == [None, None]
    plumbed.make()
    assert plumbed.faults() == [None, None, None]


@pytest.mark.parametrize(
    ("operation", "service", "ask"),
    [
        ("GetQueueUrl", "SQS", lambda p: p.queue.queue_fault(QUEUE)),
        ("GetTopicAttributes", "SNS", lambda p: p.queue.topic_fault(p.topic_arn, p.plumbing)),
        ("DescribeRule", "EventBridge", lambda p: p.queue.status_rule_fault(RULE, p.plumbing)),
        ("PutRule", "EventBridge", lambda p: p.queue.create_status_rule(RULE, p.plumbing)),
        ("PutTargets", "EventBridge", lambda p: p.queue.create_status_rule(RULE, p.plumbing)),
    ],
)
def test_what_iam_does_not_allow_is_a_sentence_and_no_fault(
    plumbed: Plumbed, simulator: Simulator, operation: str, service: str, ask: Spoil
) -> None:
    simulator.faults(
        {"kind": "error", "operation": operation, "status": 403, "code": "AccessDeniedException"}
    )
    with pytest.raises(ProviderError, match=f"do {operation}. Add it to their IAM policy"):
        ask(plumbed)
    simulator.faults({"kind": "error", "operation": operation, "status": 400, "code": "InvalidThing"})
    with pytest.raises(ProviderError, match=f"{service} refused {operation}"):
        ask(plumbed)


def test_the_rule_passes_ses_notices_about_tenants_and_nothing_else(plumbed: Plumbed) -> None:
    assert plumbed.rule_arn.endswith(f":rule/{RULE}")
    pattern = plumbed.events.describe_rule(Name=RULE)["EventPattern"]
    wanted = {
        ("aws.ses", "Sending Status Enabled"): True,
        ("aws.ses", "Sending Status Disabled"): True,
        ("aws.ses", "Advisor Recommendation Status Open"): True,
        ("aws.ses", "Advisor Recommendation Status Closed"): True,
        ("aws.ses", "Advisor Recommendation Status Resolved"): True,
        ("aws.ses", "Email Sent"): False,
        ("my.app", "Sending Status Disabled"): False,
    }
    for (source, kind), passes in wanted.items():
        event = {
            "id": "1",
            "account": "000000000000",
            "source": source,
            "time": "2026-05-01T12:00:00Z",
            "region": REGION,
            "resources": [],
            "detail-type": kind,
            "detail": {},
        }
        answer = plumbed.events.test_event_pattern(EventPattern=pattern, Event=json.dumps(event))
        assert answer["Result"] is passes, kind


def test_a_pause_at_ses_arrives_in_the_queue(plumbed: Plumbed, ses: SesProvider) -> None:
    arn = ses.create_tenant("acme").arn
    ses.set_tenant_sending(arn, enabled=False)
    for _ in range(20):
        for message in plumbed.queue.receive(plumbed.plumbing.queue_url, wait_seconds=1):
            notice = json.loads(message.body)
            assert notice["detail-type"] == "Sending Status Disabled"
            assert notice["resources"] == [arn]
            return
    pytest.fail("no notice came")


def test_the_same_policy_written_another_way_is_the_same() -> None:
    ours = (
        '{"Statement":[{"Action":"sqs:SendMessage","Condition":{"StringEquals":{"AWS:SourceAccount":"1"}}}]}'
    )
    theirs = (
        '{"Statement": {"Condition": {"StringEquals": {"aws:SourceAccount": ["1"]}},'
        ' "Action": ["sqs:SendMessage"]}}'
    )
    assert meaning(ours) == meaning(theirs)
    assert meaning('{"maxReceiveCount":5}') == meaning('{"maxReceiveCount":"5"}')
    assert meaning(ours) != meaning(ours.replace("SendMessage", "*"))
    assert meaning("") != meaning("{}")

"""Queue: how SES's events arrive: an SNS topic per tenant, one SQS queue per account, not raw; and how its
notices about tenants do: an EventBridge rule to the same queue."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from core.errors import ProviderError
from core.providers.aws_errors import error_code, translated
from core.providers.base import ABSENT, Plumbing, QueueMessage
from core.providers.queue_policies import STATUS_PATTERN, as_text, difference, queue_policy, topic_policy

MAX_RECEIVES = 5
RETENTION_SECONDS = 14 * 24 * 3600
VISIBILITY_SECONDS = 60
BATCH = 10  # SQS's own limit, for receiving and for deleting

_KEPT = {"MessageRetentionPeriod": str(RETENTION_SECONDS)}
_NO_FILTER = "{}"
_SUBSCRIPTION = {"RawMessageDelivery": "false", "FilterPolicy": _NO_FILTER}
# SQS, SNS and EventBridge each have their own; SQS's is in two spellings, by its older and newer protocol.
_ABSENT_CODES = {
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
    "NotFound",
    "NotFoundException",
    "ResourceNotFoundException",
}

logger = logging.getLogger(__name__)


class SqsQueue:
    """SQS, SNS and EventBridge of one region. Safe for threads. Making it calls nobody."""

    def __init__(self, region: str, connections: int = 8) -> None:
        self._config = _config(connections)
        self._lock = threading.Lock()
        self._events: Any = None
        with translated("SQS"):
            self._session = boto3.Session(region_name=region)
            self._sqs = self._session.client("sqs", config=self._config)
            self._sns = self._session.client("sns", config=self._config)

    def create_event_queue(self, name: str) -> Plumbing:
        """Queue `name` and `name`-dlq."""
        with translated("SQS"):
            # Named without attributes: CreateQueue refuses a queue that exists with other ones.
            dead_url = str(self._sqs.create_queue(QueueName=_dead(name))["QueueUrl"])
            self._sqs.set_queue_attributes(QueueUrl=dead_url, Attributes=_KEPT)
            url = str(self._sqs.create_queue(QueueName=name)["QueueUrl"])
            arn = self._attributes(url)["QueueArn"]
            wanted = _queue_attributes(name, arn, self._attributes(dead_url)["QueueArn"])
            self._sqs.set_queue_attributes(QueueUrl=url, Attributes=wanted)
        return Plumbing(queue_url=url, queue_arn=arn, dead_letter_queue_url=dead_url)

    def queue_fault(self, name: str) -> str | None:
        with translated("SQS"):
            dead, found = self._find_queue(_dead(name)), self._find_queue(name)
        if found is None or dead is None:
            return f"{ABSENT}queue {name if found is None else _dead(name)}."
        wanted = _queue_attributes(name, found["QueueArn"], dead["QueueArn"])
        return difference(f"Queue {_dead(name)}", dead, _KEPT) or difference(f"Queue {name}", found, wanted)

    def create_topic(self, name: str, queue: Plumbing) -> str:
        with translated("SNS"):
            topic_arn = str(self._sns.create_topic(Name=name)["TopicArn"])
            self._sns.set_topic_attributes(
                TopicArn=topic_arn, AttributeName="Policy", AttributeValue=as_text(topic_policy(topic_arn))
            )
            subscription = self._find_subscription(topic_arn, queue.queue_arn)
            if subscription is None:
                self._sns.subscribe(
                    TopicArn=topic_arn,
                    Protocol="sqs",
                    Endpoint=queue.queue_arn,
                    Attributes={"RawMessageDelivery": "false"},
                    ReturnSubscriptionArn=True,
                )
            else:
                self._mend_subscription(subscription)
        return topic_arn

    def topic_fault(self, topic_arn: str, queue: Plumbing) -> str | None:
        what = f"SNS topic {_last(topic_arn)}"
        with translated("SNS"):
            said = _found(lambda: self._sns.get_topic_attributes(TopicArn=topic_arn))
            if said is None:
                return f"{ABSENT}{what}."
            policy = as_text(topic_policy(topic_arn))
            if fault := difference(what, said.get("Attributes", {}), {"Policy": policy}):
                return fault
            subscription = self._find_subscription(topic_arn, queue.queue_arn)
            if subscription is None:
                return f"{what} does not write to queue {_last(queue.queue_arn)}."
            found = self._sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
        return _subscription_fault(what, found)

    def confirm_subscription(self, topic_arn: str, token: str) -> str:
        with translated("SNS"):
            answer = self._sns.confirm_subscription(
                TopicArn=topic_arn, Token=token, AuthenticateOnUnsubscribe="true"
            )
        return str(answer.get("SubscriptionArn", ""))

    def create_status_rule(self, name: str, queue: Plumbing) -> str:
        """`name` begins as the queue's does: its policy lets no other rule write to it."""
        with translated("EventBridge"):
            events = self._events_client()
            answer = events.put_rule(Name=name, EventPattern=as_text(STATUS_PATTERN), State="ENABLED")
            refused = events.put_targets(Rule=name, Targets=[_target(queue)]).get("FailedEntries")
        if refused:
            raise ProviderError(
                f"EventBridge refused the target of rule {name}: {refused[0].get('ErrorMessage', '')}.",
                permanent=True,
                code=refused[0].get("ErrorCode", ""),
            )
        return str(answer["RuleArn"])

    def status_rule_fault(self, name: str, queue: Plumbing) -> str | None:
        what = f"EventBridge rule {name}"
        wanted = {"State": "ENABLED", "EventPattern": as_text(STATUS_PATTERN)}
        with translated("EventBridge"):
            rule = _found(lambda: self._events_client().describe_rule(Name=name))
            if rule is None:
                return f"{ABSENT}{what}."
            if fault := difference(what, rule, wanted):
                return fault
            targets = self._events_client().list_targets_by_rule(Rule=name).get("Targets", ())
        if _target(queue) not in targets:
            return f"{what} does not write to queue {_last(queue.queue_arn)}."
        return None

    def receive(
        self, queue_url: str, *, wait_seconds: int, hidden_seconds: int | None = None
    ) -> list[QueueMessage]:
        hidden = {} if hidden_seconds is None else {"VisibilityTimeout": hidden_seconds}
        with translated("SQS"):
            answer = self._sqs.receive_message(
                QueueUrl=queue_url,
                MaxNumberOfMessages=BATCH,
                WaitTimeSeconds=wait_seconds,
                AttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
                **hidden,
            )
        return [_queue_message(message) for message in answer.get("Messages", ())]

    def release(self, queue_url: str, receipts: list[str]) -> None:
        """Those that SQS does not release come back by themselves, once they have been hidden for long."""
        for start in range(0, len(receipts), BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for number, receipt in enumerate(receipts[start : start + BATCH])
            ]
            with translated("SQS"):
                self._sqs.change_message_visibility_batch(QueueUrl=queue_url, Entries=entries)

    def delete(self, queue_url: str, receipts: list[str]) -> None:
        """What SQS cannot delete comes again and is then known by its uid: it is logged, not raised."""
        for start in range(0, len(receipts), BATCH):
            entries = [
                {"Id": str(number), "ReceiptHandle": receipt}
                for number, receipt in enumerate(receipts[start : start + BATCH])
            ]
            with translated("SQS"):
                answer = self._sqs.delete_message_batch(QueueUrl=queue_url, Entries=entries)
            if failed := answer.get("Failed"):
                logger.warning("SQS kept %d messages that were to be deleted: %s", len(failed), failed[0])

    def send_to(self, queue_url: str, body: str) -> None:
        with translated("SQS"):
            self._sqs.send_message(QueueUrl=queue_url, MessageBody=body)

    def depth(self, queue_url: str) -> int:
        """Those that wait and those that were received but not deleted yet."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        with translated("SQS"):
            answer = self._sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)
        return sum(int(answer.get("Attributes", {}).get(name, 0)) for name in names)

    def _attributes(self, url: str) -> dict[str, str]:
        return dict(self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"])

    def _find_queue(self, name: str) -> dict[str, str] | None:
        said = _found(lambda: self._sqs.get_queue_url(QueueName=name))
        return said and self._attributes(said["QueueUrl"])

    def _find_subscription(self, topic_arn: str, queue_arn: str) -> str | None:
        token: dict[str, str] = {}
        while True:
            page = self._sns.list_subscriptions_by_topic(TopicArn=topic_arn, **token)
            for found in page.get("Subscriptions", ()):
                if (found["Protocol"], found["Endpoint"]) == ("sqs", queue_arn):
                    return str(found["SubscriptionArn"])
            if not page.get("NextToken"):
                return None
            token = {"NextToken": page["NextToken"]}

    def _mend_subscription(self, subscription: str) -> None:
        found = self._sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
        for name, value in _SUBSCRIPTION.items():
            if found.get(name, value) != value:
                self._sns.set_subscription_attributes(
                    SubscriptionArn=subscription, AttributeName=name, AttributeValue=value
                )

    def _events_client(self) -> Any:
        """Made when first asked for: only setting up needs it."""
        with self._lock:
            if self._events is None:
                self._events = self._session.client("events", config=self._config)
            return self._events


def _dead(name: str) -> str:
    return f"{name}-dlq"


def _last(arn: str) -> str:
    return arn.rpartition(":")[2]


def _target(queue: Plumbing) -> dict[str, str]:
    return {"Id": "queue", "Arn": queue.queue_arn}


def _queue_attributes(name: str, arn: str, dead_arn: str) -> dict[str, str]:
    redrive = {"deadLetterTargetArn": dead_arn, "maxReceiveCount": MAX_RECEIVES}
    return {
        **_KEPT,
        "VisibilityTimeout": str(VISIBILITY_SECONDS),
        "RedrivePolicy": as_text(redrive),
        "Policy": as_text(queue_policy(arn, name)),
    }


def _subscription_fault(what: str, found: dict[str, str]) -> str | None:
    if found.get("RawMessageDelivery", "false") != "false":
        return f"{what} delivers raw messages to the queue: which topic they came from is lost."
    if found.get("FilterPolicy", _NO_FILTER) not in ("", _NO_FILTER):
        return f"{what} filters what it delivers to the queue: events are lost."
    return None


def _found(call: Callable[[], Any]) -> Any:
    """The call's answer; None when what it asks for does not exist."""
    try:
        return call()
    except ClientError as e:
        if error_code(e) not in _ABSENT_CODES:
            raise
        return None


def _queue_message(message: dict[str, Any]) -> QueueMessage:
    attributes = message.get("Attributes", {})
    sent_ms = attributes.get("SentTimestamp")
    return QueueMessage(
        receipt=message["ReceiptHandle"],
        body=message["Body"],
        sent_at=None if sent_ms is None else datetime.fromtimestamp(int(sent_ms) / 1000, UTC),
        receives=int(attributes.get("ApproximateReceiveCount", 1)),
        id=message.get("MessageId", ""),
    )


def _config(connections: int) -> Config:
    # Receiving waits up to 20 s at SQS. Everything here may be repeated, so botocore does.
    return Config(
        retries={"mode": "standard", "total_max_attempts": 3},
        parameter_validation=False,
        max_pool_connections=connections,
        connect_timeout=3,
        read_timeout=30,
    )

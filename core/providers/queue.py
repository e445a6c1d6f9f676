"""Queue: how SES's events arrive: an SNS topic per tenant, one SQS queue per account, not raw."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import boto3
import orjson
from botocore.config import Config

from core.providers.aws_errors import translated
from core.providers.base import Plumbing, QueueMessage

MAX_RECEIVES = 5
RETENTION_SECONDS = 14 * 24 * 3600
VISIBILITY_SECONDS = 60
BATCH = 10  # SQS's own limit, for receiving and for deleting

logger = logging.getLogger(__name__)


class SqsQueue:
    """SQS and SNS of one region. Safe for threads. Making it calls nobody."""

    def __init__(self, region: str, connections: int = 8) -> None:
        with translated("SQS"):
            session = boto3.Session(region_name=region)
            config = _config(connections)
            self._sqs = session.client("sqs", config=config)
            self._sns = session.client("sns", config=config)

    def create_event_queue(self, name: str) -> Plumbing:
        """Queue `name` and `name`-dlq. SNS topics of the same account whose names begin with the same word as
        the queue's (all before its last hyphen) may write to it."""
        with translated("SQS"):
            retention = {"MessageRetentionPeriod": str(RETENTION_SECONDS)}
            dead_url, dead_arn = self._queue(f"{name}-dlq", retention)
            url, arn = self._queue(name, retention)
            redrive = {"deadLetterTargetArn": dead_arn, "maxReceiveCount": str(MAX_RECEIVES)}
            self._sqs.set_queue_attributes(
                QueueUrl=url,
                Attributes={
                    "VisibilityTimeout": str(VISIBILITY_SECONDS),
                    "RedrivePolicy": _json(redrive),
                    "Policy": _json(_queue_policy(arn, name.rpartition("-")[0] or name)),
                },
            )
        return Plumbing(queue_url=url, queue_arn=arn, dead_letter_queue_url=dead_url)

    def create_topic(self, name: str, queue: Plumbing) -> str:
        with translated("SNS"):
            topic_arn = str(self._sns.create_topic(Name=name)["TopicArn"])
            self._sns.set_topic_attributes(
                TopicArn=topic_arn, AttributeName="Policy", AttributeValue=_json(_topic_policy(topic_arn))
            )
            if not self._is_subscribed(topic_arn, queue.queue_arn):
                self._sns.subscribe(
                    TopicArn=topic_arn,
                    Protocol="sqs",
                    Endpoint=queue.queue_arn,
                    Attributes={"RawMessageDelivery": "false"},
                    ReturnSubscriptionArn=True,
                )
        return topic_arn

    def receive(self, queue_url: str, *, wait_seconds: int) -> list[QueueMessage]:
        with translated("SQS"):
            answer = self._sqs.receive_message(
                QueueUrl=queue_url,
                MaxNumberOfMessages=BATCH,
                WaitTimeSeconds=wait_seconds,
                AttributeNames=["SentTimestamp", "ApproximateReceiveCount"],
            )
        return [_queue_message(message) for message in answer.get("Messages", ())]

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

    def _queue(self, name: str, attributes: dict[str, str]) -> tuple[str, str]:
        # Named without attributes: CreateQueue refuses a queue that exists with other ones.
        url = str(self._sqs.create_queue(QueueName=name)["QueueUrl"])
        self._sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)
        answer = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return url, str(answer["Attributes"]["QueueArn"])

    def _is_subscribed(self, topic_arn: str, queue_arn: str) -> bool:
        token: dict[str, str] = {}
        while True:
            page = self._sns.list_subscriptions_by_topic(TopicArn=topic_arn, **token)
            if any(found["Endpoint"] == queue_arn for found in page.get("Subscriptions", ())):
                return True
            if not page.get("NextToken"):
                return False
            token = {"NextToken": page["NextToken"]}


def _queue_message(message: dict[str, Any]) -> QueueMessage:
    attributes = message.get("Attributes", {})
    sent_ms = attributes.get("SentTimestamp")
    return QueueMessage(
        receipt=message["ReceiptHandle"],
        body=message["Body"],
        sent_at=None if sent_ms is None else datetime.fromtimestamp(int(sent_ms) / 1000, UTC),
        receives=int(attributes.get("ApproximateReceiveCount", 1)),
    )


def _queue_policy(queue_arn: str, first_word: str) -> dict[str, Any]:
    partition, _, region, account = _arn_parts(queue_arn)
    topics = f"arn:{partition}:sns:{region}:{account}:{first_word}-*"
    return _policy("sns.amazonaws.com", "sqs:SendMessage", queue_arn, {"ArnLike": {"aws:SourceArn": topics}})


def _topic_policy(topic_arn: str) -> dict[str, Any]:
    *_, account = _arn_parts(topic_arn)
    same_account = {"StringEquals": {"AWS:SourceAccount": account}}
    return _policy("ses.amazonaws.com", "sns:Publish", topic_arn, same_account)


def _policy(service: str, action: str, resource: str, condition: dict[str, Any]) -> dict[str, Any]:
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": action,
        "Resource": resource,
        "Condition": condition,
    }
    return {"Version": "2012-10-17", "Statement": [statement]}


def _arn_parts(arn: str) -> tuple[str, str, str, str]:
    """Partition, service, region and account."""
    _, partition, service, region, account, _ = arn.split(":", 5)
    return partition, service, region, account


def _json(value: dict[str, Any]) -> str:
    return orjson.dumps(value).decode()


def _config(connections: int) -> Config:
    # Receiving waits up to 20 s at SQS. Everything here may be repeated, so botocore does.
    return Config(
        retries={"mode": "standard", "total_max_attempts": 3},
        parameter_validation=False,
        max_pool_connections=connections,
        connect_timeout=3,
        read_timeout=30,
    )

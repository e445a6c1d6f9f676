"""Queue policies: who may put something into our queues and topics, and whether what is there is that. Pure.

A policy names the first word of our resources' names: all before the last hyphen of the queue's.
"""

from __future__ import annotations

from typing import Any

import orjson

# EventBridge reference, Amazon SES: the guide calls a finding's end Closed, the reference Resolved.
STATUS_PATTERN: dict[str, Any] = {
    "source": ["aws.ses"],
    "detail-type": [
        "Sending Status Enabled",
        "Sending Status Disabled",
        {"prefix": "Advisor Recommendation Status"},
    ],
}


def queue_policy(queue_arn: str, queue_name: str) -> dict[str, Any]:
    """SNS topics and EventBridge rules of the same account whose names begin with our word."""
    partition, _, region, account = _arn_parts(queue_arn)
    word = queue_name.rpartition("-")[0] or queue_name
    sources = {"sns": f"{word}-*", "events": f"rule/{word}-*"}
    return _policy(
        *(
            _statement(
                service,
                "sqs:SendMessage",
                queue_arn,
                {"ArnLike": {"aws:SourceArn": f"arn:{partition}:{service}:{region}:{account}:{names}"}},
            )
            for service, names in sources.items()
        )
    )


def topic_policy(topic_arn: str) -> dict[str, Any]:
    *_, account = _arn_parts(topic_arn)
    same_account = {"StringEquals": {"AWS:SourceAccount": account}}
    return _policy(_statement("ses", "sns:Publish", topic_arn, same_account))


def as_text(value: dict[str, Any]) -> str:
    return orjson.dumps(value).decode()


def difference(what: str, found: dict[str, str], wanted: dict[str, str]) -> str | None:
    """The first attribute that is not as wanted, as a sentence; JSON is compared by what it says."""
    for name, value in wanted.items():
        there = found.get(name, "")
        if meaning(there) == meaning(value):
            continue
        if value.startswith("{"):
            return f"{what} has another {name} than it should have."
        return f"{what} has {name} {there or 'not set'} instead of {value}."
    return None


def meaning(text: str) -> Any:
    """What an attribute says, however it is written: AWS answers numbers as text and lists of one as one."""
    try:
        return _plain(orjson.loads(text))
    except orjson.JSONDecodeError:
        return text


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name.lower(): _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return _plain(value[0]) if len(value) == 1 else [_plain(each) for each in value]
    return str(value)


def _policy(*statements: dict[str, Any]) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def _statement(service: str, action: str, resource: str, condition: dict[str, Any]) -> dict[str, Any]:
    return {
        "Effect": "Allow",
        "Principal": {"Service": f"{service}.amazonaws.com"},
        "Action": action,
        "Resource": resource,
        "Condition": condition,
    }


def _arn_parts(arn: str) -> tuple[str, str, str, str]:
    """Partition, service, region and account."""
    _, partition, service, region, account, _ = arn.split(":", 5)
    return partition, service, region, account

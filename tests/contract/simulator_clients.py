"""boto3 against the simulator, with the few steps that most of its tests begin with."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from tests.simulators import Simulator

REGION = "ap-southeast-1"
ACCOUNT = "123456789012"
ALL_TYPES = [
    "SEND",
    "REJECT",
    "BOUNCE",
    "COMPLAINT",
    "DELIVERY",
    "OPEN",
    "CLICK",
    "RENDERING_FAILURE",
    "DELIVERY_DELAY",
    "SUBSCRIPTION",
]


def arn(resource: str) -> str:
    return f"arn:aws:ses:{REGION}:{ACCOUNT}:{resource}"


@functools.cache
def _client(service: str, url: str) -> Any:
    """Made once: that takes longer than most of what is asked of it."""
    return boto3.client(
        service,
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=20),
    )


@dataclass
class Clients:
    """Each request is sent once. `older` speaks SES's first API; events arrive in the queue at `queue`."""

    simulator: Simulator
    ses: Any
    older: Any
    events: Any
    sns: Any
    sqs: Any
    topic: str = ""
    queue: str = ""

    @classmethod
    def of(cls, simulator: Simulator) -> Clients:
        return cls(
            simulator, *(_client(name, simulator.url) for name in ("sesv2", "ses", "events", "sns", "sqs"))
        )

    def publish_dns(self, domain: str) -> None:
        tokens = self.ses.get_email_identity(EmailIdentity=domain)["DkimAttributes"]["Tokens"]
        self.simulator.put_dns(
            [
                {
                    "type": "CNAME",
                    "name": f"{token}._domainkey.{domain}",
                    "value": f"{token}.dkim.amazonses.com",
                }
                for token in tokens
            ]
        )

    def verified_domain(self, domain: str) -> None:
        self.ses.create_email_identity(EmailIdentity=domain)
        self.publish_dns(domain)
        assert self.ses.get_email_identity(EmailIdentity=domain)["VerifiedForSendingStatus"]

    def plumb(self, configuration_set: str = "acme-set", types: list[str] | None = None) -> None:
        """A configuration set whose events go to a topic and from there to `queue`."""
        self.ses.create_configuration_set(ConfigurationSetName=configuration_set)
        self.queue = self.sqs.create_queue(QueueName="events")["QueueUrl"]
        attributes = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])
        self.topic = self.sns.create_topic(Name="acme-events")["TopicArn"]
        self.sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=attributes["Attributes"]["QueueArn"])
        self.ses.create_configuration_set_event_destination(
            ConfigurationSetName=configuration_set,
            EventDestinationName="all",
            EventDestination={
                "Enabled": True,
                "MatchingEventTypes": types or ALL_TYPES,
                "SnsDestination": {"TopicArn": self.topic},
            },
        )

    def tenant(self, name: str, *resources: str) -> str:
        """Creates a tenant with these resources; returns its ARN."""
        made: str = self.ses.create_tenant(TenantName=name)["TenantArn"]
        for resource in resources:
            self.ses.create_tenant_resource_association(TenantName=name, ResourceArn=arn(resource))
        return made

    def ready(self) -> Clients:
        """acme sends from acme-mail.io with acme-set."""
        self.plumb()
        self.verified_domain("acme-mail.io")
        self.tenant("acme", "identity/acme-mail.io", "configuration-set/acme-set")
        return self

    def send(self, to: str = "rcpt@example.net", **changes: Any) -> str:
        request: dict[str, Any] = {
            "FromEmailAddress": "Acme <news@acme-mail.io>",
            "Destination": {"ToAddresses": [to]},
            "Content": {"Simple": {"Subject": {"Data": "Hello"}, "Body": {"Text": {"Data": "Hi"}}}},
            "ConfigurationSetName": "acme-set",
            "TenantName": "acme",
        }
        answer = self.ses.send_email(**{**request, **changes})
        return str(answer["MessageId"])

    def bulk(self, *to: str, fields: dict[str, Any] | None = None, **changes: Any) -> list[dict[str, Any]]:
        replaced = json.dumps({"name": "Ann"} if fields is None else fields)
        request: dict[str, Any] = {
            "FromEmailAddress": "Acme <news@acme-mail.io>",
            "DefaultContent": {
                "Template": {
                    "TemplateContent": {
                        "Subject": "Hi {{name}}",
                        "Html": "<p>{{name}}</p>",
                        "Text": "{{name}}",
                    },
                    "TemplateData": "{}",
                }
            },
            "BulkEmailEntries": [
                {
                    "Destination": {"ToAddresses": [address]},
                    "ReplacementEmailContent": {"ReplacementTemplate": {"ReplacementTemplateData": replaced}},
                }
                for address in to
            ],
            "ConfigurationSetName": "acme-set",
            "TenantName": "acme",
        }
        return list(self.ses.send_bulk_email(**{**request, **changes})["BulkEmailEntryResults"])

    def envelopes(self, enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """What is in the queue, as SNS wrapped it; received and deleted until `enough` says so."""
        found: list[dict[str, Any]] = []
        deadline = time.monotonic() + 8
        while not enough(found):
            assert time.monotonic() < deadline, f"only {len(found)} messages arrived"
            messages = self.sqs.receive_message(
                QueueUrl=self.queue, MaxNumberOfMessages=10, WaitTimeSeconds=1
            ).get("Messages", [])
            for message in messages:
                found.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return found

    def records(self, count: int) -> list[dict[str, Any]]:
        """The next `count` event records; SES's greeting is left out."""

        def enough(found: list[dict[str, Any]]) -> bool:
            return len([each for each in found if each["Message"].startswith("{")]) >= count

        texts = [each["Message"] for each in self.envelopes(enough)]
        return [json.loads(text) for text in texts if text.startswith("{")]

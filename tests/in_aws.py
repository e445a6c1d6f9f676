"""What is really in AWS, asked through boto3: a tenant whole, and how often each thing is there."""

from __future__ import annotations

from typing import Any

import boto3

from core.app import App
from core.db.models import Tenant


def aws(service: str, app: App) -> Any:
    return boto3.client(service, region_name=app.settings.region)


def assert_complete_in_aws(app: App, tenant: Tenant) -> None:
    ses, sns = aws("sesv2", app), aws("sns", app)
    found = ses.get_tenant(TenantName=tenant.slug)["Tenant"]
    assert found["TenantId"] == tenant.ses_tenant_id
    assert found["SuppressionAttributes"]["SuppressionScope"] == "TENANT"
    resources = ses.list_tenant_resources(TenantName=tenant.slug)["TenantResources"]
    assert [row["ResourceArn"].rpartition("/")[2] for row in resources] == [tenant.configuration_set]
    [destination] = ses.get_configuration_set_event_destinations(
        ConfigurationSetName=tenant.configuration_set
    )["EventDestinations"]
    assert destination["SnsDestination"]["TopicArn"] == tenant.topic_arn
    assert len(destination["MatchingEventTypes"]) == 10
    assert len(sns.list_subscriptions_by_topic(TopicArn=tenant.topic_arn)["Subscriptions"]) == 1


def counts(app: App) -> dict[str, int]:
    """How many there are of everything a plan makes."""
    ses, sns, sqs, events = (aws(service, app) for service in ("sesv2", "sns", "sqs", "events"))
    sets = ses.list_configuration_sets().get("ConfigurationSets", [])
    tenants = [row["TenantName"] for row in ses.list_tenants()["Tenants"]]
    rules = [rule["Name"] for rule in events.list_rules()["Rules"]]
    return {
        "queues": len(sqs.list_queues().get("QueueUrls", [])),
        "rules": len(rules),
        "targets": sum(len(events.list_targets_by_rule(Rule=rule)["Targets"]) for rule in rules),
        "tenants": len(tenants),
        "configuration sets": len(sets),
        "topics": len(sns.list_topics()["Topics"]),
        "subscriptions": len(sns.list_subscriptions()["Subscriptions"]),
        "destinations": sum(
            len(ses.get_configuration_set_event_destinations(ConfigurationSetName=name)["EventDestinations"])
            for name in sets
        ),
        "associations": sum(
            len(ses.list_tenant_resources(TenantName=name)["TenantResources"]) for name in tenants
        ),
    }


ONE_TENANT = {
    "queues": 2,
    "rules": 1,
    "targets": 1,
    "tenants": 1,
    "configuration sets": 1,
    "topics": 1,
    "subscriptions": 1,
    "destinations": 1,
    "associations": 1,
}

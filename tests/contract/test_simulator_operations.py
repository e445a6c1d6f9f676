"""Every operation the simulator implements, called through boto3 and held to botocore's own model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from simulator.model import Model
from simulator.ses import OPERATIONS
from tests.contract.simulator_clients import ACCOUNT, Clients, arn
from tests.simulators import Simulator


@pytest.fixture
def clients(simulator: Simulator) -> Clients:
    return Clients.of(simulator)


@pytest.fixture
def ready(clients: Clients) -> Clients:
    return clients.ready()


def misfits(shape: Any, value: Any, path: str = "") -> Iterator[str]:
    """Where a JSON answer differs from an output shape: unknown or absent members, types, enums."""
    if shape.type_name == "structure":
        yield from (f"{path}.{name} absent" for name in shape.required_members if name not in value)
        for name, part in value.items():
            if name not in shape.members:
                yield f"{path}.{name} unknown"
            else:
                yield from misfits(shape.members[name], part, f"{path}.{name}")
    elif shape.type_name == "list":
        for part in value:
            yield from misfits(shape.member, part, f"{path}[]")
    elif shape.type_name == "map":
        for name, part in value.items():
            yield from misfits(shape.value, part, f"{path}.{name}")
    else:
        yield from misfitting_value(shape, value, path)


def misfitting_value(shape: Any, value: Any, path: str) -> Iterator[str]:
    kinds: dict[str, Any] = {"string": str, "boolean": bool, "integer": int, "long": int, "blob": str}
    if not isinstance(value, kinds.get(shape.type_name, int | float)):
        yield f"{path}: {value!r} is no {shape.type_name}"
    # SES answers `identity` where its model says EMAIL_IDENTITY.
    wire = {"identity", "configuration-set", "template"} if shape.name == "ResourceType" else set()
    allowed = getattr(shape, "enum", None)
    if allowed and value not in {*allowed, *wire}:
        yield f"{path}: {value!r} is not in the enum"


def steps(tenant_arn: str) -> list[tuple[str, dict[str, Any]]]:
    configuration_set = {"ConfigurationSetName": "acme-set"}
    identity = {"EmailIdentity": "acme-mail.io"}
    entity = {"ReputationEntityType": "RESOURCE", "ReputationEntityReference": tenant_arn}
    resource = {"TenantName": "acme", "ResourceArn": arn("identity/acme-mail.io")}
    destination = {**configuration_set, "EventDestinationName": "bus"}
    bus = {
        "EventDestination": {
            "Enabled": True,
            "MatchingEventTypes": ["SEND"],
            "EventBridgeDestination": {
                "EventBusArn": f"arn:aws:events:ap-southeast-1:{ACCOUNT}:event-bus/default"
            },
        }
    }
    suppressed = {"EmailAddress": "Someone+x@example.com"}
    policy = "arn:aws:ses:ap-southeast-1:aws:reputation-policy/strict"
    simple = {"Simple": {"Subject": {"Data": "s"}, "Body": {"Text": {"Data": "t"}}}}
    inline = {"TemplateContent": {"Subject": "s", "Text": "t"}}
    to = {"Destination": {"ToAddresses": ["a@example.com"]}}
    return [
        ("GetAccount", {}),
        ("PutAccountDetails", {"MailType": "MARKETING", "WebsiteURL": "https://acme-mail.io"}),
        ("GetAccount", {}),
        ("PutAccountSendingAttributes", {"SendingEnabled": True}),
        ("PutAccountSuppressionAttributes", {"SuppressedReasons": ["BOUNCE", "COMPLAINT"]}),
        ("CreateTenant", {"TenantName": "globex", "Tags": [{"Key": "plan", "Value": "small"}]}),
        (
            "PutTenantSuppressionAttributes",
            {"TenantName": "acme", "SuppressedReasons": ["BOUNCE"], "SuppressionScope": "TENANT"},
        ),
        ("GetTenant", {"TenantName": "acme"}),
        ("ListTenants", {}),
        ("DeleteTenant", {"TenantName": "globex"}),
        ("ListTenantResources", {"TenantName": "acme"}),
        ("ListResourceTenants", {"ResourceArn": arn("identity/acme-mail.io")}),
        ("DeleteTenantResourceAssociation", resource),
        ("CreateTenantResourceAssociation", resource),
        ("UpdateReputationEntityPolicy", {**entity, "ReputationEntityPolicy": policy}),
        ("UpdateReputationEntityCustomerManagedStatus", {**entity, "SendingStatus": "REINSTATED"}),
        ("GetReputationEntity", entity),
        ("ListReputationEntities", {}),
        ("ListRecommendations", {"Filter": {"RESOURCE_ARN": tenant_arn}}),
        ("CreateEmailIdentity", {"EmailIdentity": "news.acme-mail.io", **configuration_set}),
        ("PutEmailIdentityMailFromAttributes", {**identity, "MailFromDomain": "bounce.acme-mail.io"}),
        ("PutEmailIdentityConfigurationSetAttributes", {**identity, **configuration_set}),
        ("PutEmailIdentityFeedbackAttributes", {**identity, "EmailForwardingEnabled": False}),
        ("PutEmailIdentityDkimAttributes", {**identity, "SigningEnabled": True}),
        ("PutEmailIdentityDkimSigningAttributes", {**identity, "SigningAttributesOrigin": "AWS_SES"}),
        (
            "TagResource",
            {"ResourceArn": arn("identity/acme-mail.io"), "Tags": [{"Key": "plan", "Value": "small"}]},
        ),
        ("GetEmailIdentity", identity),
        ("GetEmailIdentity", {"EmailIdentity": "news.acme-mail.io"}),
        ("ListEmailIdentities", {}),
        ("DeleteEmailIdentity", {"EmailIdentity": "news.acme-mail.io"}),
        ("CreateConfigurationSet", {"ConfigurationSetName": "second"}),
        (
            "PutConfigurationSetSuppressionOptions",
            {**configuration_set, "SuppressedReasons": ["BOUNCE"], "SuppressionScope": "TENANT"},
        ),
        ("PutConfigurationSetSendingOptions", {**configuration_set, "SendingEnabled": True}),
        ("GetConfigurationSet", configuration_set),
        ("ListConfigurationSets", {}),
        ("DeleteConfigurationSet", {"ConfigurationSetName": "second"}),
        ("CreateConfigurationSetEventDestination", {**destination, **bus}),
        ("UpdateConfigurationSetEventDestination", {**destination, **bus}),
        ("GetConfigurationSetEventDestinations", configuration_set),
        ("DeleteConfigurationSetEventDestination", destination),
        ("PutSuppressedDestination", {**suppressed, "Reason": "COMPLAINT", "TenantName": "acme"}),
        ("GetSuppressedDestination", {**suppressed, "TenantName": "acme"}),
        ("ListSuppressedDestinations", {"TenantName": "acme", "Reasons": ["COMPLAINT"]}),
        ("DeleteSuppressedDestination", {**suppressed, "TenantName": "acme"}),
        ("SendEmail", {"FromEmailAddress": "n@acme-mail.io", "Content": simple, **to}),
        (
            "SendBulkEmail",
            {
                "FromEmailAddress": "n@acme-mail.io",
                "DefaultContent": {"Template": inline},
                "BulkEmailEntries": [to],
            },
        ),
    ]


@pytest.mark.slow
def test_every_operation_answers_in_the_shape_of_the_model(
    ready: Clients, request: pytest.FixtureRequest
) -> None:
    model, faults, called = Model(), [], set()

    def compare(http_response: Any, model: Any, **_: Any) -> None:
        body = json.loads(http_response.content or b"{}")
        faults.extend(f"{model.name}{fault}" for fault in misfits(model.output_shape, body))

    hooks, after_each = ready.ses.meta.events, ("after-call.sesv2.*", compare)
    hooks.register(*after_each)
    request.addfinalizer(lambda: hooks.unregister(*after_each))
    tenant_arn = ready.ses.get_tenant(TenantName="acme")["Tenant"]["TenantArn"]
    ready.simulator.tenant("acme", findings=[{"type": "BOUNCE", "impact": "LOW"}])
    for name, arguments in steps(tenant_arn):
        called.add(name)
        ready.ses._make_api_call(name, arguments)
    assert faults == []
    assert called == set(OPERATIONS)
    assert called <= set(model.operations)


def refused(call: Any, **arguments: Any) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error, metadata = caught.value.response["Error"], caught.value.response["ResponseMetadata"]
    return error["Code"], metadata["HTTPStatusCode"], error["Message"]


def test_what_exists_twice_raises_the_modelled_exception(ready: Clients) -> None:
    ses = ready.ses
    with pytest.raises(
        ses.exceptions.AlreadyExistsException, match="Tenant with name acme already exists in acc"
    ):
        ses.create_tenant(TenantName="acme")
    with pytest.raises(ses.exceptions.AlreadyExistsException, match="already exist"):
        ses.create_email_identity(EmailIdentity="ACME-mail.io")
    with pytest.raises(ses.exceptions.AlreadyExistsException):
        ses.create_configuration_set(ConfigurationSetName="acme-set")
    with pytest.raises(
        ses.exceptions.AlreadyExistsException, match="has already been associated with tenant acme"
    ):
        ses.create_tenant_resource_association(TenantName="acme", ResourceArn=arn("identity/acme-mail.io"))


def test_what_is_missing_raises_the_modelled_exception(ready: Clients) -> None:
    ses = ready.ses
    missing = ses.exceptions.NotFoundException
    with pytest.raises(missing, match="Tenant nobody does not exist"):
        ses.get_tenant(TenantName="nobody")
    with pytest.raises(missing):
        ses.get_email_identity(EmailIdentity="unknown.io")
    with pytest.raises(missing, match="Configuration set <none> does not exist"):
        ses.create_email_identity(EmailIdentity="other.io", ConfigurationSetName="none")
    with pytest.raises(missing):
        ses.create_tenant_resource_association(TenantName="acme", ResourceArn=arn("identity/unknown.io"))
    with pytest.raises(missing):
        ses.get_suppressed_destination(EmailAddress="a@example.com")
    with pytest.raises(missing):
        ses.get_reputation_entity(
            ReputationEntityType="RESOURCE", ReputationEntityReference=arn("tenant/nobody/tn-0")
        )


def test_input_outside_the_model_is_a_bad_request(ready: Clients) -> None:
    code, status, text = refused(
        ready.ses.update_reputation_entity_customer_managed_status,
        ReputationEntityType="RESOURCE",
        ReputationEntityReference="x",
        SendingStatus="PAUSED",
    )
    assert (code, status) == ("BadRequestException", 400)
    assert "'sendingStatus' failed to satisfy constraint: Member must satisfy enum value set" in text


def test_an_operation_that_is_not_simulated_says_so(clients: Clients) -> None:
    code, status, text = refused(clients.ses.list_contact_lists)
    assert (code, status) == ("UnknownOperationException", 501)
    assert "ListContactLists" in text


def test_a_resource_of_another_region_or_type_cannot_be_associated(ready: Clients) -> None:
    associate = ready.ses.create_tenant_resource_association
    elsewhere = f"arn:aws:ses:us-east-1:{ACCOUNT}:identity/acme-mail.io"
    assert refused(associate, TenantName="acme", ResourceArn=elsewhere)[2] == (
        f"Resource {elsewhere} must be in the same region"
    )
    assert refused(associate, TenantName="acme", ResourceArn=arn("contact-list/x"))[2] == (
        "Unsupported resource type: contact-list"
    )


def test_removing_an_association_that_is_not_there_is_silent(ready: Clients) -> None:
    ready.ses.delete_tenant_resource_association(TenantName="acme", ResourceArn=arn("identity/unknown.io"))


def test_what_a_tenant_uses_cannot_be_deleted(ready: Clients) -> None:
    code, _, text = refused(ready.ses.delete_email_identity, EmailIdentity="acme-mail.io")
    assert code == "BadRequestException"
    assert text == (
        f"Cannot delete {arn('identity/acme-mail.io')} because it has tenant associations. "
        "Remove all tenant associations and try again."
    )
    assert (
        refused(ready.ses.delete_configuration_set, ConfigurationSetName="acme-set")[0]
        == "BadRequestException"
    )


def test_a_deleted_tenant_takes_its_associations_and_suppressions_along(ready: Clients) -> None:
    ready.ses.put_suppressed_destination(EmailAddress="a@example.com", Reason="BOUNCE", TenantName="acme")
    ready.ses.delete_tenant(TenantName="acme")
    ready.ses.delete_email_identity(EmailIdentity="acme-mail.io")
    ready.ses.create_tenant(TenantName="acme")
    assert ready.ses.list_tenant_resources(TenantName="acme")["TenantResources"] == []
    assert ready.ses.list_suppressed_destinations(TenantName="acme")["SuppressedDestinationSummaries"] == []


def test_resource_types_are_told_as_ses_tells_them(ready: Clients) -> None:
    resources = ready.ses.list_tenant_resources(TenantName="acme")["TenantResources"]
    assert [each["ResourceType"] for each in resources] == ["identity", "configuration-set"]
    code, _, text = refused(
        ready.ses.list_tenant_resources, TenantName="acme", Filter={"RESOURCE_TYPE": "EMAIL_IDENTITY"}
    )
    assert (code, text) == ("BadRequestException", "Invalid resource type EMAIL_IDENTITY specified.")


def test_the_aggregate_is_disabled_when_either_side_disables(ready: Clients) -> None:
    reference = ready.ses.get_tenant(TenantName="acme")["Tenant"]["TenantArn"]
    entity = {"ReputationEntityType": "RESOURCE", "ReputationEntityReference": reference}

    def aggregate() -> str:
        return str(ready.ses.get_reputation_entity(**entity)["ReputationEntity"]["SendingStatusAggregate"])

    assert aggregate() == "ENABLED"
    ready.simulator.scenario(
        tenants={"acme": {"aws_status": "DISABLED", "cause": "bounces", "impact": "HIGH"}}
    )
    ready.ses.update_reputation_entity_customer_managed_status(**entity, SendingStatus="ENABLED")
    assert aggregate() == "DISABLED"
    ready.simulator.scenario(tenants={"acme": {"aws_status": "ENABLED"}})
    ready.ses.update_reputation_entity_customer_managed_status(**entity, SendingStatus="DISABLED")
    assert aggregate() == "DISABLED"
    ready.ses.update_reputation_entity_customer_managed_status(**entity, SendingStatus="REINSTATED")
    assert aggregate() == "REINSTATED"


def test_lists_come_in_pages(clients: Clients) -> None:
    for number in range(5):
        clients.ses.create_tenant(TenantName=f"t{number}")
    pages = list(clients.ses.get_paginator("list_tenants").paginate(PaginationConfig={"PageSize": 2}))
    assert [len(each["Tenants"]) for each in pages] == [2, 2, 1]
    with pytest.raises(clients.ses.exceptions.InvalidNextTokenException):
        clients.ses.list_suppressed_destinations(NextToken="nonsense")


def test_identities_are_listed_by_post(ready: Clients) -> None:
    [row] = ready.ses.list_email_identities()["EmailIdentities"]
    assert (row["IdentityName"], row["SendingEnabled"]) == ("acme-mail.io", True)


def test_a_topic_must_exist_to_be_an_event_destination(clients: Clients) -> None:
    clients.ses.create_configuration_set(ConfigurationSetName="acme-set")
    missing = f"arn:aws:sns:ap-southeast-1:{ACCOUNT}:missing"
    code, _, text = refused(
        clients.ses.create_configuration_set_event_destination,
        ConfigurationSetName="acme-set",
        EventDestinationName="x",
        EventDestination={
            "Enabled": True,
            "MatchingEventTypes": ["SEND"],
            "SnsDestination": {"TopicArn": missing},
        },
    )
    assert (code, text) == ("BadRequestException", f"SNS topic <{missing}> not found.")


def test_who_calls_is_known_by_account(simulator: Simulator) -> None:
    sts = boto3.client(
        "sts",
        region_name="ap-southeast-1",
        endpoint_url=simulator.url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    assert sts.get_caller_identity()["Account"] == ACCOUNT

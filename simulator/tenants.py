"""Tenants, what belongs to them, and their reputation: three statuses, one aggregate."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from simulator.errors import SesError, already_exists, bad_request, not_found
from simulator.paging import page
from simulator.settings import ACCOUNT_ID
from simulator.state import Association, Tenant

if TYPE_CHECKING:
    from simulator.world import Call, World

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_RESOURCE = re.compile(r"arn:aws:ses:([a-z0-9-]+):(\d{12}):([a-z-]+)/(.+)")
_TYPES = ("identity", "configuration-set", "template")
STATUSES = ("ENABLED", "DISABLED", "REINSTATED")
LATENCY_OF_STATUS_EVENTS = 0.05


def get(world: World, name: str) -> Tenant:
    row = world.tenants.get(name)
    if row is None:
        raise not_found(f"Tenant {name} does not exist.")
    return row


def _key(tenant: str, arn: str) -> str:
    return f"{tenant}\0{arn}"


def associated(world: World, tenant: str, arn: str) -> bool:
    return _key(tenant, arn) in world.associations


def refuse_while_associated(world: World, arn: str) -> None:
    if any(row.arn == arn for row in world.associations):
        raise bad_request(
            f"Cannot delete {arn} because it has tenant associations. "
            "Remove all tenant associations and try again."
        )


def create_tenant(world: World, call: Call) -> dict[str, Any]:
    name = call.input["TenantName"]
    if not _NAME.fullmatch(name):
        raise bad_request(
            "Tenant name must be 1 to 64 characters: letters, numbers, hyphens (-) and underscores (_)."
        )
    if name in world.tenants:
        raise already_exists(f"Tenant with name {name} already exists in account {ACCOUNT_ID}")
    number = f"tn-{secrets.token_hex(15)}"
    row = Tenant(
        name=name,
        id=number,
        arn=call.arn(f"tenant/{name}/{number}"),
        created_at=world.clock.now(),
        policy=f"arn:aws:ses:{call.region}:aws:reputation-policy/standard",
        tags=call.input.get("Tags") or [],
    )
    if "SuppressionAttributes" in call.input:
        _set_suppression(row, call.input["SuppressionAttributes"])
    world.tenants.put(name, row)
    return _described(row)


def _summary(row: Tenant) -> dict[str, Any]:
    return {
        "TenantName": row.name,
        "TenantId": row.id,
        "TenantArn": row.arn,
        "CreatedTimestamp": row.created_at,
        "SendingStatus": row.sending_status(),
    }


def _described(row: Tenant) -> dict[str, Any]:
    shown = {**_summary(row), "Tags": row.tags}
    if row.suppressed_reasons is not None:
        shown["SuppressionAttributes"] = {
            "SuppressedReasons": row.suppressed_reasons,
            "SuppressionScope": row.suppression_scope,
        }
    return shown


def _set_suppression(row: Tenant, given: dict[str, Any]) -> None:
    """Scope and reasons come together, or both are left out, which returns to the account's list."""
    reasons, scope = given.get("SuppressedReasons"), given.get("SuppressionScope")
    if (reasons is None) != (scope is None):
        raise bad_request("SuppressedReasons and SuppressionScope must be provided together.")
    row.suppressed_reasons, row.suppression_scope = reasons, scope


def get_tenant(world: World, call: Call) -> dict[str, Any]:
    return {"Tenant": _described(get(world, call.input["TenantName"]))}


def list_tenants(world: World, call: Call) -> dict[str, Any]:
    chosen = call.input.get("Filter") or {}
    rows = [
        _summary(row)
        for row in world.tenants
        if chosen.get("TENANT_NAME_CONTAINS", "") in row.name
        and chosen.get("SENDING_STATUS", row.sending_status()) == row.sending_status()
    ]
    return page(call, rows, "Tenants", 100)


def delete_tenant(world: World, call: Call) -> dict[str, Any]:
    """Takes the tenant's associations and suppression list along."""
    row = get(world, call.input["TenantName"])
    for association in world.associations:
        if association.tenant == row.name:
            world.associations.remove(_key(row.name, association.arn))
    for finding in world.findings:
        if finding.tenant == row.name:
            world.findings.remove(finding.key)
    for entry in world.suppressed.of(row.name):
        world.suppressed.remove(row.name, entry.address)
    world.tenants.remove(row.name)
    return {}


def put_suppression_attributes(world: World, call: Call) -> dict[str, Any]:
    row = get(world, call.input["TenantName"])
    _set_suppression(row, call.input)
    world.tenants.put(row.name, row)
    return {}


def create_association(world: World, call: Call) -> dict[str, Any]:
    tenant, arn = get(world, call.input["TenantName"]), call.input["ResourceArn"]
    _refuse_missing(world, call, arn)
    if associated(world, tenant.name, arn):
        raise already_exists(f"Resources {arn} has already been associated with tenant {tenant.name}")
    world.associations.put(_key(tenant.name, arn), Association(tenant.name, arn, world.clock.now()))
    return {}


def _refuse_missing(world: World, call: Call, arn: str) -> None:
    parts = _RESOURCE.fullmatch(arn)
    if parts is None:
        raise bad_request(f"Invalid resource ARN: {arn}")
    region, _, kind, name = parts.groups()
    if kind not in _TYPES:
        raise bad_request(f"Unsupported resource type: {kind}")
    if region != call.region:
        raise bad_request(f"Resource {arn} must be in the same region")
    exists = {
        "identity": name in world.identities,
        "configuration-set": name in world.configuration_sets,
    }
    if not exists.get(kind):
        raise not_found(f"Resource {arn} does not exist.")


def delete_association(world: World, call: Call) -> dict[str, Any]:
    tenant = get(world, call.input["TenantName"])
    world.associations.remove(_key(tenant.name, call.input["ResourceArn"]))
    return {}


def list_tenant_resources(world: World, call: Call) -> dict[str, Any]:
    tenant = get(world, call.input["TenantName"])
    wanted = (call.input.get("Filter") or {}).get("RESOURCE_TYPE")
    if wanted and wanted not in _TYPES:
        raise bad_request(f"Invalid resource type {wanted} specified.")
    rows = [
        {"ResourceType": kind, "ResourceArn": row.arn}
        for row in world.associations
        if row.tenant == tenant.name and (kind := _resource_type(row.arn)) == (wanted or kind)
    ]
    return page(call, rows, "TenantResources", 100)


def _resource_type(arn: str) -> str:
    return arn.split(":", 5)[5].partition("/")[0]


def list_resource_tenants(world: World, call: Call) -> dict[str, Any]:
    arn = call.input["ResourceArn"]
    _refuse_missing(world, call, arn)
    rows = [
        {
            "TenantName": row.tenant,
            "TenantId": get(world, row.tenant).id,
            "ResourceArn": arn,
            "AssociatedTimestamp": row.at,
        }
        for row in world.associations
        if row.arn == arn
    ]
    return page(call, rows, "ResourceTenants", 100)


def _of_reference(world: World, call: Call) -> Tenant:
    arn = call.input["ReputationEntityReference"]
    row = next((row for row in world.tenants if row.arn == arn), None)
    if row is None:
        raise not_found(f"Reputation entity {arn} does not exist.")
    return row


def _entity(row: Tenant) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "ReputationEntityReference": row.arn,
        "ReputationEntityType": "RESOURCE",
        "ReputationManagementPolicy": row.policy,
        "CustomerManagedStatus": _status(row.customer_status, row.customer_cause, row.customer_at),
        "AwsSesManagedStatus": _status(row.aws_status, row.aws_cause, row.aws_at),
        "SendingStatusAggregate": row.sending_status(),
    }
    if row.impact:
        shown["ReputationImpact"] = row.impact
    return shown


def _status(status: str, cause: str, at: float) -> dict[str, Any]:
    record: dict[str, Any] = {"Status": status}
    if cause:
        record["Cause"] = cause
    if at:
        record["LastUpdatedTimestamp"] = at
    return record


def get_reputation_entity(world: World, call: Call) -> dict[str, Any]:
    return {"ReputationEntity": _entity(_of_reference(world, call))}


def list_reputation_entities(world: World, call: Call) -> dict[str, Any]:
    chosen = call.input.get("Filter") or {}
    rows = [
        _entity(row)
        for row in world.tenants
        if row.arn.startswith(chosen.get("ENTITY_REFERENCE_PREFIX", ""))
        and chosen.get("SENDING_STATUS", row.sending_status()) == row.sending_status()
        and chosen.get("REPUTATION_IMPACT", row.impact) == row.impact
    ]
    return page(call, rows, "ReputationEntities", 100)


def update_customer_managed_status(world: World, call: Call) -> dict[str, Any]:
    row = _of_reference(world, call)
    before = row.sending_status()
    row.customer_status = call.input["SendingStatus"]
    row.customer_cause, row.customer_at = "Status manually updated.", world.clock.now()
    world.tenants.put(row.name, row)
    announce_status(world, row, before, "CUSTOMER_MANAGED")
    return {}


def set_aws_status(world: World, row: Tenant, status: str, cause: str) -> None:
    """What AWS itself decides about a tenant; only the control API can make it."""
    if status not in STATUSES:
        raise SesError("BadRequestException", "A sending status is ENABLED, DISABLED or REINSTATED.")
    before = row.sending_status()
    row.aws_status, row.aws_cause, row.aws_at = status, cause, world.clock.now()
    world.tenants.put(row.name, row)
    announce_status(world, row, before, "AWS_MANAGED")


def announce_status(world: World, row: Tenant, before: str, origin: str) -> None:
    """AWS tells a changed aggregate on the default event bus."""
    after = row.sending_status()
    if (before == "DISABLED") == (after == "DISABLED"):
        return
    at = row.customer_at if origin == "CUSTOMER_MANAGED" else row.aws_at
    cause = row.customer_cause if origin == "CUSTOMER_MANAGED" else row.aws_cause
    moment = datetime.fromtimestamp(at, UTC)
    updated = [*moment.timetuple()[:6], moment.microsecond * 1000]
    record = {"status": after, "cause": cause, "lastUpdatedTimestamp": updated}
    region = row.arn.split(":")[3]
    word = "Disabled" if after == "DISABLED" else "Enabled"
    world.outbox.add_to_event_bus(
        at + LATENCY_OF_STATUS_EVENTS,
        region,
        f"Sending Status {word}",
        [row.arn],
        {"version": "1.0.0", "data": {"origin": origin, "record": record}},
    )


def update_policy(world: World, call: Call) -> dict[str, Any]:
    row = _of_reference(world, call)
    policy = call.input["ReputationEntityPolicy"]
    if not re.fullmatch(r"arn:aws:ses:[a-z0-9-]+:aws:reputation-policy/(none|standard|strict)", policy):
        raise bad_request(f"Invalid reputation policy {policy}.")
    row.policy = policy
    world.tenants.put(row.name, row)
    return {}


OPERATIONS = {
    "CreateTenant": create_tenant,
    "GetTenant": get_tenant,
    "ListTenants": list_tenants,
    "DeleteTenant": delete_tenant,
    "PutTenantSuppressionAttributes": put_suppression_attributes,
    "CreateTenantResourceAssociation": create_association,
    "DeleteTenantResourceAssociation": delete_association,
    "ListTenantResources": list_tenant_resources,
    "ListResourceTenants": list_resource_tenants,
    "GetReputationEntity": get_reputation_entity,
    "ListReputationEntities": list_reputation_entities,
    "UpdateReputationEntityCustomerManagedStatus": update_customer_managed_status,
    "UpdateReputationEntityPolicy": update_policy,
}

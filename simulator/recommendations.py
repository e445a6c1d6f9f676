"""What SES's advisor finds about tenants: told on the event bus, and a pause where the tenant's reputation
policy says so. Only the control API makes findings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from simulator import tenants
from simulator.errors import ControlError
from simulator.paging import page
from simulator.state import Finding, Tenant, finding_key

if TYPE_CHECKING:
    from simulator.world import Call, World

OPEN = "OPEN"
FIXED = "FIXED"
LOW = "LOW"
HIGH = "HIGH"
TYPES = ("BOUNCE", "COMPLAINT", "DKIM", "DMARC", "SPF", "BIMI", "FEEDBACK_3P", "IP_LISTING")
_PAUSES_AT = {"none": (), "standard": (HIGH,), "strict": (LOW, HIGH)}
_MEMBERS = {"type", "impact", "description", "status"}


def read(value: Any) -> dict[str, str]:
    """One finding as the control API is given it, complete."""
    if not isinstance(value, dict) or value.get("type") not in TYPES:
        raise ControlError(f"A finding is an object whose type is one of {', '.join(TYPES)}.")
    if unknown := set(value) - _MEMBERS:
        raise ControlError(f"A finding has no {', '.join(sorted(unknown))}.")
    kind = value["type"]
    finding = {
        "type": kind,
        "impact": value.get("impact", HIGH),
        "description": str(value.get("description") or f"The {kind.lower()} finding was made by hand."),
        "status": value.get("status", OPEN),
    }
    if finding["impact"] not in (LOW, HIGH) or finding["status"] not in (OPEN, FIXED):
        raise ControlError("A finding's impact is LOW or HIGH, its status OPEN or FIXED.")
    return finding


def of(world: World, tenant: str) -> list[Finding]:
    return [row for row in world.findings if row.tenant == tenant]


def record(world: World, tenant: Tenant, given: dict[str, str]) -> Finding | None:
    """Open, change or fix the tenant's finding of this type; None when nothing changed."""
    row, now = world.findings.get(finding_key(tenant.name, given["type"])), world.clock.now()
    if row is None or (row.status == FIXED and given["status"] == OPEN):
        row = Finding(tenant=tenant.name, arn=tenant.arn, created_at=now, updated_at=now, **given)
    elif given == {name: getattr(row, name) for name in _MEMBERS}:
        return None
    else:
        row.impact, row.description, row.status = given["impact"], given["description"], given["status"]
        row.updated_at = now
    world.findings.put(row.key, row)
    impacts = {each.impact for each in of(world, tenant.name) if each.status == OPEN}
    tenant.impact = HIGH if HIGH in impacts else LOW if impacts else None
    world.tenants.put(tenant.name, tenant)
    _announce(world, row)
    return row


def _announce(world: World, row: Finding) -> None:
    word = "Open" if row.status == OPEN else "Resolved"
    world.outbox.add_to_event_bus(
        row.updated_at + tenants.LATENCY_OF_STATUS_EVENTS,
        row.arn.split(":")[3],
        f"Advisor Recommendation Status {word}",
        [row.arn],
        {
            "version": "1.0.0",
            "data": row.description,
            "metadata": {"impact": row.impact, "type": row.type},
        },
    )


def pause_by_policy(world: World, tenant: Tenant, row: Finding) -> None:
    """Standard pauses at a finding of high impact, strict at any, none never."""
    policy = tenant.policy.rpartition("/")[2]
    if row.status == OPEN and row.impact in _PAUSES_AT[policy] and tenant.aws_status != "DISABLED":
        cause = f"The {policy} reputation policy paused sending: {row.description}"
        tenants.set_aws_status(world, tenant, "DISABLED", cause[:512])


def list_recommendations(world: World, call: Call) -> dict[str, Any]:
    chosen = call.input.get("Filter") or {}
    rows = [
        {
            "ResourceArn": row.arn,
            "Type": row.type,
            "Description": row.description,
            "Status": row.status,
            "Impact": row.impact,
            "CreatedTimestamp": row.created_at,
            "LastUpdatedTimestamp": row.updated_at,
        }
        for row in world.findings
        if chosen.get("RESOURCE_ARN", row.arn) == row.arn
        and chosen.get("TYPE", row.type) == row.type
        and chosen.get("IMPACT", row.impact) == row.impact
        and chosen.get("STATUS", row.status) == row.status
    ]
    return page(call, rows, "Recommendations", 100)


OPERATIONS = {"ListRecommendations": list_recommendations}

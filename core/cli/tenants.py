"""`postyard tenants`: customers whose mail is kept apart."""

from __future__ import annotations

from typing import Any

import click

import core.campaigns
import core.drift
import core.tenants
from core.access import Actor
from core.app import App
from core.cli.limits import fallback, limits, warm_up
from core.cli.operation import Answer, operation, table
from core.db.models import Tenant, TenantResource
from core.db.states import ReputationPolicy, ResourceState


@click.group()
def tenants() -> None:
    """Customers whose mail is kept apart."""


for command in (limits, fallback, warm_up):
    tenants.add_command(command)


@tenants.command("create")
@click.argument("slug")
@click.option("--name", required=True, help="What people call it.")
@click.option("--timezone", default="UTC", show_default=True, help="IANA zone its people think in.")
@operation
def create(app: App, actor: Actor, slug: str, name: str, timezone: str) -> Answer:
    """Make a tenant with all it needs in SES; repeat it after a failure to go on."""
    tenant = core.tenants.create(app, actor, slug=slug, name=name, timezone=timezone)
    return Answer(as_json(tenant), f"Tenant {slug} is ready. Next: postyard senders add {slug} ADDRESS")


@tenants.command("list")
@operation
def list_(app: App, actor: Actor) -> Answer:
    """All tenants and whether they may send."""
    found = core.tenants.list_tenants(app, actor)
    rows = [(t.slug, t.name, _state(t), t.paused_reason) for t in found]
    return Answer([as_json(t) for t in found], table(("TENANT", "NAME", "STATE", "REASON"), rows))


@tenants.command("pause")
@click.argument("slug")
@click.option("--reason", required=True, help="Why; people will read it.")
@operation
def pause(app: App, actor: Actor, slug: str, reason: str) -> Answer:
    """Stop a tenant's mail, also what is queued."""
    tenant = core.tenants.get_by_slug(app, actor, slug)
    core.tenants.pause(app, actor, tenant.id, reason)
    return Answer(as_json(core.tenants.get_by_slug(app, actor, slug)), f"Tenant {slug} is paused.")


@tenants.command("resume")
@click.argument("slug")
@click.option("--reason", required=True, help="What has changed; people will read it.")
@click.option("--keep-campaign", is_flag=True, help="Let the campaign go on that it was paused for.")
@operation
def resume(app: App, actor: Actor, slug: str, reason: str, keep_campaign: bool) -> Answer:
    """Let a paused tenant send again, on probation; its rates are judged anew from now. The campaign that it
    was paused for is cancelled first."""
    tenant = core.tenants.get_by_slug(app, actor, slug)
    causes = [] if keep_campaign else core.campaigns.causes_of_pause(app, actor, tenant.id)
    cancelled = [cause.campaign for cause in causes if cause.is_alone]
    for campaign in cancelled:
        core.campaigns.cancel(app, actor, tenant.id, campaign.id)
    resumed = core.tenants.resume(app, actor, tenant.id, reason)
    held, probation = core.tenants.held_by_aws(resumed), core.tenants.probation(app, actor, tenant.id)
    said = [
        *(f"Campaign {campaign.id} ({campaign.name}) is cancelled." for campaign in cancelled),
        f"Tenant {slug} may send again." if held is None else f"Tenant {slug} is resumed here. {held}",
        *([probation.sentence] if probation is not None else []),
    ]
    return Answer(as_json(core.tenants.get_by_slug(app, actor, slug)), "\n".join(said))


@tenants.command("show")
@click.argument("slug")
@operation
def show(app: App, actor: Actor, slug: str) -> Answer:
    """One tenant: its state, what it has in AWS, what SES thinks of it; as last seen."""
    tenant = core.tenants.get_by_slug(app, actor, slug)
    resources = core.drift.resources(app, actor, tenant.id)
    value = {**as_json(tenant), **_reputation(tenant), "resources": [resource_json(row) for row in resources]}
    facts = [
        ("name", tenant.name),
        ("state", _state(tenant)),
        ("paused", tenant.paused_reason),
        ("reputation policy", tenant.reputation_policy),
        ("status by AWS", tenant.aws_status),
        ("its cause", tenant.aws_status_cause),
        ("findings", "; ".join(found["description"] for found in tenant.reputation_findings)),
    ]
    shown = table(("TENANT", slug), [(what, said) for what, said in facts if said])
    return Answer(value, f"{shown}\n\n{_resources(resources)}")


@tenants.command("repair")
@click.argument("slug")
@operation
def repair(app: App, actor: Actor, slug: str) -> Answer:
    """Make or mend in AWS whatever differs; what is there stays. Ends with 1 while something still does."""
    tenant = core.tenants.get_by_slug(app, actor, slug)
    return _answer(core.drift.repair(app, actor, tenant.id), f"Tenant {slug} is complete in AWS.")


@tenants.command("drift")
@click.argument("slug")
@click.option("--check", is_flag=True, help="Ask AWS now, instead of showing what the last check found.")
@operation
def drift(app: App, actor: Actor, slug: str, check: bool) -> Answer:
    """What AWS has of a tenant that differs from what it should have; ends with 1 if something does."""
    tenant = core.tenants.get_by_slug(app, actor, slug)
    rows = (core.drift.check if check else core.drift.resources)(app, actor, tenant.id)
    if not rows:
        return Answer([], f"Nobody has looked yet: postyard tenants drift {slug} --check", ok=False)
    return _answer(rows, f"AWS has all that tenant {slug} needs.")


@tenants.command("policy")
@click.argument("slug")
@click.argument("policy", type=click.Choice([policy.value for policy in ReputationPolicy]))
@operation
def policy(app: App, actor: Actor, slug: str, policy: str) -> Answer:
    """When SES pauses the tenant by itself: never, after a finding of high impact, or after any."""
    tenant = core.tenants.get_by_slug(app, actor, slug)
    changed = core.tenants.set_reputation_policy(app, actor, tenant.id, policy)
    return Answer(as_json(changed) | _reputation(changed), f"SES judges tenant {slug} by policy {policy}.")


def _answer(rows: list[TenantResource], all_is_well: str) -> Answer:
    wrong = [row for row in rows if row.state != ResourceState.DONE]
    return Answer(
        [resource_json(row) for row in rows], _resources(wrong) if wrong else all_is_well, ok=not wrong
    )


def _resources(rows: list[TenantResource]) -> str:
    return table(
        ("WHAT", "NAME IN AWS", "STATE", "DETAIL"),
        [(row.key, row.name, row.state, row.detail) for row in rows],
    )


def _state(tenant: Tenant) -> str:
    return tenant.sending_status if tenant.provisioned_at else "NOT COMPLETE"


def as_json(tenant: Tenant) -> dict[str, Any]:
    return {
        "id": tenant.id,
        "slug": tenant.slug,
        "name": tenant.name,
        "timezone": tenant.timezone,
        "sending_status": tenant.sending_status,
        "paused_reason": tenant.paused_reason,
        "paused_by": tenant.paused_by,
        "provisioned_at": tenant.provisioned_at,
        "configuration_set": tenant.configuration_set,
        "is_demo": tenant.is_demo,
    }


def _reputation(tenant: Tenant) -> dict[str, Any]:
    return {
        "reputation_policy": tenant.reputation_policy,
        "aws_status": tenant.aws_status,
        "aws_status_cause": tenant.aws_status_cause,
        "reputation_impact": tenant.reputation_impact,
        "reputation_findings": tenant.reputation_findings,
        "reputation_checked_at": tenant.reputation_checked_at,
        "drift_checked_at": tenant.drift_checked_at,
    }


def resource_json(row: TenantResource) -> dict[str, Any]:
    return {
        "key": row.key,
        "name": row.name,
        "state": row.state,
        "detail": row.detail,
        "checked_at": row.checked_at,
    }

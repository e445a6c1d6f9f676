"""Demo: tenants with three months of history, so that a first look at the console shows something.

What a tenant needs in SES is made by the real use cases, against the simulator. The past cannot be made so:
its messages and events are written as they would have been stored, and every number is counted from them.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request

from sqlalchemy import select

from core import campaigns, identities, senders, tenants
from core.access import Actor
from core.app import App
from core.db.models import Sender, Tenant
from core.demo import history
from core.demo.plans import PLANS, Plan
from core.errors import NotFound, ProviderError

DRAFT = "Try me: start this campaign"
DRAFT_ROWS = 60


def is_wanted(app: App) -> bool:
    """Something of the demo is missing, and the database holds no tenant of anybody's own."""
    with app.db.read() as session:
        found = {slug: is_demo for slug, is_demo in session.execute(select(Tenant.slug, Tenant.is_demo))}
    known = {plan.slug for plan in PLANS}
    return found.keys() <= known and any(not found.get(slug) for slug in known)


def seed(app: App, actor: Actor, simulator: str) -> list[str]:
    """Make the demo tenants that are missing or half-made; the slugs of those. `simulator`: its address."""
    added = []
    for plan in PLANS:
        tenant = _tenant(app, actor, plan)
        if tenant.is_demo:
            continue
        sender = _verified_sender(app, actor, tenant.id, plan, simulator)
        _draft(app, actor, tenant.id, sender.id)
        with app.db.begin() as session:
            history.write(session, plan, tenant.id, sender.id, app.now())
            tenants.get_tenant(session, tenant.id).is_demo = True  # from now on it is complete
        added.append(plan.slug)
    return added


def _tenant(app: App, actor: Actor, plan: Plan) -> Tenant:
    try:
        tenant = tenants.get_by_slug(app, actor, plan.slug)
    except NotFound:
        tenant = None
    if tenant is None or tenant.provisioned_at is None:
        return tenants.create(app, actor, slug=plan.slug, name=plan.name, timezone=plan.timezone)
    return tenant


def _verified_sender(app: App, actor: Actor, tenant_id: int, plan: Plan, simulator: str) -> Sender:
    """The plan's sender, its DNS published and checked; and one more that still waits for its DNS."""
    sender = _sender(app, actor, tenant_id, plan.sender, plan.display_name)
    _publish(simulator, [record.as_json() for record in senders.records(app, actor, tenant_id, sender.id)])
    with app.db.read() as session:
        verified = identities.get_identity(session, tenant_id, sender.identity_id).verified_for_sending
    if not verified:
        senders.verify_now(app, actor, tenant_id, sender.id)
        senders.set_default(app, actor, tenant_id, sender.id)
    if plan.pending_sender:
        _sender(app, actor, tenant_id, plan.pending_sender, plan.display_name)
    return sender


def _sender(app: App, actor: Actor, tenant_id: int, address: str, display_name: str) -> Sender:
    with app.db.read() as session:
        sender = senders.find_by_address(session, tenant_id, address)
    return sender or senders.add(app, actor, tenant_id, address, display_name)


def _publish(simulator: str, records: list[dict[str, object]]) -> None:
    request = urllib.request.Request(
        f"{simulator}/_sim/dns",
        method="PUT",
        data=json.dumps(records).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        urllib.request.urlopen(request, timeout=10).close()
    except (urllib.error.URLError, ValueError) as e:
        raise ProviderError(f"The simulator at {simulator} does not answer ({e}).", permanent=False) from e


def _draft(app: App, actor: Actor, tenant_id: int, sender_id: int) -> None:
    """A campaign that waits for somebody to press Start."""
    if any(view.campaign.name == DRAFT for view in campaigns.list_campaigns(app, actor, tenant_id)):
        return
    rows = [f"guest{number}@example.com,Guest {number}" for number in range(1, DRAFT_ROWS + 1)]
    campaigns.create(
        app,
        actor,
        tenant_id,
        name=DRAFT,
        sender_id=sender_id,
        subject="Hello {{first_name}}",
        html="<p>Hello {{first_name}}, this is a demonstration.</p>",
        csv="\n".join(["email,first_name", *rows]).encode(),
        filename="guests.csv",
    )

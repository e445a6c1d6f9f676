"""The cast without a simulator: tenants as rows, for tests of what never asks SES."""

from __future__ import annotations

from core.access import Actor, Role
from core.app import App
from core.db.models import Account, Tenant
from tests.conftest import Cast


def two_tenants(app: App) -> Cast:
    with app.db.begin() as session:
        account = Account(name="platform", region="ap-southeast-1", created_at=app.now())
        session.add(account)
        session.flush()
        acme, globex = (
            Tenant(account_id=account.id, slug=name.lower(), name=name, created_at=app.now())
            for name in ("Acme", "Globex")
        )
        session.add_all([acme, globex])
    return Cast(
        acme=acme,
        globex=globex,
        bob=Actor(username="bob", role=Role.ACCOUNT_MANAGER, tenant_ids=frozenset({acme.id})),
        carol=Actor(username="carol", role=Role.ANALYST, tenant_ids=frozenset({acme.id})),
        charlie=Actor(username="charlie", role=Role.ACCOUNT_MANAGER, tenant_ids=frozenset({globex.id})),
    )


def make_tenants(app: App, *slugs: str) -> None:
    """Rows alone, as if they had been set up in SES: for pages that only read."""
    with app.db.begin() as session:
        account = Account(name="platform", region="ap-southeast-1", created_at=app.now())
        session.add(account)
        session.flush()
        for slug in slugs:
            session.add(
                Tenant(
                    account_id=account.id,
                    slug=slug,
                    name=slug.title(),
                    created_at=app.now(),
                    provisioned_at=app.now(),
                )
            )

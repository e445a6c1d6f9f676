"""Visits: a tenant's page opened by somebody of the cast."""

from __future__ import annotations

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from core.access import Actor
from core.db.models import User
from tests.conftest import Cast
from tests.ui.conftest import Console, open_page, said

Visit = Callable[..., AppTest]


def visits(console: Console, people: Callable[..., User], cast: Cast, path: str) -> Visit:
    """`visit(actor, tenant="acme", **query)` opens the page as this actor, who becomes a user."""
    slugs = {cast.acme.id: cast.acme.slug, cast.globex.id: cast.globex.slug}

    def visit(actor: Actor, tenant: str = "acme", **query: str) -> AppTest:
        assigned = [slugs[tenant_id] for tenant_id in sorted(actor.tenant_ids or ())]
        at = console(people(actor.username, actor.role, *assigned), tenant=tenant)
        for name, value in query.items():
            at.query_params[name] = value
        return open_page(at, path)

    return visit


def shown(at: AppTest) -> str:
    """Everything that can be read on the page: what it says, its code blocks and its tables."""
    return "\n".join(
        [said(at), *(code.value for code in at.code), *(table.value.to_csv() for table in at.dataframe)]
    )

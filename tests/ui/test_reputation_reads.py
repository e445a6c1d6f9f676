"""What the Reputation page reads: rollups only, however much mail there is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Engine, event

from core.app import App
from core.db.models import DailyCount, DomainCount, DomainTotal, User
from tests.conftest import Cast
from tests.ui.conftest import Console
from tests.ui.visits import shown, visits


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Everything that is asked of any database from now on."""
    said: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        said.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield said
    event.remove(Engine, "before_cursor_execute", note)


def test_the_page_reads_no_message_and_no_event(
    app: App, console: Console, people: Callable[..., User], cast: Cast, statements: list[str]
) -> None:
    tenant_id, day = cast.acme.id, (app.now() - timedelta(days=1)).date()
    counts = {"sent": 1000, "delivered": 970, "permanent_bounces": 30, "opened": 200, "opened_by_machine": 90}
    with app.db.begin() as session:
        session.add(DailyCount(tenant_id=tenant_id, day=day, campaign_id=0, **counts))
        session.add(DomainCount(tenant_id=tenant_id, day=day, domain="gmail.com", **counts))
        session.add(DomainTotal(tenant_id=tenant_id, domain="gmail.com", sent=1000))
    visit = visits(console, people, cast, "pages/deliverability/reputation.py")
    at = visit(cast.carol)  # by way of the overview, which counts what waits
    statements.clear()

    at.run()

    assert not at.exception
    assert "1,000" in [metric.value for metric in at.metric]
    assert "gmail.com" in shown(at)
    assert any("daily_counts" in statement for statement in statements)
    scanned = re.compile(r'\b(FROM|JOIN)\s+"?(messages|events)\b', re.IGNORECASE)
    assert [statement for statement in statements if scanned.search(statement)] == []

"""The demo tenants: made once, whole, and every number of theirs can be counted."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from core import campaigns, demo, reports, senders, tenants
from core.access import SYSTEM
from core.app import App
from core.db.models import Campaign, DailyCount, Event, Message
from core.demo.plans import PLANS
from core.events import counting
from tests.simulators import Simulator

pytestmark = pytest.mark.slow


def rows(app: App) -> list[int]:
    with app.db.read() as session:
        return [
            session.scalar(select(func.count()).select_from(table)) or 0
            for table in (Message, Event, Campaign, DailyCount)
        ]


def test_three_tenants_with_a_past_and_nothing_twice(app: App, simulator: Simulator) -> None:
    assert demo.is_wanted(app)
    first = PLANS[0]
    tenants.create(app, SYSTEM, slug=first.slug, name=first.name)  # as if a start had been cut off
    assert demo.is_wanted(app)

    assert demo.seed(app, SYSTEM, simulator.url) == [plan.slug for plan in PLANS]

    assert not demo.is_wanted(app)
    before = rows(app)
    assert demo.seed(app, SYSTEM, simulator.url) == []
    assert rows(app) == before
    for tenant in tenants.list_tenants(app, SYSTEM):
        assert tenant.is_demo
        assert tenant.name.endswith("(demo)")
        assert senders.list_senders(app, SYSTEM, tenant.id)[0].identity.verified_for_sending
        check_numbers(app, tenant.id)
        check_machines(app, tenant.id)
        worst = max(bounce_rates(app, tenant.id))
        assert (worst > 0.1) == (tenant.resumed_at is not None) == (tenant.slug == "globex-demo")
    check_draft_and_bad_week(app)


def check_draft_and_bad_week(app: App) -> None:
    """The draft stands first, and the bad week is in the last month."""
    globex = tenants.get_by_slug(app, SYSTEM, "globex-demo")
    assert campaigns.list_campaigns(app, SYSTEM, globex.id)[0].campaign.name == demo.DRAFT
    month_ago = app.now().date() - timedelta(days=29)  # as the Reputation page opens
    [pause] = reports.pauses(app, SYSTEM, globex.id, since=month_ago)
    assert pause.resumed_at is not None


def check_machines(app: App, tenant_id: int) -> None:
    """Both columns have something to show."""
    today = app.now().date()
    days = reports.rates(app, SYSTEM, tenant_id, since=today - timedelta(days=90), until=today)
    counts = sum((day.counts for day in days), reports.Counts())
    assert 0 < counts.opened_by_machine < counts.opened < counts.delivered
    assert 0 < counts.clicked_by_machine < counts.opened_by_machine
    assert 0 < counts.clicked < counts.opened


def bounce_rates(app: App, tenant_id: int) -> list[float]:
    """One per campaign."""
    rate = func.sum(DailyCount.permanent_bounces) * 1.0 / func.sum(DailyCount.sent)
    query = select(rate).where(DailyCount.tenant_id == tenant_id, DailyCount.campaign_id > 0)
    with app.db.read() as session:
        return [float(found) for found in session.scalars(query.group_by(DailyCount.campaign_id))]


def check_numbers(app: App, tenant_id: int) -> None:
    """The rollups are what the events say, and every campaign's counts sum to its recipients."""
    with app.db.read() as session:
        kept = counting.kept(session, tenant_id)
        counted = counting.recount(session, tenant_id)
        latest = session.scalar(select(func.max(Event.occurred_at)).where(Event.tenant_id == tenant_id))
    assert kept == counted
    assert len({key.day for key in kept.daily}) > 80
    assert latest <= app.now()
    for view in campaigns.list_campaigns(app, SYSTEM, tenant_id):
        assert sum(view.counts.values()) == view.campaign.recipients


def test_a_database_with_tenants_of_its_own_gets_no_demo(app: App, simulator: Simulator) -> None:
    tenants.create(app, SYSTEM, slug="acme", name="Acme Retail")

    assert not demo.is_wanted(app)

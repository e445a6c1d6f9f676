"""The Reputation page: rates with their limits, and nothing of anybody else's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import update

from core import access, tenants
from core.app import App
from core.db.models import DailyCount, DomainCount, DomainTotal, User
from core.reports import Counts, DayRates
from pages.deliverability._reputation_charts import total
from tests.conftest import Cast
from tests.ui.conftest import Console
from tests.ui.visits import Visit, shown, visits


@pytest.fixture
def page(console: Console, people: Callable[..., User], cast: Cast) -> Visit:
    return visits(console, people, cast, "pages/deliverability/reputation.py")


def sent(app: App, tenant_id: int, *, days_ago: int = 1, domain: str = "example.com") -> None:
    day = (app.now() - timedelta(days=days_ago)).date()
    counts = {"sent": 1000, "delivered": 970, "permanent_bounces": 30, "complaints": 1}
    with app.db.begin() as session:
        session.add(DailyCount(tenant_id=tenant_id, day=day, campaign_id=0, **counts))
        session.add(DomainCount(tenant_id=tenant_id, day=day, domain=domain, **counts))
        session.merge(DomainTotal(tenant_id=tenant_id, domain=domain, sent=1000))


def test_before_any_mail_the_page_says_what_will_be_here(page: Visit, cast: Cast) -> None:
    at = page(cast.carol)
    assert not at.exception
    assert "Nothing was sent in this time" in shown(at)


def test_rates_cards_and_tables_are_drawn(page: Visit, app: App, cast: Cast) -> None:
    sent(app, cast.acme.id)
    at = page(cast.carol)
    assert not at.exception
    assert {metric.label: metric.value for metric in at.metric} == {
        "Sent": "1,000",
        "Delivered": "97.0 %",
        "Bounce rate": "3.00 %",
        "Complaint rate": "0.103 %",
    }
    assert len(at.get("vega_lite_chart")) == 3
    assert "Transactional mail" in shown(at)
    assert "example.com" in shown(at)


def test_delivered_is_a_share_of_what_has_an_outcome(page: Visit, app: App, cast: Cast) -> None:
    sent(app, cast.acme.id, days_ago=2)
    with app.db.begin() as session:
        session.execute(update(DailyCount).values(sent=2000))  # half of it has no outcome yet
    at = page(cast.carol)
    assert at.metric[1].value == "97.0 %"


def test_the_range_decides_what_is_counted(page: Visit, app: App, cast: Cast) -> None:
    sent(app, cast.acme.id, days_ago=1)
    sent(app, cast.acme.id, days_ago=60)
    at = page(cast.carol)
    at.segmented_control(key="reputation.range").select("90 days").run()
    assert at.metric[0].value == "2,000"


def test_a_paused_tenant_is_told_why(page: Visit, app: App, cast: Cast) -> None:
    sent(app, cast.acme.id)
    tenants.pause(app, access.SYSTEM, cast.acme.id, "too many bounces")
    at = page(cast.carol)
    assert not at.exception
    assert "too many bounces" in at.error[0].value


def test_another_tenants_slug_shows_nothing_of_it(page: Visit, app: App, cast: Cast) -> None:
    sent(app, cast.globex.id, domain="secret.example.net")
    at = page(cast.bob, tenant="globex")
    assert not at.exception
    assert "secret.example.net" not in shown(at)
    assert "Nothing was sent in this time" in shown(at)


def test_days_are_added_up_field_by_field(app: App) -> None:
    day = DayRates(app.now().date(), Counts(sent=5, delivered=4, permanent_bounces=1))
    assert total([day, day]) == Counts(sent=10, delivered=8, permanent_bounces=2)
    assert total([]) == Counts()

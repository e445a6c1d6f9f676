"""The tab Reputation of a tenant: its levels, trying others on its history; probation and resuming."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, update
from streamlit.testing.v1 import AppTest

from core import events, reputation, tenants
from core.access import SYSTEM, Role
from core.app import App
from core.db.models import Account, Campaign, Tenant, User
from core.db.states import EventType
from tests.ledger import Ledger, ledger_of
from tests.ui.conftest import Console, open_page, said

People = Callable[..., User]
TENANTS = "pages/operations/tenants.py"


@pytest.fixture
def acme(bare_app: App, two_tenants: None) -> Ledger:
    with bare_app.db.begin() as session:
        session.execute(
            update(Tenant).where(Tenant.slug == "acme").values(topic_arn="arn:aws:sns:eu-west-1:1:acme")
        )
    with bare_app.db.read() as session:
        account = session.scalars(select(Account)).one()
    return ledger_of(bare_app, account, tenants.get_by_slug(bare_app, SYSTEM, "acme"))


def bad_day(ledger: Ledger) -> None:
    people = [f"p{n}@example{n % 4}.com" for n in range(40)]
    messages = ledger.add_messages(people, armed_at=datetime.now(UTC))
    news: list[Any] = [ledger.says(message, EventType.DELIVERY) for message in messages[:30]]
    news += [ledger.bounce(message) for message in messages[30:]]
    assert events.ingest(ledger.app, ledger.account, news).paused_tenants == (ledger.tenant.id,)


def reputation_tab(console: Console, user: User) -> AppTest:
    at = console(user, tenant="acme")
    at.query_params["view"] = "Reputation"
    at = open_page(at, TENANTS)
    assert not at.exception
    return at


def the(at: AppTest, kind: str, beginning: str) -> str:
    [key] = [each.key for each in at.get(kind) if str(each.key).startswith(beginning)]
    return str(key)


def frame(at: AppTest, column: str) -> Any:
    [found] = [each.value for each in at.dataframe if column in each.value]
    return found


def test_an_administrator_lowers_the_levels(console: Console, people: People, acme: Ledger) -> None:
    at = reputation_tab(console, people("root", Role.ADMIN))
    at.number_input(the(at, "number_input", "tenants.levels.pause_bounce_rate")).set_value(8)
    at.button(the(at, "button", "tenants.levels.save")).click().run()
    assert "The levels of Acme are set" in said(at)
    assert reputation.own_levels(acme.app, SYSTEM, acme.tenant.id).pause_bounce_rate == 0.08
    at.number_input(the(at, "number_input", "tenants.levels.pause_bounce_rate")).set_value(30)
    at.button(the(at, "button", "tenants.levels.save")).click().run()
    assert "can only be lower" in said(at)


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.ANALYST])
def test_others_see_the_levels_and_may_try_some(
    console: Console, people: People, acme: Ledger, role: Role
) -> None:
    at = reputation_tab(console, people("dora", role, *(["acme"] if role == Role.ANALYST else [])))
    assert list(frame(at, "Pauses at")["Pauses at"]) == [10.0, 0.5]
    assert "tenants.levels.save" not in "".join(str(button.key) for button in at.button)
    assert "dry-run.acme.try" in {button.key for button in at.button}


def test_levels_are_tried_on_the_tenants_own_history(console: Console, people: People, acme: Ledger) -> None:
    bad_day(acme)
    at = reputation_tab(console, people("carol", Role.ANALYST, "acme"))
    at.button(key="dry-run.acme.try").click().run()
    assert not at.exception
    assert "Would have paused 1 campaign from" in said(at)
    pauses = frame(at, "Bounces spared")
    assert list(pauses["Campaign"]) == ["Spring"]
    at.number_input(key="dry-run.acme.pause_bounce_rate").set_value(50)
    at.button(key="dry-run.acme.try").click().run()
    assert "can only be lower" in said(at)


def test_a_resume_cancels_the_campaign_behind_the_pause_and_tells_of_probation(
    console: Console, people: People, acme: Ledger
) -> None:
    bad_day(acme)
    at = open_page(console(people("dora", Role.OPERATOR), tenant="acme"), TENANTS)
    at.button("tenants.resume").click().run()
    [box] = at.checkbox
    assert box.label.startswith("Cancel Spring (")
    assert box.value
    assert "on probation" in said(at)
    at.text_input("confirm.reason").input("list cleaned")
    at.button("confirm.yes").click().run()
    assert "Acme sends again, on probation" in said(at)
    assert "On probation: 1,000 of 1,000 outcomes to go, at 0.1/s." in said(at)
    assert status(acme) == "CANCELLED"


def test_the_campaign_is_kept_where_its_box_is_not_ticked(
    console: Console, people: People, acme: Ledger
) -> None:
    bad_day(acme)
    at = open_page(console(people("dora", Role.OPERATOR), tenant="acme"), TENANTS)
    at.button("tenants.resume").click().run()
    at.checkbox[0].uncheck()
    at.text_input("confirm.reason").input("it was the provider")
    at.button("confirm.yes").click().run()
    assert status(acme) == "SENDING"
    assert acme.tenant_now().sending_status == "ENABLED"


def status(ledger: Ledger) -> str:
    with ledger.app.db.read() as session:
        return session.get_one(Campaign, ledger.campaign.id).status


def test_probation_is_told_where_its_mail_is(console: Console, people: People, acme: Ledger) -> None:
    with acme.app.db.begin() as session:
        session.execute(update(Account).values(max_send_rate=14.0))
        session.execute(update(Tenant).where(Tenant.slug == "acme").values(probation_left=640))
    told, user = "On probation: 640 of 1,000 outcomes to go, at 1.4/s.", people("dora", Role.OPERATOR)
    assert told in said(open_page(console(user), "pages/operations/overview.py"))
    assert told in said(open_page(console(user, tenant="acme"), TENANTS))
    at = console(user, tenant="acme")
    at.query_params["campaign"] = str(acme.campaign.id)
    at = open_page(at, "pages/sending/campaigns.py")
    assert not at.exception
    assert f"Acme: {told}" in said(at)
    assert told not in said(open_page(console(user, tenant="globex"), TENANTS))

"""The tab Limits of a tenant's panel: its limits and their use, its warm-up, its fallback."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import update
from streamlit.testing.v1 import AppTest

from core import tenants, warm_ups
from core.access import SYSTEM, Role
from core.app import App
from core.db.models import Tenant, User, WarmUp
from core.tenants.limits import count
from tests.ui.conftest import Console, open_page, said
from tests.ui.visits import shown

People = Callable[..., User]
TENANTS = "pages/operations/tenants.py"


def limits(console: Console, user: User, tenant: str = "acme") -> AppTest:
    at = console(user, tenant=tenant)
    at.query_params["view"] = "Limits"
    at = open_page(at, TENANTS)
    assert not at.exception
    return at


def keys(at: AppTest) -> set[str]:
    return {str(button.key) for button in at.button}


def the(at: AppTest, kind: str, beginning: str) -> str:
    """The key of the one widget whose key begins so: the rest of it is what is stored."""
    [key] = [each.key for each in at.get(kind) if str(each.key).startswith(beginning)]
    return str(key)


def acme(app: App) -> Tenant:
    return tenants.get_by_slug(app, SYSTEM, "acme")


@pytest.fixture
def resend(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTYARD_RESEND_API_KEY", "re_key")
    monkeypatch.setenv("POSTYARD_RESEND_FROM", "Post <post@postyard-mail.io>")


# Limits


def test_limits_are_shown_with_what_is_used_of_them_and_set(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    with bare_app.db.begin() as session:
        count(session, acme(bare_app), 1000, bare_app.now())
    at = limits(console, people("dora", Role.OPERATOR))
    assert [bar.proto.text for bar in at.get("progress")] == [
        "In the last minute: **1,000** · no limit",
        "In the last hour: **1,000** · no limit",
        "Today: **1,000** · no limit",
    ]
    at.number_input(the(at, "number_input", "tenants.limits.hour")).set_value(1000)
    at.number_input(the(at, "number_input", "tenants.limits.day")).set_value(5000)
    at.button(the(at, "button", "tenants.limits.save")).click().run()
    assert "The limits of Acme are set." in said(at)
    bars = [bar.proto.text for bar in at.get("progress")]
    assert bars[1].startswith("In the last hour: **1,000** of 1,000 · used up, more from ")
    assert bars[2] == "Today: **1,000** of 5,000"
    stored = acme(bare_app)
    assert (stored.per_minute, stored.per_hour, stored.per_day) == (None, 1000, 5000)


def test_limits_that_make_no_sense_are_refused_in_one_sentence(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    at = limits(console, people("dora", Role.OPERATOR))
    at.number_input(the(at, "number_input", "tenants.limits.minute")).set_value(200)
    at.number_input(the(at, "number_input", "tenants.limits.hour")).set_value(100)
    at.button(the(at, "button", "tenants.limits.save")).click().run()
    assert "above the one per hour" in at.error[0].value
    assert acme(bare_app).per_minute is None


def test_what_somebody_else_set_meanwhile_is_shown_and_not_overwritten(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    at = limits(console, people("dora", Role.OPERATOR))
    at.number_input(the(at, "number_input", "tenants.limits.day")).set_value(10)
    tenants.set_limits(bare_app, SYSTEM, acme(bare_app).id, per_minute=None, per_hour=None, per_day=700)
    at.button(the(at, "button", "tenants.limits.save")).click().run()
    assert acme(bare_app).per_day == 700
    assert at.number_input(the(at, "number_input", "tenants.limits.day")).value == 700


# Fallback


def test_without_a_second_provider_the_page_says_what_to_set(
    console: Console, people: People, two_tenants: None
) -> None:
    at = limits(console, people("dora", Role.OPERATOR))
    assert "`POSTYARD_RESEND_API_KEY` and `POSTYARD_RESEND_FROM`" in said(at)
    assert not at.radio


def test_a_policy_is_chosen_after_it_was_explained(
    resend: None, console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    at = limits(console, people("dora", Role.OPERATOR))
    assert "from `post@postyard-mail.io` under the sender's name" in said(at)
    at.radio[0].set_value("For each sender that is not verified").run()
    at.button("tenants.fallback.save").click().run()
    at.button("confirm.yes").click().run()
    assert "The fallback policy of Acme is changed." in said(at)
    assert acme(bare_app).fallback_policy == "unmatched_sender"
    assert tenants.get_by_slug(bare_app, SYSTEM, "globex").fallback_policy == "none"


# Warm-up


def test_a_warm_up_is_started_followed_and_stopped(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    at = limits(console, people("dora", Role.OPERATOR))
    assert "50 to 50,000 recipients a day in 14 days, each day 1.70 times the day before" in said(at)
    at.number_input("tenants.warm.first").set_value(100)
    at.number_input("tenants.warm.last").set_value(800)
    at.number_input("tenants.warm.days").set_value(4).run()
    at.button("tenants.warm.start").click().run()
    assert "Today it may write to 100 recipients" in said(at)
    at.button("confirm.yes").click().run()
    assert "Acme is being warmed up." in said(at)
    assert [metric.value for metric in at.metric] == ["100", "0", "100", at.metric[3].value]
    assert len(at.get("vega_lite_chart") or at.get("arrow_vega_lite_chart")) == 1
    assert list(at.dataframe[1].value["Recipients"]) == [100, 200, 400, 800]
    at.button("tenants.warm.stop").click().run()
    at.button("confirm.yes").click().run()
    assert "The warm-up of Acme is stopped." in said(at)
    seen = warm_ups.view(bare_app, SYSTEM, acme(bare_app).id)
    assert seen is not None
    assert seen.finished_at is not None
    assert "Stopped by dora on day 1 of 4" in said(at)


def test_a_plan_that_leaps_has_no_button(console: Console, people: People, two_tenants: None) -> None:
    at = limits(console, people("dora", Role.OPERATOR))
    at.number_input("tenants.warm.days").set_value(5).run()
    assert "Take 8 days or more" in at.error[0].value
    assert "tenants.warm.start" not in keys(at)
    at.number_input("tenants.warm.days").set_value(120).run()
    assert "2 to 90 days" in at.error[0].value
    at.number_input("tenants.warm.days").set_value(9).run()
    assert "11 days are safer" in at.warning[0].value
    assert "tenants.warm.start" in keys(at)


def test_what_has_been_sent_is_drawn_beside_the_plan(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    tenant = acme(bare_app)
    warm_ups.start(bare_app, SYSTEM, tenant.id, first_day=50, last_day=50_000, days=14)
    began_at = bare_app.now() - timedelta(days=4)
    with bare_app.db.begin() as session:
        for day, recipients in enumerate((50, 85, 145, 246)):
            count(session, tenant, recipients, began_at + timedelta(days=day))
        session.execute(update(WarmUp).values(started_at=began_at, step=3))
    at = limits(console, people("dora", Role.OPERATOR))
    assert "Day 4 of 14" in said(at)
    assert list(at.dataframe[1].value[""])[:5] == ["Done", "Done", "Done", "Today", ""]


# Who may what


@pytest.mark.parametrize(
    ("role", "changes"),
    [(Role.OPERATOR, True), (Role.ACCOUNT_MANAGER, False), (Role.ANALYST, False)],
)
def test_limits_are_seen_by_everybody_and_changed_by_staff(
    resend: None,
    console: Console,
    people: People,
    bare_app: App,
    two_tenants: None,
    role: Role,
    changes: bool,
) -> None:
    warm_ups.start(bare_app, SYSTEM, acme(bare_app).id, first_day=50, last_day=50_000, days=14)
    at = limits(console, people("bob", role, *(() if changes else ("acme",))))
    assert "Today's allowance" in [metric.label for metric in at.metric]
    assert "In the last hour" in "".join(bar.proto.text for bar in at.get("progress"))
    assert ("tenants.warm.stop" in keys(at)) == changes
    assert bool(at.number_input) == bool(at.radio) == changes
    assert ("waits until it is" in said(at)) != changes


def test_another_tenants_limits_are_not_shown(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    globex = tenants.get_by_slug(bare_app, SYSTEM, "globex")
    tenants.set_limits(bare_app, SYSTEM, globex.id, per_minute=None, per_hour=None, per_day=4711)
    at = limits(console, people("bob", Role.ACCOUNT_MANAGER, "acme"), tenant="globex")
    assert "4,711" not in shown(at) + "".join(bar.proto.text for bar in at.get("progress"))

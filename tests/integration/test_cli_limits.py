"""The commands about a tenant's limits, its fallback and its warm-up, as a script uses them."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from core import tenants
from core.access import SYSTEM
from core.app import App
from core.db.models import WarmUp
from core.tenants.limits import count
from tests.integration.test_cli import Call, Run, call, database_url, environment, refused, run
from tests.offline import make_tenants

__all__ = ["call", "database_url", "environment", "run"]


@pytest.fixture
def acme(app: App) -> str:
    make_tenants(app, "acme")
    return "acme"


def test_limits_are_shown_set_and_lifted(app: App, call: Call, run: Run, acme: str) -> None:
    assert call("tenants", "limits", acme)["hour"] == {"used": 0, "limit": None, "frees_at": None}
    changed = call("tenants", "limits", acme, "--per-hour", "1000", "--per-day", "5000")
    assert (changed["minute"]["limit"], changed["hour"]["limit"], changed["day"]["limit"]) == (
        None,
        1000,
        5000,
    )
    with app.db.begin() as session:
        count(session, tenants.get_by_slug(app, SYSTEM, acme), 1000, app.now())
    shown = call("tenants", "limits", acme, "--per-day", "none")
    assert (shown["hour"]["used"], shown["hour"]["limit"], shown["day"]["limit"]) == (1000, 1000, None)
    assert shown["hour"]["frees_at"] is not None
    text = run("tenants", "limits", acme).stdout
    assert "RECIPIENTS A" in text
    assert "1,000" in text
    assert "(UTC)" in text


def test_limits_that_make_no_sense_are_refused(run: Run, acme: str) -> None:
    assert "pause the tenant" in refused(run("tenants", "limits", acme, "--per-minute", "0"))
    assert run("tenants", "limits", acme, "--per-minute", "many").exit_code == 2
    assert "no tenant 'nobody'" in refused(run("tenants", "limits", "nobody"))


def test_a_fallback_policy_is_chosen_where_there_is_a_second_provider(
    call: Call, run: Run, acme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Set POSTYARD_RESEND_API_KEY" in refused(run("tenants", "fallback", acme, "unmatched_sender"))
    monkeypatch.setenv("POSTYARD_RESEND_API_KEY", "re_key")
    monkeypatch.setenv("POSTYARD_RESEND_FROM", "post@postyard-mail.io")
    chosen = call("tenants", "fallback", acme, "unmatched_sender")
    assert chosen == {"slug": "acme", "fallback_policy": "unmatched_sender"}
    assert run("tenants", "fallback", acme, "always").exit_code == 2


def test_without_a_policy_the_present_one_is_shown(call: Call, run: Run, acme: str) -> None:
    assert call("tenants", "fallback", acme) == {"slug": "acme", "fallback_policy": "none"}
    assert run("tenants", "fallback", acme).stdout.strip() == "Tenant acme falls back by policy none."
    assert "no tenant 'nobody'" in refused(run("tenants", "fallback", "nobody"))


def test_a_warm_up_that_was_stopped_shows_its_days(app: App, call: Call, run: Run, acme: str) -> None:
    call("tenants", "warm-up", acme, "start")
    call("tenants", "warm-up", acme, "stop")
    today = app.now().date()
    assert f"It began on {today} and ended on {today}. Nothing was sent." in run_warm_up(run, acme)
    with app.db.begin() as session:
        count(session, tenants.get_by_slug(app, SYSTEM, acme), 40, app.now())
    shown = run_warm_up(run, acme)
    assert f"{today}  40" in shown
    assert "EXPECTED" not in shown


def test_the_days_behind_a_warm_up_are_over(app: App, call: Call, run: Run, acme: str) -> None:
    call("tenants", "warm-up", acme, "start")
    with app.db.begin() as session:
        session.execute(update(WarmUp).values(step=1))
    first, second = run_warm_up(run, acme).split("\n\n")[1].splitlines()[1:3]
    assert first.split() == ["1", "50", "over"]
    assert second.split()[-2:] == ["<-", "today"]


def run_warm_up(run: Run, slug: str) -> str:
    return run("tenants", "warm-up", slug).stdout


def test_a_warm_up_is_started_shown_and_stopped(call: Call, run: Run, acme: str) -> None:
    assert call("tenants", "warm-up", acme) is None
    assert "never warmed up" in run("tenants", "warm-up", acme, "show").stdout
    begun = call(
        "tenants", "warm-up", acme, "start", "--first-day", "100", "--last-day", "800", "--days", "4"
    )
    assert (begun["day"], begun["allowance"], begun["left_today"]) == (1, 100, 100)
    assert [row["allowance"] for row in begun["plan"]] == [100, 200, 400, 800]
    text = run("tenants", "warm-up", acme).stdout
    assert "<- today" in text
    assert "Today 0 of 100 recipients are used." in text
    assert "already" in refused(run("tenants", "warm-up", acme, "start"))
    assert call("tenants", "warm-up", acme, "stop")["allowance"] is None
    assert "No warm-up" in refused(run("tenants", "warm-up", acme, "stop"))
    assert "given with start" in refused(run("tenants", "warm-up", acme, "--days", "5"))
    assert "3-fold" in refused(run("tenants", "warm-up", acme, "start", "--days", "5"))

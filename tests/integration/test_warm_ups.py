"""Warm-ups: started and stopped by staff, walked by outcomes, one step for each day that is over."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from core import tenants, warm_ups
from core.access import SYSTEM, Actor
from core.app import App, SystemClock
from core.db.models import Alert, AuditEntry, DailyCount, Tenant, WarmUp
from core.errors import Conflict, InputError, NotFound, PermissionDenied
from core.tenants.limits import count
from core.warm_ups import WarmUpView
from tests.conftest import Cast
from tests.offline import make_tenants

START = datetime(2026, 11, 23, 9, tzinfo=UTC)
PLAN = {"first_day": 100, "last_day": 800, "days": 4}
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@dataclass
class Standing(SystemClock):
    at: datetime = START

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def acme(app: App) -> Tenant:
    make_tenants(app, "acme", "globex")
    return tenants.get_by_slug(app, SYSTEM, "acme")


def at(app: App, **after: float) -> App:
    return replace(app, clock=Standing(START + timedelta(**after)))


def warm(app: App, actor: Actor, tenant: Tenant, **figures: int) -> None:
    warm_ups.start(at(app), actor, tenant.id, **{**PLAN, **figures})


def mailed(
    app: App, tenant: Tenant, used: int, *, on: int = 0, bounces: int = 0, complaints: int = 0,
    known: int | None = None, moment: datetime | None = None,
) -> None:  # fmt: skip
    """Mail of the day `on` after the start, and what its events came to."""
    moment = moment or START + timedelta(days=on)
    day = moment.astimezone(ZoneInfo(tenant.timezone)).date()
    outcomes = used if known is None else known
    with app.db.begin() as session:
        count(session, tenant, used, moment)
        session.add(
            DailyCount(
                tenant_id=tenant.id, day=day, campaign_id=moment.hour,
                sent=used, delivered=outcomes - bounces,
                permanent_bounces=bounces, complaints=complaints,
            )
        )  # fmt: skip


def look(app: App, tenant: Tenant, **after: float) -> WarmUpView:
    seen = warm_ups.view(at(app, **after), SYSTEM, tenant.id)
    assert seen is not None
    return seen


def judged(app: App, tenant: Tenant, **after: float) -> WarmUpView:
    warm_ups.judge_due(at(app, **after))
    return look(app, tenant, **after)


def alerts(app: App) -> list[str]:
    with app.db.read() as session:
        return list(session.scalars(select(Alert.sentence).where(Alert.cleared_at.is_(None))))


def audited(app: App, tenant: Tenant) -> list[tuple[str, str]]:
    query = select(AuditEntry).where(AuditEntry.tenant_id == tenant.id).order_by(AuditEntry.id)
    with app.db.read() as session:
        return [(entry.actor, entry.action) for entry in session.scalars(query)]


# Started, seen, stopped


def test_a_warm_up_begins_with_its_first_day_and_is_shown_whole(app: App, acme: Tenant, alice: Actor) -> None:
    assert warm_ups.view(at(app), alice, acme.id) is None
    with app.db.begin() as session:
        count(session, acme, 30, START - timedelta(hours=1))
    warm(app, alice, acme)
    shown = look(app, acme)
    assert (shown.allowance, shown.used_today, shown.left_today) == (100, 30, 70)
    assert [(row.number, row.allowance, row.on, row.is_today) for row in shown.rows] == [
        (1, 100, date(2026, 11, 23), True),
        (2, 200, date(2026, 11, 24), False),
        (3, 400, date(2026, 11, 25), False),
        (4, 800, date(2026, 11, 26), False),
    ]
    assert shown.ends_on == date(2026, 11, 27)
    assert (shown.started_by, shown.started_on, shown.finished_at) == ("alice", date(2026, 11, 23), None)
    assert shown.note.startswith("Started by alice: 100 to 800 recipients a day in 4 days")
    assert shown.sent == {date(2026, 11, 23): 30}
    assert audited(app, acme) == [("alice", "start warm-up")]


def test_one_that_is_under_way_is_not_started_again_before_it_was_stopped(
    app: App, acme: Tenant, alice: Actor
) -> None:
    warm(app, alice, acme)
    with pytest.raises(Conflict, match="being warmed up already"):
        warm(app, alice, acme, first_day=50)
    warm_ups.stop(at(app), alice, acme.id)
    stopped = look(app, acme)
    assert (stopped.allowance, stopped.left_today, stopped.ends_on) == (None, None, None)
    assert stopped.note == "Stopped by alice on day 1 of 4: no limit any more."
    with pytest.raises(NotFound, match="No warm-up of Acme is under way"):
        warm_ups.stop(at(app), alice, acme.id)
    warm(app, alice, acme, first_day=50)
    assert look(app, acme).allowance == 50
    assert [action for _, action in audited(app, acme)] == ["start warm-up", "stop warm-up", "start warm-up"]


@on_sqlite
def test_bad_figures_start_nothing(app: App, acme: Tenant, alice: Actor) -> None:
    for figures in ({"first_day": 0}, {"last_day": 100}, {"days": 1}, {"days": 91}, {"last_day": 100_000}):
        with pytest.raises(InputError):
            warm(app, alice, acme, **figures)
    assert warm_ups.view(app, alice, acme.id) is None


@on_sqlite
def test_staff_warm_up_and_the_tenants_people_look_on(app: App, cast: Cast, alice: Actor) -> None:
    warm(app, alice, cast.acme)
    for actor in (cast.bob, cast.carol):
        assert warm_ups.view(app, actor, cast.acme.id) is not None
        with pytest.raises(PermissionDenied):
            warm(app, actor, cast.acme)
        with pytest.raises(PermissionDenied):
            warm_ups.stop(app, actor, cast.acme.id)
    for act in (warm_ups.view, warm_ups.stop):
        with pytest.raises(NotFound, match=r"There is no such tenant\."):
            act(app, cast.charlie, cast.acme.id)
        with pytest.raises(NotFound):
            act(app, alice, 999)
    with pytest.raises(NotFound, match=r"There is no such tenant\."):
        warm(app, cast.charlie, cast.acme)
    assert warm_ups.view(app, alice, cast.globex.id) is None


# Judged


def test_a_good_day_leads_one_step_on_and_only_once(app: App, acme: Tenant, alice: Actor) -> None:
    warm(app, alice, acme)
    mailed(app, acme, 100, bounces=1)
    assert judged(app, acme, hours=14).step == 0, "its day is not over"
    seen = judged(app, acme, hours=15)
    assert (seen.step, seen.allowance, seen.ends_on) == (1, 200, date(2026, 11, 27))
    assert seen.note == (
        "23 Nov: 100 of 100 recipients; bounce rate 1.00 % (1 of 100), complaint rate 0.00 % (0 of 99). "
        "All is well. On to day 2, 200 recipients."
    )
    assert seen.rows[0].on is None
    for hours in (15, 16, 30):
        assert judged(app, acme, hours=hours) == seen
    assert audited(app, acme) == [("alice", "start warm-up"), ("postyard", "promote warm-up")]
    assert warm_ups.judge_due(at(app, hours=30)) == "Judged 0 days of 1 warm-ups under way."


def test_two_schedulers_that_judge_at_once_take_one_step(app: App, acme: Tenant, alice: Actor) -> None:
    warm(app, alice, acme)
    mailed(app, acme, 100)
    together = threading.Barrier(3)

    def judge() -> None:
        together.wait()
        warm_ups.judge_due(at(app, days=1))

    schedulers = [threading.Thread(target=judge) for _ in range(3)]
    for scheduler in schedulers:
        scheduler.start()
    for scheduler in schedulers:
        scheduler.join()
    assert look(app, acme, days=1).step == 1
    assert [action for _, action in audited(app, acme)] == ["start warm-up", "promote warm-up"]


def test_a_plan_is_walked_to_its_end_and_then_there_is_no_limit(app: App, acme: Tenant, alice: Actor) -> None:
    warm(app, alice, acme)
    for day, allowance in enumerate((100, 200, 400, 800)):
        assert look(app, acme, days=day).allowance == allowance
        mailed(app, acme, allowance, on=day)
        seen = judged(app, acme, days=day + 1)
    assert seen.finished_at == START + timedelta(days=4)
    assert seen.allowance is None
    assert seen.note.endswith("The plan has been walked to its end: no limit any more.")
    assert audited(app, acme)[-1] == ("postyard", "finish warm-up")
    with app.db.read() as session:
        assert warm_ups.allowance_today(session, acme.id) is None


def test_bad_mail_leads_one_step_back_and_raises_an_alert_until_all_is_well(
    app: App, acme: Tenant, alice: Actor
) -> None:
    warm(app, alice, acme)
    mailed(app, acme, 100)
    judged(app, acme, days=1)
    mailed(app, acme, 200, on=1, bounces=10)
    seen = judged(app, acme, days=2)
    assert seen.step == 0
    assert seen.note.endswith("The bounce rate is 5 % or more. Back to day 1, 100 recipients.")
    assert alerts(app) == [f"The warm-up of Acme does not go well. {seen.note}"]
    mailed(app, acme, 100, on=2, complaints=2)
    seen = judged(app, acme, days=3)
    assert (seen.step, seen.note.endswith("It stays on day 1, 100 recipients.")) == (0, True)
    assert len(alerts(app)) == 1
    mailed(app, acme, 100, on=3)
    assert judged(app, acme, days=4).step == 1
    assert alerts(app) == []
    assert [action for _, action in audited(app, acme)][1:] == [
        "promote warm-up", "demote warm-up", "promote warm-up",
    ]  # fmt: skip


def test_a_stopped_warm_up_takes_its_alert_with_it(app: App, acme: Tenant, alice: Actor) -> None:
    warm(app, alice, acme)
    mailed(app, acme, 100, bounces=20)
    judged(app, acme, days=1)
    assert len(alerts(app)) == 1
    warm_ups.stop(at(app, days=1), alice, acme.id)
    assert alerts(app) == []
    assert judged(app, acme, days=2).note.startswith("Stopped by alice")


@pytest.mark.parametrize(
    ("day", "why"),
    [
        ({"used": 49}, "Less than half of the allowance was used"),
        ({"used": 100, "bounces": 3}, "The bounce rate is not below 2 %"),
        ({"used": 100, "complaints": 1}, "The complaint rate is not below 0.1 %"),
        ({"used": 100, "known": 80}, "The outcomes of only 80 of them are known"),
    ],
)
@on_sqlite
def test_a_day_that_proves_too_little_is_walked_again(
    app: App, acme: Tenant, alice: Actor, day: dict[str, int], why: str
) -> None:
    warm(app, alice, acme)
    mailed(app, acme, **day)
    seen = judged(app, acme, days=1)
    assert (seen.step, seen.ends_on) == (0, date(2026, 11, 28))
    assert why in seen.note
    assert alerts(app) == []


@on_sqlite
def test_outcomes_that_are_on_their_way_are_waited_for(app: App, acme: Tenant, alice: Actor) -> None:
    warm(app, alice, acme)
    mailed(app, acme, 100, known=50)
    assert judged(app, acme, hours=20.9).note.startswith("Started by alice")
    with app.db.begin() as session:
        session.scalars(select(DailyCount)).one().delivered = 100
    assert judged(app, acme, hours=20.95).step == 1


@on_sqlite
def test_silence_leads_nowhere_and_a_week_of_it_one_step_back(app: App, acme: Tenant, alice: Actor) -> None:
    warm(app, alice, acme)
    mailed(app, acme, 100)
    mailed(app, acme, 200, on=1)
    assert judged(app, acme, days=2).step == 2
    assert judged(app, acme, days=3).note == (
        "25 Nov: nothing was sent. A day without mail proves nothing. It stays on day 3, 400 recipients."
    )
    assert judged(app, acme, days=8).step == 2
    seen = judged(app, acme, days=9)
    assert seen.step == 1
    assert "7 days without mail" in seen.note
    assert len(alerts(app)) == 1
    assert judged(app, acme, days=15).step == 1
    assert judged(app, acme, days=16).step == 0
    assert judged(app, acme, days=40).step == 0


def test_days_that_no_scheduler_judged_are_judged_one_after_the_other(
    app: App, acme: Tenant, alice: Actor
) -> None:
    warm(app, alice, acme)
    for day, allowance in enumerate((100, 200, 400)):
        mailed(app, acme, allowance, on=day)
    assert warm_ups.judge_due(at(app, days=3)) == "Judged 3 days of 1 warm-ups under way."
    assert look(app, acme, days=3).step == 3


@on_sqlite
def test_a_day_and_its_outcomes_are_those_of_the_tenants_zone(app: App, acme: Tenant, alice: Actor) -> None:
    with app.db.begin() as session:
        session.get_one(Tenant, acme.id).timezone = "Asia/Singapore"
    acme = tenants.get_by_slug(app, SYSTEM, "acme")
    warm(app, alice, acme)
    mailed(app, acme, 100)
    assert judged(app, acme, hours=6).step == 0
    seen = judged(app, acme, hours=7.5)
    assert (seen.step, seen.rows[1].on) == (1, date(2026, 11, 24))
    mailed(app, acme, 200, bounces=20, moment=datetime(2026, 11, 23, 22, tzinfo=UTC))  # the 24th there
    seen = judged(app, acme, days=1, hours=7.5)
    assert seen.step == 0
    assert "(20 of 200)" in seen.note
    mailed(app, acme, 100, on=2)
    assert judged(app, acme, days=2, hours=7.5).step == 1, "the 25th is judged by its own mail"


@on_sqlite
def test_a_step_that_was_taken_while_a_clock_was_wrong_does_not_stand_for_years(
    app: App, acme: Tenant, alice: Actor
) -> None:
    warm(app, alice, acme)
    judged(app, acme, days=4000)
    with app.db.read() as session:
        assert session.get_one(WarmUp, acme.id).step_since.year > 2030
    judged(app, acme, hours=1)
    mailed(app, acme, 100)
    assert judged(app, acme, days=1).step == 1


@on_sqlite
def test_each_tenant_is_judged_by_its_own_mail(app: App, acme: Tenant, alice: Actor) -> None:
    globex = tenants.get_by_slug(app, SYSTEM, "globex")
    warm(app, alice, acme)
    warm(app, alice, globex)
    mailed(app, acme, 100)
    mailed(app, globex, 100, bounces=50)
    judged(app, acme, days=1)
    assert (look(app, acme, days=1).step, look(app, globex, days=1).step) == (1, 0)
    assert "Globex" in alerts(app)[0]

"""A tenant's limits: by the minute, the hour, the day of its zone and its warm-up; when it may fall back."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select

from core import tenants, warm_ups
from core.access import SYSTEM, Actor
from core.app import App, SystemClock
from core.db.models import AuditEntry, Tenant, TenantUsage
from core.errors import Conflict, InputError, NotFound, PermissionDenied
from core.tenants.limits import count, forget_old, left
from tests.campaigning import addresses, counts, send_until_idle, started
from tests.conftest import Cast, verified_sender
from tests.offline import make_tenants
from tests.simulators import Simulator

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@dataclass
class Standing(SystemClock):
    at: datetime = NOON

    def now(self) -> datetime:
        return self.at


@pytest.fixture
def acme(app: App) -> Tenant:
    """Two tenants as rows alone; the other one must never matter."""
    make_tenants(app, "acme", "globex")
    return tenants.get_by_slug(app, SYSTEM, "acme")


@pytest.fixture
def globex(app: App, acme: Tenant) -> Tenant:
    return tenants.get_by_slug(app, SYSTEM, "globex")


def limited(app: App, tenant: Tenant, **limits: int | str) -> Tenant:
    with app.db.begin() as session:
        found = session.get_one(Tenant, tenant.id)
        for name, value in limits.items():
            setattr(found, name, value)
    return found


def used(app: App, tenant: Tenant, recipients: int, at: datetime = NOON) -> None:
    with app.db.begin() as session:
        count(session, tenant, recipients, at)


def allowed(app: App, tenant: Tenant, at: datetime = NOON) -> tuple[int, float, str] | None:
    with app.db.read() as session:
        return left(session, session.get_one(Tenant, tenant.id), at)


def after(**parts: float) -> datetime:
    return NOON + timedelta(**parts)


def test_a_tenant_without_limits_has_none(app: App, acme: Tenant) -> None:
    used(app, acme, 1_000_000)
    assert allowed(app, acme) is None


def test_a_limit_lets_go_what_is_left_of_it(app: App, acme: Tenant, globex: Tenant) -> None:
    acme = limited(app, acme, per_minute=100, per_hour=1000, per_day=1500)
    used(app, globex, 5000)
    assert allowed(app, acme) == (100, 0.0, "")
    used(app, acme, 60)
    used(app, acme, 30)
    assert allowed(app, acme) == (10, 0.0, "")
    used(app, acme, 800, after(seconds=-600))
    assert allowed(app, acme) == (10, 0.0, "")
    used(app, acme, 105, after(seconds=-600))
    assert allowed(app, acme) == (5, 0.0, "")


def test_a_minute_that_is_used_up_frees_as_it_passes(app: App, acme: Tenant) -> None:
    acme = limited(app, acme, per_minute=100)
    used(app, acme, 60)
    used(app, acme, 40, after(seconds=20))
    sentence = "Acme's limit of 100 recipients a minute is used up; more may go from 12:01:05 (UTC)."
    assert allowed(app, acme, after(seconds=20)) == (0, 45.0, sentence)
    assert allowed(app, acme, after(seconds=64.9))[0] == 0  # type: ignore[index]
    assert allowed(app, acme, after(seconds=65)) == (60, 0.0, "")
    assert allowed(app, acme, after(seconds=85)) == (100, 0.0, "")


def test_an_hour_that_is_used_up_says_when_more_may_go(app: App, acme: Tenant) -> None:
    acme = limited(app, acme, per_hour=1000, timezone="Asia/Singapore")
    used(app, acme, 1000, after(minutes=-56))
    sentence = "Acme's limit of 1,000 recipients an hour is used up; more may go from 20:05 (Asia/Singapore)."
    assert allowed(app, acme) == (0, 300.0, sentence)


def test_a_day_is_one_of_the_tenants_zone(app: App, acme: Tenant) -> None:
    acme = limited(app, acme, per_day=500, timezone="Asia/Singapore")
    used(app, acme, 500, datetime(2026, 11, 23, 15, 59, 59, tzinfo=UTC))
    evening = datetime(2026, 11, 23, 15, 59, 59, tzinfo=UTC)
    sentence = (
        "Acme's limit of 500 recipients a day is used up; more may go from 00:00 on 24 Nov (Asia/Singapore)."
    )
    assert allowed(app, acme, evening) == (0, 1.0, sentence)
    assert allowed(app, acme, evening + timedelta(seconds=1)) == (500, 0.0, "")


@on_sqlite
@pytest.mark.parametrize(("day", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25)])
def test_a_day_on_which_the_clocks_change_is_as_long_as_it_is(
    app: App, acme: Tenant, day: tuple[int, int, int], hours: int
) -> None:
    acme = limited(app, acme, per_day=500, timezone="Europe/Berlin")
    midnight = datetime(*day, tzinfo=UTC) - timedelta(hours=1 if hours == 23 else 2)
    used(app, acme, 500, midnight)
    most, wait, _ = allowed(app, acme, midnight) or (1, 0.0, "")
    assert (most, wait) == (0, hours * 3600.0)
    assert allowed(app, acme, midnight + timedelta(hours=hours)) == (500, 0.0, "")


def test_of_two_limits_that_are_used_up_the_later_one_is_told(app: App, acme: Tenant) -> None:
    acme = limited(app, acme, per_minute=100, per_hour=100)
    used(app, acme, 100)
    _, wait, sentence = allowed(app, acme) or (0, 0.0, "")
    assert wait == 3660.0
    assert "an hour" in sentence


def test_a_limit_that_was_lowered_below_what_was_sent_waits_for_enough_of_it(app: App, acme: Tenant) -> None:
    for minute in range(5):
        used(app, acme, 100, after(minutes=-10 + minute))
    acme = limited(app, acme, per_hour=150)
    _, wait, _ = allowed(app, acme) or (0, 0.0, "")
    assert wait == (50 + 3 + 1) * 60


def test_a_warm_up_allows_no_more_than_its_day(app: App, acme: Tenant, alice: Actor) -> None:
    noon = replace(app, clock=Standing())
    acme = limited(app, acme, per_day=5000, timezone="Asia/Singapore")
    used(app, acme, 20)
    warm_ups.start(noon, alice, acme.id, first_day=50, last_day=1000, days=10)
    assert allowed(app, acme) == (30, 0.0, "")
    used(app, acme, 30)
    sentence = (
        "Acme's warm-up allows 50 recipients today, and they are used up; "
        "more may go from 00:00 on 24 Nov (Asia/Singapore)."
    )
    assert allowed(app, acme) == (0, 4 * 3600.0, sentence)
    warm_ups.stop(noon, alice, acme.id)
    assert allowed(app, acme) == (4950, 0.0, "")


def test_what_is_given_back_may_be_used_again_and_never_makes_less_than_nothing(
    app: App, acme: Tenant
) -> None:
    acme = limited(app, acme, per_minute=100, per_hour=100, per_day=100)
    used(app, acme, 100)
    used(app, acme, -40)
    assert allowed(app, acme) == (40, 0.0, "")
    used(app, acme, -1000)
    used(app, acme, -5, after(seconds=-30))
    assert allowed(app, acme) == (100, 0.0, "")
    used(app, acme, 10)
    assert allowed(app, acme) == (90, 0.0, "")


def test_two_lanes_that_serve_one_tenant_lose_no_count(app: App, acme: Tenant) -> None:
    acme = limited(app, acme, per_minute=10_000)

    def serve(sign: int) -> None:
        for _ in range(10):
            used(app, acme, 7 * sign)

    used(app, acme, 500)
    lanes = [threading.Thread(target=serve, args=(sign,)) for sign in (1, 1, 1, -1)]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    assert allowed(app, acme) == (10_000 - 500 - 140, 0.0, "")


@on_sqlite
def test_a_count_that_was_written_while_a_clock_was_wrong_stops_nobody(app: App, acme: Tenant) -> None:
    acme = limited(app, acme, per_minute=100, per_hour=100, per_day=100)
    used(app, acme, 100, after(days=400))
    assert allowed(app, acme) == (100, 0.0, "")
    used(app, acme, 100, after(seconds=1))
    assert allowed(app, acme)[0] == 0  # type: ignore[index]  # another worker's clock


def test_what_counts_for_nothing_any_more_is_forgotten(app: App, acme: Tenant) -> None:
    for at in (after(days=-200), after(days=-3), after(minutes=-90), NOON, after(days=100)):
        used(app, acme, 1, at)
    assert forget_old(replace(app, clock=Standing())) == "Dropped 9 counts of what tenants sent."
    with app.db.read() as session:
        kept = session.execute(select(TenantUsage.span, func.count()).group_by(TenantUsage.span)).all()
    assert {span: number for span, number in kept} == {"minute": 1, "hour": 2, "day": 2}


def test_usage_is_shown_with_what_is_allowed(app: App, acme: Tenant) -> None:
    acme = limited(app, acme, per_hour=100, timezone="Asia/Singapore")
    used(app, acme, 70, after(minutes=-30))
    used(app, acme, 30)
    shown = tenants.usage(replace(app, clock=Standing()), SYSTEM, acme.id)
    assert (shown.minute.used, shown.minute.limit, shown.minute.frees_at) == (30, None, None)
    assert (shown.hour.used, shown.hour.limit, shown.hour.frees_at) == (100, 100, after(minutes=31))
    assert (shown.day.used, shown.day.limit) == (100, None)


@on_sqlite
def test_a_campaign_sends_no_more_than_the_limit_of_its_tenant(
    app: App, cast: Cast, simulator: Simulator
) -> None:
    sender = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    tenants.set_limits(app, SYSTEM, cast.acme.id, per_minute=None, per_hour=10, per_day=None)
    campaign_id = started(app, cast.acme.id, sender.id, addresses(25))
    send_until_idle(app)
    assert counts(app, cast.acme.id, campaign_id)["pending"] == 15
    assert tenants.usage(app, SYSTEM, cast.acme.id).hour.used == 10


# Setting them


def audited(app: App, tenant: Tenant) -> list[AuditEntry]:
    query = select(AuditEntry).where(AuditEntry.tenant_id == tenant.id).order_by(AuditEntry.id)
    with app.db.read() as session:
        return list(session.scalars(query))


def test_limits_are_set_and_audited_once(app: App, acme: Tenant, globex: Tenant, alice: Actor) -> None:
    for _ in range(2):
        changed = tenants.set_limits(app, alice, acme.id, per_minute=100, per_hour=None, per_day=5000)
    assert (changed.per_minute, changed.per_hour, changed.per_day) == (100, None, 5000)
    [entry] = audited(app, acme)
    assert (entry.actor, entry.action, entry.subject) == ("alice", "set limits", "acme")
    assert entry.detail == {
        "before": {"per_minute": None, "per_hour": None, "per_day": None},
        "after": {"per_minute": 100, "per_hour": None, "per_day": 5000},
    }
    tenants.set_limits(app, alice, acme.id, per_minute=None, per_hour=None, per_day=None)
    assert allowed(app, acme) is None
    assert tenants.get_by_slug(app, SYSTEM, "globex").version == globex.version


@pytest.mark.parametrize(
    ("limits", "field", "told"),
    [
        ({"per_minute": 0}, "per_minute", "pause the tenant"),
        ({"per_day": -5}, "per_day", "from 1 to 1,000,000,000"),
        ({"per_hour": 10**12}, "per_hour", "from 1 to 1,000,000,000"),
        ({"per_minute": 200, "per_hour": 100}, "per_minute", r"per minute \(200\) is above the one per hour"),
        ({"per_hour": 200, "per_day": 100}, "per_hour", r"per hour \(200\) is above the one per day \(100\)"),
        ({"per_minute": 200, "per_day": 100}, "per_minute", "per minute .* above the one per day"),
    ],
)
@on_sqlite
def test_limits_that_make_no_sense_are_refused(
    app: App, acme: Tenant, alice: Actor, limits: dict[str, int], field: str, told: str
) -> None:
    wanted = {"per_minute": None, "per_hour": None, "per_day": None, **limits}
    with pytest.raises(InputError, match=told) as caught:
        tenants.set_limits(app, alice, acme.id, **wanted)
    assert caught.value.field == field
    assert audited(app, acme) == []


def test_who_saw_the_tenant_before_somebody_else_changed_it_is_told(
    app: App, acme: Tenant, alice: Actor, root: Actor
) -> None:
    tenants.set_limits(app, root, acme.id, per_minute=None, per_hour=None, per_day=100, version=acme.version)
    with pytest.raises(Conflict, match="Somebody else changed Acme just now"):
        tenants.set_limits(
            app, alice, acme.id, per_minute=None, per_hour=None, per_day=200, version=acme.version
        )
    assert tenants.get_by_slug(app, SYSTEM, "acme").per_day == 100


@on_sqlite
def test_limits_and_fallback_are_set_by_staff_and_seen_by_the_tenants_people(
    app: App, cast: Cast, alice: Actor
) -> None:
    none = {"per_minute": None, "per_hour": None, "per_day": 5}
    for actor in (cast.bob, cast.carol):
        with pytest.raises(PermissionDenied):
            tenants.set_limits(app, actor, cast.acme.id, **none)
        with pytest.raises(PermissionDenied):
            tenants.set_fallback_policy(app, actor, cast.acme.id, "none")
        assert tenants.usage(app, actor, cast.acme.id).day.used == 0
    for act in (
        lambda: tenants.set_limits(app, cast.charlie, cast.acme.id, **none),
        lambda: tenants.usage(app, cast.charlie, cast.acme.id),
        lambda: tenants.set_fallback_policy(app, cast.charlie, cast.acme.id, "none"),
        lambda: tenants.set_limits(app, alice, 999, **none),
    ):
        with pytest.raises(NotFound, match=r"There is no such tenant\."):
            act()


# Fallback


def with_resend(app: App) -> App:
    settings = app.settings.model_copy(
        update={"resend_api_key": SecretStr("re_key"), "resend_from": "Post <post@postyard-mail.io>"}
    )
    return replace(app, settings=settings)


def test_a_fallback_policy_is_set_and_audited_once(app: App, acme: Tenant, alice: Actor) -> None:
    there = with_resend(app)
    for policy in ("unmatched_sender", " UNMATCHED_SENDER "):
        assert (
            tenants.set_fallback_policy(there, alice, acme.id, policy).fallback_policy == "unmatched_sender"
        )
    [entry] = audited(app, acme)
    assert entry.action == "set fallback policy"
    assert entry.detail == {"before": "none", "after": "unmatched_sender"}


def test_without_a_second_provider_there_is_nothing_to_fall_back_to(
    app: App, acme: Tenant, alice: Actor
) -> None:
    with pytest.raises(InputError, match="Set POSTYARD_RESEND_API_KEY and POSTYARD_RESEND_FROM, then"):
        tenants.set_fallback_policy(app, alice, acme.id, "no_verified_domain")
    limited(app, acme, fallback_policy="unmatched_sender")
    assert tenants.set_fallback_policy(app, alice, acme.id, "none").fallback_policy == "none"


@on_sqlite
def test_a_policy_that_does_not_exist_is_refused(app: App, acme: Tenant, alice: Actor) -> None:
    with pytest.raises(InputError, match="no_verified_domain") as caught:
        tenants.set_fallback_policy(with_resend(app), alice, acme.id, "always")
    assert caught.value.field == "policy"

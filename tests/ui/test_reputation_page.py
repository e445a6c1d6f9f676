"""The Reputation page: rates with their limits, its tables, and nothing of anybody else's."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine, event, update

from core import access, alerts, reputation, senders, tenants
from core.app import App
from core.db.models import AuditEntry, Campaign, DailyCount, DomainCount, DomainTotal, Tenant, User
from core.errors import PermissionDenied
from core.reports import Counts, DayRates, Pause
from core.reputation import Signal
from pages._ui.charts import Limit, Point, png, rates, volumes
from pages.deliverability import _reputation_files as files
from pages.deliverability._reputation_charts import limits_of, total
from pages.deliverability._reputation_files import View, csv_of
from pages.deliverability._reputation_pauses import LONGEST_DAYS, marks
from tests.campaigning import addresses, draft
from tests.conftest import Cast
from tests.ui.conftest import Console
from tests.ui.visits import Visit, shown, visits

EVIL = '=HYPERLINK("evil.example") <img src=x onerror=alert(1)> [click](javascript:alert(2)) :red[x]'
DAY = date(2026, 3, 10)


@pytest.fixture
def page(console: Console, people: Callable[..., User], cast: Cast) -> Visit:
    return visits(console, people, cast, "pages/deliverability/reputation.py")


@pytest.fixture
def statements() -> Iterator[list[str]]:
    seen: list[str] = []

    def see(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(" ".join(statement.lower().split()))

    event.listen(Engine, "before_cursor_execute", see)
    yield seen
    event.remove(Engine, "before_cursor_execute", see)


def sent(
    app: App, tenant_id: int, *, days_ago: int = 1, domain: str = "example.com", campaign_id: int = 0
) -> None:
    """On a day of the tenant's time zone."""
    with app.db.begin() as session:
        zone = ZoneInfo(tenants.get_tenant(session, tenant_id).timezone)
        day = app.now().astimezone(zone).date() - timedelta(days=days_ago)
        counts = {"sent": 1000, "delivered": 970, "permanent_bounces": 30, "complaints": 1, "opened": 194,
                  "opened_by_machine": 97, "clicked": 33, "clicked_by_machine": 11}  # fmt: skip
        session.add(DailyCount(tenant_id=tenant_id, day=day, campaign_id=campaign_id, **counts))
        session.add(DomainCount(tenant_id=tenant_id, day=day, domain=domain, **counts))
        session.merge(DomainTotal(tenant_id=tenant_id, domain=domain, sent=1000))


def paused(app: App, tenant_id: int, days_ago: float, action: str = "pause tenant", **detail: object) -> None:
    with app.db.begin() as session:
        session.add(
            AuditEntry(at=app.now() - timedelta(days=days_ago), actor="postyard", role="admin",
                       tenant_id=tenant_id, action=action, subject="acme", detail=detail)
        )  # fmt: skip


def change(app: App, tenant_id: int, **values: object) -> None:
    with app.db.begin() as session:
        session.execute(update(Tenant).where(Tenant.id == tenant_id).values(**values))


def test_before_any_mail_the_page_says_what_will_be_here(page: Visit, cast: Cast) -> None:
    at = page(cast.carol)
    assert not at.exception
    assert "Nothing was sent in this time" in shown(at)


def test_rates_cards_and_tables_are_drawn(page: Visit, app: App, cast: Cast) -> None:
    sent(app, cast.acme.id, domain="gmail.com")
    at = page(cast.carol)
    assert not at.exception
    assert {metric.label: metric.value for metric in at.metric} == {
        "Sent": "1,000",
        "Delivered": "97.0 %",
        "Bounce rate": "3.00 %",
        "Complaint rate": "0.103 %",
        "Opened by people": "20.0 %",
        "Clicked by people": "3.4 %",
    }
    assert len(at.get("vega_lite_chart")) == 3
    assert "Transactional mail" in shown(at)
    assert "gmail.com" in shown(at)
    assert [table.value.iloc[0, 0] for table in at.dataframe] == ["Transactional mail", "gmail.com", "Gmail"]


def test_people_and_machines_have_columns_of_their_own(page: Visit, app: App, cast: Cast) -> None:
    sent(app, cast.acme.id)
    at = page(cast.carol)
    for table in at.dataframe:
        (row,) = table.value.to_dict("records")
        assert (row["Opened by people"], row["Opened by machines"]) == (194, 97)
        assert (row["Clicked by people"], row["Clicked by machines"]) == (33, 11)
    assert "Machines are mail programs" in shown(at)


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


# Whatever the hour, one of the two has another day than UTC.
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_days_are_those_of_the_tenants_time_zone(page: Visit, app: App, cast: Cast, zone: str) -> None:
    change(app, cast.acme.id, timezone=zone)
    for days_ago in (-1, 0, 6, 7):
        sent(app, cast.acme.id, days_ago=days_ago)
    at = page(cast.carol)
    at.segmented_control(key="reputation.range").select("7 days").run()
    assert at.metric[0].value == "2,000", "today and the sixth day before it"
    assert f"Days in {zone}" in shown(at).replace("\\", "")


def test_a_time_zone_that_this_machine_does_not_know_is_utc(page: Visit, app: App, cast: Cast) -> None:
    sent(app, cast.acme.id)
    change(app, cast.acme.id, timezone="Mars/Olympus")
    at = page(cast.carol)
    assert not at.exception
    assert at.metric[0].value == "1,000"


def test_a_range_of_ones_own_is_asked_for_in_full_and_has_an_end(page: Visit, app: App, cast: Cast) -> None:
    sent(app, cast.acme.id, days_ago=40)
    at = page(cast.carol)
    at.segmented_control(key="reputation.range").select("Custom").run()
    today = datetime.now(UTC).date()
    dates = at.date_input(key="reputation.dates")
    dates.set_value((today - timedelta(days=50), today - timedelta(days=30))).run()
    assert at.metric[0].value == "1,000"
    at.date_input(key="reputation.dates").set_value((today - timedelta(days=50),)).run()
    assert at.info[0].value == "Choose the last day too."
    at.date_input(key="reputation.dates").set_value((today - timedelta(days=366), today)).run()
    assert at.info[0].value == "Choose at most 366 days."


def test_a_paused_tenant_is_told_why_since_when_and_who_resumes_it(page: Visit, app: App, cast: Cast) -> None:
    sent(app, cast.acme.id)
    tenants.pause(app, access.SYSTEM, cast.acme.id, "too many bounces")
    at = page(cast.carol)
    assert not at.exception
    assert "by Postyard**: too many bounces" in at.error[0].value
    assert "An operator or an administrator resumes it" in at.error[0].value
    assert at.dataframe[0].value.iloc[0].to_dict() | {"Paused": ""} == {
        "Paused": "", "Resumed": "Not yet", "By": "Postyard", "Evidence": "–", "Why": "too many bounces"
    }  # fmt: skip


def test_who_may_resume_is_told_where(page: Visit, app: App, cast: Cast, alice: access.Actor) -> None:
    tenants.pause(app, access.SYSTEM, cast.acme.id, "too many bounces")
    at = page(alice)
    assert "Resume it on the tenant's page" in at.error[0].value


def test_probation_and_warnings_of_this_tenant_are_on_top(page: Visit, app: App, cast: Cast) -> None:
    change(app, cast.acme.id, probation_left=640)
    for tenant_id, name in ((cast.acme.id, "Acme"), (cast.globex.id, "Globex")):
        with app.db.begin() as session:
            alerts.raise_once(
                session,
                kind=reputation.WARNING,
                cause=f"tenant {tenant_id} bounces",
                sentence=f"{name}: Bounce rate 6.1 %",
                tenant_id=tenant_id,
                at=app.now(),
            )
    at = page(cast.carol)
    assert "640 of 1,000 outcomes to go" in at.info[0].value
    assert len(at.warning) == 1
    assert "Acme: Bounce rate 6.1 %" in at.warning[0].value


def test_what_ses_itself_thinks_is_one_line(page: Visit, app: App, cast: Cast) -> None:
    assert "Amazon SES has not been asked" in shown(page(cast.carol))
    change(app, cast.acme.id, reputation_checked_at=app.now())
    assert "Amazon SES has no findings" in shown(page(cast.bob))


def test_findings_of_ses_and_its_own_pause_are_shown(page: Visit, app: App, cast: Cast) -> None:
    findings = [{"type": "COMPLAINT", "impact": "HIGH"}, {"type": "BOUNCE", "impact": "LOW"}]
    change(app, cast.acme.id, reputation_checked_at=app.now(), reputation_findings=findings,
           reputation_impact="HIGH", aws_status="DISABLED", aws_status_cause="Complaints")  # fmt: skip
    at = page(cast.carol)
    assert "2 findings of high impact (bounce, complaint)" in shown(at)
    assert "Amazon SES itself holds" in at.error[0].value


def test_pauses_are_told_with_their_evidence(page: Visit, app: App, cast: Cast) -> None:
    sent(app, cast.acme.id)
    paused(app, cast.acme.id, 3, reason="Bounce rate 17.2 %", signal="bounce", bad=55, outcomes=320)
    paused(app, cast.acme.id, 2, action="resume tenant", reason="list deleted")
    at = page(cast.carol)
    row = at.dataframe[0].value.iloc[0]
    assert (row["By"], row["Evidence"], row["Why"]) == ("Postyard", "55 of 320 bounced", "Bounce rate 17.2 %")
    assert row["Resumed"] != "Not yet"


def test_another_tenants_slug_shows_nothing_of_it(page: Visit, app: App, cast: Cast) -> None:
    sent(app, cast.globex.id, domain="secret.example.net")
    tenants.pause(app, access.SYSTEM, cast.globex.id, "a secret reason")
    at = page(cast.bob, tenant="globex")
    assert not at.exception
    assert "secret" not in shown(at)
    assert "Nothing was sent in this time" in shown(at)


def test_no_message_and_no_event_is_read(page: Visit, app: App, cast: Cast, statements: list[str]) -> None:
    sent(app, cast.acme.id)
    at = page(cast.carol)
    statements.clear()
    at.run()
    assert any(" from domain_counts" in each for each in statements)
    assert not [each for each in statements if " from messages" in each or " from events" in each]


def test_hostile_names_are_text(page: Visit, app: App, cast: Cast) -> None:
    sender = senders.add(app, access.SYSTEM, cast.acme.id, "news@acme-mail.io")
    number = draft(app, cast.acme.id, sender.id, addresses(1), "evil")
    with app.db.begin() as session:
        session.execute(update(Campaign).values(name=EVIL))
    sent(app, cast.acme.id, campaign_id=number, domain=EVIL)
    change(app, cast.acme.id, name=EVIL)
    tenants.pause(app, access.SYSTEM, cast.acme.id, EVIL)
    at = page(cast.carol)
    assert not at.exception
    assert [table.value.iloc[0, 0] for table in at.dataframe][1:3] == [EVIL, EVIL]
    said = "\n".join(element.value for element in (*at.markdown, *at.caption, *at.error, *at.info))
    assert "<img" not in said.replace("\\<img", "")
    assert "[click](" not in said


def test_a_csv_holds_what_the_table_shows_and_no_formula() -> None:
    rows = [
        {"Campaign": EVIL, "Sent": 1000, "Bounce rate": 3.0, "Complaint rate": 0.1031, "Open rate": None},
        {
            "Campaign": "Märchen, neu",
            "Sent": 5,
            "Bounce rate": 0.0,
            "Complaint rate": 0.0,
            "Open rate": 20.04,
        },
    ]
    written = csv_of(rows)
    assert written.startswith("\ufeff")
    head, first, second = csv.reader(io.StringIO(written[1:], newline=""))
    assert head == ["Campaign", "Sent", "Bounce rate %", "Complaint rate %", "Open rate %"]
    assert first == [f"'{EVIL}", "1000", "3.00", "0.103", ""]
    assert second == ["Märchen, neu", "5", "0.00", "0.000", "20.0"]


def test_charts_are_made_into_pictures() -> None:
    days = [DAY + timedelta(days=n) for n in range(LONGEST_DAYS)]
    pause = Pause(datetime(2026, 3, 12, 9, tzinfo=UTC), EVIL, "postyard", signal="bounce", bad=5, outcomes=40)
    shown_marks = marks(_view(since=DAY, until=days[-1]), [pause])
    series = {what: [1] * len(days) for what in ("No outcome yet", "Delivered", "Bounced", "Complaints")}
    for chart in (
        rates([Point(day, None) for day in days], limits=[Limit(EVIL, 0.1)], marks=shown_marks),
        rates([], limits=[Limit("AWS may pause at 10 %", 0.1, "stop")]),
        volumes(days, series, marks=shown_marks),
    ):
        assert png(chart, EVIL, EVIL).startswith(b"\x89PNG")


def test_a_file_is_for_whoever_may_see_the_tenant_when_it_is_asked_for(
    page: Visit, app: App, cast: Cast
) -> None:
    page(cast.bob)
    view = _view(app=app, tenant=cast.acme)
    with pytest.raises(PermissionDenied):
        files._made(view, None, lambda: "secret")


def test_limits_that_are_the_same_are_one_line() -> None:
    assert [limit.label for limit in limits_of(Tenant(), Signal.BOUNCE)] == [
        "Postyard warns, AWS reviews at 5 %",
        "Postyard pauses, AWS may pause at 10 %",
    ]


def test_a_tenants_own_lower_limits_are_drawn_beside_awss() -> None:
    tenant = Tenant(warn_complaint_rate=0.0005, pause_complaint_rate=0.002)
    assert {limit.label: limit.value for limit in limits_of(tenant, Signal.COMPLAINT)} == {
        "Postyard warns at 0.05 % (the tenant's own limit)": 0.0005,
        "AWS reviews at 0.1 %": 0.001,
        "Postyard pauses at 0.2 % (the tenant's own limit)": 0.002,
        "AWS may pause at 0.5 %": 0.005,
    }


def test_a_pause_is_marked_inside_the_range_in_the_tenants_time() -> None:
    view = _view(since=DAY, until=DAY + timedelta(days=6))
    before = Pause(datetime(2026, 3, 1, tzinfo=UTC), "r", "bob", datetime(2026, 3, 11, 23, 30, tzinfo=UTC))
    lasting = Pause(datetime(2026, 3, 12, 9, tzinfo=UTC), "r", "postyard")
    first, second = marks(view, [before, lasting])
    assert (first.label, first.at, first.until) == (
        "Paused before", datetime(2026, 3, 10), datetime(2026, 3, 12, 0, 30)
    )  # fmt: skip
    assert (second.label, second.at) == ("Paused", datetime(2026, 3, 12, 10))
    assert second.until is not None
    assert second.until.date() == view.until
    assert second.details["Resumed"] == "Not yet"


def test_days_are_added_up_field_by_field(app: App) -> None:
    day = DayRates(app.now().date(), Counts(sent=5, delivered=4, permanent_bounces=1))
    assert total([day, day]) == Counts(sent=10, delivered=8, permanent_bounces=2)
    assert total([]) == Counts()


class _Clock:
    def now(self) -> datetime:
        return datetime(2027, 6, 1, tzinfo=UTC)


def _view(**given: object) -> View:
    tenant = Tenant(id=1, slug="acme", name="Acme", timezone="Europe/Berlin")
    view = {"app": _Clock(), "actor": access.SYSTEM, "tenant": tenant, "since": DAY, "until": DAY, **given}
    return View(**view)  # type: ignore[arg-type]

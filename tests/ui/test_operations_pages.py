"""Overview and Tenants: numbers of the day, what needs a hand, pausing, resuming, adding and repairing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from streamlit.testing.v1 import AppTest

from core import audit
from core.access import Actor, Role
from core.app import App
from core.db.models import Alert, DailyCount, Tenant, User
from tests.campaigning import ingest_until_idle, send_until_idle, started
from tests.conftest import Cast, verified_sender
from tests.offline import make_tenants
from tests.simulators import Simulator
from tests.ui.conftest import Console, open_page, said

People = Callable[..., User]
TENANTS = "pages/operations/tenants.py"


def count(app: App, slug: str, days_ago: int, **numbers: int) -> None:
    with app.db.begin() as session:
        tenant_id = session.scalar(select(Tenant.id).where(Tenant.slug == slug))
        day = app.now().date() - timedelta(days=days_ago)
        session.add(DailyCount(tenant_id=tenant_id, day=day, campaign_id=0, **numbers))


def change(app: App, slug: str, **values: object) -> None:
    with app.db.begin() as session:
        session.execute(update(Tenant).where(Tenant.slug == slug).values(**values))


def status_of(app: App, slug: str) -> str:
    with app.db.read() as session:
        return str(session.scalar(select(Tenant.sending_status).where(Tenant.slug == slug)))


def metrics(at: AppTest) -> dict[str, str]:
    return {metric.label: metric.value for metric in reversed(at.metric)}


# Overview


def test_with_nothing_sent_one_is_told_where_to_begin(console: Console, people: People) -> None:
    assert "Nothing is sent yet" in said(console(people("dora", Role.OPERATOR)))
    assert "No tenant is assigned to you" in said(console(people("carol", Role.ANALYST)))


def test_the_day_is_summed_over_the_tenants_one_sees(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    count(bare_app, "acme", 0, sent=1000, delivered=900, permanent_bounces=20, complaints=1)
    count(bare_app, "globex", 0, sent=234, delivered=200)
    count(bare_app, "acme", 3, sent=50, delivered=50)
    every = metrics(console(people("dora", Role.OPERATOR)))
    assert (every["Sent"], every["Bounce rate"], every["Complaint rate"]) == ("1,234", "1.79 %", "0.091 %")
    own = console(people("bob", Role.ACCOUNT_MANAGER, "acme"))
    assert metrics(own)["Sent"] == "1,000"
    assert "Globex" not in said(own)


def test_a_paused_tenant_needs_a_hand_and_comes_first(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    change(bare_app, "globex", sending_status="DISABLED", paused_by="maria", paused_reason="a *bought* list")
    text = said(console(people("dora", Role.OPERATOR)))
    assert r"Sending is paused by maria: a \*bought\* list" in text
    assert text.index("**Globex**") < text.index("**Acme**")


def test_a_pause_leads_to_where_it_can_be_ended_whatever_its_reason_says(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    change(
        bare_app, "globex", sending_status="DISABLED", paused_by="maria", paused_reason="list never verified"
    )
    links = console(people("dora", Role.OPERATOR)).get("page_link")
    assert next(link.proto.label for link in links) == "Tenant"


def test_open_alerts_stand_at_the_top_and_lead_to_the_page_that_helps(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    raised_at = bare_app.now() - timedelta(hours=3)
    with bare_app.db.begin() as session:
        ids = {
            slug: session.scalar(select(Tenant.id).where(Tenant.slug == slug)) for slug in ("acme", "globex")
        }
        for slug, kind in (("acme", "domain broken"), ("acme", "drift"), ("globex", "paused by AWS")):
            session.add(
                Alert(
                    tenant_id=ids[slug],
                    kind=kind,
                    cause=slug,
                    sentence=f"{slug} *{kind}*",
                    raised_at=raised_at,
                )
            )
    at = console(people("dora", Role.OPERATOR))
    text = said(at)
    assert r"**Acme** · acme \*domain broken\*" in text
    assert "UTC (3 h ago)" in text
    assert text.count(r"\*drift\*") == 1, "what is told as an alert is not told again"
    labels = [(link.proto.label, link.proto.query_string) for link in at.get("page_link")]
    assert labels[:3] == [
        ("Setup", "tenant=globex&view=Setup"),
        ("Setup", "tenant=acme&view=Setup"),
        ("Senders", "tenant=acme"),
    ]
    own = said(console(people("bob", Role.ACCOUNT_MANAGER, "acme")))
    assert "paused by AWS" not in own


def test_many_tenants_are_read_as_a_table(console: Console, people: People, bare_app: App) -> None:
    make_tenants(bare_app, *[f"t{n}" for n in range(9)])
    at = console(people("dora", Role.OPERATOR))
    assert not at.exception
    assert len(at.dataframe[0].value) == 9


# Tenants


def test_pausing_asks_for_a_reason_and_resuming_too(
    console: Console, people: People, app: App, cast: Cast, root: Actor
) -> None:
    at = open_page(console(people("dora", Role.OPERATOR), tenant="acme"), TENANTS)
    at.button("tenants.pause").click().run()
    at.button("confirm.yes").click().run()
    assert "say it in a few words" in said(at)
    assert status_of(app, "acme") == "ENABLED"
    at.text_input("confirm.reason").input("complaints from example.org")
    at.button("confirm.yes").click().run()
    assert "Acme Retail is paused" in said(at)
    assert status_of(app, "acme") == "DISABLED"
    assert status_of(app, "globex") == "ENABLED"
    at.button("tenants.resume").click().run()
    at.text_input("confirm.reason").input("list cleaned")
    at.button("confirm.yes").click().run()
    assert status_of(app, "acme") == "ENABLED"
    assert [entry.action for entry in audit.list_entries(app, root)][:2] == ["resume tenant", "pause tenant"]


def test_a_tenants_panel_shows_its_latest_events_and_how_many_are_suppressed(
    console: Console, people: People, app: App, cast: Cast, simulator: Simulator
) -> None:
    sender = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    at = open_page(console(people("dora", Role.OPERATOR), tenant="acme"), TENANTS)
    assert "SES has said nothing yet" in said(at)
    simulator.scenario(addresses={"ada@example.com": "bounce"})
    started(app, cast.acme.id, sender.id, ["ada@example.com", "grace@example.com"])
    send_until_idle(app)
    ingest_until_idle(app)
    at.run()
    events = at.dataframe[-1].value
    assert set(events["Recipient"]) == {"ada@example.com", "grace@example.com"}
    assert metrics(at)["Suppressed"] == "1"
    at.segmented_control(key="tenants.events.kind").select("Bounces").run()
    assert list(at.dataframe[-1].value["Recipient"]) == ["ada@example.com"]
    own = open_page(console(people("carol", Role.ANALYST, "acme"), tenant="acme"), TENANTS)
    assert "ada@example.com" not in own.dataframe[-1].value.to_csv()


def test_cancelling_pauses_nothing(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    at = open_page(console(people("dora", Role.OPERATOR), tenant="acme"), TENANTS)
    at.button("tenants.pause").click().run()
    at.button("confirm.cancel").click().run()
    assert "confirm.yes" not in {button.key for button in at.button}
    assert status_of(bare_app, "acme") == "ENABLED"


@pytest.mark.parametrize(
    ("role", "offered"),
    [
        (Role.OPERATOR, {"tenants.add", "tenants.pause"}),
        (Role.ACCOUNT_MANAGER, {"tenants.pause"}),
        (Role.ANALYST, set()),
    ],
)
def test_a_role_is_offered_what_it_may_do(
    console: Console, people: People, two_tenants: None, role: Role, offered: set[str]
) -> None:
    assigned = ("acme",) if role != Role.OPERATOR else ()
    at = open_page(console(people("dora", role, *assigned)), TENANTS)
    assert {button.key for button in at.button} - {"sign_out"} == offered


def test_a_manager_who_paused_may_not_resume(
    console: Console, people: People, bare_app: App, two_tenants: None
) -> None:
    change(bare_app, "acme", sending_status="DISABLED", paused_by="postyard", paused_reason="bounces")
    at = open_page(console(people("bob", Role.ACCOUNT_MANAGER, "acme")), TENANTS)
    assert "Paused by postyard" in said(at)
    assert {button.key for button in at.button} == {"sign_out"}


def test_an_added_tenant_is_set_up_and_shown(console: Console, people: People, app: App) -> None:
    at = add(open_page(console(people("dora", Role.OPERATOR)), TENANTS), "Acme Retail", "acme")
    assert "Acme Retail is set up in SES" in said(at)
    assert at.sidebar.selectbox[0].value == "acme"
    at = add(at, "Another", "acme")
    assert "acme" in "".join(error.value for error in at.error)
    at = add(at, "Another", "Not A Slug")
    assert at.error
    assert status_of(app, "acme") == "ENABLED"


def add(at: AppTest, name: str, slug: str) -> AppTest:
    if "tenants.new.save" not in {button.key for button in at.button}:
        at.button("tenants.add").click().run()
    at.text_input("tenants.new.name").input(name)
    at.text_input("tenants.new.slug").input(slug)
    return at.button("tenants.new.save").click().run()

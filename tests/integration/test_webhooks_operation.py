"""What monitoring sees: health by database, beat and lag; metrics in few series, for whoever has a token."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Update, update

import webhooks
from core import alerts, events
from core.app import App, build_app
from core.db.models import Account, Tenant
from core.db.states import EventType
from core.hooks.answers import Again, Done, Never
from core.hooks.certificates import Certificates
from core.hooks.metrics import Meters, read
from core.settings import Settings
from tests import signing
from tests.conftest import Cast
from tests.databases import ON_POSTGRESQL, ON_SQLITE
from tests.integration.test_webhooks import ANN, Ask, ask, beat, token
from tests.ledger import Ledger, new_account, new_ledger
from webpages.routes.hooks import LOG_EVERY_SECONDS, Refusals

__all__ = ["ask", "token"]
TOKEN = "a token of 24 characters".replace(" ", "-")
BEARER = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def open_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTYARD_METRICS_TOKEN", TOKEN)


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    app = build_app(settings)
    yield new_ledger(app, new_account(app, queue_url="https://sqs/queue"), "acme")
    app.db.dispose()


def change(app: App, statement: Update) -> None:
    with app.db.begin() as session:
        session.execute(statement)


def samples(text: str) -> dict[tuple[str, str], float]:
    """By name and the values of its labels."""
    return {
        (sample.name, " ".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def seen(app: App) -> dict[tuple[str, str], float]:
    return samples(Meters().text(app).decode())


@pytest.mark.parametrize(
    ("seconds", "status", "said"),
    [(299.0, 200, "ok"), (301.0, 503, "301 s behind")],
    ids=["late", "too late"],
)
@ON_SQLITE
def test_healthz_tells_how_far_events_are_behind(
    app: App, ask: Ask, cast: Cast, seconds: float, status: int, said: str
) -> None:
    beat(app, seconds_ago=5)
    change(app, update(Account).values(lag_seconds=seconds, lag_at=app.now()))

    answer = ask("GET", "/healthz")

    assert (answer.status, json.loads(answer.text)["events"]) == (status, said)


def test_a_flood_of_refusals_is_a_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    seconds = 0.0
    refusals = Refusals(lambda: seconds)
    for _ in range(1000):
        refusals.log("sns", "signature")
    refusals.log("sns", "stale")
    seconds = LOG_EVERY_SECONDS
    refusals.log("sns", "signature")

    assert [record.getMessage().rpartition(": ")[2] for record in caplog.records] == [
        "signature",
        "stale",
        "signature, and 999 like it before",
    ]


@ON_POSTGRESQL
def test_the_log_holds_no_row_that_the_database_refuses(
    app: App, cast: Cast, ask: Ask, token: str, caplog: pytest.LogCaptureFixture
) -> None:
    """PostgreSQL tells the whole of it."""
    webhooks.app.state.certificates = Certificates(signing.Served())
    with app.db.engine.begin() as connection:
        for table in ("suppressions", "parked_events"):
            connection.exec_driver_sql(f"ALTER TABLE {table} ADD CHECK (false) NOT VALID")
    good = signing.signed(signing.notification(str(cast.acme.topic_arn), f"no event of {ANN}", app.now()))

    assert ask("POST", "/webhooks/ses-events", json.dumps(good).encode()).status == 503
    assert ask("POST", f"/u/{token}").status == 503
    assert caplog.text.count("violates check constraint") == 2
    assert ANN not in caplog.text


@ON_SQLITE
def test_without_a_token_there_are_no_metrics(ask: Ask) -> None:
    assert ask("GET", "/metrics").status == 404
    assert ask("GET", "/metrics", None, BEARER).status == 404
    assert ask("GET", "/metrics", None, {"Authorization": "Bearer "}).status == 404


@ON_SQLITE
def test_metrics_are_for_whoever_has_the_token(open_metrics: None, ask: Ask) -> None:
    for wrong in (
        None,
        "",
        TOKEN,
        f"Basic {TOKEN}",
        f"Bearer {TOKEN}x",
        f"bearer {TOKEN[:-1]}",
        "Bearer \xfc",
    ):
        answer = ask("GET", "/metrics", None, {} if wrong is None else {"Authorization": wrong})
        assert (answer.status, answer.text, answer.headers["www-authenticate"]) == (
            401,
            "Refused.\n",
            "Bearer",
        )
    answer = ask("GET", "/metrics", None, BEARER)

    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert samples(answer.text)["postyard_database_up", ""] == 1
    assert ask("POST", "/metrics", b"", BEARER).status == 405


@ON_SQLITE
def test_each_request_is_counted_by_what_became_of_it(
    app: App, open_metrics: None, ask: Ask, cast: Cast
) -> None:
    webhooks.app.state.certificates = Certificates(signing.Served())
    good = signing.signed(signing.notification(str(cast.acme.topic_arn), "no event", app.now()))
    ask("POST", "/webhooks/ses-events", json.dumps(good).encode())
    ask("POST", "/webhooks/ses-events", json.dumps({**good, "Message": "forged"}).encode())
    for number in range(50):
        ask("POST", "/webhooks/ses-events", f"rubbish {number}".encode())
        ask("GET", f"/{number}")
        ask("GET", f"/u/{number}")
    found = samples(ask("GET", "/metrics", None, BEARER).text)

    hooks = {
        labels: value for (name, labels), value in found.items() if name == "postyard_hook_requests_total"
    }
    assert hooks == {"sns parked": 1, "sns signature": 1, "sns unreadable": 50}
    assert found["postyard_request_seconds_count", "unsubscribing 4xx"] == 50
    assert found["postyard_request_seconds_count", "rest 4xx"] == 50
    assert len(found) < 200


def test_they_tell_what_the_database_says(ledger: Ledger) -> None:
    app = ledger.app
    beat(app, seconds_ago=20)
    today = ledger.add_messages([f"n{n}@example.com" for n in range(3)], armed_at=app.now())
    bounce, *delivered = today
    said = [ledger.bounce(bounce), *(ledger.says(each, EventType.DELIVERY) for each in delivered)]
    lost = ledger.says(bounce, EventType.DELIVERY, msg_uid="999999999-x")
    events.ingest(app, ledger.account, [*said, lost], ["unreadable"])
    change(app, update(Account).values(lag_seconds=7.0, lag_at=app.now(), waiting=12, dead_letters=2))
    with app.db.begin() as session:
        for cause in "ab":
            alerts.raise_once(
                session, kind="drift", cause=cause, sentence="x", tenant_id=ledger.tenant.id, at=app.now()
            )
    new_ledger(app, ledger.account, "globex", sending_status="DISABLED")
    found = seen(app)

    assert found["postyard_event_lag_seconds", ""] == 7
    assert found["postyard_event_lag_stale", ""] == 0
    assert (found["postyard_events_waiting", ""], found["postyard_dead_letters", ""]) == (12, 2)
    assert (found["postyard_parked_events", "unmatched"], found["postyard_parked_events", "unreadable"]) == (
        1,
        1,
    )
    assert found["postyard_open_alerts", "drift"] == 2
    assert (found["postyard_tenants", "ENABLED"], found["postyard_tenants", "DISABLED"]) == (1, 1)
    assert 20 <= found["postyard_scheduler_beat_age_seconds", ""] < 60
    recent = {name: found["postyard_recent_messages", name] for name in ("delivered", "permanent_bounces")}
    assert recent == {"delivered": 2, "permanent_bounces": 1}


@ON_SQLITE
def test_no_name_of_anybody_is_in_them_however_many_there_are(ledger: Ledger) -> None:
    before = len(seen(ledger.app))
    for number in range(30):
        new_ledger(ledger.app, ledger.account, f"tenant{number}")
    text = Meters().text(ledger.app).decode()

    assert len(samples(text)) == before
    for name in ("acme", "Acme", "tenant1", "platform", "example.com"):
        assert name not in text


@ON_SQLITE
def test_old_mail_is_not_among_the_recent(ledger: Ledger) -> None:
    message = ledger.add_message("old@example.com", armed_at=ledger.app.now() - timedelta(days=9))
    events.ingest(ledger.app, ledger.account, [ledger.says(message, EventType.DELIVERY)])

    assert seen(ledger.app)["postyard_recent_messages", "delivered"] == 0


@ON_SQLITE
def test_the_database_is_asked_once_however_many_ask(ledger: Ledger) -> None:
    meters = Meters()
    first = samples(meters.text(ledger.app).decode())["postyard_tenants", "ENABLED"]
    change(ledger.app, update(Tenant).values(sending_status="DISABLED"))

    assert samples(meters.text(ledger.app).decode())["postyard_tenants", "ENABLED"] == first


@ON_SQLITE
def test_while_the_database_fails_they_say_so(settings: Settings) -> None:
    app = build_app(settings)
    with app.db.engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE parked_events")

    names = {family.name for family in read(app)}
    assert names == {"postyard_version_info", "postyard_database_up"}
    assert seen(app)["postyard_database_up", ""] == 0
    app.db.dispose()


def test_words_for_metrics_are_few() -> None:
    """Labels come from the code, never from a request."""
    assert len(Done) < 10
    assert Never("signature").why == Again("signature").why == "signature"

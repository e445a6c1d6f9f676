"""Alerts: raised once per cause, cleared with it, shown to those who see the tenant."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from core import alerts, tenants
from core.access import Actor
from core.app import App
from core.db.models import Alert
from core.errors import NotFound
from core.tenants.directory import lock_tenant
from tests.conftest import Cast

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ON_POSTGRESQL = pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Cause:
    tenant_id: int | None
    cause: str = "identity 1"
    kind: str = "domain broken"

    def raised(self, app: App, sentence: str = "It broke.", at: datetime = AT) -> bool:
        with app.db.begin() as session:
            return alerts.raise_once(
                session, kind=self.kind, cause=self.cause, sentence=sentence, tenant_id=self.tenant_id, at=at
            )

    def cleared(self, app: App) -> bool:
        with app.db.begin() as session:
            return alerts.clear(session, kind=self.kind, cause=self.cause, at=AT + timedelta(hours=1))


def test_an_alert_is_raised_once_until_it_is_cleared(app: App, cast: Cast) -> None:
    cause = Cause(cast.acme.id)
    assert cause.raised(app)
    assert not cause.raised(app, "It broke otherwise.", AT + timedelta(minutes=5))
    [alert] = alerts.list_open(app, cast.carol, cast.acme.id)
    assert (alert.sentence, alert.raised_at) == ("It broke otherwise.", AT)
    assert cause.cleared(app)
    assert not cause.cleared(app)
    assert alerts.list_open(app, cast.carol, cast.acme.id) == []
    assert cause.raised(app, "It broke again.")
    with app.db.read() as session:
        assert len(session.scalars(select(Alert)).all()) == 2, "the first one stays, with when it was cleared"


@SQLITE
def test_a_sentence_without_an_end_is_cut(app: App, cast: Cast) -> None:
    cause = Cause(cast.acme.id)
    for _ in range(2):
        cause.raised(app, "It broke. " * 1_000)
        [alert] = alerts.list_open(app, cast.carol, cast.acme.id)
        assert len(alert.sentence) == 1_000
        assert alert.sentence.endswith("…")


def test_of_many_who_raise_it_at_once_one_is_told_that_it_is_new(app: App, cast: Cast) -> None:
    new: list[bool] = []
    threads = [threading.Thread(target=lambda: new.append(Cause(cast.acme.id).raised(app))) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(new) == [False] * 4 + [True]


@SQLITE
def test_kinds_and_causes_are_told_apart(app: App, cast: Cast) -> None:
    causes = [
        Cause(cast.acme.id, "identity 1"),
        Cause(cast.acme.id, "identity 2"),
        Cause(cast.acme.id, "identity 1", kind="drift"),
    ]
    assert [cause.raised(app) for cause in causes] == [True] * 3
    assert causes[1].cleared(app)
    assert len(alerts.list_open(app, cast.bob)) == 2


@SQLITE
def test_everybody_sees_the_alerts_of_their_tenants_alone(app: App, cast: Cast, alice: Actor) -> None:
    Cause(cast.acme.id).raised(app)
    Cause(cast.globex.id, "identity 2").raised(app, at=AT + timedelta(hours=1))
    Cause(None, "account 1").raised(app, at=AT + timedelta(hours=2))
    assert [alert.tenant_id for alert in alerts.list_open(app, alice)] == [None, cast.globex.id, cast.acme.id]
    assert [alert.tenant_id for alert in alerts.list_open(app, cast.carol)] == [cast.acme.id]
    assert [alert.tenant_id for alert in alerts.list_open(app, alice, cast.globex.id)] == [cast.globex.id]
    with pytest.raises(NotFound, match="There is no such tenant"):
        alerts.list_open(app, cast.charlie, cast.acme.id)


@ON_POSTGRESQL  # SQLite has one writer
def test_who_raises_an_alert_does_not_wait_for_whoever_works_on_the_tenant(app: App, cast: Cast) -> None:
    """Its foreign key asks for the tenant's row; a writer that holds the row may wait for the alert."""

    def locked(tenant_id: int) -> None:
        with app.db.begin() as other:
            other.execute(text("SET LOCAL lock_timeout = '1s'"))
            alerts.raise_once(
                other, kind="drift", cause=f"t {tenant_id}", sentence="It is.", tenant_id=tenant_id, at=AT
            )

    with app.db.begin() as session:
        lock_tenant(session, cast.acme.id)
        locked(cast.acme.id)
        tenants.mark_reputation_due(session, [str(cast.globex.ses_tenant_arn)])
        locked(cast.globex.id)
    assert len(alerts.list_open(app, cast.bob)) == 1

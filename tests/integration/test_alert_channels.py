"""Channels: who may say where alerts go, and what is kept of it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydantic import SecretStr
from sqlalchemy import select, text

from core import alerts, audit, notices
from core.access import SYSTEM, Actor
from core.app import App
from core.db.models import AlertChannel, AlertNotice
from core.errors import Conflict, InputError, NotFound, PermissionDenied
from core.notices import ChannelKind
from tests.alerting import SECRET, START, Hook, webhook
from tests.conftest import Cast
from tests.offline import two_tenants

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
EMAIL, WEBHOOK = ChannelKind.EMAIL, ChannelKind.WEBHOOK
URL = f"https://hooks.acme-mail.io{SECRET}"


@pytest.fixture
def cast(app: App) -> Cast:
    return two_tenants(app)


@pytest.fixture
def hook() -> Iterator[Hook]:
    with webhook() as served:
        yield served


def raised(app: App, tenant_id: int | None) -> None:
    with app.db.begin() as session:
        alerts.raise_once(
            session, kind="drift", cause=f"tenant {tenant_id}", sentence="It differs.", tenant_id=tenant_id,
            at=START,
        )  # fmt: skip


def owed(app: App) -> list[int]:
    with app.db.read() as session:
        query = select(AlertNotice.channel_id).where(AlertNotice.retry_at.is_not(None))
        return sorted(session.scalars(query))


def test_a_channel_is_added_changed_switched_off_and_removed(app: App, cast: Cast, alice: Actor) -> None:
    acme = cast.acme.id
    made = notices.add(app, alice, acme, kind=EMAIL, target=" Ann@Example.com ", name=" On  duty ")
    [view] = notices.list_channels(app, alice, acme)
    assert (view.name, view.target, view.is_active, view.waiting) == ("On duty", "Ann@example.com", True, 0)

    notices.change(app, alice, acme, made.id, name="Nights", target="ben@example.com")
    raised(app, acme)
    assert owed(app) == [made.id]
    notices.change(app, alice, acme, made.id, is_active=False)
    [view] = notices.list_channels(app, alice, acme)
    assert (view.name, view.target, view.is_active) == ("Nights", "ben@example.com", False)
    assert (view.waiting, view.given_up, view.last_error) == (0, 1, "The channel was switched off.")
    raised(app, cast.globex.id)
    assert owed(app) == []

    notices.remove(app, alice, acme, made.id)
    assert notices.list_channels(app, alice) == []
    with app.db.read() as session:
        row = session.get_one(AlertChannel, made.id)
        assert (row.target, row.digest) == ("", None)
    done = [entry.action for entry in audit.list_entries(app, SYSTEM)]
    assert done[:3] == ["remove alert channel", "change alert channel", "change alert channel"]


def test_an_address_is_added_once_also_by_many_at_once(app: App, cast: Cast, alice: Actor) -> None:
    outcomes: list[str] = []

    def add() -> None:
        try:
            notices.add(app, alice, cast.acme.id, kind=WEBHOOK, target=URL)
            outcomes.append("added")
        except Conflict as e:
            outcomes.append(str(e))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["Alerts are sent to this address already."] * 3 + ["added"]
    notices.add(app, alice, cast.globex.id, kind=WEBHOOK, target=URL)
    with pytest.raises(Conflict):
        notices.add(app, alice, cast.globex.id, kind=WEBHOOK, target=URL)
    [first, second] = notices.list_channels(app, alice)
    notices.remove(app, alice, cast.acme.id, first.id)
    notices.add(app, alice, cast.acme.id, kind=WEBHOOK, target=URL)
    with pytest.raises(NotFound):
        notices.remove(app, alice, cast.acme.id, first.id)
    assert second.target == "…nnel"


@SQLITE
def test_the_installations_channels_are_an_administrators(app: App, cast: Cast, alice: Actor) -> None:
    with pytest.raises(PermissionDenied):
        notices.add(app, alice, None, kind=EMAIL, target="ann@example.com")
    made = notices.add(app, SYSTEM, None, kind=EMAIL, target="ann@example.com")
    for change in (
        lambda: notices.change(app, alice, None, made.id, name="x"),
        lambda: notices.remove(app, alice, None, made.id),
        lambda: notices.send_test(app, alice, None, made.id),
    ):
        with pytest.raises(PermissionDenied):
            change()
    with pytest.raises(NotFound):
        notices.change(app, alice, cast.acme.id, made.id, name="x")
    assert [view.id for view in notices.list_channels(app, alice)] == [made.id], "whoever operates sees it"
    assert notices.list_channels(app, alice, cast.acme.id) == []


@SQLITE
def test_who_is_assigned_to_a_tenant_does_not_say_where_its_alerts_go(app: App, cast: Cast) -> None:
    for person in (cast.bob, cast.carol):
        with pytest.raises(PermissionDenied):
            notices.add(app, person, cast.acme.id, kind=EMAIL, target="ann@example.com")
        with pytest.raises(PermissionDenied):
            notices.list_channels(app, person, cast.acme.id)
    with pytest.raises(NotFound):
        notices.list_channels(app, cast.charlie, cast.acme.id)


@SQLITE
def test_a_tenants_channel_hears_of_its_tenant_and_the_installations_of_all(
    app: App, cast: Cast, alice: Actor
) -> None:
    acme = notices.add(app, alice, cast.acme.id, kind=EMAIL, target="ann@example.com")
    globex = notices.add(app, alice, cast.globex.id, kind=EMAIL, target="ben@example.com")
    all_ = notices.add(app, SYSTEM, None, kind=EMAIL, target="root@example.com")
    raised(app, cast.acme.id)
    assert owed(app) == [acme.id, all_.id]
    raised(app, None)
    assert owed(app) == [acme.id, all_.id, all_.id]
    raised(app, cast.globex.id)
    assert owed(app) == [acme.id, globex.id, all_.id, all_.id, all_.id]


@SQLITE
def test_what_cannot_be_used_is_refused_and_nothing_is_kept(app: App, cast: Cast, alice: Actor) -> None:
    for kind, target, name in (
        (WEBHOOK, "https://169.254.169.254/latest", ""),
        (EMAIL, "nobody", ""),
        (WEBHOOK, URL, URL),
        (EMAIL, "ann@example.com", "x" * 81),
    ):
        with pytest.raises(InputError):
            notices.add(app, alice, cast.acme.id, kind=kind, target=target, name=name)
    with pytest.raises(NotFound):
        notices.add(app, alice, 99, kind=EMAIL, target="ann@example.com")
    assert notices.list_channels(app, alice) == []
    for number in range(20):
        notices.add(app, alice, cast.acme.id, kind=EMAIL, target=f"ann{number}@example.com")
    with pytest.raises(InputError, match="remove one first"):
        notices.add(app, alice, cast.acme.id, kind=EMAIL, target="ann@example.com")


@SQLITE
def test_a_webhooks_address_stands_nowhere_but_sealed_in_its_row(
    app: App, cast: Cast, alice: Actor, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    made = notices.add(app, alice, cast.acme.id, kind=WEBHOOK, target=hook.url)
    hook.status, hook.said = 500, SECRET.encode()
    tested = notices.send_test(app, alice, cast.acme.id, made.id, hook.dialler())
    raised(app, cast.acme.id)
    notices.send_due(app, hook.dialler())
    notices.change(app, alice, cast.acme.id, made.id, target=hook.url + "Z")

    assert hook.paths == [SECRET, SECRET]
    with app.db.read() as session:
        dump = "\n".join(
            str(tuple(row))
            for table in ("alert_channels", "alert_notices", "audit_entries", "job_runs")
            for row in session.execute(text(f"SELECT * FROM {table}"))
        )
    seen = f"{tested} {made!r} {notices.list_channels(app, alice)} {caplog.text} {dump}"
    assert "SecretOfTheChannel" not in seen
    assert "T024BE7LH" not in seen
    assert tested.said.endswith("answered 500.")


@SQLITE
def test_a_sealed_address_is_worth_nothing_in_another_row_or_with_another_key(
    app: App, cast: Cast, alice: Actor, hook: Hook
) -> None:
    first = notices.add(app, alice, cast.acme.id, kind=WEBHOOK, target=hook.url)
    other = notices.add(app, alice, cast.globex.id, kind=WEBHOOK, target=URL)
    with app.db.begin() as session:
        stolen = session.get_one(AlertChannel, first.id).target
        session.get_one(AlertChannel, other.id).target = stolen
    said = notices.send_test(app, alice, cast.globex.id, other.id, hook.dialler()).said
    assert "secret key is another one" in said
    secret = app.settings.model_copy(update={"secret_key": SecretStr("x" * 32)})
    renewed = replace(app, settings=secret)
    assert (
        "secret key is another one"
        in notices.send_test(renewed, alice, cast.acme.id, first.id, hook.dialler()).said
    )
    assert all("enter it again" in view.target for view in notices.list_channels(renewed, alice))
    notices.change(renewed, alice, cast.acme.id, first.id, target=hook.url)
    assert notices.send_test(renewed, alice, cast.acme.id, first.id, hook.dialler()).ok
    assert hook.texts == ["This is a test: alerts of Postyard arrive here."]


@pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
def test_removing_a_channel_and_clearing_alerts_do_not_wait_for_each_other_in_a_circle(
    app: App, cast: Cast, alice: Actor
) -> None:
    """Whoever clears holds a notice of the channel, and asks for the channel while it is being removed."""
    made = notices.add(app, alice, cast.acme.id, kind=EMAIL, target="ann@example.com")
    raised(app, cast.acme.id)
    removing = threading.Thread(target=notices.remove, args=(app, alice, cast.acme.id, made.id))
    with app.db.begin() as session:
        alerts.clear(session, kind="drift", cause=f"tenant {cast.acme.id}", at=START)
        removing.start()
        removing.join(0.3)
        alerts.raise_once(
            session, kind="quota", cause="x", sentence="Used up.", tenant_id=cast.acme.id, at=START
        )
    removing.join(10)
    assert not removing.is_alive()
    assert owed(app) == []
    assert notices.list_channels(app, alice) == []

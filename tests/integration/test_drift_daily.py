"""Drift: who may look and mend, what the daily job does, and several at once."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import delete, select, update

from core import drift, senders, tenants
from core.access import SYSTEM, Actor
from core.app import App
from core.db.models import Account, Alert, AuditEntry, Identity, Tenant, TenantResource
from core.errors import NotFound, PermissionDenied, PostyardError, ProviderError
from core.reports import overview
from tests.conftest import Cast
from tests.in_aws import aws, counts
from tests.meanwhile import SilentAbout
from tests.simulators import Simulator

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


class Later:
    """The system's clock, so much ahead."""

    def __init__(self, app: App, **ahead: float) -> None:
        self._clock, self._ahead = app.clock, timedelta(**ahead)

    def now(self) -> datetime:
        return self._clock.now() + self._ahead

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here waits")


def later(app: App, **ahead: float) -> App:
    return replace(app, clock=Later(app, **ahead))


def alerts(app: App) -> list[Alert]:
    with app.db.read() as session:
        return list(session.scalars(select(Alert).order_by(Alert.id)))


def worries(app: App) -> list[str]:
    return next(row for row in overview(app, SYSTEM) if row.tenant.slug == "acme").what_needs_a_hand


def lose_destination(app: App, slug: str) -> None:
    aws("sesv2", app).delete_configuration_set_event_destination(
        ConfigurationSetName=f"postyard-{slug}", EventDestinationName="postyard"
    )


def test_everybody_sees_their_own_tenants_things_and_staff_look_and_mend(
    app: App, cast: Cast, alice: Actor
) -> None:
    for actor in (alice, cast.bob, cast.carol):
        assert len(drift.resources(app, actor, cast.acme.id)) == 8
        assert drift.differences(app, actor, cast.acme.id) == []
    assert {row.state for row in drift.check(app, alice, cast.acme.id)} == {"done"}
    for use_case in (drift.check, drift.repair):
        for actor in (cast.bob, cast.carol):
            with pytest.raises(PermissionDenied):
                use_case(app, actor, cast.acme.id)


def test_another_tenants_and_none_are_not_told_apart(app: App, cast: Cast, root: Actor) -> None:
    for use_case in (drift.resources, drift.differences, drift.check, drift.repair):
        for actor, tenant_id in ((cast.charlie, cast.acme.id), (root, 999)):
            with pytest.raises(NotFound, match=r"^There is no such tenant\.$"):
                use_case(app, actor, tenant_id)


@on_sqlite
def test_each_tenant_is_looked_at_once_a_day_and_told_of_once(app: App, cast: Cast) -> None:
    lose_destination(app, "acme")
    assert drift.check_due(app) == "Compared 0 of 0 tenants with what AWS has."
    tomorrow = later(app, hours=25)
    assert drift.check_due(tomorrow) == "Compared 2 of 2 tenants with what AWS has."
    assert drift.check_due(tomorrow) == "Compared 0 of 0 tenants with what AWS has."
    drift.check_due(later(app, hours=50))
    [alert] = alerts(app)
    assert (alert.tenant_id, alert.kind, alert.cleared_at) == (cast.acme.id, "drift", None)
    assert alert.sentence == (
        "AWS does not have what Acme Retail needs: event destination. Open its set-up and repair it."
    )
    assert alert.sentence in worries(app)


@on_sqlite
def test_what_fails_for_one_reason_is_told_once(app: App, cast: Cast, alice: Actor) -> None:
    lose_destination(app, "acme")
    drift.check(app, alice, cast.acme.id)
    [alert] = alerts(app)
    with app.db.begin() as session:
        session.execute(
            update(TenantResource)
            .where(
                TenantResource.tenant_id == cast.acme.id, TenantResource.key.in_(("SNS topic", "association"))
            )
            .values(state="failed", detail="AWS says no.")
        )
    with_alert = worries(app)
    assert [sentence for sentence in with_alert if "no sender" not in sentence] == [alert.sentence]
    with app.db.begin() as session:
        lost = {"key": "identity acme-mail.io", "name": "acme-mail.io", "position": 9, "state": "missing"}
        session.add(TenantResource(tenant_id=cast.acme.id, checked_at=app.now(), detail="", **lost))
        session.add(
            Identity(
                tenant_id=cast.acme.id,
                name="acme-mail.io",
                verification_status="PENDING",
                created_at=app.now(),
            )
        )
    assert worries(app) == [alert.sentence]
    with app.db.begin() as session:
        session.execute(delete(Alert))
    assert worries(app)[0] == "Its SNS topic and association could not be made in AWS: AWS says no."


@on_sqlite
def test_what_heals_by_itself_is_noticed(app: App, cast: Cast, alice: Actor) -> None:
    lose_destination(app, "acme")
    drift.check(app, alice, cast.acme.id)
    tenants.repair(app, alice, cast.acme.id)
    drift.check_due(later(app, hours=25))
    [alert] = alerts(app)
    assert alert.cleared_at is not None
    lose_destination(app, "acme")
    drift.check(app, alice, cast.acme.id)
    assert [alert.cleared_at is None for alert in alerts(app)] == [False, True]


@on_sqlite
def test_what_is_whole_is_repaired_without_a_trace_and_what_was_mended_is_named(
    app: App, cast: Cast, alice: Actor
) -> None:
    def repairs() -> list[dict[str, object]]:
        query = select(AuditEntry.detail).where(AuditEntry.action == "repair tenant")
        with app.db.read() as session:
            return list(session.scalars(query.where(AuditEntry.tenant_id == cast.acme.id)))

    drift.repair(app, alice, cast.acme.id)
    assert repairs() == []
    lose_destination(app, "acme")
    drift.repair(app, alice, cast.acme.id)
    drift.repair(app, alice, cast.acme.id)
    assert repairs() == [{"mended": ["event destination"]}]


@on_sqlite
def test_a_run_takes_few_tenants_and_the_longest_unseen_first(app: App, cast: Cast, alice: Actor) -> None:
    for number in range(4):
        tenants.create(app, alice, slug=f"more-{number}", name=f"More {number}")
    tomorrow = later(app, hours=25)
    drift.check(app, alice, cast.acme.id)
    assert drift.check_due(later(app, hours=24.5)) == "Compared 5 of 5 tenants with what AWS has."
    checked_at = tenants.get_by_slug(app, alice, "acme").drift_checked_at
    assert checked_at is not None
    assert checked_at < app.now()
    assert drift.check_due(tomorrow) == "Compared 1 of 1 tenants with what AWS has."


@pytest.mark.slow
@on_sqlite
def test_while_aws_does_not_answer_the_job_ends_early_and_comes_again_in_an_hour(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    for number in range(3):
        tenants.create(app, alice, slug=f"more-{number}", name=f"More {number}")
    simulator.faults({"kind": "error", "operation": "GetQueueUrl", "status": 500, "times": 0})
    assert drift.check_due(later(app, hours=25)) == "Compared 0 of 5 tenants with what AWS has."
    states = [{row.state for row in drift.resources(app, alice, each)} for each in range(1, 6)]
    assert states == [{"unknown"}] * 3 + [{"done"}] * 2
    assert drift.check_due(later(app, hours=25)) == "Compared 0 of 2 tenants with what AWS has."
    assert alerts(app) == []
    simulator.faults()
    assert drift.check_due(later(app, hours=25.9)) == "Compared 0 of 0 tenants with what AWS has."
    assert drift.check_due(later(app, hours=26.1)) == "Compared 5 of 5 tenants with what AWS has."
    assert drift.differences(app, cast.bob, cast.acme.id) == []


@pytest.mark.slow
@on_sqlite
def test_one_tenant_that_aws_does_not_answer_for_keeps_no_other_waiting(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    for number in range(drift.DUE_AT_ONCE):
        tenants.create(app, alice, slug=f"more-{number}", name=f"More {number}")
    with app.db.begin() as session:  # the longest unseen
        session.execute(
            update(Tenant).where(Tenant.id == cast.acme.id).values(provisioned_at=Tenant.created_at)
        )
    silent = replace(later(app, hours=25), providers=SilentAbout(app.providers, "acme"))
    assert drift.check_due(silent) == "Compared 4 of 5 tenants with what AWS has."
    assert drift.check_due(silent) == "Compared 2 of 2 tenants with what AWS has."
    assert drift.check_due(silent) == "Compared 0 of 0 tenants with what AWS has."
    assert drift.check_due(later(app, hours=26.1)) == "Compared 1 of 1 tenants with what AWS has."


@on_sqlite
@pytest.mark.parametrize("days_ahead", [0.01, 1, 40])
def test_what_was_checked_while_a_clock_was_wrong_is_checked_again(
    app: App, cast: Cast, alice: Actor, days_ahead: float
) -> None:
    ahead = later(app, days=days_ahead)
    for tenant in (cast.acme, cast.globex):
        drift.check(ahead, alice, tenant.id)
    assert drift.check_due(app) == "Compared 2 of 2 tenants with what AWS has."
    assert drift.check_due(app) == "Compared 0 of 0 tenants with what AWS has."
    lose_destination(app, "acme")
    drift.check(ahead, alice, cast.acme.id)
    tenants.repair(app, alice, cast.acme.id)
    drift.check(app, alice, cast.acme.id)
    assert [alert.cleared_at is None for alert in alerts(app)] == [False]


@on_sqlite
def test_a_half_made_tenant_shows_what_is_missing_and_is_completed_by_repair(
    app: App, simulator: Simulator, alice: Actor
) -> None:
    simulator.faults({"kind": "error", "operation": "CreateTopic", "status": 403, "times": 0, "code": "No"})
    with pytest.raises(ProviderError):
        tenants.create(app, alice, slug="acme", name="Acme")
    acme = tenants.get_by_slug(app, alice, "acme")
    assert [(row.key, row.state) for row in drift.differences(app, alice, acme.id)] == [
        ("SNS topic", "failed"),
        ("event destination", "missing"),
        ("association", "missing"),
    ]
    assert worries(app) == [
        "Setting it up in SES was not finished: open the tenant and repair it.",
        f"Its SNS topic could not be made in AWS: {drift.differences(app, alice, acme.id)[0].detail}",
        "It has no sender yet: add one.",
    ]
    assert drift.check_due(later(app, hours=25)) == "Compared 0 of 0 tenants with what AWS has."
    with pytest.raises(ProviderError, match="its SNS topic could not be made"):
        drift.repair(app, alice, acme.id)
    drift.check(app, alice, acme.id)
    assert alerts(app) == []
    simulator.faults()
    assert {row.state for row in drift.repair(app, alice, acme.id)} == {"done"}
    assert tenants.get_by_slug(app, alice, "acme").provisioned_at is not None


@pytest.mark.slow
def test_a_tenant_of_the_first_release_gets_what_has_come_since_by_repair(
    app: App, cast: Cast, alice: Actor
) -> None:
    """It had no rule for SES's own notices, and nobody noted what it had."""
    aws("events", app).remove_targets(Rule="postyard-status", Ids=["queue"])
    aws("events", app).delete_rule(Name="postyard-status")
    with app.db.begin() as session:
        session.execute(update(Account).values(status_rule_arn=None))
        session.execute(delete(TenantResource))
    drift.check_due(later(app, hours=25))
    assert {row.key: row.state for row in drift.differences(app, alice, cast.acme.id)} == {
        "status notices": "missing"
    }
    assert len(alerts(app)) == 2, "the rule is missing for both tenants"

    assert {row.state for row in drift.repair(app, alice, cast.acme.id)} == {"done"}

    [rule] = aws("events", app).list_rules()["Rules"]
    assert (rule["Name"], rule["State"]) == ("postyard-status", "ENABLED")
    with app.db.read() as session:
        assert session.scalars(select(Account.status_rule_arn)).one() == rule["Arn"]
    assert {row.state for row in drift.check(app, alice, cast.globex.id)} == {"done"}
    assert all(alert.cleared_at for alert in alerts(app))


def test_an_identity_that_is_removed_takes_its_things_along(app: App, cast: Cast, alice: Actor) -> None:
    sender = senders.add(app, alice, cast.acme.id, "news@acme-mail.io")
    assert len(drift.check(app, alice, cast.acme.id)) > 8
    senders.remove(app, alice, cast.acme.id, sender.id, at_once=True)
    assert [row.position for row in drift.check(app, alice, cast.acme.id)] == list(range(8))


def test_of_many_who_look_and_mend_at_once_all_see_it_whole(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    senders.add(app, alice, cast.acme.id, "news@acme-mail.io")
    before = counts(app)
    lose_destination(app, "acme")
    aws("sns", app).delete_topic(TopicArn=str(cast.acme.topic_arn))
    aws("sesv2", app).put_email_identity_configuration_set_attributes(EmailIdentity="acme-mail.io")
    failures: list[PostyardError] = []

    def run(use_case: object) -> None:
        try:
            use_case(app, alice, cast.acme.id)  # type: ignore[operator]
        except PostyardError as e:
            failures.append(e)

    threads = [
        threading.Thread(target=run, args=(use_case,))
        for use_case in (drift.repair, drift.repair, drift.check, drift.repair)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert {row.state for row in drift.check(app, alice, cast.acme.id)} == {"done"}
    assert counts(app) == before
    assert all(alert.cleared_at for alert in alerts(app))

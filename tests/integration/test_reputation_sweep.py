"""What SES thinks of a tenant: our policy, its findings, the pauses AWS decides; heard of and swept."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from core import events, tenants
from core.access import SYSTEM, Actor
from core.app import App
from core.db.models import Account, Alert, AuditEntry, Tenant
from core.errors import InputError, NotFound, PermissionDenied, ProviderError
from core.providers.base import ReputationState
from core.reports import overview, pauses
from tests.conftest import Cast
from tests.in_aws import aws
from tests.integration.test_drift_daily import later
from tests.meanwhile import SilentAbout
from tests.simulators import Simulator

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
BOUNCES = {"type": "BOUNCE", "impact": "HIGH", "description": "The bounce rate exceeded 15.0%."}
CAUSE = "The standard reputation policy paused sending: The bounce rate exceeded 15.0%."


def look(app: App, tenant: Tenant) -> Tenant:
    with app.db.read() as session:
        return tenants.get_tenant(session, tenant.id)


def at_ses(app: App, tenant: Tenant) -> ReputationState:
    return app.providers.email(app.settings.region).get_reputation(str(tenant.ses_tenant_arn))


def decide(simulator: Simulator, **what: Any) -> None:
    simulator.call("POST", "/_sim/tenants", {"name": "acme", **what})


def worries(app: App) -> list[str]:
    return next(row for row in overview(app, SYSTEM) if row.tenant.slug == "acme").what_needs_a_hand


def open_alerts(app: App) -> list[str]:
    with app.db.read() as session:
        return list(session.scalars(select(Alert.sentence).where(Alert.cleared_at.is_(None))))


def audited(app: App, tenant: Tenant) -> list[tuple[str, str]]:
    query = select(AuditEntry).where(AuditEntry.tenant_id == tenant.id).order_by(AuditEntry.id)
    with app.db.read() as session:
        return [(entry.actor, entry.action) for entry in session.scalars(query)]


def put_into_queue(app: App, body: str) -> None:
    with app.db.read() as session:
        account = session.scalars(select(Account)).one()
    app.providers.queue(account.region).send_to(str(account.queue_url), body)


def ingest(app: App) -> None:
    events.poll(app, threading.Event(), until_idle=True)


def test_the_policy_is_set_in_ses_and_kept(app: App, cast: Cast, alice: Actor) -> None:
    assert at_ses(app, cast.acme).policy == look(app, cast.acme).reputation_policy == "standard"
    for policy in ("strict", "strict", " NONE "):
        changed = tenants.set_reputation_policy(app, alice, cast.acme.id, policy)
        assert at_ses(app, cast.acme).policy == changed.reputation_policy == policy.strip().lower()
    assert at_ses(app, cast.globex).policy == "standard"
    assert audited(app, cast.acme)[1:] == [("alice", "set reputation policy")] * 2
    with app.db.read() as session:
        [row] = [r for r in tenants.list_resources(session, cast.acme.id) if r.key == "reputation policy"]
    assert (row.name, row.state) == ("none", "done")


@on_sqlite
def test_a_policy_that_ses_refuses_changes_nothing(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    refused = {"kind": "error", "operation": "UpdateReputationEntityPolicy", "status": 403, "times": 0}
    simulator.faults({**refused, "code": "AccessDeniedException"})
    with pytest.raises(ProviderError, match="UpdateReputationEntityPolicy"):
        tenants.set_reputation_policy(app, alice, cast.acme.id, "strict")
    assert look(app, cast.acme).reputation_policy == "standard"


@on_sqlite
def test_who_may_choose_the_policy_and_what_it_may_be(
    app: App, cast: Cast, root: Actor, alice: Actor
) -> None:
    with pytest.raises(InputError, match="none") as caught:
        tenants.set_reputation_policy(app, alice, cast.acme.id, "severe")
    assert caught.value.field == "policy"
    for actor in (cast.bob, cast.carol):
        with pytest.raises(PermissionDenied):
            tenants.set_reputation_policy(app, actor, cast.acme.id, "none")
    for actor, tenant_id in ((cast.charlie, cast.acme.id), (root, 999)):
        with pytest.raises(NotFound, match=r"^There is no such tenant\.$"):
            tenants.set_reputation_policy(app, actor, tenant_id, "none")


def test_the_sweep_reads_new_tenants_at_once_and_then_each_day(app: App, cast: Cast) -> None:
    assert tenants.reputation_due(app) == "Read SES's view of 2 of 2 tenants."
    assert look(app, cast.acme).aws_status == "ENABLED"
    assert tenants.reputation_due(app) == "Read SES's view of 0 of 0 tenants."
    assert tenants.reputation_due(later(app, hours=25)) == "Read SES's view of 2 of 2 tenants."


@on_sqlite
def test_findings_are_kept_and_go_when_they_are_fixed(app: App, simulator: Simulator, cast: Cast) -> None:
    decide(simulator, findings=[{**BOUNCES, "impact": "LOW"}])
    acme = tenants.read_reputation(app, cast.acme.id)
    [finding] = acme.reputation_findings
    assert (finding["type"], finding["impact"], finding["description"]) == (
        "BOUNCE",
        "LOW",
        BOUNCES["description"],
    )
    assert (acme.reputation_impact, acme.aws_status, acme.sending_status) == ("LOW", "ENABLED", "ENABLED")
    decide(simulator, findings=[{**BOUNCES, "impact": "LOW", "status": "FIXED"}])
    assert tenants.read_reputation(app, cast.acme.id).reputation_findings == []
    assert tenants.read_reputation(app, cast.globex.id).reputation_findings == []


@pytest.mark.slow
def test_awss_pause_arrives_by_notice_and_stays_until_a_person_resumes(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    tenants.reputation_due(app)
    decide(simulator, findings=[BOUNCES])
    _wait_for_notice(app, cast.acme)
    assert tenants.reputation_due(app) == "Read SES's view of 1 of 1 tenants."

    paused = look(app, cast.acme)
    assert (paused.sending_status, paused.paused_by, paused.paused_reason) == (
        "DISABLED",
        "Amazon SES",
        CAUSE,
    )
    assert (paused.aws_status, paused.aws_status_cause) == ("DISABLED", CAUSE)
    assert look(app, cast.globex).sending_status == "ENABLED"
    [alert] = open_alerts(app)
    assert alert in worries(app)
    assert CAUSE.rstrip(".") in alert
    tenants.sync_due(app)
    assert at_ses(app, cast.acme).customer_status == "DISABLED"

    decide(simulator, aws_status="ENABLED", findings=[{**BOUNCES, "status": "FIXED"}])
    tenants.read_reputation(app, cast.acme.id)
    assert open_alerts(app) == []
    assert look(app, cast.acme).sending_status == "DISABLED"
    assert "Amazon SES has lifted its pause; here it stays paused until somebody resumes it." in worries(app)
    tenants.resume(app, alice, cast.acme.id, "list was cleaned")
    assert at_ses(app, cast.acme).sending_status == "ENABLED"
    assert audited(app, cast.acme)[1:] == [
        ("Amazon SES", "pause tenant"),
        ("Amazon SES", "lift pause"),
        ("alice", "resume tenant"),
    ]
    [pause] = pauses(app, alice, cast.acme.id, since=(app.now() - timedelta(days=1)).date())
    assert (pause.by, pause.reason) == ("Amazon SES", CAUSE)


def _wait_for_notice(app: App, tenant: Tenant) -> None:
    deadline = time.monotonic() + 10
    while not look(app, tenant).reputation_due:
        ingest(app)
        assert time.monotonic() < deadline, "no notice came"


@on_sqlite
def test_awss_pause_is_found_by_the_sweep_when_no_notice_came(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    tenants.reputation_due(app)
    decide(simulator, aws_status="DISABLED", cause="Blocklisted.")
    assert tenants.reputation_due(app) == "Read SES's view of 0 of 0 tenants."
    tenants.reputation_due(later(app, hours=25))
    assert look(app, cast.acme).paused_reason == "Blocklisted."


@on_sqlite
def test_whoever_paused_first_keeps_the_pause_and_awss_is_told_besides(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    tenants.pause(app, cast.bob, cast.acme.id, "list is old")
    decide(simulator, aws_status="DISABLED", cause="Blocklisted.")
    acme = tenants.read_reputation(app, cast.acme.id)
    assert (acme.paused_by, acme.paused_reason) == ("bob", "list is old")
    said = worries(app)
    assert "Sending is paused by bob: list is old" in said
    assert any(sentence.startswith("Amazon SES itself holds Acme Retail's mail: Block") for sentence in said)


@on_sqlite
def test_who_resumes_while_aws_holds_the_tenant_is_told_so_and_not_overruled_each_day(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    decide(simulator, aws_status="DISABLED", cause="Blocklisted.")
    tenants.read_reputation(app, cast.acme.id)
    resumed = tenants.resume(app, alice, cast.acme.id, "we asked AWS")
    assert "Amazon SES itself holds Acme Retail's mail: Blocklisted." in str(tenants.held_by_aws(resumed))
    assert at_ses(app, cast.acme).customer_status == "REINSTATED"
    assert resumed.reputation_due
    for _ in range(2):
        assert tenants.read_reputation(app, cast.acme.id).sending_status == "ENABLED"
    assert any("holds Acme Retail's mail" in sentence for sentence in worries(app))
    decide(simulator, aws_status="DISABLED", cause="Blocklisted by another list.")
    assert tenants.read_reputation(app, cast.acme.id).sending_status == "DISABLED"
    decide(simulator, aws_status="REINSTATED")
    tenants.read_reputation(app, cast.acme.id)
    assert open_alerts(app) == []


@on_sqlite
@pytest.mark.parametrize(("ours", "theirs"), [("ENABLED", "DISABLED"), ("DISABLED", "ENABLED")])
def test_a_status_somebody_changed_in_ses_is_told_again(
    app: App, cast: Cast, alice: Actor, ours: str, theirs: str
) -> None:
    if ours == "DISABLED":
        tenants.pause(app, alice, cast.acme.id, "list is old")
    assert tenants.read_reputation(app, cast.acme.id).ses_status_synced is True
    aws("sesv2", app).update_reputation_entity_customer_managed_status(
        ReputationEntityType="RESOURCE",
        ReputationEntityReference=cast.acme.ses_tenant_arn,
        SendingStatus=theirs,
    )
    acme = tenants.read_reputation(app, cast.acme.id)
    assert (acme.sending_status, acme.ses_status_synced) == (ours, False)
    tenants.sync_due(app)
    assert at_ses(app, cast.acme).customer_status == ours


def test_a_notice_only_says_when_to_ask_and_unknown_tenants_are_left(
    app: App, cast: Cast, caplog: pytest.LogCaptureFixture
) -> None:
    tenants.reputation_due(app)
    stranger = "arn:aws:ses:us-east-1:123456789012:tenant/nobody/tn-0"
    with caplog.at_level(logging.WARNING), app.db.begin() as session:
        tenants.mark_reputation_due(session, {str(cast.acme.ses_tenant_arn), stranger})
    assert stranger in caplog.text
    assert str(cast.acme.ses_tenant_arn) not in caplog.text
    acme = look(app, cast.acme)
    assert (acme.reputation_due, acme.aws_status, acme.sending_status) == (True, "ENABLED", "ENABLED")
    assert not look(app, cast.globex).reputation_due
    assert tenants.reputation_due(app) == "Read SES's view of 1 of 1 tenants."
    assert not look(app, cast.acme).reputation_due


@pytest.mark.slow
@on_sqlite
def test_notices_are_deleted_once_stored_and_none_is_parked(app: App, cast: Cast) -> None:
    tenants.reputation_due(app)
    hostile = (
        '{"detail-type": "Sending Status Disabled", "source": "aws.ses", "resources": ["%s"], "detail": 7}'
    )
    for arn in (cast.acme.ses_tenant_arn, "nobody", "'; DROP TABLE tenants --\\u0000"):
        put_into_queue(app, hostile % arn)
    ingest(app)
    assert look(app, cast.acme).reputation_due
    with app.db.read() as session:
        account = session.scalars(select(Account)).one()
    for url in (account.queue_url, account.dead_letter_queue_url):
        assert app.providers.queue(account.region).depth(str(url)) == 0


def test_a_notice_that_comes_while_ses_is_asked_is_not_forgotten(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    simulator.faults({"kind": "latency", "operation": "ListRecommendations", "seconds": 0.8})
    reading = threading.Thread(target=tenants.read_reputation, args=(app, cast.acme.id))
    reading.start()
    time.sleep(0.3)
    with app.db.begin() as session:
        tenants.mark_reputation_due(session, [str(cast.acme.ses_tenant_arn)])
    reading.join()
    assert look(app, cast.acme).reputation_checked_at is not None
    assert look(app, cast.acme).reputation_due


@pytest.mark.slow
@on_sqlite
def test_while_ses_does_not_answer_tenants_stay_due_and_a_lost_one_waits_a_day(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    simulator.faults({"kind": "refuse_connection", "operation": "*", "times": 0})
    assert tenants.reputation_due(app) == "Read SES's view of 0 of 2 tenants."
    assert tenants.reputation_due(app) == "Read SES's view of 0 of 0 tenants."
    simulator.faults()
    aws("sesv2", app).delete_tenant(TenantName="acme")
    soon = later(app, minutes=6)
    assert tenants.reputation_due(soon) == "Read SES's view of 1 of 2 tenants."
    assert tenants.reputation_due(later(app, minutes=12)) == "Read SES's view of 0 of 0 tenants."
    assert look(app, cast.acme).aws_status is None
    assert tenants.reputation_due(later(app, hours=25)) == "Read SES's view of 1 of 2 tenants."


@on_sqlite
def test_tenants_that_ses_does_not_answer_for_keep_no_other_waiting(
    app: App, cast: Cast, alice: Actor
) -> None:
    for number in range(2):
        tenants.create(app, alice, slug=f"acme-{number}", name=f"Acme {number}")
    silent = replace(app, providers=SilentAbout(app.providers, "acme"))  # the first of all, and two more
    assert tenants.reputation_due(silent) == "Read SES's view of 1 of 4 tenants."
    assert look(app, cast.globex).reputation_checked_at is not None
    with app.db.begin() as session:
        tenants.mark_reputation_due(session, [str(cast.acme.ses_tenant_arn)])
    assert tenants.reputation_due(silent) == "Read SES's view of 0 of 0 tenants."
    assert tenants.reputation_due(later(app, minutes=6)) == "Read SES's view of 3 of 3 tenants."


@on_sqlite
def test_a_run_ends_early_while_ses_answers_for_nobody(app: App, cast: Cast, alice: Actor) -> None:
    for number in range(3):
        tenants.create(app, alice, slug=f"more-{number}", name=f"More {number}")
    silent = replace(app, providers=SilentAbout(app.providers, "arn:"))
    assert tenants.reputation_due(silent) == "Read SES's view of 0 of 5 tenants."
    assert tenants.reputation_due(silent) == "Read SES's view of 0 of 2 tenants."
    assert tenants.reputation_due(silent) == "Read SES's view of 0 of 0 tenants."


@on_sqlite
@pytest.mark.parametrize("days_ahead", [0.01, 40])
def test_what_was_read_while_a_clock_was_wrong_is_read_again(app: App, cast: Cast, days_ahead: float) -> None:
    assert tenants.reputation_due(later(app, days=days_ahead)) == "Read SES's view of 2 of 2 tenants."
    assert tenants.reputation_due(app) == "Read SES's view of 2 of 2 tenants."
    assert tenants.reputation_due(app) == "Read SES's view of 0 of 0 tenants."
    with app.db.begin() as session:
        session.execute(
            update(Tenant).values(reputation_due=True, reputation_tried_at=app.now() + timedelta(days=40))
        )
    assert tenants.reputation_due(app) == "Read SES's view of 2 of 2 tenants."

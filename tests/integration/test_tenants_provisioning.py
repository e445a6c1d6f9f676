"""Provisioning: a tenant whole in AWS, whatever fails on the way and whoever else is at it; nothing twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import func, select

from core import accounts, tenants
from core.access import Actor
from core.app import App
from core.db.models import AuditEntry, Tenant, TenantResource
from core.errors import Conflict, NotFound, PermissionDenied, PostyardError, ProviderError
from tests.conftest import Cast
from tests.in_aws import ONE_TENANT, assert_complete_in_aws, aws, counts
from tests.simulators import Simulator

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

# Every call that creating a tenant makes, and the step it belongs to.
CALLS = {
    "CreateQueue": "event queue",
    "SetQueueAttributes": "event queue",
    "GetQueueAttributes": "event queue",
    "PutRule": "status notices",
    "PutTargets": "status notices",
    "CreateTenant": "SES tenant",
    "GetTenant": "SES tenant",
    "UpdateReputationEntityPolicy": "reputation policy",
    "CreateConfigurationSet": "configuration set",
    "CreateTopic": "SNS topic",
    "SetTopicAttributes": "SNS topic",
    "ListSubscriptionsByTopic": "SNS topic",
    "Subscribe": "SNS topic",
    "CreateConfigurationSetEventDestination": "event destination",
    "CreateTenantResourceAssociation": "association",
}
LOST = ("CreateTenant", "CreateTenantResourceAssociation")
REFUSED = {"kind": "error", "status": 403, "code": "AccessDeniedException"}
# botocore repeats these two, with pauses: tried where one answer of each service fails.
BROKEN, THROTTLED = {"kind": "error", "status": 500}, {"kind": "throttle"}
NO_CONNECTION = {"kind": "refuse_connection"}
FAILURES = [
    *((operation, REFUSED) for operation in CALLS),
    ("CreateTenant", THROTTLED),
    ("CreateTopic", BROKEN),
    ("CreateConfigurationSet", NO_CONNECTION),
    ("PutRule", NO_CONNECTION),
]


def create(app: App, actor: Actor) -> Tenant:
    return tenants.create(app, actor, slug="acme", name="Acme")


def states(app: App, tenant_id: int) -> dict[str, str]:
    with app.db.read() as session:
        return {row.key: row.state for row in tenants.list_resources(session, tenant_id)}


def actions(app: App, tenant_id: int) -> list[str]:
    query = select(AuditEntry.action).where(AuditEntry.tenant_id == tenant_id).order_by(AuditEntry.id)
    with app.db.read() as session:
        return list(session.scalars(query))


def at_once(*calls: Callable[[], object]) -> list[object]:
    """What each returned or raised."""
    outcomes: list[object] = []

    def run(call: Callable[[], object]) -> None:
        try:
            outcomes.append(call())
        except PostyardError as e:
            outcomes.append(e)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_every_step_of_a_new_tenant_is_done_and_named(app: App, alice: Actor) -> None:
    tenant = create(app, alice)
    with app.db.read() as session:
        rows = tenants.list_resources(session, tenant.id)
    assert [(row.key, row.name, row.state) for row in rows] == [
        ("event queue", "postyard-events", "done"),
        ("status notices", "postyard-status", "done"),
        ("SES tenant", "acme", "done"),
        ("reputation policy", "standard", "done"),
        ("configuration set", "postyard-acme", "done"),
        ("SNS topic", "postyard-acme-events", "done"),
        ("event destination", "postyard-acme", "done"),
        ("association", "postyard-acme", "done"),
    ]
    assert counts(app) == ONE_TENANT
    assert [seen.found.state for seen in tenants.inspect(app, tenant.id)] == ["done"] * 8


@on_sqlite
@pytest.mark.parametrize(("operation", "fault"), FAILURES)
def test_failing_at_a_step_and_repeated_it_ends_complete_with_nothing_twice(
    app: App, simulator: Simulator, alice: Actor, operation: str, fault: dict[str, object]
) -> None:
    step = CALLS[operation]
    simulator.faults({**fault, "operation": operation, "times": 0})
    with pytest.raises(ProviderError, match=f"its {step} could not be made") as caught:
        create(app, alice)
    [half] = tenants.list_tenants(app, alice)
    assert half.provisioned_at is None
    seen = list(states(app, half.id).items())
    position = [key for key, _ in seen].index(step)
    assert [state for _, state in seen[:position]] == ["done"] * position
    assert [state for _, state in seen[position:]] == ["failed"] + ["missing"] * (7 - position)
    with app.db.read() as session:
        failed = session.get_one(TenantResource, (half.id, step))
    assert failed.detail
    assert failed.detail in str(caught.value)
    assert actions(app, half.id) == []

    simulator.faults()
    tenant = create(app, alice)
    assert_complete_in_aws(app, tenant)
    assert counts(app) == ONE_TENANT
    assert set(states(app, tenant.id).values()) == {"done"}
    assert actions(app, tenant.id) == ["create tenant"]
    with app.db.read() as session:
        assert session.scalar(select(func.count()).select_from(Tenant)) == 1


@on_sqlite
def test_what_was_made_though_the_answer_was_lost_is_taken_up_at_once(
    app: App, simulator: Simulator, alice: Actor
) -> None:
    simulator.faults(*({"kind": "accept_then_time_out", "operation": name, "times": 1} for name in LOST))
    assert_complete_in_aws(app, create(app, alice))
    assert counts(app) == ONE_TENANT


@on_sqlite
def test_without_aws_nothing_is_begun(app: App, simulator: Simulator, alice: Actor) -> None:
    simulator.faults({"kind": "error", "operation": "GetAccount", "times": 0, "status": 403})
    with pytest.raises(ProviderError):
        create(app, alice)
    assert tenants.list_tenants(app, alice) == []


def test_what_was_lost_in_aws_is_repaired_and_what_is_there_stays(
    app: App, simulator: Simulator, alice: Actor
) -> None:
    before = create(app, alice)
    simulator.reset()
    after = tenants.repair(app, alice, before.id)
    assert_complete_in_aws(app, after)
    assert after.provisioned_at == before.provisioned_at
    again = tenants.repair(app, alice, before.id)
    assert (again.ses_tenant_id, again.topic_arn) == (after.ses_tenant_id, after.topic_arn)
    assert counts(app) == ONE_TENANT
    assert actions(app, before.id) == ["create tenant", "repair tenant"], "once, when there was something"


@on_sqlite
def test_names_stay_as_they_were_when_the_prefix_is_another_one_later(
    app: App, simulator: Simulator, alice: Actor
) -> None:
    before = create(app, alice)
    renamed = replace(app, settings=app.settings.model_copy(update={"resource_prefix": "mailroom"}))
    simulator.reset()
    after = tenants.repair(renamed, alice, before.id)
    assert (after.configuration_set, after.topic_arn) == (before.configuration_set, before.topic_arn)
    assert_complete_in_aws(app, after)


@pytest.mark.slow
@on_sqlite
def test_repair_while_aws_does_not_answer_says_so_and_calls_nothing_missing(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    simulator.faults(
        {"kind": "refuse_connection", "operation": "*", "times": 0},
        {"kind": "refuse_connection", "operation": "GetQueueUrl", "times": 0},
        {"kind": "refuse_connection", "operation": "CreateQueue", "times": 0},
    )
    with pytest.raises(ProviderError, match="its event queue could not be made"):
        tenants.repair(app, alice, cast.acme.id)
    found = states(app, cast.acme.id)
    assert found.pop("event queue") == "failed"
    assert set(found.values()) == {"unknown"}
    simulator.faults()
    tenants.repair(app, alice, cast.acme.id)
    assert set(states(app, cast.acme.id).values()) == {"done"}


def test_who_may_repair_and_whose_tenant(app: App, cast: Cast, root: Actor) -> None:
    for actor in (cast.bob, cast.carol):
        with pytest.raises(PermissionDenied):
            tenants.repair(app, actor, cast.acme.id)
    for actor, tenant_id in ((cast.charlie, cast.acme.id), (root, 999)):
        with pytest.raises(NotFound, match=r"^There is no such tenant\.$"):
            tenants.repair(app, actor, tenant_id)


def test_of_many_who_create_the_same_tenant_at_once_there_is_one(app: App, alice: Actor) -> None:
    accounts.ensure_platform_account(app)
    outcomes = at_once(*[lambda: create(app, alice)] * 4)
    made = [outcome for outcome in outcomes if isinstance(outcome, Tenant)]
    assert made
    assert len({tenant.id for tenant in made}) == 1
    assert all(isinstance(outcome, Tenant | Conflict) for outcome in outcomes)
    assert_complete_in_aws(app, made[0])
    assert counts(app) == ONE_TENANT
    assert set(states(app, made[0].id).values()) == {"done"}
    assert actions(app, made[0].id) == ["create tenant"]


def test_of_many_who_take_up_a_half_made_tenant_at_once_none_makes_anything_twice(
    app: App, simulator: Simulator, alice: Actor
) -> None:
    simulator.faults({"kind": "error", "operation": "CreateTopic", "times": 0, "status": 403, "code": "No"})
    with pytest.raises(ProviderError):
        create(app, alice)
    simulator.faults()
    outcomes = at_once(*[lambda: create(app, alice)] * 3)
    assert all(isinstance(outcome, Tenant | Conflict) for outcome in outcomes)
    [tenant] = tenants.list_tenants(app, alice)
    assert_complete_in_aws(app, tenant)
    assert counts(app) == ONE_TENANT
    assert actions(app, tenant.id) == ["create tenant"]


def test_of_many_who_repair_a_tenant_at_once_none_makes_anything_twice(
    app: App, simulator: Simulator, alice: Actor
) -> None:
    tenant = create(app, alice)
    simulator.reset()
    outcomes = at_once(*[lambda: tenants.repair(app, alice, tenant.id)] * 3)
    assert [outcome for outcome in outcomes if not isinstance(outcome, Tenant)] == []
    assert_complete_in_aws(app, tenants.get_by_slug(app, alice, "acme"))
    assert counts(app) == ONE_TENANT
    assert set(states(app, tenant.id).values()) == {"done"}


@on_sqlite
def test_what_is_there_without_being_known_is_taken_over(app: App, alice: Actor) -> None:
    """As after a process that died between making and storing."""
    ses = aws("sesv2", app)
    ses.create_tenant(TenantName="acme")
    ses.create_configuration_set(ConfigurationSetName="postyard-acme")
    elsewhere = aws("sns", app).create_topic(Name="postyard-acme-events")["TopicArn"]
    ses.create_configuration_set_event_destination(
        ConfigurationSetName="postyard-acme",
        EventDestinationName="postyard",
        EventDestination={
            "Enabled": False,
            "MatchingEventTypes": ["BOUNCE"],
            "SnsDestination": {"TopicArn": elsewhere},
        },
    )
    assert_complete_in_aws(app, create(app, alice))
    assert counts(app) == ONE_TENANT

"""Drift: each thing spoiled behind our back, named by the check, mended by the repair.

One tenant for all of these tests: each leaves it as the repair made it, which is what they are about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from core import drift, senders, tenants
from core.access import SYSTEM
from core.app import App, AwsProviders, build_app
from core.db.models import Alert, Identity, Tenant
from core.settings import Settings
from tests.databases import copy_sqlite
from tests.in_aws import aws
from tests.simulators import Simulator

DOMAIN = "acme-mail.io"
TENANT_KEYS = ["event queue", "status notices", "SES tenant", "reputation policy", "configuration set",
               "SNS topic", "event destination", "association"]  # fmt: skip
IDENTITY_KEYS = [f"identity {DOMAIN}", f"association of {DOMAIN}", f"configuration set of {DOMAIN}",
                 f"MAIL FROM of {DOMAIN}"]  # fmt: skip
OF_SES_TENANT = ["SES tenant", "reputation policy", "association", f"association of {DOMAIN}"]


@dataclass(frozen=True)
class World:
    app: App
    simulator: Simulator
    tenant_id: int

    @property
    def tenant(self) -> Tenant:
        with self.app.db.read() as session:
            return tenants.get_tenant(session, self.tenant_id)

    @property
    def identity(self) -> Identity:
        with self.app.db.read() as session:
            return session.scalars(select(Identity).where(Identity.tenant_id == self.tenant_id)).one()

    def arn(self, resource: str) -> str:
        region = self.app.settings.region
        return f"arn:aws:ses:{region}:{aws('sts', self.app).get_caller_identity()['Account']}:{resource}"

    def client(self, service: str = "sesv2") -> Any:
        return aws(service, self.app)

    def alerts(self) -> list[Alert]:
        open_ones = select(Alert).where(Alert.cleared_at.is_(None), Alert.kind == drift.ALERT)
        with self.app.db.read() as session:
            return list(session.scalars(open_ones))

    def check(self) -> dict[str, str]:
        """What is not done, by key."""
        rows = drift.check(self.app, SYSTEM, self.tenant_id)
        assert [row.key for row in rows[:8]] == TENANT_KEYS
        assert all(row.detail for row in rows if row.state != "done")
        return {row.key: row.state for row in rows if row.state != "done"}

    def calls(self) -> int:
        return int(self.simulator.call("GET", "/_sim/calls?after=0")["next"])


@pytest.fixture(scope="module")
def world(
    migrated_sqlite: Path,
    simulator_process: Simulator,
    aws: AwsProviders,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[World]:
    simulator_process.reset()
    directory = tmp_path_factory.mktemp("drift")
    url = copy_sqlite(migrated_sqlite, directory / "postyard.db")
    settings = Settings.load(database_url=url, data_dir=directory, dns_servers=simulator_process.dns)
    app = replace(build_app(settings), providers=aws)
    tenant = tenants.create(app, SYSTEM, slug="acme", name="Acme")
    senders.add(app, SYSTEM, tenant.id, f"news@{DOMAIN}")
    yield World(app, simulator_process, tenant.id)
    app.db.dispose()


def no_queue_policy(w: World) -> None:
    w.client("sqs").set_queue_attributes(QueueUrl=queue_url(w), Attributes={"Policy": ""})


def no_queue(w: World) -> None:
    w.client("sqs").delete_queue(QueueUrl=queue_url(w))


def queue_url(w: World) -> str:
    return str(w.client("sqs").get_queue_url(QueueName="postyard-events")["QueueUrl"])


def no_target(w: World) -> None:
    w.client("events").remove_targets(Rule="postyard-status", Ids=["queue"])


def rule_switched_off(w: World) -> None:
    w.client("events").disable_rule(Name="postyard-status")


def no_rule(w: World) -> None:
    no_target(w)
    w.client("events").delete_rule(Name="postyard-status")


def no_tenant(w: World) -> None:
    w.client().delete_tenant(TenantName="acme")


def tenant_made_anew(w: World) -> None:
    no_tenant(w)
    w.client().create_tenant(TenantName="acme")


def shared_suppressions(w: World) -> None:
    w.client().put_tenant_suppression_attributes(
        TenantName="acme", SuppressedReasons=["BOUNCE"], SuppressionScope="ACCOUNT"
    )


def another_policy(w: World) -> None:
    arn = f"arn:aws:ses:{w.app.settings.region}:aws:reputation-policy/none"
    w.client().update_reputation_entity_policy(
        ReputationEntityType="RESOURCE",
        ReputationEntityReference=w.tenant.ses_tenant_arn,
        ReputationEntityPolicy=arn,
    )


def no_configuration_set(w: World) -> None:
    no_association(w)
    w.client().delete_configuration_set(ConfigurationSetName="postyard-acme")


def no_subscription(w: World) -> None:
    sns = w.client("sns")
    [found] = sns.list_subscriptions_by_topic(TopicArn=w.tenant.topic_arn)["Subscriptions"]
    sns.unsubscribe(SubscriptionArn=found["SubscriptionArn"])


def no_topic(w: World) -> None:
    w.client("sns").delete_topic(TopicArn=w.tenant.topic_arn)


def destination(w: World, **changed: Any) -> None:
    wanted = {"Enabled": True, "MatchingEventTypes": ["SEND", "BOUNCE"],
              "SnsDestination": {"TopicArn": w.tenant.topic_arn}}  # fmt: skip
    w.client().update_configuration_set_event_destination(
        ConfigurationSetName="postyard-acme", EventDestinationName="postyard",
        EventDestination=wanted | changed,
    )  # fmt: skip


def fewer_event_types(w: World) -> None:
    destination(w)


def destination_switched_off(w: World) -> None:
    destination(w, Enabled=False)


def destination_elsewhere(w: World) -> None:
    other = w.client("sns").create_topic(Name="somebody-elses")["TopicArn"]
    destination(w, SnsDestination={"TopicArn": other})


def no_destination(w: World) -> None:
    w.client().delete_configuration_set_event_destination(
        ConfigurationSetName="postyard-acme", EventDestinationName="postyard"
    )


def no_association(w: World) -> None:
    separate(w, "configuration-set/postyard-acme")


def no_association_of_the_identity(w: World) -> None:
    separate(w, f"identity/{DOMAIN}")


def separate(w: World, resource: str) -> None:
    w.client().delete_tenant_resource_association(TenantName="acme", ResourceArn=w.arn(resource))


def no_identity(w: World) -> None:
    no_association_of_the_identity(w)
    w.client().delete_email_identity(EmailIdentity=DOMAIN)


def identity_made_anew(w: World) -> None:
    no_identity(w)
    w.client().create_email_identity(EmailIdentity=DOMAIN)


def no_default_set(w: World) -> None:
    w.client().put_email_identity_configuration_set_attributes(EmailIdentity=DOMAIN)


def no_mail_from(w: World) -> None:
    w.client().put_email_identity_mail_from_attributes(EmailIdentity=DOMAIN)


def another_mail_from(w: World) -> None:
    w.client().put_email_identity_mail_from_attributes(
        EmailIdentity=DOMAIN, MailFromDomain=f"elsewhere.{DOMAIN}"
    )


SPOILED: list[tuple[Callable[[World], None], dict[str, str]]] = [
    (no_queue_policy, {"event queue": "different"}),
    (no_queue, {"event queue": "missing"}),
    (no_target, {"status notices": "different"}),
    (rule_switched_off, {"status notices": "different"}),
    (no_rule, {"status notices": "missing"}),
    (no_tenant, dict.fromkeys(OF_SES_TENANT, "missing")),
    (tenant_made_anew, {"SES tenant": "different", "association": "missing",
                        f"association of {DOMAIN}": "missing"}),
    (shared_suppressions, {"SES tenant": "different"}),
    (another_policy, {"reputation policy": "different"}),
    (no_configuration_set, dict.fromkeys(["configuration set", "event destination", "association"],
                                         "missing")),
    (no_subscription, {"SNS topic": "different"}),
    (no_topic, {"SNS topic": "missing"}),
    (fewer_event_types, {"event destination": "different"}),
    (destination_switched_off, {"event destination": "different"}),
    (destination_elsewhere, {"event destination": "different"}),
    (no_destination, {"event destination": "missing"}),
    (no_association, {"association": "missing"}),
    (no_association_of_the_identity, {f"association of {DOMAIN}": "missing"}),
    (no_identity, dict.fromkeys(IDENTITY_KEYS, "missing")),
    (identity_made_anew, {f"identity {DOMAIN}": "different", f"association of {DOMAIN}": "missing",
                          f"configuration set of {DOMAIN}": "different",
                          f"MAIL FROM of {DOMAIN}": "missing"}),
    (no_default_set, {f"configuration set of {DOMAIN}": "different"}),
    (no_mail_from, {f"MAIL FROM of {DOMAIN}": "missing"}),
    (another_mail_from, {f"MAIL FROM of {DOMAIN}": "different"}),
]  # fmt: skip


def test_a_tenant_just_made_differs_in_nothing(world: World) -> None:
    rows = drift.check(world.app, SYSTEM, world.tenant_id)
    assert [(row.key, row.state) for row in rows] == [(key, "done") for key in TENANT_KEYS + IDENTITY_KEYS]
    assert world.tenant.drift_checked_at is not None
    assert world.alerts() == []


@pytest.mark.parametrize(("spoil", "expected"), SPOILED, ids=[spoil.__name__ for spoil, _ in SPOILED])
def test_what_is_spoiled_is_named_told_once_and_mended(
    world: World, spoil: Callable[[World], None], expected: dict[str, str]
) -> None:
    spoil(world)
    assert world.check() == expected
    assert world.check() == expected
    [alert] = world.alerts()
    assert next(iter(expected)) in alert.sentence
    assert {row.key for row in drift.differences(world.app, SYSTEM, world.tenant_id)} == set(expected)

    mended = drift.repair(world.app, SYSTEM, world.tenant_id)

    assert {row.state for row in mended} == {"done"}
    assert world.check() == {}
    assert world.alerts() == []


def test_an_identity_made_anew_brings_its_new_records_and_keeps_its_mail_from(world: World) -> None:
    before = world.identity
    no_identity(world)
    drift.repair(world.app, SYSTEM, world.tenant_id)
    after = world.identity
    assert after.dkim_tokens != before.dkim_tokens
    assert after.mail_from_domain == before.mail_from_domain == f"bounce.{DOMAIN}"
    assert after.verification_status == "PENDING"


def test_what_nobody_arranged_is_shown_and_left_alone(world: World) -> None:
    ses, stranger = world.client(), world.arn("identity/globex-post.net")
    ses.create_email_identity(EmailIdentity="globex-post.net")
    ses.create_tenant_resource_association(TenantName="acme", ResourceArn=stranger)
    expected = {"association of globex-post.net": "different"}

    assert world.check() == expected
    [alert] = world.alerts()
    assert "globex-post.net" in alert.sentence
    repaired = drift.repair(world.app, SYSTEM, world.tenant_id)

    assert {row.key: row.state for row in repaired if row.state != "done"} == expected
    resources = ses.list_tenant_resources(TenantName="acme")["TenantResources"]
    assert stranger in {row["ResourceArn"] for row in resources}
    separate(world, "identity/globex-post.net")
    assert world.check() == {}
    assert world.alerts() == []


def test_a_look_costs_four_calls_and_one_for_each_identity(world: World) -> None:
    before = world.calls()
    assert world.check() == {}
    assert world.calls() - before == 4 + 1


def test_what_ses_refuses_to_tell_is_unknown_and_what_it_tells_is_not(world: World) -> None:
    refused = {"kind": "error", "operation": "ListTenantResources", "status": 403, "times": 0}
    world.simulator.faults({**refused, "code": "AccessDeniedException"})
    assert world.check() == {"association": "unknown", f"association of {DOMAIN}": "unknown"}
    assert world.alerts() == []
    world.simulator.faults()
    assert world.check() == {}


@pytest.mark.slow
def test_while_ses_does_not_answer_everything_of_it_is_unknown_and_an_alert_stays(world: World) -> None:
    no_destination(world)
    assert world.check() == {"event destination": "missing"}
    checked_at = world.tenant.drift_checked_at
    world.simulator.faults({"kind": "refuse_connection", "operation": "*", "times": 0})
    found = world.check()
    assert set(found) == {*TENANT_KEYS[2:], *IDENTITY_KEYS}
    assert set(found.values()) == {"unknown"}
    assert world.tenant.drift_checked_at == checked_at
    assert len(world.alerts()) == 1
    world.simulator.faults()
    drift.repair(world.app, SYSTEM, world.tenant_id)
    assert world.alerts() == []


def test_what_aws_refuses_to_mend_is_failed_with_its_sentence_and_the_rest_is_mended(world: World) -> None:
    no_mail_from(world)
    no_destination(world)
    refused = {"kind": "error", "operation": "PutEmailIdentityMailFromAttributes", "status": 403, "times": 0}
    world.simulator.faults({**refused, "code": "AccessDeniedException"})
    rows = {row.key: row for row in drift.repair(world.app, SYSTEM, world.tenant_id)}
    failed = rows.pop(f"MAIL FROM of {DOMAIN}")
    assert failed.state == "failed"
    assert "PutEmailIdentityMailFromAttributes" in failed.detail
    assert {row.state for row in rows.values()} == {"done"}
    world.simulator.faults()
    assert {row.state for row in drift.repair(world.app, SYSTEM, world.tenant_id)} == {"done"}

"""Drift: what somebody changes while a check or a repair is under way is neither an alert nor undone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from core import drift, identities, senders, tenants
from core.access import SYSTEM, Actor
from core.app import App
from core.db.models import Alert, Identity, Sender, Tenant, TenantResource
from tests.conftest import Cast
from tests.in_aws import aws
from tests.integration.test_drift_daily import lose_destination
from tests.meanwhile import Meanwhile, meanwhile
from tests.simulators import Simulator

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
pytestmark = on_sqlite

DOMAIN = "acme-mail.io"
LAST_CALL = "find_identity"  # of a look at a tenant with one identity


@pytest.fixture
def sender(app: App, cast: Cast) -> Sender:
    return senders.add(app, SYSTEM, cast.acme.id, f"news@{DOMAIN}")


def alerts(app: App) -> list[Alert]:
    with app.db.read() as session:
        return list(session.scalars(select(Alert).order_by(Alert.id)))


def not_done(app: App, tenant_id: int) -> dict[str, str]:
    return {row.key: row.state for row in drift.differences(app, SYSTEM, tenant_id)}


def check_while(app: App, cast: Cast, operation: str, happens: Callable[[], object]) -> list[TenantResource]:
    spied = meanwhile(app, operation, happens)
    rows = drift.check(spied, SYSTEM, cast.acme.id)
    assert isinstance(spied.providers, Meanwhile)
    assert spied.providers.happens is None, "it happened"
    return rows


def identity_of(app: App, tenant_id: int, name: str = DOMAIN) -> Identity:
    with app.db.read() as session:
        query = select(Identity).where(Identity.tenant_id == tenant_id, Identity.name == name)
        return session.scalars(query.where(Identity.removed_at.is_(None))).one()


def lose_identity(app: App) -> None:
    app.providers.email(app.settings.region).delete_identity(DOMAIN, "acme")


def at_ses(app: App) -> set[str]:
    found = aws("sesv2", app).list_email_identities().get("EmailIdentities", [])
    return {each["IdentityName"] for each in found}


def test_a_policy_that_is_chosen_during_a_check_is_no_difference(app: App, cast: Cast) -> None:
    def choose() -> None:
        tenants.set_reputation_policy(app, SYSTEM, cast.acme.id, "strict")

    check_while(app, cast, "get_reputation", choose)
    assert not_done(app, cast.acme.id) == {}
    assert alerts(app) == []


def test_what_is_repaired_during_a_check_is_not_found_missing_after(app: App, cast: Cast) -> None:
    lose_destination(app, "acme")
    check_while(app, cast, "associations", lambda: tenants.repair(app, SYSTEM, cast.acme.id))
    assert not_done(app, cast.acme.id) == {}
    assert alerts(app) == []


def test_between_two_steps_of_somebodys_repair_nothing_is_different(app: App, cast: Cast) -> None:
    """The topic and the destination are made anew; that they are done is not stored yet."""
    queue, email = app.providers.queue(app.settings.region), app.providers.email(app.settings.region)

    def mend() -> None:
        plumbing = tenants.place_of(app, cast.acme.id).plumbing
        arn = queue.create_topic("postyard-acme-events-2", plumbing)
        email.create_event_destination("postyard-acme", arn)
        with app.db.begin() as session:
            session.execute(update(Tenant).where(Tenant.id == cast.acme.id).values(topic_arn=arn))

    check_while(app, cast, "find_event_destination", mend)
    assert not_done(app, cast.acme.id) == {}
    assert alerts(app) == []


def test_a_sender_that_is_added_during_a_check_is_no_stranger(app: App, cast: Cast) -> None:
    def add() -> None:
        senders.add(app, SYSTEM, cast.acme.id, f"news@{DOMAIN}")

    assert len(check_while(app, cast, "associations", add)) == 8
    assert alerts(app) == []
    assert not_done(app, cast.acme.id) == {}
    assert len(drift.check(app, SYSTEM, cast.acme.id)) == 12


@pytest.mark.parametrize("operation", [LAST_CALL, "configuration_set_arn", "find_tenant"])
def test_a_sender_that_is_removed_during_a_check_leaves_nothing(
    app: App, cast: Cast, sender: Sender, operation: str
) -> None:
    def remove() -> None:
        senders.remove(app, SYSTEM, cast.acme.id, sender.id, at_once=True)

    drift.check(app, SYSTEM, cast.acme.id)
    rows = check_while(app, cast, operation, remove)
    assert [(row.position, row.state) for row in rows] == [(number, "done") for number in range(8)]
    assert alerts(app) == []


def test_another_mail_from_that_is_chosen_during_a_check_is_no_difference(
    app: App, cast: Cast, sender: Sender
) -> None:
    identity = identity_of(app, cast.acme.id)

    def choose() -> None:
        identities.set_mail_from(app, SYSTEM, cast.acme.id, identity.id, f"returns.{DOMAIN}")

    check_while(app, cast, LAST_CALL, choose)
    assert not_done(app, cast.acme.id) == {}
    assert alerts(app) == []


def test_a_domain_made_anew_by_somebodys_check_is_no_difference(app: App, cast: Cast, sender: Sender) -> None:
    """The check at SES is over, what it learned is not stored yet: only its beginning shows."""
    identity = identity_of(app, cast.acme.id)

    def begin() -> None:
        with app.db.begin() as session:
            session.execute(
                update(Identity)
                .where(Identity.id == identity.id)
                .values(checked_at=app.now(), version=Identity.version + 1)
            )
        lose_identity(app)
        aws("sesv2", app).create_email_identity(EmailIdentity=DOMAIN)

    check_while(app, cast, LAST_CALL, begin)
    assert not_done(app, cast.acme.id) == {}
    assert alerts(app) == []


@pytest.mark.parametrize("there", [True, False])
def test_what_is_being_made_or_taken_out_is_left_to_whoever_does_so(
    app: App, cast: Cast, sender: Sender, there: bool
) -> None:
    with app.db.begin() as session:
        session.execute(update(Identity).values(verification_status="NOT_STARTED", dkim_tokens=[]))
        session.execute(update(Sender).values(deleted_at=app.now(), removed_at=app.now()))
    if not there:
        lose_identity(app)
    assert {row.state for row in drift.check(app, SYSTEM, cast.acme.id)} == {"done"}
    assert len(drift.repair(app, SYSTEM, cast.acme.id)) == 8
    assert alerts(app) == []
    assert (DOMAIN in at_ses(app)) is there


@pytest.mark.parametrize("operation", ["create_identity", "get_identity", "associate", "set_mail_from"])
def test_a_sender_that_is_removed_while_its_domain_is_mended_leaves_nothing_in_ses(
    app: App, cast: Cast, sender: Sender, alice: Actor, operation: str
) -> None:
    lose_identity(app)

    def remove() -> None:
        senders.remove(app, SYSTEM, cast.acme.id, sender.id, at_once=True)

    rows = drift.repair(meanwhile(app, operation, remove), alice, cast.acme.id)
    assert len(rows) == 8
    assert at_ses(app) == set()
    assert alerts(app) == []


def test_a_sender_that_is_removed_before_its_domain_is_mended_is_not_made_again(
    app: App, simulator: Simulator, cast: Cast, sender: Sender, alice: Actor
) -> None:
    lose_destination(app, "acme")
    lose_identity(app)

    def remove() -> None:
        senders.remove(app, SYSTEM, cast.acme.id, sender.id, at_once=True)

    before = simulator.calls()[-1]["id"]
    drift.repair(meanwhile(app, "create_event_destination", remove), alice, cast.acme.id)
    assert "CreateEmailIdentity" not in {call["operation"] for call in simulator.calls(before)}
    assert at_ses(app) == set()


def test_a_sender_that_is_removed_while_anothers_domain_is_mended_is_not_made_again(
    app: App, simulator: Simulator, cast: Cast, sender: Sender, alice: Actor
) -> None:
    other = senders.add(app, SYSTEM, cast.acme.id, "news@acme-post.io")
    for name in (DOMAIN, "acme-post.io"):
        app.providers.email(app.settings.region).delete_identity(name, "acme")

    def remove() -> None:
        senders.remove(app, SYSTEM, cast.acme.id, other.id, at_once=True)

    before = simulator.calls()[-1]["id"]
    drift.repair(meanwhile(app, "create_identity", remove), alice, cast.acme.id)
    made = [call for call in simulator.calls(before) if call["operation"] == "CreateEmailIdentity"]
    assert len(made) == 1
    assert at_ses(app) == {DOMAIN}


def test_a_domain_whose_removal_begins_while_it_is_mended_is_not_brought_back(
    app: App, cast: Cast, sender: Sender, alice: Actor
) -> None:
    lose_identity(app)

    def begin_to_remove() -> None:
        with app.db.begin() as session:
            session.execute(update(Sender).values(deleted_at=app.now(), removed_at=app.now()))
            session.execute(update(Identity).values(verification_status="NOT_STARTED", dkim_tokens=[]))

    drift.repair(meanwhile(app, "set_mail_from", begin_to_remove), alice, cast.acme.id)
    assert at_ses(app) == set()
    assert identity_of(app, cast.acme.id).verification_status == "NOT_STARTED"


def refused(simulator: Simulator, *operations: str) -> None:
    no = {"kind": "error", "status": 403, "times": 0, "code": "AccessDeniedException"}
    simulator.faults(*({**no, "operation": operation} for operation in operations))


def sentences(app: App) -> list[str]:
    return [alert.sentence for alert in alerts(app) if alert.cleared_at is None]


def test_an_alert_follows_what_differs_though_something_can_never_be_known(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    def check() -> list[str]:
        drift.check(app, SYSTEM, cast.acme.id)
        return sentences(app)

    begin = "AWS does not have what Acme Retail needs:"
    refused(simulator, "ListTenantResources")
    besides = f"Of association, association of {DOMAIN} nothing is known now. Open its set-up and repair it."
    assert check() == []
    lose_destination(app, "acme")
    assert check() == [f"{begin} event destination. {besides}"]
    aws("sesv2", app).put_email_identity_configuration_set_attributes(EmailIdentity=DOMAIN)
    assert check() == [f"{begin} event destination, configuration set of {DOMAIN}. {besides}"]
    tenants.repair(app, SYSTEM, cast.acme.id)
    refused(simulator, "ListTenantResources")
    assert check() == [f"{begin} configuration set of {DOMAIN}. {besides}"]
    aws("sesv2", app).put_email_identity_configuration_set_attributes(
        EmailIdentity=DOMAIN, ConfigurationSetName="postyard-acme"
    )
    assert check() == []
    assert [alert.cleared_at is not None for alert in alerts(app)] == [True]


def test_what_differed_and_cannot_be_seen_any_more_keeps_its_alert(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    lose_destination(app, "acme")
    drift.check(app, SYSTEM, cast.acme.id)
    refused(simulator, "GetConfigurationSetEventDestinations")
    for _ in range(2):
        drift.check(app, SYSTEM, cast.acme.id)
        [sentence] = sentences(app)
        assert "needs: event destination. Of configuration set, event destination nothing" in sentence
    simulator.faults()
    tenants.repair(app, SYSTEM, cast.acme.id)
    drift.check(app, SYSTEM, cast.acme.id)
    assert sentences(app) == []


def test_a_stranger_stays_known_while_ses_does_not_tell(app: App, simulator: Simulator, cast: Cast) -> None:
    ses: Any = aws("sesv2", app)
    ses.create_email_identity(EmailIdentity="globex-post.net")
    arn = app.providers.email(app.settings.region).identity_arn("globex-post.net")
    ses.create_tenant_resource_association(TenantName="acme", ResourceArn=arn)
    drift.check(app, SYSTEM, cast.acme.id)
    refused(simulator, "ListTenantResources")
    drift.check(app, SYSTEM, cast.acme.id)
    assert "association of globex-post.net" in not_done(app, cast.acme.id)
    assert "association of globex-post.net" in sentences(app)[0]
    simulator.faults()
    ses.delete_tenant_resource_association(TenantName="acme", ResourceArn=arn)
    drift.check(app, SYSTEM, cast.acme.id)
    assert (not_done(app, cast.acme.id), sentences(app)) == ({}, [])

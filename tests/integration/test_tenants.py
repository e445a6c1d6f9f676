"""Tenants: made whole in SES or not at all, seen by their own people, paused and resumed."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import select

from core import tenants
from core.access import Actor
from core.app import App
from core.db.models import AuditEntry, Tenant
from core.errors import Conflict, InputError, NotFound, PermissionDenied, ProviderError
from tests.conftest import Cast
from tests.in_aws import assert_complete_in_aws
from tests.simulators import Simulator


def actions(app: App, tenant_id: int) -> list[str]:
    with app.db.read() as session:
        return list(
            session.scalars(
                select(AuditEntry.action).where(AuditEntry.tenant_id == tenant_id).order_by(AuditEntry.id)
            )
        )


def test_a_new_tenant_has_everything_it_needs_in_aws(app: App, alice: Actor) -> None:
    tenant = tenants.create(app, alice, slug="acme", name="  Acme   Retail ", timezone="Asia/Singapore")
    assert (tenant.name, tenant.timezone, tenant.sending_status) == (
        "Acme Retail",
        "Asia/Singapore",
        "ENABLED",
    )
    assert tenant.provisioned_at is not None
    assert tenant.configuration_set == "postyard-acme"
    assert tenant.topic_arn is not None
    assert tenant.topic_arn.endswith(":postyard-acme-events")
    assert_complete_in_aws(app, tenant)
    assert actions(app, tenant.id) == ["create tenant"]


def test_a_short_name_that_is_taken_is_refused(app: App, cast: Cast, alice: Actor) -> None:
    with pytest.raises(Conflict, match="There is a tenant 'acme' already"):
        tenants.create(app, alice, slug="acme", name="Acme Retail")


def test_a_half_made_tenant_is_not_taken_over_under_another_name(
    app: App, simulator: Simulator, alice: Actor
) -> None:
    simulator.faults({"kind": "error", "operation": "CreateTopic", "times": 0, "status": 400, "code": "Nope"})
    with pytest.raises(ProviderError):
        tenants.create(app, alice, slug="acme", name="Acme")
    with pytest.raises(Conflict, match='was begun as "Acme"'):
        tenants.create(app, alice, slug="acme", name="Somebody else")


def test_a_short_name_that_aws_would_refuse_is_refused_here(app: App, alice: Actor) -> None:
    for slug in ("", "Acme", "acme retail", "-acme", "a" * 64, "acmé", "acme\n", "a/b"):
        with pytest.raises(InputError) as caught:
            tenants.create(app, alice, slug=slug, name="Acme")
        assert caught.value.field == "slug"


def test_what_is_typed_wrong_names_its_field(app: App, alice: Actor) -> None:
    wrong = (("name", "  "), ("timezone", "Mars/Base"), ("timezone", "../x"))
    for field, value in wrong:
        with pytest.raises(InputError) as caught:
            tenants.create(app, alice, **{"slug": "acme", "name": "Acme", field: value})
        assert caught.value.field == field


def test_the_longest_short_name_fits_into_what_ses_allows(app: App, alice: Actor) -> None:
    tenant = tenants.create(app, alice, slug="a" * 63, name="Long")
    assert tenant.configuration_set is not None
    assert len(tenant.configuration_set) <= 64
    assert_complete_in_aws(app, tenant)


def test_account_managers_and_analysts_may_not_create(app: App, cast: Cast) -> None:
    for actor in (cast.bob, cast.carol):
        with pytest.raises(PermissionDenied):
            tenants.create(app, actor, slug="third", name="Third")


def test_each_sees_their_own_tenants(app: App, cast: Cast, alice: Actor) -> None:
    assert [tenant.slug for tenant in tenants.list_tenants(app, alice)] == ["acme", "globex"]
    assert [tenant.slug for tenant in tenants.list_tenants(app, cast.carol)] == ["acme"]
    assert tenants.get_by_slug(app, cast.bob, "acme").id == cast.acme.id


def test_another_tenants_name_and_none_are_not_told_apart(app: App, cast: Cast) -> None:
    sentences = set()
    for slug in ("acme", "nobody"):
        with pytest.raises(NotFound) as caught:
            tenants.get_by_slug(app, cast.charlie, slug)
        sentences.add(str(caught.value).replace(slug, "x"))
    assert sentences == {"There is no tenant 'x'. postyard tenants list shows them."}


def test_a_paused_tenant_that_ses_lost_is_paused_there_again(
    app: App, simulator: Simulator, alice: Actor
) -> None:
    tenant = tenants.create(app, alice, slug="acme", name="Acme")
    tenants.pause(app, alice, tenant.id, "list is old")
    simulator.reset()
    assert tenants.repair(app, alice, tenant.id).ses_status_synced is False
    tenants.sync_due(app)
    assert status_at_ses(app, "acme") == "DISABLED"


def test_nobody_is_told_again_and_again_while_the_tenant_is_not_in_ses(
    app: App, simulator: Simulator, alice: Actor
) -> None:
    tenant = tenants.create(app, alice, slug="acme", name="Acme")
    simulator.reset()
    tenants.pause(app, alice, tenant.id, "list is old")
    assert tenants.sync_due(app) == "Told SES the status of 0 of 0 tenants."
    tenants.repair(app, alice, tenant.id)
    assert tenants.sync_due(app) == "Told SES the status of 1 of 1 tenants."
    assert status_at_ses(app, "acme") == "DISABLED"


def status_at_ses(app: App, slug: str) -> str:
    return app.providers.email(app.settings.region).get_tenant(slug).sending_status


def test_pausing_stops_the_tenant_here_and_at_ses(app: App, cast: Cast) -> None:
    paused = tenants.pause(app, cast.bob, cast.acme.id, "  list is\nold ")
    assert (paused.sending_status, paused.paused_by, paused.paused_reason) == (
        "DISABLED",
        "bob",
        "list is old",
    )
    assert paused.ses_status_synced is True
    assert status_at_ses(app, "acme") == "DISABLED"
    assert status_at_ses(app, "globex") == "ENABLED"


def test_resuming_forgets_the_pause_and_begins_a_new_judgement(app: App, cast: Cast, alice: Actor) -> None:
    tenants.pause(app, cast.bob, cast.acme.id, "list is old")
    resumed = tenants.resume(app, alice, cast.acme.id, "list was cleaned")
    assert (resumed.sending_status, resumed.paused_reason, resumed.paused_at) == ("ENABLED", None, None)
    assert resumed.resumed_at is not None
    assert status_at_ses(app, "acme") == "ENABLED"
    assert actions(app, cast.acme.id) == ["create tenant", "pause tenant", "resume tenant"]


def test_pausing_or_resuming_twice_tells_the_second(app: App, cast: Cast, alice: Actor) -> None:
    with pytest.raises(Conflict, match="is not paused"):
        tenants.resume(app, alice, cast.acme.id, "why not")
    tenants.pause(app, cast.bob, cast.acme.id, "list is old")
    with pytest.raises(Conflict, match="paused already, by bob: list is old"):
        tenants.pause(app, alice, cast.acme.id, "again")


def test_a_reason_is_asked_for(app: App, cast: Cast, alice: Actor) -> None:
    for change in (tenants.pause, tenants.resume):
        for reason in ("", "  \n "):
            with pytest.raises(InputError) as caught:
                change(app, alice, cast.acme.id, reason)
            assert caught.value.field == "reason"


def test_who_may_pause_and_who_may_resume(app: App, cast: Cast) -> None:
    with pytest.raises(PermissionDenied):
        tenants.pause(app, cast.carol, cast.acme.id, "because")
    tenants.pause(app, cast.bob, cast.acme.id, "because")
    with pytest.raises(PermissionDenied):
        tenants.resume(app, cast.bob, cast.acme.id, "because")


@pytest.mark.parametrize("change", [tenants.pause, tenants.resume])
def test_another_tenant_and_none_are_not_told_apart(
    app: App, cast: Cast, root: Actor, alice: Actor, change: Callable[..., Tenant]
) -> None:
    stranger = Actor(username="dave", role=alice.role, tenant_ids=cast.charlie.tenant_ids)
    for actor, tenant_id in ((stranger, cast.acme.id), (root, 999)):
        with pytest.raises(NotFound, match=r"^There is no such tenant\.$"):
            change(app, actor, tenant_id, "because")


def test_a_pause_stands_when_ses_does_not_answer_and_is_told_later(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    simulator.faults(
        {
            "kind": "error",
            "operation": "UpdateReputationEntityCustomerManagedStatus",
            "times": 0,
            "status": 403,
            "code": "AccessDeniedException",
        }
    )
    paused = tenants.pause(app, cast.bob, cast.acme.id, "list is old")
    assert (paused.sending_status, paused.ses_status_synced) == ("DISABLED", False)
    assert tenants.sync_due(app) == "Told SES the status of 0 of 1 tenants."
    simulator.faults()
    assert tenants.sync_due(app) == "Told SES the status of 1 of 1 tenants."
    assert tenants.sync_due(app) == "Told SES the status of 0 of 0 tenants."
    assert status_at_ses(app, "acme") == "DISABLED"


def test_of_many_who_disable_at_once_one_did(app: App, cast: Cast) -> None:
    did: list[bool] = []

    def disable() -> None:
        with app.db.begin() as session:
            did.append(tenants.disable(session, cast.acme.id, reason="bounces", by="postyard", at=app.now()))

    threads = [threading.Thread(target=disable) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(did) == [False] * 5 + [True]
    with app.db.read() as session:
        assert tenants.get_tenant(session, cast.acme.id).ses_status_synced is False

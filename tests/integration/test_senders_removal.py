"""Senders deleted: restored within seven days, or gone for good with their domain, and what may leave DNS."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from core import alerts, identities, senders
from core.access import Actor
from core.app import App
from core.db.models import AuditEntry, Identity, Sender
from core.errors import Conflict, InputError, NotFound, PermissionDenied, ProviderError
from core.identities import removal
from tests.conftest import Cast, verified_sender
from tests.integration.test_identities import REFUSED, cool_down, publish, unpublish
from tests.simulators import Simulator

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
NEWS, HELP = "news@acme-mail.io", "help@acme-mail.io"


@pytest.fixture
def sender(app: App, simulator: Simulator, cast: Cast) -> Sender:
    """The tenant's default, on a verified domain."""
    sender = verified_sender(app, simulator, cast.acme.id, NEWS)
    return senders.set_default(app, cast.bob, cast.acme.id, sender.id)


def listed(app: App, cast: Cast) -> list[str]:
    return [view.sender.address for view in senders.list_senders(app, cast.carol, cast.acme.id)]


def restorable(app: App, cast: Cast) -> list[str]:
    return [view.sender.address for view in senders.list_deleted(app, cast.carol, cast.acme.id)]


def at_ses(app: App) -> bool:
    return app.providers.email(app.settings.region).find_identity("acme-mail.io") is not None


def as_if_deleted(app: App, *, ago: timedelta) -> datetime:
    at = app.now() - ago
    with app.db.begin() as session:
        session.execute(update(Sender).where(Sender.deleted_at.is_not(None)).values(deleted_at=at))
    return at


def row(app: App, sender: Sender) -> Sender:
    with app.db.read() as session:
        return session.get_one(Sender, sender.id)


def identity_row(app: App, identity: Identity) -> Identity:
    with app.db.read() as session:
        return session.get_one(Identity, identity.id)


def test_a_deleted_sender_can_be_restored_for_seven_days(
    app: App, cast: Cast, alice: Actor, sender: Sender
) -> None:
    removed = senders.remove(app, alice, cast.acme.id, sender.id)
    assert (removed.address, removed.was_default) == (NEWS, True)
    assert listed(app, cast) == []
    assert at_ses(app)
    [view] = senders.list_deleted(app, cast.carol, cast.acme.id)
    assert (view.sender.deleted_by, view.restorable_until) == ("alice", removed.gone_at)
    assert removed.gone_at - (view.sender.deleted_at or app.now()) == timedelta(days=7)

    as_if_deleted(app, ago=timedelta(days=6, hours=23))
    assert "0 deleted senders" in senders.purge_due(app)
    restored = senders.restore(app, alice, cast.acme.id, sender.id)
    assert (restored.deleted_at, restored.deleted_by, restored.is_default) == (None, None, False)
    assert listed(app, cast) == [NEWS]
    assert restorable(app, cast) == []
    assert senders.list_senders(app, cast.bob, cast.acme.id)[0].identity.verified_for_sending
    with pytest.raises(Conflict, match="is not deleted"):
        senders.restore(app, alice, cast.acme.id, sender.id)
    with app.db.read() as session:
        actions = session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
    assert actions[-2:] == ["remove sender", "restore sender"]


def test_after_seven_days_the_sender_is_gone_and_its_domain_out_of_ses(
    app: App, simulator: Simulator, cast: Cast, alice: Actor, sender: Sender
) -> None:
    senders.remove(app, alice, cast.acme.id, sender.id)
    as_if_deleted(app, ago=timedelta(days=7, seconds=1))
    assert restorable(app, cast) == []
    with pytest.raises(Conflict, match=r"can no longer be restored\. Add it again"):
        senders.restore(app, alice, cast.acme.id, sender.id)

    said = senders.purge_due(app)
    assert said == "1 deleted senders are gone for good. Removed 1 of 1 unused domains from SES."
    assert not at_ses(app)
    assert row(app, sender).removed_at is not None
    with pytest.raises(NotFound):
        senders.restore(app, alice, cast.acme.id, sender.id)
    assert senders.purge_due(app).startswith("0 deleted senders")

    again = senders.add(app, cast.charlie, cast.globex.id, "hello@acme-mail.io")
    assert again.identity_id != sender.identity_id, "the name is free for anybody"


@SQLITE
def test_what_was_restored_meanwhile_is_not_removed_as_a_deleted_one(
    app: App, cast: Cast, alice: Actor, sender: Sender
) -> None:
    senders.remove(app, alice, cast.acme.id, sender.id)
    [seen] = senders.list_deleted(app, alice, cast.acme.id)
    senders.restore(app, alice, cast.acme.id, sender.id)
    for version in (None, row(app, sender).version):
        with pytest.raises(Conflict, match="was restored meanwhile"):
            senders.remove(app, alice, cast.acme.id, sender.id, at_once=True, deleted=True, version=version)
    with pytest.raises(Conflict, match="was changed by somebody else meanwhile"):
        senders.remove(app, alice, cast.acme.id, sender.id, at_once=True, version=seen.sender.version)
    assert listed(app, cast) == [NEWS]
    assert at_ses(app)

    senders.remove(app, alice, cast.acme.id, sender.id)
    senders.remove(app, alice, cast.acme.id, sender.id, at_once=True, deleted=True)
    assert not at_ses(app)


@SQLITE
def test_where_ses_fails_the_purge_is_repeated(
    app: App, simulator: Simulator, cast: Cast, alice: Actor, sender: Sender
) -> None:
    senders.remove(app, alice, cast.acme.id, sender.id)
    as_if_deleted(app, ago=timedelta(days=8))
    for operation in ("DeleteTenantResourceAssociation", "DeleteEmailIdentity"):
        simulator.faults({**REFUSED, "operation": operation})
        assert "Removed 0 of 1 unused domains" in senders.purge_due(app)
        assert at_ses(app)
    simulator.faults()
    assert (
        senders.purge_due(app)
        == "0 deleted senders are gone for good. Removed 1 of 1 unused domains from SES."
    )
    assert not at_ses(app)


@SQLITE
@pytest.mark.parametrize("other_is_deleted", [False, True])
def test_a_domain_that_another_sender_needs_stays(
    app: App, cast: Cast, alice: Actor, sender: Sender, other_is_deleted: bool
) -> None:
    other = senders.add(app, cast.bob, cast.acme.id, HELP)
    assert senders.remove(app, alice, cast.acme.id, sender.id).records == []
    as_if_deleted(app, ago=timedelta(days=8))
    if other_is_deleted:
        senders.remove(app, alice, cast.acme.id, other.id)
    assert (
        senders.purge_due(app)
        == "1 deleted senders are gone for good. Removed 0 of 0 unused domains from SES."
    )
    assert at_ses(app)
    if other_is_deleted:
        senders.restore(app, alice, cast.acme.id, other.id)
    assert senders.list_senders(app, cast.bob, cast.acme.id)[0].identity.verified_for_sending


@SQLITE
def test_an_identity_that_never_had_a_sender_goes_after_a_week(app: App, cast: Cast) -> None:
    identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    assert "Removed 0 of 0" in senders.purge_due(app)
    with app.db.begin() as session:
        session.execute(update(Identity).values(created_at=app.now() - timedelta(days=8)))
    assert "Removed 1 of 1" in senders.purge_due(app)
    assert not at_ses(app)


@SQLITE
def test_ten_that_ses_does_not_let_go_keep_no_other_from_its_removal(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    with app.db.begin() as session:
        session.add_all(
            Identity(
                tenant_id=cast.acme.id,
                name=f"acme{number}-mail.io",
                verification_status="PENDING",
                created_at=app.now() - timedelta(days=8),
            )
            for number in range(removal.AT_ONCE)
        )
    identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    with app.db.begin() as session:
        session.execute(update(Identity).values(created_at=app.now() - timedelta(days=8)))
    simulator.faults({**REFUSED, "operation": "DeleteTenantResourceAssociation", "times": removal.AT_ONCE})
    assert "Removed 0 of 10" in senders.purge_due(app)
    assert at_ses(app)
    senders.purge_due(app)
    assert not at_ses(app)


@SQLITE
def test_times_of_a_wrong_clock_make_no_grace_longer(
    app: App, cast: Cast, alice: Actor, sender: Sender
) -> None:
    senders.remove(app, alice, cast.acme.id, sender.id)
    never_used = identities.add(app, cast.bob, cast.acme.id, "acme-post.io")
    ahead = app.now() + timedelta(days=400)
    with app.db.begin() as session:
        session.execute(update(Sender).values(deleted_at=ahead))
        session.execute(update(Identity).values(created_at=ahead))

    def until() -> datetime:
        [view] = senders.list_deleted(app, cast.carol, cast.acme.id)
        return view.restorable_until or ahead

    in_a_week = app.now() + timedelta(days=7)
    assert abs(until() - in_a_week) < timedelta(minutes=1)
    assert "0 deleted senders" in senders.purge_due(app)
    assert abs(until() - in_a_week) < timedelta(minutes=1)
    for kept in (row(app, sender).deleted_at, identity_row(app, never_used).created_at):
        assert kept is not None
        assert abs(kept - app.now()) < timedelta(minutes=1)


@SQLITE
def test_at_once_it_is_gone_also_when_it_was_deleted_before(
    app: App, cast: Cast, alice: Actor, sender: Sender
) -> None:
    senders.remove(app, alice, cast.acme.id, sender.id)
    removed = senders.remove(app, alice, cast.acme.id, sender.id, at_once=True)
    assert removed.gone_at <= app.now()
    assert not at_ses(app)
    assert restorable(app, cast) == []
    with pytest.raises(NotFound, match="There is no such sender"):
        senders.remove(app, alice, cast.acme.id, sender.id, at_once=True)


@SQLITE
def test_where_ses_fails_at_once_it_is_deleted_and_the_job_does_the_rest(
    app: App, simulator: Simulator, cast: Cast, alice: Actor, sender: Sender
) -> None:
    simulator.faults({**REFUSED, "operation": "DeleteEmailIdentity"})
    with pytest.raises(ProviderError, match=r"is deleted, but Amazon SES still has its domain.*tried again"):
        senders.remove(app, alice, cast.acme.id, sender.id, at_once=True)
    assert listed(app, cast) == restorable(app, cast) == []
    simulator.faults()
    assert "Removed 1 of 1" in senders.purge_due(app)
    assert not at_ses(app)


@SQLITE
def test_a_domain_whose_removal_failed_begins_anew_with_its_next_sender(
    app: App, simulator: Simulator, cast: Cast, alice: Actor, sender: Sender
) -> None:
    simulator.faults({**REFUSED, "operation": "DeleteEmailIdentity"})
    with pytest.raises(ProviderError):
        senders.remove(app, alice, cast.acme.id, sender.id, at_once=True)
    simulator.faults()
    added = senders.add(app, cast.bob, cast.acme.id, HELP)
    assert added.identity_id == sender.identity_id
    assert senders.verify_now(app, cast.bob, cast.acme.id, added.id).verified_for_sending
    assert "Removed 0 of 0" in senders.purge_due(app)
    associated = app.providers.email(app.settings.region).associations("acme")
    assert any(arn.endswith("identity/acme-mail.io") for arn in associated)


@SQLITE
def test_a_check_makes_whole_what_was_removed_half_way_once_a_sender_needs_it(
    app: App, simulator: Simulator, cast: Cast, alice: Actor, sender: Sender
) -> None:
    simulator.faults({**REFUSED, "operation": "DeleteEmailIdentity"})
    with pytest.raises(ProviderError):
        senders.remove(app, alice, cast.acme.id, sender.id, at_once=True)
    simulator.faults()
    provider = app.providers.email(app.settings.region)
    arn = provider.identity_arn("acme-mail.io")
    assert arn not in provider.associations("acme")
    with pytest.raises(Conflict, match="while no sender needs it"):
        identities.verify_now(app, cast.bob, cast.acme.id, sender.identity_id)
    assert arn not in provider.associations("acme")
    with app.db.begin() as session:  # as somebody may who adds one in the moment of the removal
        session.execute(update(Sender).values(deleted_at=None, removed_at=None))
        session.execute(update(Identity).values(checked_at=None))
    assert identities.verify_now(app, cast.bob, cast.acme.id, sender.identity_id).verified_for_sending
    assert arn in provider.associations("acme")


@SQLITE
def test_added_again_after_removal_it_has_a_fresh_start(
    app: App, simulator: Simulator, cast: Cast, alice: Actor, sender: Sender
) -> None:
    with app.db.read() as session:
        former = session.get_one(Identity, sender.identity_id)
    unpublish(simulator, former)
    cool_down(app, former)
    assert senders.verify_now(app, cast.bob, cast.acme.id, sender.id).broken_at is not None
    senders.remove(app, alice, cast.acme.id, sender.id, at_once=True)
    assert alerts.list_open(app, cast.bob, cast.acme.id) == [], "nobody has to look at it any more"

    again = senders.add(app, cast.bob, cast.acme.id, NEWS)
    [view] = senders.list_senders(app, cast.bob, cast.acme.id)
    fresh = view.identity
    assert again.id != sender.id
    assert (fresh.verification_status, fresh.verified_for_sending) == ("PENDING", False)
    assert (fresh.broken_at, fresh.checked_at, fresh.error_detail) == (None, None, None)
    assert not set(fresh.dkim_tokens) & set(former.dkim_tokens)
    publish(simulator, fresh)
    assert senders.verify_now(app, cast.bob, cast.acme.id, again.id).verified_for_sending


def test_an_address_that_is_added_again_in_its_grace_comes_back(
    app: App, cast: Cast, alice: Actor, sender: Sender
) -> None:
    senders.remove(app, alice, cast.acme.id, sender.id)
    assert senders.add(app, cast.bob, cast.acme.id, "News@Acme-mail.io", "Acme News").id == sender.id
    assert listed(app, cast) == [NEWS]
    assert row(app, sender).display_name == "Acme News"
    with pytest.raises(InputError, match="Sender already exists"):
        senders.add(app, cast.bob, cast.acme.id, NEWS)


@SQLITE
def test_one_whose_address_or_domain_is_taken_is_not_restored(
    app: App, cast: Cast, alice: Actor, sender: Sender
) -> None:
    senders.remove(app, alice, cast.acme.id, sender.id)
    with app.db.begin() as session:
        session.add(
            Sender(tenant_id=cast.acme.id, identity_id=sender.identity_id, address=NEWS, created_at=app.now())
        )
    with pytest.raises(InputError, match="Sender already exists"):
        senders.restore(app, alice, cast.acme.id, sender.id)
    with app.db.begin() as session:
        live = session.scalars(select(Sender).where(Sender.deleted_at.is_(None))).one()
        live.deleted_at = live.removed_at = app.now()
    with app.db.begin() as session:
        session.execute(update(Identity).values(removed_at=app.now()))
    assert restorable(app, cast) == []
    with pytest.raises(Conflict, match=r"The domain of .* was removed meanwhile\. Add it again"):
        senders.restore(app, alice, cast.acme.id, sender.id)


@SQLITE
def test_the_records_that_may_leave_dns_are_named(app: App, cast: Cast, alice: Actor, sender: Sender) -> None:
    removed = senders.remove(app, alice, cast.acme.id, sender.id)
    assert [(record.type, record.kind.value) for record in removed.records] == [
        *[("CNAME", "dkim")] * 3,
        ("TXT", "ownership"),
        ("TXT", "spf"),
        ("MX", "mx"),
        ("TXT", "spf"),
    ]
    assert "take only include:amazonses.com out" in removed.records[4].optional_note


@SQLITE
def test_who_may_restore_and_see(app: App, cast: Cast, alice: Actor, sender: Sender) -> None:
    senders.remove(app, alice, cast.acme.id, sender.id)
    for manager in (cast.bob, cast.carol):
        with pytest.raises(PermissionDenied, match="restore a sender"):
            senders.restore(app, manager, cast.acme.id, sender.id)
    with pytest.raises(NotFound, match=r"^There is no such sender\.$"):
        senders.restore(app, alice, cast.globex.id, sender.id)
    with pytest.raises(NotFound, match="There is no such tenant"):
        senders.list_deleted(app, cast.charlie, cast.acme.id)

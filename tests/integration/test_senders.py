"""Senders: added in one step, verified through their domain, one of them the default, removed with care."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import select, update

from core import identities, senders
from core.access import Actor
from core.app import App
from core.db.models import AuditEntry, Campaign, Identity
from core.db.states import CampaignStatus
from core.errors import Conflict, InputError, NotFound, PermissionDenied, ProviderError
from tests.conftest import Cast, verified_sender
from tests.integration.test_identities import REFUSED, campaign_on
from tests.simulators import Simulator


def addresses(app: App, actor: Actor, tenant_id: int) -> list[str]:
    return [view.sender.address for view in senders.list_senders(app, actor, tenant_id)]


def test_v1_5_to_v1_10_a_sender_is_listed_with_its_pending_domain(app: App, cast: Cast) -> None:
    sender = senders.add(app, cast.bob, cast.acme.id, " News@Acme-Mail.io ", " Acme, Inc. ")
    assert (sender.address, sender.display_name, sender.is_default) == (
        "news@acme-mail.io",
        "Acme, Inc.",
        False,
    )
    assert app.providers.email(app.settings.region).get_identity("acme-mail.io").dkim_tokens
    [view] = senders.list_senders(app, cast.carol, cast.acme.id)
    assert (view.sender.id, view.identity.name) == (sender.id, "acme-mail.io")
    assert view.identity.verification_status == "PENDING"
    types = [record.type for record in senders.records(app, cast.carol, cast.acme.id, sender.id)]
    assert types == ["CNAME"] * 3 + ["TXT"] * 3 + ["MX", "TXT"]
    with app.db.read() as session:
        actions = session.scalars(select(AuditEntry.action).where(AuditEntry.tenant_id == cast.acme.id)).all()
    assert actions == ["create tenant", "add identity", "add sender"]


def test_two_senders_of_a_domain_share_its_identity(app: App, cast: Cast) -> None:
    first = senders.add(app, cast.bob, cast.acme.id, "news@acme-mail.io")
    second = senders.add(app, cast.bob, cast.acme.id, "help@acme-mail.io")
    assert first.identity_id == second.identity_id
    assert addresses(app, cast.bob, cast.acme.id) == ["help@acme-mail.io", "news@acme-mail.io"]


def test_a_sender_with_an_identity_of_its_own_uses_it(app: App, cast: Cast) -> None:
    identity = identities.add(app, cast.bob, cast.acme.id, "dev@acme-mail.io")
    sender = senders.add(app, cast.bob, cast.acme.id, "dev@acme-mail.io")
    assert sender.identity_id == identity.id
    assert senders.records(app, cast.bob, cast.acme.id, sender.id) == []


def test_v1_11_the_same_address_again_is_refused(app: App, cast: Cast) -> None:
    senders.add(app, cast.bob, cast.acme.id, "news@acme-mail.io")
    with pytest.raises(InputError, match="Sender already exists") as caught:
        senders.add(app, cast.bob, cast.acme.id, "NEWS@acme-mail.io")
    assert caught.value.field == "address"


NO_SENDERS = [
    "not-an-email",
    "",
    "@acme-mail.io",
    "news@",
    "a@b@acme-mail.io",
    "news@localhost",
    "news@127.0.0.1",
    "news@[127.0.0.1]",
    "news@example.com",
    "news@mail.example.net",
    "news@test.com",
    "news@acme.invalid",
    "Acme <news@acme-mail.io>",
    "news@acme-mail.io, b@acme-mail.io",
    "news\r\n@acme-mail.io",
    "zoë@acme-mail.io",
    "a" * 65 + "@acme-mail.io",
]


def test_v1_4_what_is_no_sender_is_refused_and_nothing_is_made(app: App, cast: Cast) -> None:
    for address in NO_SENDERS:
        with pytest.raises(InputError) as caught:
            senders.add(app, cast.bob, cast.acme.id, address)
        assert caught.value.field == "address"
    with app.db.read() as session:
        assert session.scalar(select(Identity)) is None


def test_a_display_name_that_would_break_a_header_is_refused(app: App, cast: Cast) -> None:
    for name in ("a\r\nBcc: x@example.com", "a\0", "a\x9b2J", "\u202egpj.exe", "x" * 101):
        with pytest.raises(InputError) as caught:
            senders.add(app, cast.bob, cast.acme.id, "news@acme-mail.io", name)
        assert caught.value.field == "display_name"


def test_where_ses_fails_there_is_no_sender_and_repeating_goes_on(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    simulator.faults({**REFUSED, "operation": "CreateEmailIdentity"})
    with pytest.raises(ProviderError):
        senders.add(app, cast.bob, cast.acme.id, "news@acme-mail.io")
    assert addresses(app, cast.bob, cast.acme.id) == []
    simulator.faults()
    senders.add(app, cast.bob, cast.acme.id, "news@acme-mail.io")
    assert addresses(app, cast.bob, cast.acme.id) == ["news@acme-mail.io"]


def test_a_sender_is_found_by_its_address_in_its_own_tenant(app: App, cast: Cast) -> None:
    sender = senders.add(app, cast.bob, cast.acme.id, "news@acme-mail.io")
    assert senders.by_address(app, cast.carol, cast.acme.id, " NEWS@acme-mail.io").id == sender.id
    with pytest.raises(NotFound, match=r"There is no sender 'news@acme-mail\.io' here"):
        senders.by_address(app, cast.charlie, cast.globex.id, "news@acme-mail.io")


USE_CASES: list[Callable[..., Any]] = [
    senders.records,
    senders.verify_now,
    senders.set_default,
    senders.remove,
]


def test_another_tenants_sender_and_none_are_not_told_apart(app: App, cast: Cast, root: Actor) -> None:
    sender = senders.add(app, cast.bob, cast.acme.id, "news@acme-mail.io")
    for use_case in USE_CASES:
        for sender_id in (sender.id, 999):
            with pytest.raises(NotFound, match=r"^There is no such sender\.$"):
                use_case(app, root, cast.globex.id, sender_id)


def test_an_analyst_changes_nothing(app: App, cast: Cast) -> None:
    sender = senders.add(app, cast.bob, cast.acme.id, "news@acme-mail.io")
    for use_case in (senders.verify_now, senders.set_default, senders.remove):
        with pytest.raises(PermissionDenied):
            use_case(app, cast.carol, cast.acme.id, sender.id)


def test_an_analyst_adds_none_and_a_stranger_sees_none(app: App, cast: Cast) -> None:
    with pytest.raises(PermissionDenied):
        senders.add(app, cast.carol, cast.acme.id, "news@acme-mail.io")
    with pytest.raises(NotFound):
        senders.list_senders(app, cast.charlie, cast.acme.id)


def test_verifying_a_sender_verifies_its_domain(app: App, simulator: Simulator, cast: Cast) -> None:
    verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    [view] = senders.list_senders(app, cast.carol, cast.acme.id)
    assert view.identity.verified_for_sending


def test_v2_8_an_unverified_sender_is_no_default(app: App, cast: Cast) -> None:
    sender = senders.add(app, cast.bob, cast.acme.id, "news@acme-mail.io")
    with pytest.raises(InputError, match="Domain must be verified"):
        senders.set_default(app, cast.bob, cast.acme.id, sender.id)


def test_v2_9_and_v2_10_a_second_default_unsets_the_first(app: App, simulator: Simulator, cast: Cast) -> None:
    first = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    second = senders.add(app, cast.bob, cast.acme.id, "help@acme-mail.io")
    for sender in (first, second, second):
        assert senders.set_default(app, cast.bob, cast.acme.id, sender.id).is_default
        shown = senders.list_senders(app, cast.bob, cast.acme.id)
        assert [view.sender.id for view in shown if view.sender.is_default] == [sender.id]


def test_v1_12_at_once_the_last_sender_takes_its_domain_out_of_ses(
    app: App, cast: Cast, alice: Actor
) -> None:
    first = senders.add(app, cast.bob, cast.acme.id, "news@acme-mail.io")
    second = senders.add(app, cast.bob, cast.acme.id, "help@acme-mail.io")
    provider = app.providers.email(app.settings.region)
    senders.remove(app, alice, cast.acme.id, first.id, at_once=True)
    assert provider.get_identity("acme-mail.io")
    senders.remove(app, alice, cast.acme.id, second.id, at_once=True)
    with pytest.raises(ProviderError):
        provider.get_identity("acme-mail.io")
    assert addresses(app, cast.bob, cast.acme.id) == []
    with pytest.raises(NotFound):
        senders.remove(app, alice, cast.acme.id, second.id, at_once=True)


def test_a_removed_sender_can_be_added_again_by_anybody(app: App, cast: Cast, alice: Actor) -> None:
    sender = senders.add(app, cast.bob, cast.acme.id, "news@acme-mail.io")
    senders.remove(app, alice, cast.acme.id, sender.id, at_once=True)
    assert senders.add(app, cast.charlie, cast.globex.id, "news@acme-mail.io").id != sender.id


def test_a_sender_that_a_campaign_uses_stays(app: App, cast: Cast, alice: Actor) -> None:
    sender = senders.add(app, cast.bob, cast.acme.id, "news@acme-mail.io")
    campaign = campaign_on(app, sender, CampaignStatus.SENDING)
    for status in ("SENDING", "SCHEDULED", "PAUSED", "HOLDING"):
        with app.db.begin() as session:
            session.execute(update(Campaign).where(Campaign.id == campaign.id).values(status=status))
        with pytest.raises(Conflict, match=r'Campaign "Autumn" uses news@acme-mail\.io'):
            senders.remove(app, alice, cast.acme.id, sender.id)
    assert addresses(app, cast.bob, cast.acme.id) == ["news@acme-mail.io"]


def test_a_sender_whose_campaigns_are_over_goes(app: App, cast: Cast, alice: Actor) -> None:
    sender = senders.add(app, cast.bob, cast.acme.id, "news@acme-mail.io")
    campaign_on(app, sender, CampaignStatus.SENT)
    senders.remove(app, alice, cast.acme.id, sender.id)
    assert addresses(app, cast.bob, cast.acme.id) == []

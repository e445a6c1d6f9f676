"""Healing: what is broken stays so, and is told, until nothing keeps campaigns back any more."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from core import alerts, campaigns, identities, senders
from core.access import SYSTEM, Actor
from core.app import App
from core.db.models import Identity, Sender
from core.errors import Conflict
from tests.campaigning import addresses, counts, send_until_idle, started, view
from tests.conftest import Cast, verified_sender
from tests.integration.test_identities import cool_down, publish, ses, unpublish
from tests.simulators import Simulator

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
THREE_DAYS = 73 * 3600


@pytest.fixture
def sender(app: App, simulator: Simulator, cast: Cast) -> Sender:
    return verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")


def identity_of(app: App, sender: Sender) -> Identity:
    with app.db.read() as session:
        return session.get_one(Identity, sender.identity_id)


def checked(app: App, sender: Sender) -> Identity:
    identity = identity_of(app, sender)
    cool_down(app, identity)
    return identities.verify_now(app, SYSTEM, sender.tenant_id, identity.id)


def told(app: App, sender: Sender) -> list[str]:
    return [alert.kind for alert in alerts.list_open(app, SYSTEM, sender.tenant_id)]


def remove_dns(app: App, simulator: Simulator, sender: Sender, *, type: str) -> None:
    wanted = identities.records(identity_of(app, sender), app.settings.region)
    simulator.call("DELETE", "/_sim/dns", [record.as_json() for record in wanted if record.type == type])


def restart_dkim(app: App) -> None:
    app.providers.email(app.settings.region).restart_verification("acme-mail.io")


@SQLITE
def test_dkim_that_is_pending_again_is_still_lost_though_the_domain_is_verified(
    app: App, simulator: Simulator, sender: Sender
) -> None:
    campaign_id = started(app, sender.tenant_id, sender.id, addresses(3))
    remove_dns(app, simulator, sender, type="CNAME")
    restart_dkim(app)
    lost = checked(app, sender)
    assert (lost.verified_for_sending, lost.dkim_status) == (True, "PENDING")
    assert lost.broken_at is not None
    assert told(app, sender) == ["domain broken"]
    send_until_idle(app)
    assert view(app, sender.tenant_id, campaign_id).campaign.status == "BLOCKED"
    assert checked(app, sender).broken_at == lost.broken_at
    publish(simulator, lost)
    assert checked(app, sender).broken_at is None
    assert told(app, sender) == []
    assert view(app, sender.tenant_id, campaign_id).campaign.status == "SENDING"


@SQLITE
def test_a_break_outlasts_every_state_of_dkim_but_success(
    app: App, simulator: Simulator, sender: Sender
) -> None:
    remove_dns(app, simulator, sender, type="CNAME")
    seen = []

    def look() -> None:
        found = checked(app, sender)
        seen.append((found.dkim_status, found.broken_at is not None, told(app, sender)))

    look()
    simulator.advance_clock(THREE_DAYS)
    look()
    restart_dkim(app)
    look()
    simulator.advance_clock(THREE_DAYS)
    look()
    alert = ["domain broken"]
    states = ("TEMPORARY_FAILURE", "FAILED", "PENDING", "FAILED")
    assert seen == [(state, True, alert) for state in states]


@SQLITE
def test_a_domain_that_never_had_dkim_is_whole_again_with_its_txt_record(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    sender = senders.add(app, cast.bob, cast.acme.id, "news@acme-mail.io")
    text = [r.as_json() for r in identities.records(identity_of(app, sender), "") if "_amazonses" in r.name]
    simulator.put_dns(text)
    assert checked(app, sender).verified_for_sending
    assert told(app, sender) == []
    simulator.advance_clock(THREE_DAYS)
    assert (checked(app, sender).dkim_status, told(app, sender)) == ("FAILED", [])

    simulator.call("DELETE", "/_sim/dns", text)
    lost = checked(app, sender)
    assert (lost.verified_for_sending, told(app, sender)) == (False, ["domain broken"])
    assert "DKIM never was" in (lost.broken_reason or "")
    assert checked(app, sender).broken_reason == lost.broken_reason
    simulator.put_dns(text)
    ses(app).put_email_identity_dkim_signing_attributes(
        EmailIdentity="acme-mail.io", SigningAttributesOrigin="AWS_SES"
    )
    again: Any = checked(app, sender)
    assert (again.verified_for_sending, again.broken_at, told(app, sender)) == (True, None, [])


@SQLITE
def test_a_person_stops_a_blocked_campaign_for_good(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    campaign_id = started(app, sender.tenant_id, sender.id, addresses(3))
    unpublish(simulator, identity_of(app, sender))
    broken = checked(app, sender)
    send_until_idle(app)
    assert view(app, sender.tenant_id, campaign_id).campaign.status == "BLOCKED"
    paused = campaigns.pause(app, cast.bob, cast.acme.id, campaign_id, "Prices are wrong.").campaign
    assert (paused.status, paused.status_reason) == ("PAUSED", "Paused by bob: Prices are wrong.")
    with pytest.raises(Conflict, match="cannot be paused"):
        campaigns.pause(app, cast.bob, cast.acme.id, campaign_id)
    publish(simulator, broken)
    assert checked(app, sender).broken_at is None
    assert view(app, sender.tenant_id, campaign_id).campaign.status == "PAUSED"
    campaigns.resume(app, cast.bob, cast.acme.id, campaign_id)
    send_until_idle(app)
    assert counts(app, sender.tenant_id, campaign_id) == {"sent": 3}


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_campaign_whose_domain_healed_while_its_sender_was_deleted_goes_on_with_it(
    app: App, simulator: Simulator, alice: Actor, sender: Sender, is_whole: bool
) -> None:
    campaign_id = started(app, sender.tenant_id, sender.id, addresses(3))
    unpublish(simulator, identity_of(app, sender))
    broken = checked(app, sender)
    send_until_idle(app)
    senders.remove(app, alice, sender.tenant_id, sender.id)
    publish(simulator, broken)
    assert checked(app, sender).broken_at is None
    assert view(app, sender.tenant_id, campaign_id).campaign.status == "BLOCKED"
    if not is_whole:
        with app.db.begin() as session:
            session.execute(update(Identity).values(dkim_status="PENDING"))
    senders.restore(app, alice, sender.tenant_id, sender.id)
    status = view(app, sender.tenant_id, campaign_id).campaign.status
    assert status == ("SENDING" if is_whole else "BLOCKED")

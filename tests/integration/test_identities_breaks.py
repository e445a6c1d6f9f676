"""Breaks: a domain that is lost stops its campaigns, is told once, and heals by itself."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import func, select, update

from core import alerts, campaigns, identities, senders
from core.access import Actor, Role
from core.app import App
from core.db.models import Alert, AuditEntry, Campaign, Identity, Sender, Tenant
from core.db.states import CampaignStatus
from core.dns import Verdict
from core.errors import Conflict, InputError, NotFound
from core.identities.breaks import Standing, follow
from core.sending.claim import Turn, claim
from core.sending.turns import lanes_with_work
from tests.campaigning import addresses, counts, draft, send_until_idle, started, view
from tests.conftest import Cast, verified_sender
from tests.integration.test_identities import REFUSED, cool_down, publish, unpublish
from tests.simulators import Simulator

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def sender(app: App, simulator: Simulator, cast: Cast) -> Sender:
    return verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")


def identity_of(app: App, sender: Sender) -> Identity:
    with app.db.read() as session:
        return session.get_one(Identity, sender.identity_id)


def checked(app: App, sender: Sender) -> Identity:
    """Half a minute later."""
    cool_down(app, identity_of(app, sender))
    return senders.verify_now(app, Actor("alice", Role.OPERATOR), sender.tenant_id, sender.id)


def set_on(app: App, sender: Sender, **columns: Any) -> None:
    with app.db.begin() as session:
        session.execute(update(Identity).where(Identity.id == sender.identity_id).values(**columns))


def test_v2_2_to_v2_5_the_txt_record_alone_verifies_and_the_cnames_complete_dkim(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    sender = senders.add(app, cast.bob, cast.acme.id, "news@acme-mail.io")
    wanted = senders.records(app, cast.bob, cast.acme.id, sender.id)
    simulator.put_dns([record.as_json() for record in wanted if record.name == "_amazonses.acme-mail.io"])
    by_text = checked(app, sender)
    assert (by_text.verification_status, by_text.verified_for_sending) == ("SUCCESS", True)
    assert by_text.dkim_status == "PENDING"
    campaign_id = draft(app, cast.acme.id, sender.id, addresses(3))
    with pytest.raises(InputError, match=r"DKIM of acme-mail\.io is not verified.*Publish its three CNAME"):
        campaigns.start(app, cast.bob, cast.acme.id, campaign_id)
    publish(simulator, by_text)
    assert checked(app, sender).dkim_status == "SUCCESS"
    assert campaigns.start(app, cast.bob, cast.acme.id, campaign_id).campaign.status == "SENDING"


def test_a_break_stops_sending_is_told_once_and_heals_by_itself(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    campaign_id = started(app, cast.acme.id, sender.id, addresses(5))
    unpublish(simulator, identity_of(app, sender))
    broken = checked(app, sender)
    since = broken.broken_at
    assert since is not None
    assert not broken.verified_for_sending
    assert "3 of its DKIM records are missing" in (broken.broken_reason or "")
    assert checked(app, sender).broken_at == since
    [alert] = alerts.list_open(app, cast.carol, cast.acme.id)
    assert (alert.kind, alert.cause) == ("domain broken", f"identity {broken.id}")
    assert alert.sentence.startswith("acme-mail.io is not verified any more: 3 of its DKIM records")
    send_until_idle(app)
    blocked = view(app, cast.acme.id, campaign_id)
    assert (blocked.campaign.status, blocked.counts["pending"]) == ("BLOCKED", 5)
    assert "goes on by itself once the domain is verified again" in (blocked.campaign.status_reason or "")

    publish(simulator, broken)
    healed = checked(app, sender)
    assert (healed.broken_at, healed.broken_reason) == (None, None)
    assert alerts.list_open(app, cast.carol, cast.acme.id) == []
    going_on = view(app, cast.acme.id, campaign_id).campaign
    assert (going_on.status, going_on.status_reason) == ("SENDING", None)
    send_until_idle(app)
    assert counts(app, cast.acme.id, campaign_id) == {"sent": 5}
    with app.db.read() as session:
        assert session.scalar(select(func.count()).select_from(Alert)) == 1
        [entry] = session.scalars(select(AuditEntry).where(AuditEntry.action == "resume campaign"))
    assert (entry.actor, entry.detail["reason"]) == ("postyard", "acme-mail.io is verified again")


@pytest.mark.parametrize(
    ("policy", "other", "told"),
    [
        ("none", False, "wait, and go on by themselves once it is verified again."),
        (
            "unmatched_sender",
            True,
            "go through Resend, from post@postyard-mail.io, until it is verified again.",
        ),
        ("no_verified_domain", False, "go through Resend, from post@postyard-mail.io"),
        ("no_verified_domain", True, "wait, and go on"),
    ],
)
@SQLITE
def test_a_break_says_what_becomes_of_campaigns_by_the_tenants_policy(
    app: App, simulator: Simulator, cast: Cast, sender: Sender, policy: str, other: bool, told: str
) -> None:
    if other:
        verified_sender(app, simulator, cast.acme.id, "news@acme-shop.net")
    with app.db.begin() as session:
        tenant = update(Tenant).where(Tenant.id == cast.acme.id)
        session.execute(tenant.values(fallback_policy=policy))
    second = {"resend_api_key": SecretStr("re_test"), "resend_from": "Postyard <post@postyard-mail.io>"}
    with_resend = replace(app, settings=app.settings.model_copy(update=second))
    unpublish(simulator, identity_of(app, sender))
    checked(with_resend, sender)
    [alert] = alerts.list_open(app, cast.carol, cast.acme.id)
    assert f"Its campaigns {told}" in alert.sentence
    checked(app, sender)
    [alert] = alerts.list_open(app, cast.carol, cast.acme.id)
    assert "Its campaigns wait" in alert.sentence, "without a second provider"


@SQLITE
def test_a_campaign_whose_dkim_is_lost_waits_though_the_domain_is_verified(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    campaign_id = started(app, cast.acme.id, sender.id, addresses(5))
    simulator.call(
        "DELETE",
        "/_sim/dns",
        [r.as_json() for r in identities.records(identity_of(app, sender), "") if r.type == "CNAME"],
    )
    lost = checked(app, sender)
    assert (lost.verified_for_sending, lost.dkim_status) == (True, "TEMPORARY_FAILURE")
    assert lost.broken_at is not None
    send_until_idle(app)
    blocked = view(app, cast.acme.id, campaign_id).campaign
    assert blocked.status == "BLOCKED"
    assert "DKIM of acme-mail.io is not verified" in (blocked.status_reason or "")
    publish(simulator, lost)
    assert checked(app, sender).broken_at is None
    send_until_idle(app)
    assert counts(app, cast.acme.id, campaign_id) == {"sent": 5}


@SQLITE
def test_only_campaigns_that_waited_for_the_domain_go_on(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    refused = started(app, cast.acme.id, sender.id, addresses(2), "Refused")
    paused = started(app, cast.acme.id, sender.id, addresses(2), "Paused")
    campaigns.pause(app, cast.bob, cast.acme.id, paused, "Prices are wrong.")
    with app.db.begin() as session:
        session.execute(
            update(Campaign)
            .where(Campaign.id == refused)
            .values(status=CampaignStatus.BLOCKED, status_reason="SES refuses: no.")
        )
    unpublish(simulator, identity_of(app, sender))
    publish(simulator, checked(app, sender))
    checked(app, sender)
    assert [view(app, cast.acme.id, of).campaign.status for of in (refused, paused)] == ["BLOCKED", "PAUSED"]


def test_a_claim_does_not_block_what_a_check_lets_go_on_in_the_same_moment(
    app: App, cast: Cast, sender: Sender
) -> None:
    campaign_id = started(app, cast.acme.id, sender.id, addresses(2))
    set_on(app, sender, verified_for_sending=False)
    with app.db.read() as session:
        [lane] = lanes_with_work(session, "")
    worker = threading.Thread(target=claim, args=(app, Turn(worker="w"), lane, 100))
    with app.db.begin() as session:
        session.execute(update(Identity).values(verified_for_sending=True))
        worker.start()
        time.sleep(0.3)  # the claim has read the old state by now, or waits to
    worker.join()
    assert view(app, cast.acme.id, campaign_id).campaign.status == "SENDING"


@SQLITE
def test_an_address_needs_no_dkim(app: App, simulator: Simulator, cast: Cast) -> None:
    sender = senders.add(app, cast.bob, cast.acme.id, "dev@acme-mail.io", own_identity=True)
    assert identity_of(app, sender).type == "EMAIL_ADDRESS"
    simulator.scenario(verified_addresses=["dev@acme-mail.io"])
    assert checked(app, sender).verified_for_sending
    campaign_id = started(app, cast.acme.id, sender.id, addresses(2))
    send_until_idle(app)
    assert counts(app, cast.acme.id, campaign_id) == {"sent": 2}
    simulator.scenario(verified_addresses=[])
    assert checked(app, sender).verified_for_sending


@SQLITE
def test_what_ses_has_given_up_begins_again_once_dns_is_right(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    sender = senders.add(app, cast.bob, cast.acme.id, "news@acme-mail.io")
    simulator.advance_clock(73 * 3600)
    given_up = checked(app, sender)
    assert (given_up.dkim_status, given_up.mail_from_status) == ("FAILED", "FAILED")
    assert given_up.verification_info["last_checked_at"]
    assert checked(app, sender).dkim_status == "FAILED", "nothing to look for yet"
    publish(simulator, given_up)
    again = checked(app, sender)
    assert (again.dkim_status, again.mail_from_status, again.error_type) == ("SUCCESS", "SUCCESS", None)


@SQLITE
def test_where_ses_does_not_begin_again_what_was_found_is_kept(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    sender = senders.add(app, cast.bob, cast.acme.id, "news@acme-mail.io")
    simulator.advance_clock(73 * 3600)
    publish(simulator, checked(app, sender))
    simulator.faults({**REFUSED, "operation": "PutEmailIdentityDkimSigningAttributes"})
    kept = checked(app, sender)
    assert kept.dkim_status == "FAILED"
    assert {finding["verdict"] for finding in kept.dns_findings} == {"found"}


def test_a_check_does_not_bring_back_what_was_removed_meanwhile(
    app: App, simulator: Simulator, cast: Cast, sender: Sender, alice: Actor
) -> None:
    told: list[Exception] = []
    cool_down(app, identity_of(app, sender))
    simulator.faults({"kind": "latency", "operation": "GetEmailIdentity", "times": 1, "seconds": 0.7})

    def verify() -> None:
        try:
            senders.verify_now(app, cast.bob, cast.acme.id, sender.id)
        except (Conflict, NotFound) as e:
            told.append(e)

    thread = threading.Thread(target=verify)
    thread.start()
    time.sleep(0.3)
    senders.remove(app, alice, cast.acme.id, sender.id, at_once=True)
    thread.join()
    assert len(told) == 1
    gone = identity_of(app, sender)
    assert gone.removed_at is not None
    assert not gone.verified_for_sending
    assert app.providers.email(app.settings.region).find_identity("acme-mail.io") is None


def test_a_hostile_answer_is_kept_visibly_and_keeps_no_domain_from_being_marked(
    app: App, cast: Cast, sender: Sender
) -> None:
    evil = "Not v=DKIM1\x00\x1b[2J\x9b\u202e."
    with app.db.begin() as session:
        identity = session.get_one(Identity, sender.identity_id)
        before = Standing.of(identity)
        identity.verified_for_sending, identity.error_detail, identity.error_type = False, evil, evil
        [finding, *_] = identities.findings(identity, "")
        follow(session, identity, before, [replace(finding, verdict=Verdict.MISSING, advice=evil)], app.now())
    broken = identity_of(app, sender)
    [alert] = alerts.list_open(app, cast.carol, cast.acme.id)
    for kept in (broken.error_detail, broken.error_type, broken.broken_reason, alert.sentence):
        assert r"Not v=DKIM1\x00\x1b[2J\x9b\u202e." in (kept or "")
    set_on(app, sender, error_detail=evil)
    assert "\x00" not in (identity_of(app, sender).error_detail or "")


@SQLITE
def test_an_unsure_answer_breaks_nothing(app: App, simulator: Simulator, sender: Sender) -> None:
    simulator.dns_faults({"kind": "servfail", "name": "*", "type": "*"})
    unsure = checked(app, sender)
    assert (unsure.verified_for_sending, unsure.broken_at) == (True, None)
    assert {finding["verdict"] for finding in unsure.dns_findings} == {"unknown"}

"""Identities: owned by one tenant, verified by SES and DNS, removed when nobody needs them."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import boto3
import pytest
from sqlalchemy import select, update

from core import identities, senders
from core.access import Actor
from core.app import App
from core.db.models import AuditEntry, Campaign, Content, Identity, Sender
from core.db.states import CampaignStatus
from core.errors import Conflict, InputError, NotFound, PermissionDenied, ProviderError
from tests.conftest import Cast, verified_sender
from tests.simulators import Simulator

REFUSED = {"kind": "error", "times": 0, "status": 400, "code": "BadRequestException"}


def ses(app: App) -> Any:
    return boto3.client("sesv2", region_name=app.settings.region)


def publish(simulator: Simulator, identity: Identity) -> None:
    simulator.put_dns([record.as_json() for record in identities.records(identity, "ap-southeast-1")])


def unpublish(simulator: Simulator, identity: Identity) -> None:
    records = identities.records(identity, "ap-southeast-1")
    simulator.call("DELETE", "/_sim/dns", [record.as_json() for record in records])


def cool_down(app: App, identity: Identity, *, seconds: float = 0, hours: float = 0) -> None:
    """As if the last check had been so long ago: half a minute, unless it is said."""
    ago = timedelta(seconds=seconds, hours=hours) or timedelta(seconds=31)
    with app.db.begin() as session:
        session.execute(update(Identity).where(Identity.id == identity.id).values(checked_at=app.now() - ago))


def campaign_on(app: App, sender: Sender, status: CampaignStatus) -> Campaign:
    with app.db.begin() as session:
        content = Content(tenant_id=sender.tenant_id, subject="s", html="h", text="t", created_at=app.now())
        session.add(content)
        session.flush()
        campaign = Campaign(
            tenant_id=sender.tenant_id,
            sender_id=sender.id,
            content_id=content.id,
            name="Autumn",
            status=status,
            created_by="bob",
            created_at=app.now(),
        )
        session.add(campaign)
    return campaign


def test_a_domain_is_made_in_ses_and_belongs_to_the_tenant_there_too(app: App, cast: Cast) -> None:
    identity = identities.add(app, cast.bob, cast.acme.id, " Acme-Mail.IO. ")
    assert (identity.name, identity.type) == ("acme-mail.io", "DOMAIN")
    assert (identity.verification_status, identity.verified_for_sending) == ("PENDING", False)
    assert len(identity.dkim_tokens) == 3
    found = ses(app).get_email_identity(EmailIdentity="acme-mail.io")
    assert found["ConfigurationSetName"] == "postyard-acme"
    resources = ses(app).list_tenant_resources(TenantName="acme")["TenantResources"]
    assert any(resource["ResourceArn"].endswith("identity/acme-mail.io") for resource in resources)


def test_added_twice_it_is_the_same(app: App, cast: Cast) -> None:
    first = identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    second = identities.add(app, cast.bob, cast.acme.id, "ACME-mail.io")
    assert (first.id, first.dkim_tokens) == (second.id, second.dkim_tokens)


def test_a_name_in_another_script_is_kept_as_dns_writes_it(app: App, cast: Cast) -> None:
    assert identities.add(app, cast.bob, cast.acme.id, "bücher-post.net").name == "xn--bcher-post-9db.net"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "localhost",
        "acme",
        "127.0.0.1",
        "[::1]",
        "example.com",
        "mail.example.org",
        "test.com",
        "acme.test",
        "a b.io",
        "-acme.io",
        "acme..io",
        "acme-mail.io/x",
        "x" * 300 + ".io",
        "acme-mail.io\r\nx",
    ],
)
def test_what_nobody_can_own_is_refused(name: str) -> None:
    with pytest.raises(InputError):
        identities.checked_name(name)


def test_another_tenants_domain_is_refused_without_a_word_about_them(app: App, cast: Cast) -> None:
    identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    for name in ("acme-mail.io", "bob@acme-mail.io"):
        with pytest.raises(Conflict) as caught:
            identities.add(app, cast.charlie, cast.globex.id, name)
        said = str(caught.value).replace(name, "").lower()
        assert "acme" not in said
        assert "tenant" not in said


def test_whoever_asks_for_a_big_providers_domain_keeps_nobody_out(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    identities.add(app, cast.charlie, cast.globex.id, "hosted-shops.net")
    name = "acme.hosted-shops.net"
    assert identities.add(app, cast.bob, cast.acme.id, name).name == name
    verified_sender(app, simulator, cast.acme.id, f"news@{name}")
    with pytest.raises(Conflict):
        identities.add(app, cast.charlie, cast.globex.id, f"mail.{name}")


def test_of_two_tenants_who_add_a_domain_at_once_one_gets_it(app: App, cast: Cast) -> None:
    got: list[int] = []

    def add(actor: Actor, tenant_id: int) -> None:
        try:
            got.append(identities.add(app, actor, tenant_id, "acme-mail.io").tenant_id)
        except Conflict:
            return

    threads = [
        threading.Thread(target=add, args=pair)
        for pair in ((cast.bob, cast.acme.id), (cast.charlie, cast.globex.id)) * 2
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(got)) == 1


def test_where_ses_fails_repeating_goes_on(app: App, simulator: Simulator, cast: Cast) -> None:
    for operation in ("CreateEmailIdentity", "CreateTenantResourceAssociation"):
        simulator.faults({**REFUSED, "operation": operation})
        with pytest.raises(ProviderError, match=operation):
            identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    simulator.faults()
    identity = identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    assert len(identity.dkim_tokens) == 3


def test_the_records_say_what_to_publish_and_why(app: App, cast: Cast) -> None:
    identity = identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    records = identities.records(identity, "ap-southeast-1")
    assert [(record.type, record.required) for record in records] == [("CNAME", True)] * 3 + [
        ("TXT", False),
        ("TXT", False),
        ("TXT", False),
        ("MX", False),
        ("TXT", False),
    ]
    assert len({record.key for record in records}) == len(records)
    token = identity.dkim_tokens[0]
    assert records[0].name == f"{token}._domainkey.acme-mail.io"
    assert records[0].value == f"{token}.{identity.signing_hosted_zone}"
    assert [(record.name, record.value) for record in records[3:]] == [
        ("_amazonses.acme-mail.io", identity.verification_token),
        ("acme-mail.io", "v=spf1 include:amazonses.com ~all"),
        ("_dmarc.acme-mail.io", "v=DMARC1; p=none; rua=mailto:postmaster@acme-mail.io"),
        ("bounce.acme-mail.io", "10 feedback-smtp.ap-southeast-1.amazonses.com"),
        ("bounce.acme-mail.io", "v=spf1 include:amazonses.com ~all"),
    ]
    assert set(records[0].as_json()) >= {"type", "name", "value", "purpose", "required"}


def test_an_address_identity_needs_no_records(app: App, cast: Cast) -> None:
    identity = identities.add(app, cast.bob, cast.acme.id, "dev@acme-mail.io")
    assert identity.type == "EMAIL_ADDRESS"
    assert identities.records(identity, "ap-southeast-1") == []


def test_v2_1_to_v2_5_verifying_before_and_after_the_records_are_published(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    identity = identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    early = identities.verify_now(app, cast.bob, cast.acme.id, identity.id)
    assert (early.verification_status, early.verified_for_sending) == ("PENDING", False)
    assert {finding["verdict"] for finding in early.dns_findings} == {"missing"}
    assert early.checked_at is not None
    publish(simulator, identity)
    cool_down(app, identity)
    late = identities.verify_now(app, cast.bob, cast.acme.id, identity.id)
    assert (late.verification_status, late.dkim_status, late.verified_for_sending) == (
        "SUCCESS",
        "SUCCESS",
        True,
    )
    assert late.verified_at is not None
    assert {finding["verdict"] for finding in late.dns_findings} == {"found"}
    with app.db.read() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action == "verify identity")).all()
    assert [entry.detail for entry in entries] == [
        {"before": "PENDING", "after": "PENDING"},
        {"before": "PENDING", "after": "SUCCESS"},
    ]


def test_v2_11_the_cooldown_holds_for_everybody(app: App, cast: Cast, alice: Actor) -> None:
    identity = identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    identities.verify_now(app, cast.bob, cast.acme.id, identity.id)
    with pytest.raises(Conflict, match=r"Try again in (30|29|28) seconds"):
        identities.verify_now(app, alice, cast.acme.id, identity.id)
    cool_down(app, identity, seconds=20)
    with pytest.raises(Conflict, match=r"Try again in (10|9|8) seconds"):
        identities.verify_now(app, cast.bob, cast.acme.id, identity.id)


def test_of_many_who_verify_at_once_one_asks_ses(app: App, cast: Cast) -> None:
    identity = identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    outcomes: list[str] = []

    def verify() -> None:
        try:
            identities.verify_now(app, cast.bob, cast.acme.id, identity.id)
            outcomes.append("checked")
        except Conflict:
            outcomes.append("told")

    threads = [threading.Thread(target=verify) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["checked"] + ["told"] * 4


def test_where_ses_fails_the_reason_is_kept_and_nothing_else_changes(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    identity = identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    publish(simulator, identity)
    simulator.faults({**REFUSED, "operation": "GetEmailIdentity"})
    with pytest.raises(ProviderError):
        identities.verify_now(app, cast.bob, cast.acme.id, identity.id)
    with app.db.read() as session:
        kept = identities.get_identity(session, cast.acme.id, identity.id)
    assert (kept.verification_status, kept.verified_for_sending) == ("PENDING", False)
    assert kept.error_detail is not None
    assert "GetEmailIdentity" in kept.error_detail


def test_an_identity_that_somebody_deleted_in_ses_is_made_again(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    identity = identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    app.providers.email(app.settings.region).delete_identity("acme-mail.io", "acme")
    checked = identities.verify_now(app, cast.bob, cast.acme.id, identity.id)
    assert checked.verification_status == "PENDING"
    publish(simulator, checked)
    cool_down(app, identity)
    assert identities.verify_now(app, cast.bob, cast.acme.id, identity.id).verified_for_sending


def test_only_managers_add_and_verify_and_only_their_own(app: App, cast: Cast) -> None:
    identity = identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    with pytest.raises(PermissionDenied):
        identities.add(app, cast.carol, cast.acme.id, "acme-post.io")
    with pytest.raises(PermissionDenied):
        identities.verify_now(app, cast.carol, cast.acme.id, identity.id)
    with pytest.raises(NotFound, match="There is no such tenant"):
        identities.verify_now(app, cast.charlie, cast.acme.id, identity.id)
    with pytest.raises(NotFound, match="There is no such identity"):
        identities.verify_now(app, cast.charlie, cast.globex.id, identity.id)
    with pytest.raises(NotFound, match="There is no such identity"):
        identities.verify_now(app, cast.charlie, cast.globex.id, 999)


def test_a_removed_domain_is_gone_from_ses_and_free_for_its_next_owner(
    app: App, cast: Cast, alice: Actor
) -> None:
    identity = identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    assert identities.remove_unused(app, alice, cast.acme.id, identity.id)
    assert not identities.remove_unused(app, alice, cast.acme.id, identity.id)
    with pytest.raises(NotFound), app.db.read() as session:
        identities.get_identity(session, cast.acme.id, identity.id)
    with pytest.raises(ProviderError):
        app.providers.email(app.settings.region).get_identity("acme-mail.io")
    assert identities.add(app, cast.charlie, cast.globex.id, "acme-mail.io").tenant_id == cast.globex.id


def test_a_domain_with_senders_or_a_campaign_is_not_removed(app: App, cast: Cast, alice: Actor) -> None:
    sender = senders.add(app, cast.bob, cast.acme.id, "news@acme-mail.io")
    assert not identities.remove_unused(app, alice, cast.acme.id, sender.identity_id)
    senders.remove(app, alice, cast.acme.id, sender.id)
    assert not identities.remove_unused(app, alice, cast.acme.id, sender.identity_id)
    with app.db.begin() as session:
        session.execute(update(Sender).values(deleted_at=app.now() - timedelta(days=8)))
    campaign_on(app, sender, CampaignStatus.SENDING)
    with pytest.raises(Conflict, match=r'Campaign "Autumn" uses acme-mail\.io'):
        identities.remove_unused(app, alice, cast.acme.id, sender.identity_id)
    assert ses(app).get_email_identity(EmailIdentity="acme-mail.io")


def test_removing_where_ses_fails_can_be_repeated(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    identity = identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    for operation in ("DeleteTenantResourceAssociation", "DeleteEmailIdentity"):
        simulator.faults({**REFUSED, "operation": operation})
        with pytest.raises(ProviderError, match=operation):
            identities.remove_unused(app, alice, cast.acme.id, identity.id)
    simulator.faults()
    identities.remove_unused(app, alice, cast.acme.id, identity.id)


def test_who_may_remove(app: App, cast: Cast, root: Actor) -> None:
    identity = identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    with pytest.raises(PermissionDenied):
        identities.remove_unused(app, cast.bob, cast.acme.id, identity.id)
    assert not identities.remove_unused(app, root, cast.globex.id, identity.id)

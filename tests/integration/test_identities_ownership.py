"""Ownership: what the AWS account has already comes to nobody who has not shown that it is theirs."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from core import drift, identities, senders
from core.access import Actor
from core.app import App
from core.db.models import AuditEntry, Identity, Sender
from core.db.states import ResourceState
from core.errors import Conflict, ProviderError
from core.providers.base import EmailProvider
from tests.conftest import Cast, verified_sender
from tests.integration.test_identities import REFUSED, cool_down, ses
from tests.simulators import Simulator

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
DOMAIN = "acme-mail.io"
NOT_HERE = "in this AWS account already and was not arranged here. An administrator can add it"


@pytest.fixture
def elsewhere(app: App, simulator: Simulator, cast: Cast) -> dict[str, Any]:
    """The domain of another application in the same AWS account: verified, with a MAIL FROM of its own."""
    return made_elsewhere(app, simulator, DOMAIN)


def made_elsewhere(app: App, simulator: Simulator, name: str, **more: Any) -> dict[str, Any]:
    client = ses(app)
    tokens = client.create_email_identity(EmailIdentity=name, **more)["DkimAttributes"]["Tokens"]
    client.put_email_identity_mail_from_attributes(EmailIdentity=name, MailFromDomain=f"returns.{name}")
    simulator.put_dns(
        [
            {"type": "CNAME", "name": f"{token}._domainkey.{name}", "value": f"{token}.dkim.amazonses.com"}
            for token in tokens
        ]
    )
    seen = as_it_is(app, name)
    assert seen["VerifiedForSendingStatus"]
    return seen


def as_it_is(app: App, name: str = DOMAIN) -> dict[str, Any]:
    seen: dict[str, Any] = ses(app).get_email_identity(EmailIdentity=name)
    return {key: seen[key] for key in sorted(seen) if key not in ("ResponseMetadata", "VerificationInfo")}


def provider(app: App) -> EmailProvider:
    return app.providers.email(app.settings.region)


def is_associated(app: App, slug: str, name: str = DOMAIN) -> bool:
    return provider(app).identity_arn(name) in provider(app).associations(slug)


def live(app: App) -> list[Identity]:
    with app.db.read() as session:
        return list(session.scalars(select(Identity).where(Identity.removed_at.is_(None))))


def test_another_applications_domain_is_refused_and_left_as_it_is(
    app: App, cast: Cast, elsewhere: dict[str, Any], alice: Actor
) -> None:
    for actor in (cast.bob, alice):
        with pytest.raises(Conflict, match=NOT_HERE):
            senders.add(app, actor, cast.acme.id, f"news@{DOMAIN}")
    assert as_it_is(app) == elsewhere
    assert not is_associated(app, "acme")
    assert live(app) == [], "the name is reserved for nobody"
    with app.db.begin() as session:
        session.execute(update(Identity).values(created_at=app.now() - timedelta(days=30)))
    assert "Removed 0 of 0" in senders.purge_due(app)
    assert as_it_is(app) == elsewhere


def test_an_administrator_adopts_it_with_its_dkim_and_mail_from(
    app: App, cast: Cast, elsewhere: dict[str, Any], root: Actor
) -> None:
    sender = senders.add(app, root, cast.acme.id, f"news@{DOMAIN}")
    [identity] = live(app)
    assert identity.verified_for_sending
    assert identity.dkim_tokens == elsewhere["DkimAttributes"]["Tokens"]
    assert identity.mail_from_domain == f"returns.{DOMAIN}"
    now = as_it_is(app)
    assert (now["ConfigurationSetName"], now["Tags"]) == (
        "postyard-acme",
        [{"Key": "postyard:tenant", "Value": "acme"}],
    )
    for kept in ("DkimAttributes", "MailFromAttributes", "VerificationStatus"):
        assert now[kept] == elsewhere[kept]
    assert is_associated(app, "acme")
    with app.db.read() as session:
        actions = session.scalars(select(AuditEntry.action).order_by(AuditEntry.id)).all()
    assert actions[-2:] == ["adopt identity", "add sender"]
    assert senders.verify_now(app, cast.bob, cast.acme.id, sender.id).verified_for_sending
    assert as_it_is(app)["MailFromAttributes"] == elsewhere["MailFromAttributes"]


def test_what_an_interrupted_removal_of_another_tenant_left_is_not_inherited(
    app: App, simulator: Simulator, cast: Cast, root: Actor
) -> None:
    globex = [{"Key": "postyard:tenant", "Value": "globex"}]
    made_elsewhere(app, simulator, DOMAIN, Tags=globex)
    with pytest.raises(Conflict, match=NOT_HERE):
        identities.add(app, cast.bob, cast.acme.id, DOMAIN)
    assert as_it_is(app)["Tags"] == globex
    assert identities.add(app, root, cast.acme.id, DOMAIN).verified_for_sending
    assert provider(app).get_identity(DOMAIN).owner == "acme"


def test_an_answer_that_was_lost_is_the_tenants_own(app: App, simulator: Simulator, cast: Cast) -> None:
    made_elsewhere(app, simulator, DOMAIN, Tags=[{"Key": "postyard:tenant", "Value": "acme"}])
    assert identities.add(app, cast.bob, cast.acme.id, DOMAIN).verified_for_sending
    assert is_associated(app, "acme")


def test_so_is_what_the_ses_tenant_may_use_already(app: App, elsewhere: dict[str, Any], cast: Cast) -> None:
    provider(app).associate("acme", provider(app).identity_arn(DOMAIN))
    assert identities.add(app, cast.bob, cast.acme.id, DOMAIN).verified_for_sending


@pytest.mark.parametrize("name", [f"news.{DOMAIN}", f"a.b.{DOMAIN}", f"bob@{DOMAIN}", f"bob@news.{DOMAIN}"])
def test_nor_does_anybody_get_what_lies_below_it(
    app: App, cast: Cast, elsewhere: dict[str, Any], root: Actor, name: str
) -> None:
    with pytest.raises(Conflict, match=rf"belongs to {DOMAIN}, which is verified in this AWS account"):
        identities.add(app, cast.bob, cast.acme.id, name)
    assert provider(app).find_identity(name) is None
    assert live(app) == []
    assert identities.add(app, root, cast.acme.id, name).name == name


def test_below_ones_own_and_above_anybodys_one_needs_no_administrator(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    verified_sender(app, simulator, cast.acme.id, f"news@{DOMAIN}")
    assert identities.add(app, cast.bob, cast.acme.id, f"news.{DOMAIN}").dkim_tokens
    made_elsewhere(app, simulator, "mail.globex-post.net")
    above = identities.add(app, cast.bob, cast.acme.id, "globex-post.net")
    assert not above.verified_for_sending


def test_neither_a_check_nor_repair_nor_the_job_takes_it_for_what_was_begun(
    app: App, cast: Cast, elsewhere: dict[str, Any], root: Actor
) -> None:
    """As after a crash between the row and SES's answer."""
    with app.db.begin() as session:
        identity = Identity(tenant_id=cast.acme.id, name=DOMAIN, created_at=app.now() - timedelta(days=8))
        session.add(identity)
        session.flush()
        sender = Sender(
            tenant_id=cast.acme.id, identity_id=identity.id, address=f"a@{DOMAIN}", created_at=app.now()
        )
        session.add(sender)
    for actor in (cast.bob, root):
        cool_down(app, identity)
        with pytest.raises(Conflict, match=NOT_HERE):
            identities.verify_now(app, actor, cast.acme.id, identity.id)
    drift.repair(app, root, cast.acme.id)
    assert as_it_is(app) == elsewhere
    with app.db.begin() as session:
        session.execute(update(Sender).values(deleted_at=app.now(), removed_at=app.now()))
    assert "Removed 1 of 1" in senders.purge_due(app)
    assert as_it_is(app) == elsewhere


def test_what_is_known_here_is_mended_though_nothing_tags_it(app: App, cast: Cast, root: Actor) -> None:
    """Made before there were tags."""
    identity = identities.add(app, cast.bob, cast.acme.id, DOMAIN)
    provider(app).delete_identity(DOMAIN, "acme")
    ses(app).create_email_identity(EmailIdentity=DOMAIN)
    rows = {row.key: row.state for row in drift.repair(app, root, cast.acme.id)}
    assert rows[f"association of {DOMAIN}"] == rows[f"identity {DOMAIN}"] == ResourceState.DONE
    provider(app).delete_identity(DOMAIN, "acme")
    cool_down(app, identity)
    assert identities.verify_now(app, cast.bob, cast.acme.id, identity.id).verification_status == "PENDING"
    assert provider(app).get_identity(DOMAIN).owner == "acme"


def test_where_ses_does_not_say_whose_it_is_nothing_is_taken(
    app: App, simulator: Simulator, cast: Cast, elsewhere: dict[str, Any]
) -> None:
    simulator.faults({**REFUSED, "operation": "ListTenantResources"})
    with pytest.raises(ProviderError):
        identities.add(app, cast.bob, cast.acme.id, DOMAIN)
    simulator.faults()
    assert as_it_is(app) == elsewhere

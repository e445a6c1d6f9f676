"""What a domain gets besides its DKIM: the older token, a MAIL FROM domain that nothing else uses."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from core import identities, senders
from core.app import App
from core.db.models import AuditEntry, Identity
from core.dns import Verdict
from core.errors import InputError, NotFound, PermissionDenied, ProviderError
from tests.conftest import Cast
from tests.integration.test_identities import REFUSED, cool_down, publish, ses
from tests.simulators import Simulator

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
MAIL_FROM = "PutEmailIdentityMailFromAttributes"
TOKEN = "VerifyDomainIdentity"


@pytest.fixture
def identity(app: App, cast: Cast) -> Identity:
    return identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")


def at_ses(app: App) -> str | None:
    found = ses(app).get_email_identity(EmailIdentity="acme-mail.io").get("MailFromAttributes", {})
    return found.get("MailFromDomain") or None


def test_a_new_domain_has_both(app: App, identity: Identity) -> None:
    assert (identity.mail_from_domain, identity.mail_from_status) == ("bounce.acme-mail.io", "PENDING")
    assert at_ses(app) == "bounce.acme-mail.io"
    assert identity.verification_token


@SQLITE
def test_a_name_that_is_used_for_something_else_is_not_taken(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    simulator.put_dns(
        [
            {"type": "MX", "name": "bounce.acme-mail.io", "value": "10 mx.other-host.net"},
            {"type": "A", "name": "mail-from.acme-mail.io", "value": "198.51.100.7"},
        ]
    )
    made = identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    assert made.mail_from_domain == "ses-bounce.acme-mail.io"


@SQLITE
def test_the_domain_is_added_without_them_and_gets_them_at_its_next_check(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    simulator.faults(*({**REFUSED, "operation": operation} for operation in (TOKEN, MAIL_FROM)))
    bare = identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    assert (bare.verification_token, bare.mail_from_domain) == (None, None)
    assert len(identities.records(bare, "ap-southeast-1")) == 5
    assert not identities.verify_now(app, cast.bob, cast.acme.id, bare.id).mail_from_domain
    simulator.faults()
    cool_down(app, bare)
    furnished = identities.verify_now(app, cast.bob, cast.acme.id, bare.id)
    assert furnished.mail_from_domain == "bounce.acme-mail.io"
    assert len(furnished.dns_findings) == 8


@SQLITE
def test_credentials_that_may_not_ask_for_the_token_are_asked_once(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    simulator.faults({"kind": "error", "times": 0, "operation": TOKEN, "status": 403, "code": "AccessDenied"})
    identity = identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    assert identity.verification_token == ""
    identities.verify_now(app, cast.bob, cast.acme.id, identity.id)
    asked = [call for call in simulator.calls() if call["operation"] == TOKEN]
    assert len(asked) == 1


def test_another_name_can_be_chosen_and_given_up(
    app: App, simulator: Simulator, cast: Cast, identity: Identity
) -> None:
    chosen = identities.set_mail_from(app, cast.bob, cast.acme.id, identity.id, " Returns.Acme-Mail.io. ")
    assert (chosen.mail_from_domain, chosen.mail_from_status) == ("returns.acme-mail.io", "PENDING")
    assert at_ses(app) == "returns.acme-mail.io"
    publish(simulator, chosen)
    checked = identities.verify_now(app, cast.bob, cast.acme.id, identity.id)
    assert (checked.mail_from_domain, checked.mail_from_status) == ("returns.acme-mail.io", "SUCCESS")

    for _ in range(2):
        off = identities.set_mail_from(app, cast.bob, cast.acme.id, identity.id, None)
        assert off.mail_from_domain is None
    assert at_ses(app) is None
    cool_down(app, identity)
    kept_off = identities.verify_now(app, cast.bob, cast.acme.id, identity.id)
    assert kept_off.mail_from_domain is None
    assert len(kept_off.dns_findings) == 6
    with app.db.read() as session:
        entries = session.scalars(select(AuditEntry).where(AuditEntry.action == "set mail from")).all()
    assert [entry.detail["mail_from"] for entry in entries] == ["returns.acme-mail.io"] + [
        "amazonses.com"
    ] * 2


@SQLITE
def test_what_cannot_be_a_mail_from_domain_is_refused_with_what_is_in_the_way(
    app: App, simulator: Simulator, cast: Cast, identity: Identity
) -> None:
    senders.add(app, cast.bob, cast.acme.id, "news@mail.acme-mail.io")
    simulator.put_dns([{"type": "MX", "name": "in.acme-mail.io", "value": "10 mx.other-host.net"}])
    for domain, why in (
        ("", "lies below"),
        ("acme-mail.io", "lies below"),
        ("bounce.globex-post.net", "lies below"),
        ("a@bounce.acme-mail.io", "lies below"),
        ("b ounce.acme-mail.io", "Check how it is written"),
        ("mail.acme-mail.io", "Mail is sent from"),
        ("in.acme-mail.io", r"MX mx\.other-host\.net|MX 10 mx\.other-host\.net"),
    ):
        with pytest.raises(InputError, match=why):
            identities.set_mail_from(app, cast.bob, cast.acme.id, identity.id, domain)
    assert at_ses(app) == "bounce.acme-mail.io"
    address = identities.add(app, cast.bob, cast.acme.id, "dev@acme-mail.io")
    with pytest.raises(InputError, match="needs a verified domain"):
        identities.set_mail_from(app, cast.bob, cast.acme.id, address.id, "bounce.acme-mail.io")


@SQLITE
def test_where_ses_fails_the_former_one_stays(
    app: App, simulator: Simulator, cast: Cast, identity: Identity
) -> None:
    simulator.faults({**REFUSED, "operation": MAIL_FROM})
    with pytest.raises(ProviderError, match=MAIL_FROM):
        identities.set_mail_from(app, cast.bob, cast.acme.id, identity.id, "returns.acme-mail.io")
    with app.db.read() as session:
        kept = identities.get_identity(session, cast.acme.id, identity.id)
    assert kept.mail_from_domain == "bounce.acme-mail.io"


@SQLITE
def test_who_may_choose(app: App, cast: Cast, identity: Identity) -> None:
    with pytest.raises(PermissionDenied):
        identities.set_mail_from(app, cast.carol, cast.acme.id, identity.id, None)
    with pytest.raises(NotFound, match="There is no such tenant"):
        identities.set_mail_from(app, cast.charlie, cast.acme.id, identity.id, None)
    with pytest.raises(NotFound, match="There is no such identity"):
        identities.set_mail_from(app, cast.charlie, cast.globex.id, identity.id, None)


@SQLITE
def test_findings_are_of_the_records_that_are_wanted_now(
    app: App, simulator: Simulator, cast: Cast, identity: Identity
) -> None:
    region = app.settings.region
    assert {finding.verdict for finding in identities.findings(identity, region)} == {Verdict.MISSING}
    publish(simulator, identity)
    checked = identities.verify_now(app, cast.bob, cast.acme.id, identity.id)
    assert {finding.verdict for finding in identities.findings(checked, region)} == {Verdict.FOUND}
    moved = identities.set_mail_from(app, cast.bob, cast.acme.id, identity.id, "returns.acme-mail.io")
    verdicts = [finding.verdict for finding in identities.findings(moved, region)]
    assert verdicts == [Verdict.FOUND] * 6 + [Verdict.UNKNOWN] * 2

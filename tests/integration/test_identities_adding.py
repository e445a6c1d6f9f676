"""Adding a domain: what nobody can own is refused before SES is asked, what SES refuses leaves no trace, and
nothing optional keeps anybody waiting."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from core import alerts, drift, identities, senders
from core.access import Actor
from core.app import App
from core.db.models import Identity
from core.dns import Mistake, Verdict
from core.errors import Conflict, InputError, ProviderError
from core.identities.rows import lock_names
from core.reports import overview
from tests.conftest import Cast
from tests.integration.test_identities import REFUSED
from tests.meanwhile import meanwhile
from tests.simulators import Simulator
from tests.visitors import Visitor

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
CREATE = "CreateEmailIdentity"
INVALID = {**REFUSED, "operation": CREATE}


def asked(simulator: Simulator) -> list[str]:
    return [call["operation"] for call in simulator.calls()]


def live_names(app: App) -> list[str]:
    with app.db.read() as session:
        return list(session.scalars(select(Identity.name).where(Identity.removed_at.is_(None))))


@SQLITE
def test_what_ses_refuses_for_good_is_kept_by_nobody(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    simulator.faults(INVALID)
    with pytest.raises(
        ProviderError, match=r"Amazon SES does not accept acme-mail\.io as a domain: check the spelling"
    ):
        senders.add(app, cast.bob, cast.acme.id, "news@acme-mail.io")
    with pytest.raises(ProviderError, match=r"does not accept dev@acme-mail\.io as an address"):
        senders.add(app, cast.bob, cast.acme.id, "dev@acme-mail.io", own_identity=True)
    assert live_names(app) == []
    drift.check(app, alice, cast.acme.id)
    assert alerts.list_open(app, alice) == []
    simulator.faults()
    assert identities.add(app, cast.charlie, cast.globex.id, "acme-mail.io").dkim_tokens


@pytest.mark.slow
@SQLITE
def test_where_ses_has_it_or_only_fails_for_now_the_name_stays_reserved(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    for fault in (
        {"kind": "error", "times": 0, "status": 503, "code": "ServiceUnavailable", "operation": CREATE},
        {**REFUSED, "operation": "CreateTenantResourceAssociation"},
    ):
        simulator.faults(fault)
        with pytest.raises(ProviderError):
            identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
        assert live_names(app) == ["acme-mail.io"]


@pytest.mark.slow
@SQLITE
def test_a_name_that_came_to_nothing_worries_nobody_and_keeps_nobody_out(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    simulator.faults({**INVALID, "status": 503, "code": "ServiceUnavailable"})
    with pytest.raises(ProviderError):
        identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    simulator.faults()
    with pytest.raises(Conflict, match="in use here already"):
        identities.add(app, cast.charlie, cast.globex.id, "acme-mail.io")
    drift.check(app, alice, cast.acme.id)
    assert alerts.list_open(app, alice) == []
    worries = {row.tenant.slug: row.what_needs_a_hand for row in overview(app, alice)}
    assert worries["acme"] == ["It has no sender yet: add one."]
    with app.db.begin() as session:
        session.execute(update(Identity).values(created_at=app.now() - timedelta(minutes=16)))
    assert identities.add(app, cast.charlie, cast.globex.id, "acrne-mail.io").dkim_tokens
    assert identities.add(app, cast.charlie, cast.globex.id, "acme-mail.io").dkim_tokens
    assert sorted(live_names(app)) == ["acme-mail.io", "acrne-mail.io"]


@pytest.mark.parametrize("name", ["hooli.c", "news@hooli.c", "acme.corp", "acme-mail.oi"])
def test_a_top_level_domain_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"There is no top-level domain \.(c|corp|oi): check how") as told:
        identities.checked_name(name)
    assert told.value.field == "address"


@SQLITE
def test_a_mailbox_providers_domain_is_refused_and_one_address_at_it_is_not(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    before = asked(simulator)
    for domain in ("gmail.com", "gmx.net", "yahoo.co.uk", "mail.proton.me", "qq.com", "outlook.de"):
        with pytest.raises(InputError, match="This is a mailbox provider's domain: use your own") as told:
            senders.add(app, cast.bob, cast.acme.id, f"acme@{domain}")
        assert told.value.field == "address"
    with pytest.raises(InputError, match=r"Many people have domains below github\.io"):
        senders.add(app, cast.bob, cast.acme.id, "acme@github.io")
    assert asked(simulator) == before
    assert live_names(app) == []
    sender = senders.add(app, cast.bob, cast.acme.id, "acme@gmail.com", own_identity=True)
    assert sender.address == "acme@gmail.com"
    assert senders.add(app, cast.bob, cast.acme.id, "news@acme.github.io").identity_id != sender.identity_id


@pytest.mark.parametrize("name", ["acrne-mail.io", "bob@acme-mail.io"])
def test_of_two_tenants_who_add_what_only_one_may_have_the_second_sees_the_first(
    app: App, cast: Cast, name: str
) -> None:
    second = Visitor(lambda: identities.add(app, cast.charlie, cast.globex.id, name))
    with app.db.begin() as session:
        lock_names(session, app.now())
        session.add(Identity(tenant_id=cast.acme.id, name="acme-mail.io", created_at=app.now()))
        session.flush()
        second.come()
    assert isinstance(second.left(), Conflict)
    assert live_names(app) == ["acme-mail.io"]


@SQLITE
def test_what_dns_has_is_known_at_once(app: App, simulator: Simulator, cast: Cast) -> None:
    simulator.put_dns([{"type": "TXT", "name": "acme-mail.io", "value": "v=spf1 ip4:198.51.100.7 ~all"}])
    identity = identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    assert identity.checked_at is None
    [spf] = [
        finding
        for finding in identities.findings(identity, app.settings.region)
        if finding.record.name == "acme-mail.io"
    ]
    assert spf.verdict is Verdict.DIFFERENT
    assert spf.better == "v=spf1 ip4:198.51.100.7 include:amazonses.com ~all"
    assert identities.verify_now(app, cast.bob, cast.acme.id, identity.id).checked_at, "it may be at once"


@SQLITE
def test_where_dns_does_not_answer_nothing_is_kept(app: App, simulator: Simulator, cast: Cast) -> None:
    simulator.dns_faults({"kind": "servfail", "name": "*", "type": "*"})
    identity = identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    assert identity.dns_findings == []
    found = identities.findings(identity, app.settings.region)
    assert {finding.mistake for finding in found} == {Mistake.NOT_CHECKED}


@SQLITE
@pytest.mark.slow
def test_nobody_waits_long_for_what_is_optional(app: App, simulator: Simulator, cast: Cast) -> None:
    simulator.faults({"kind": "latency", "operation": "VerifyDomainIdentity", "times": 1, "seconds": 8})
    began = time.monotonic()
    identity = identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    assert time.monotonic() - began < 7.5
    assert (identity.verification_token, identity.mail_from_domain, identity.dns_findings) == (None, None, [])
    furnished = identities.verify_now(app, cast.bob, cast.acme.id, identity.id)
    assert furnished.verification_token
    assert furnished.mail_from_domain == "bounce.acme-mail.io"


class Leaping:
    """Each look at it is a quarter of a minute after the one before."""

    def __init__(self, app: App) -> None:
        self.now, self.sleep = app.clock.now, app.clock.sleep
        self._looked = 0

    def monotonic(self) -> float:
        self._looked += 1
        return self._looked * 15.0


@SQLITE
def test_an_ses_that_is_slow_already_is_asked_for_nothing_more(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    slow = replace(app, clock=Leaping(app))
    identity = identities.add(slow, cast.bob, cast.acme.id, "acme-mail.io")
    assert (identity.verification_token, identity.mail_from_domain) == (None, None)
    assert not {"VerifyDomainIdentity", "PutEmailIdentityMailFromAttributes"} & set(asked(simulator))
    assert identity.dns_findings


@SQLITE
def test_who_adds_what_is_taken_out_of_ses_in_the_same_moment_is_told(app: App, cast: Cast) -> None:
    email = app.providers.email(app.settings.region)
    removed = meanwhile(app, "associate", lambda: email.delete_identity("acme-mail.io", "acme"))
    with pytest.raises(Conflict, match=r"was taken out of Amazon SES just now\. Add it again"):
        identities.add(removed, cast.bob, cast.acme.id, "acme-mail.io")
    assert identities.add(app, cast.bob, cast.acme.id, "acme-mail.io").dkim_tokens

"""Checks: when the clock looks, what a look keeps, and what it leaves to whoever was first."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from core import drift, identities, senders
from core.access import SYSTEM, Actor
from core.app import App
from core.db.models import Identity, Sender
from core.dns import Verdict
from core.errors import Conflict, ProviderError
from core.identities import removal
from core.identities.rows import lock_identity
from tests.conftest import Cast, verified_sender
from tests.integration.test_identities import REFUSED, cool_down, ses
from tests.meanwhile import meanwhile
from tests.simulators import Simulator
from tests.visitors import Visitor

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
TOKEN = "VerifyDomainIdentity"
THROTTLED = {"kind": "error", "times": 0, "status": 429, "code": "TooManyRequestsException"}
NOTHING_DUE = "Checked 0 of 0 identities."


@pytest.fixture
def sender(app: App, simulator: Simulator, cast: Cast) -> Sender:
    return verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")


def identity_of(app: App, sender: Sender) -> Identity:
    with app.db.read() as session:
        return session.get_one(Identity, sender.identity_id)


def set_on(app: App, sender: Sender, **columns: Any) -> None:
    with app.db.begin() as session:
        session.execute(update(Identity).where(Identity.id == sender.identity_id).values(**columns))


def checked(app: App, sender: Sender) -> Identity:
    cool_down(app, identity_of(app, sender))
    return identities.verify_now(app, SYSTEM, sender.tenant_id, sender.identity_id)


@SQLITE
def test_a_sender_whose_domain_was_half_removed_is_checked_by_the_clock(
    app: App, simulator: Simulator, cast: Cast, alice: Actor, sender: Sender
) -> None:
    senders.remove(app, alice, cast.acme.id, sender.id)
    with app.db.begin() as session:
        session.execute(update(Sender).values(deleted_at=app.now() - timedelta(days=8)))
    removal.withdraw(app, cast.acme.id, sender.identity_id)
    assert identities.refresh_due(app) == NOTHING_DUE, "nobody needs it"
    with app.db.begin() as session:
        session.execute(update(Sender).values(deleted_at=None))
    simulator.faults({**REFUSED, "operation": "CreateEmailIdentity"})
    assert identities.refresh_due(app) == "Checked 0 of 1 identities."
    assert identities.refresh_due(app) == NOTHING_DUE
    simulator.faults()
    cool_down(app, identity_of(app, sender), seconds=16 * 60)
    assert identities.refresh_due(app) == "Checked 1 of 1 identities."
    assert identity_of(app, sender).dkim_tokens


@SQLITE
def test_a_time_of_a_wrong_clock_keeps_nothing_from_its_check(app: App, sender: Sender) -> None:
    assert identities.refresh_due(app) == NOTHING_DUE
    ahead = app.now() + timedelta(days=400)
    set_on(app, sender, checked_at=ahead)
    assert identities.refresh_due(app) == "Checked 1 of 1 identities."
    set_on(app, sender, checked_at=None, created_at=ahead)
    assert identities.refresh_due(app) == "Checked 1 of 1 identities."
    set_on(app, sender, checked_at=app.now() + timedelta(seconds=5))
    assert identities.refresh_due(app) == NOTHING_DUE, "clocks differ a little"


@SQLITE
@pytest.mark.parametrize("fault", [REFUSED, THROTTLED])
def test_a_look_that_failed_is_repeated_in_a_quarter_of_an_hour(
    app: App, simulator: Simulator, sender: Sender, fault: dict[str, Any]
) -> None:
    simulator.faults({**fault, "operation": "GetEmailIdentity"})
    with pytest.raises(ProviderError):
        checked(app, sender)
    with pytest.raises(Conflict, match="Try again in"):
        identities.verify_now(app, SYSTEM, sender.tenant_id, sender.identity_id)
    simulator.faults()
    identity = identity_of(app, sender)
    cool_down(app, identity, seconds=14 * 60)
    assert identities.refresh_due(app) == NOTHING_DUE
    cool_down(app, identity, seconds=16 * 60)
    assert identities.refresh_due(app) == "Checked 1 of 1 identities."
    cool_down(app, identity, seconds=16 * 60)
    assert identities.refresh_due(app) == NOTHING_DUE, "this one did not fail"


@SQLITE
def test_a_mail_from_domain_that_was_changed_in_ses_is_told_and_mended_and_never_adopted(
    app: App, alice: Actor, sender: Sender
) -> None:
    ses(app).put_email_identity_mail_from_attributes(
        EmailIdentity="acme-mail.io", MailFromDomain="other.acme-mail.io"
    )
    kept = checked(app, sender)
    assert (kept.mail_from_domain, kept.mail_from_status) == ("bounce.acme-mail.io", "NOT_STARTED")
    found = {row.key: row.state for row in drift.check(app, alice, sender.tenant_id)}
    assert found["MAIL FROM of acme-mail.io"] == "different"
    drift.repair(app, alice, sender.tenant_id)
    at_ses = ses(app).get_email_identity(EmailIdentity="acme-mail.io")["MailFromAttributes"]
    assert at_ses["MailFromDomain"] == "bounce.acme-mail.io"
    mended = checked(app, sender)
    assert (mended.mail_from_domain, mended.mail_from_status) == ("bounce.acme-mail.io", "SUCCESS")


@SQLITE
def test_a_mail_from_domain_that_was_chosen_is_set_again_where_ses_has_none(app: App, sender: Sender) -> None:
    identities.set_mail_from(app, SYSTEM, sender.tenant_id, sender.identity_id, "returns.acme-mail.io")
    app.providers.email(app.settings.region).set_mail_from("acme-mail.io", None)
    kept = checked(app, sender)
    assert (kept.mail_from_domain, kept.mail_from_status) == ("returns.acme-mail.io", "PENDING")


@SQLITE
def test_credentials_that_were_given_more_rights_get_the_token_a_day_later(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    simulator.faults({**REFUSED, "status": 403, "code": "AccessDenied", "operation": TOKEN})
    sender = senders.add(app, cast.bob, cast.acme.id, "news@acme-mail.io")
    cool_down(app, identity_of(app, sender), hours=25)
    for _ in range(2):
        identities.verify_now(app, SYSTEM, sender.tenant_id, sender.identity_id)
        set_on(app, sender, checked_at=app.now().replace(hour=0, minute=0) - timedelta(minutes=1))
    simulator.faults()
    assert identities.verify_now(app, SYSTEM, sender.tenant_id, sender.identity_id).verification_token
    asked = [call for call in simulator.calls() if call["operation"] == TOKEN]
    assert len(asked) == 4


def test_another_mail_from_that_is_chosen_during_a_check_stays(app: App, sender: Sender) -> None:
    cool_down(app, identity_of(app, sender))

    def choose() -> None:
        identities.set_mail_from(app, SYSTEM, sender.tenant_id, sender.identity_id, "returns.acme-mail.io")

    with pytest.raises(Conflict, match=r"Somebody else changed acme-mail\.io just now"):
        identities.verify_now(
            meanwhile(app, "find_identity", choose), SYSTEM, sender.tenant_id, sender.identity_id
        )
    kept = identity_of(app, sender)
    assert (kept.mail_from_domain, kept.mail_from_status) == ("returns.acme-mail.io", "PENDING")


def test_what_is_changed_while_ses_says_that_it_has_none_is_not_made_again(
    app: App, simulator: Simulator, sender: Sender
) -> None:
    cool_down(app, identity_of(app, sender))
    email = app.providers.email(app.settings.region)

    def change() -> None:
        email.delete_identity("acme-mail.io", "acme")
        set_on(app, sender, version=Identity.version + 1)

    made = len([call for call in simulator.calls() if call["operation"] == "CreateEmailIdentity"])
    with pytest.raises(Conflict, match=r"Somebody else changed acme-mail\.io just now"):
        identities.verify_now(
            meanwhile(app, "find_identity", change), SYSTEM, sender.tenant_id, sender.identity_id
        )
    calls = [call for call in simulator.calls() if call["operation"] == "CreateEmailIdentity"]
    assert len(calls) == made
    assert email.find_identity("acme-mail.io") is None


def test_who_locks_an_identity_keeps_it_from_a_removal(app: App, alice: Actor, sender: Sender) -> None:
    senders.remove(app, alice, sender.tenant_id, sender.id)
    with app.db.begin() as session:
        session.execute(update(Sender).values(deleted_at=app.now() - timedelta(days=8)))
    come = Visitor(lambda: removal.withdraw(app, sender.tenant_id, sender.identity_id))
    with app.db.begin() as session:
        lock_identity(session, sender.tenant_id, sender.identity_id)
        come.come()
        session.add(
            Sender(
                tenant_id=sender.tenant_id,
                identity_id=sender.identity_id,
                address="help@acme-mail.io",
                created_at=app.now(),
            )
        )
    told = come.left()
    assert isinstance(told, Conflict)
    assert "help@acme-mail.io" in str(told)
    assert identity_of(app, sender).verified_for_sending


@SQLITE
def test_an_identity_that_got_a_sender_while_ses_deleted_it_is_kept(
    app: App, alice: Actor, sender: Sender
) -> None:
    senders.remove(app, alice, sender.tenant_id, sender.id)
    with app.db.begin() as session:
        session.execute(update(Sender).values(deleted_at=app.now() - timedelta(days=8)))
    removal.withdraw(app, sender.tenant_id, sender.identity_id)
    with app.db.begin() as session:
        session.execute(update(Sender).values(deleted_at=None))
    with app.db.begin() as session:
        assert not removal.mark_removed(session, SYSTEM, sender.tenant_id, sender.identity_id, app.now())
    assert identity_of(app, sender).removed_at is None


class Leaping:
    """Each look at it is a quarter of a minute after the one before."""

    def __init__(self, app: App) -> None:
        self.now, self.sleep = app.clock.now, app.clock.sleep
        self._looked = 0

    def monotonic(self) -> float:
        self._looked += 1
        return self._looked * 15.0


@pytest.mark.slow
@SQLITE
def test_what_ses_needed_is_taken_from_the_time_for_dns(
    app: App, simulator: Simulator, sender: Sender
) -> None:
    cool_down(app, identity_of(app, sender))
    simulator.dns_faults({"kind": "silent", "name": "*", "type": "*"})
    began = time.monotonic()
    seen = identities.verify_now(
        replace(app, clock=Leaping(app)), SYSTEM, sender.tenant_id, sender.identity_id
    )
    assert time.monotonic() - began < 3
    assert {finding["verdict"] for finding in seen.dns_findings} == {Verdict.UNKNOWN}


@SQLITE
@pytest.mark.slow
def test_a_check_ends_in_ten_seconds_though_dns_is_silent(app: App, simulator: Simulator, cast: Cast) -> None:
    identity = identities.add(app, cast.bob, cast.acme.id, "acme-mail.io")
    set_on(app, Sender(identity_id=identity.id), mail_from_domain=None, mail_from_status=None)
    app.providers.email(app.settings.region).set_mail_from("acme-mail.io", None)
    simulator.dns_faults({"kind": "silent", "name": "*", "type": "*"})
    began = time.monotonic()
    seen = identities.verify_now(app, cast.bob, cast.acme.id, identity.id)
    assert time.monotonic() - began < 11
    assert {finding["verdict"] for finding in seen.dns_findings} == {Verdict.UNKNOWN}

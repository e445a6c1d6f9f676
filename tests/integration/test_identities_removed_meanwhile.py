"""Checks while a domain is being removed: SES must not be left with one that nobody here has any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from core import access, identities, onboarding, senders
from core.access import Actor
from core.app import App
from core.db.models import Identity, Sender
from core.errors import Conflict, NotFound, ProviderError
from tests.conftest import Cast, verified_sender
from tests.integration.test_identities import REFUSED, cool_down
from tests.simulators import Simulator

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
DOMAIN = "acme-mail.io"
MAKING = {"CreateEmailIdentity", "CreateTenantResourceAssociation", "VerifyDomainIdentity"}


@pytest.fixture
def sender(app: App, simulator: Simulator, cast: Cast) -> Sender:
    return verified_sender(app, simulator, cast.acme.id, f"news@{DOMAIN}")


@pytest.fixture
def token(app: App, cast: Cast, sender: Sender) -> str:
    return onboarding.create_link(app, cast.bob, cast.acme.id, sender.identity_id)[1].rpartition("/")[2]


def row(app: App, sender: Sender) -> Identity:
    with app.db.read() as session:
        return session.get_one(Identity, sender.identity_id)


def at_ses(app: App) -> bool:
    return app.providers.email(app.settings.region).find_identity(DOMAIN) is not None


@contextmanager
def meanwhile(work: Any, *given: Any, **named: Any) -> Iterator[list[Exception]]:
    """`work` has begun; what it raised, once it is over."""
    raised: list[Exception] = []

    def run() -> None:
        try:
            work(*given, **named)
        except (Conflict, NotFound) as e:
            raised.append(e)

    thread = threading.Thread(target=run)
    thread.start()
    time.sleep(0.3)
    yield raised
    thread.join()


def slow(operation: str) -> dict[str, Any]:
    return {"kind": "latency", "operation": operation, "times": 1, "seconds": 0.8}


@SQLITE
@pytest.mark.parametrize("removal", ["refused", "by somebody in SES"])
def test_a_check_through_a_link_makes_nothing_in_ses(
    app: App, simulator: Simulator, alice: Actor, sender: Sender, token: str, removal: str
) -> None:
    if removal == "refused":
        simulator.faults({**REFUSED, "operation": "DeleteEmailIdentity"})
        with pytest.raises(ProviderError):
            senders.remove(app, alice, sender.tenant_id, sender.id, at_once=True)
        simulator.faults()
    else:
        app.providers.email(app.settings.region).delete_identity(DOMAIN, "acme")
        cool_down(app, row(app, sender))
    before = len(simulator.calls())
    with pytest.raises(Conflict):
        onboarding.check_again(app, token)
    assert not MAKING & {call["operation"] for call in simulator.calls()[before:]}
    assert app.providers.email(app.settings.region).associations("acme") == frozenset(
        {app.providers.email(app.settings.region).configuration_set_arn("postyard-acme")}
    )


def test_a_check_while_ses_is_being_told_of_the_removal_brings_nothing_back(
    app: App, simulator: Simulator, cast: Cast, alice: Actor, sender: Sender
) -> None:
    simulator.faults(slow("DeleteEmailIdentity"))
    with meanwhile(senders.remove, app, alice, cast.acme.id, sender.id, at_once=True) as raised:
        for actor in (cast.bob, access.SYSTEM):
            with pytest.raises(Conflict):
                identities.verify_now(app, actor, cast.acme.id, sender.identity_id)
    assert raised == []
    assert row(app, sender).removed_at is not None
    assert not at_ses(app)


def test_what_a_check_made_in_the_moment_of_a_removal_is_taken_out_again(
    app: App, simulator: Simulator, cast: Cast, alice: Actor, sender: Sender
) -> None:
    app.providers.email(app.settings.region).delete_identity(DOMAIN, "acme")
    cool_down(app, row(app, sender))
    simulator.faults(slow("CreateEmailIdentity"))
    with meanwhile(identities.verify_now, app, cast.bob, cast.acme.id, sender.identity_id) as raised:
        senders.remove(app, alice, cast.acme.id, sender.id, at_once=True)
    assert len(raised) == 1
    assert row(app, sender).removed_at is not None
    assert not at_ses(app)
    assert identities.add(app, cast.charlie, cast.globex.id, DOMAIN).verification_status == "PENDING"


def test_what_was_added_in_the_moment_of_a_removal_is_taken_out_again(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    simulator.faults(slow("CreateEmailIdentity"))
    with meanwhile(identities.add, app, cast.bob, cast.acme.id, DOMAIN) as raised:
        with app.db.read() as session:
            begun = identities.find_by_name(session, cast.acme.id, DOMAIN)
        assert begun is not None
        identities.remove_unused(app, alice, cast.acme.id, begun.id)
    assert len(raised) == 1
    assert not at_ses(app)

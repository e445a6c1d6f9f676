"""Tenants apart at SES, too: whose mail bounced, and who may be written to again, is each tenant's own."""

from __future__ import annotations

import pytest

from core import suppressions
from core.access import Actor
from core.app import App
from core.errors import ProviderError
from tests.campaigning import counts, ingest_until_idle, send_until_idle, started
from tests.conftest import Cast, verified_sender
from tests.simulators import Simulator

SOMEBODY = "Somebody@example.com"


@pytest.mark.slow
def test_one_tenants_bounces_do_not_keep_anothers_mail_back(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    simulator.scenario(addresses={SOMEBODY.lower(): "bounce"})
    bounces_for = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    reaches_for = verified_sender(app, simulator, cast.globex.id, "post@globex-post.net")
    theirs = started(app, cast.acme.id, bounces_for.id, [SOMEBODY])
    send_until_idle(app)
    ingest_until_idle(app)
    assert counts(app, cast.acme.id, theirs) == {"bounced": 1}

    simulator.scenario(addresses={SOMEBODY.lower(): "delivery"})
    ours = started(app, cast.globex.id, reaches_for.id, [SOMEBODY])
    send_until_idle(app)
    ingest_until_idle(app)
    assert counts(app, cast.globex.id, ours) == {"delivered": 1}


@pytest.mark.slow
def test_a_released_address_is_written_to_again_by_ses_as_well(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    simulator.scenario(addresses={SOMEBODY.lower(): "bounce"})
    sender = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    started(app, cast.acme.id, sender.id, [SOMEBODY])
    send_until_idle(app)
    ingest_until_idle(app)
    simulator.scenario(addresses={SOMEBODY.lower(): "delivery"})

    suppressions.release(app, alice, cast.acme.id, SOMEBODY, "Their mailbox is back.")
    again = started(app, cast.acme.id, sender.id, [SOMEBODY], name="Spring")
    send_until_idle(app)
    ingest_until_idle(app)
    assert counts(app, cast.acme.id, again) == {"delivered": 1}


def test_a_release_that_ses_does_not_hear_changes_nothing(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    suppressions.add(app, alice, cast.acme.id, SOMEBODY)
    fault = {"kind": "error", "operation": "DeleteSuppressedDestination", "times": 0, "status": 403}
    simulator.faults(fault | {"code": "AccessDenied"})
    with pytest.raises(ProviderError):
        suppressions.release(app, alice, cast.acme.id, SOMEBODY, "Their mailbox is back.")
    assert suppressions.count(app, alice, cast.acme.id) == 1
    simulator.faults()
    suppressions.release(app, alice, cast.acme.id, SOMEBODY, "Their mailbox is back.")
    assert suppressions.count(app, alice, cast.acme.id) == 0

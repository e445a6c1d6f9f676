"""Ways: a campaign starts only the way that was announced, and nothing goes a second way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import update

from core import campaigns, senders, suppressions, tenants, unknown
from core.access import Actor
from core.app import App
from core.db.models import Account, Identity, Message, Sender, Tenant
from core.db.states import FallbackPolicy, ProviderName
from core.errors import Conflict, InputError, NotFound
from core.routes import Route
from tests.campaigning import addresses, counts, draft, send_until_idle, started, view
from tests.conftest import Cast, verified_sender
from tests.simulators import Simulator

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def unverified(app: App, cast: Cast) -> Sender:
    return senders.add(app, cast.bob, cast.acme.id, "news@acme-mail.io", "Acme News")


@pytest.fixture
def with_resend(app: App, simulator: Simulator) -> App:
    return replace(app, settings=app.settings.model_copy(update=_settings(simulator)))


def _settings(simulator: Simulator) -> dict[str, object]:
    given: dict[str, object] = dict(simulator.resend())
    return given | {"resend_api_key": SecretStr(str(given["resend_api_key"]))}


def allow(app: App, actor: Actor, cast: Cast, policy: FallbackPolicy) -> None:
    tenants.set_fallback_policy(app, actor, cast.acme.id, policy)


def way(app: App, cast: Cast, campaign_id: int) -> Route | str:
    return campaigns.way_of(app, cast.bob, cast.acme.id, campaign_id)


@SQLITE
def test_a_verified_sender_goes_through_ses_without_a_warning(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    sender = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    campaign_id = draft(app, cast.acme.id, sender.id, addresses(1))
    assert way(app, cast, campaign_id) == Route(ProviderName.SES, "news@acme-mail.io")


@SQLITE
def test_why_nothing_may_go_says_what_to_do(app: App, cast: Cast, unverified: Sender) -> None:
    campaign_id = draft(app, cast.acme.id, unverified.id, addresses(1))
    told = way(app, cast, campaign_id)
    assert "is not verified. Publish the DNS records of acme-mail.io" in str(told)
    with app.db.begin() as session:
        session.execute(update(Identity).values(verified_for_sending=True, dkim_status="PENDING"))
    assert "DKIM of acme-mail.io is not verified" in str(way(app, cast, campaign_id))
    with pytest.raises(InputError, match="DKIM"):
        campaigns.start(app, cast.bob, cast.acme.id, campaign_id)


@SQLITE
def test_a_tenant_that_is_not_set_up_at_ses_cannot_send_through_it(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    sender = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    campaign_id = draft(app, cast.acme.id, sender.id, addresses(1))
    with app.db.begin() as session:
        session.execute(update(Tenant).where(Tenant.id == cast.acme.id).values(provisioned_at=None))
    with pytest.raises(InputError, match="not set up in Amazon SES"):
        campaigns.start(app, cast.bob, cast.acme.id, campaign_id)


@SQLITE
def test_a_removed_sender_starts_nothing(app: App, simulator: Simulator, cast: Cast, alice: Actor) -> None:
    sender = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    campaign_id = draft(app, cast.acme.id, sender.id, addresses(1))
    with app.db.begin() as session:
        session.execute(update(Sender).values(deleted_at=app.now()))
    with pytest.raises(InputError, match="was removed"):
        campaigns.start(app, alice, cast.acme.id, campaign_id)


def test_a_fallback_is_announced_and_starts_so(
    with_resend: App, simulator: Simulator, cast: Cast, alice: Actor, unverified: Sender
) -> None:
    app = with_resend
    campaign_id = draft(app, cast.acme.id, unverified.id, addresses(2))
    assert isinstance(way(app, cast, campaign_id), str)
    allow(app, alice, cast, FallbackPolicy.NO_VERIFIED_DOMAIN)
    announced = way(app, cast, campaign_id)
    assert isinstance(announced, Route)
    assert (announced.provider, announced.reply_to) == ("resend", "news@acme-mail.io")
    assert "goes through Resend, from news@postyard-mail.io" in announced.warning
    begun = campaigns.start(app, cast.bob, cast.acme.id, campaign_id, announced=announced)
    assert (begun.campaign.status, begun.campaign.provider) == ("SENDING", "resend")


def test_a_way_that_was_not_announced_is_not_taken(
    with_resend: App, cast: Cast, alice: Actor, simulator: Simulator
) -> None:
    app = with_resend
    sender = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    campaign_id = draft(app, cast.acme.id, sender.id, addresses(2))
    announced = way(app, cast, campaign_id)
    assert isinstance(announced, Route)
    allow(app, alice, cast, FallbackPolicy.UNMATCHED_SENDER)
    with app.db.begin() as session:
        session.execute(update(Identity).values(verified_for_sending=False))
    with pytest.raises(Conflict, match="another way now"):
        campaigns.start(app, cast.bob, cast.acme.id, campaign_id, announced=announced)
    assert view(app, cast.acme.id, campaign_id).campaign.status == "DRAFT"


@SQLITE
def test_the_way_of_another_tenants_campaign_is_not_told(app: App, cast: Cast, unverified: Sender) -> None:
    campaign_id = draft(app, cast.acme.id, unverified.id, addresses(1))
    for tenant_id in (cast.acme.id, cast.globex.id):
        with pytest.raises(NotFound):
            campaigns.way_of(app, cast.charlie, tenant_id, campaign_id)


def test_who_is_sent_to_again_gets_one_more_and_who_is_suppressed_none(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    sender = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    people = addresses(4)
    campaign_id = started(app, cast.acme.id, sender.id, people)
    send_until_idle(app)
    with app.db.begin() as session:
        session.execute(
            update(Message)
            .where(Message.address_key.in_(people[:2]))
            .values(status="unknown", armed_at=app.now() - timedelta(hours=73))
        )
        session.execute(update(Account).values(queue_url=None))  # what the simulator says is not read here
    suppressions.add(app, alice, cast.acme.id, people[1])
    assert unknown.resend(app, alice, cast.acme.id, campaign_id, expected=2) == 2
    send_until_idle(app)
    assert counts(app, cast.acme.id, campaign_id) == {"sent": 3, "unknown": 1}
    assert view(app, cast.acme.id, campaign_id).campaign.status == "SENT"
    assert [mail["to"] for mail in simulator.messages()].count(people[0]) == 2
    assert len(simulator.messages()) == 5


def test_what_was_to_be_sent_again_stays_unknown_when_mail_goes_another_way_by_then(
    app: App, simulator: Simulator, cast: Cast, alice: Actor
) -> None:
    sender = verified_sender(app, simulator, cast.acme.id, "news@acme-mail.io")
    people = addresses(3)
    campaign_id = started(app, cast.acme.id, sender.id, people)
    with app.db.begin() as session:
        first = update(Message).where(Message.address_key == people[0])
        session.execute(first.values(resent_by="alice", provider="resend", earlier_attempts="00aa"))
    send_until_idle(app)
    assert counts(app, cast.acme.id, campaign_id) == {"sent": 2, "unknown": 1}
    assert view(app, cast.acme.id, campaign_id).campaign.status == "SENT"
    [row] = campaigns.list_messages(app, alice, cast.acme.id, campaign_id, status="unknown")
    assert "never sent a second way" in str(row.reason)
    assert len(simulator.messages()) == 2

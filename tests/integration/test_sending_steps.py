"""The acceptance steps of sending, by Amazon SES and by the second provider, on both databases.

What a person sees of them: tests/browser/test_sending_steps.py.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select, update

from core import accounts, campaigns, reports, senders, sending, suppressions, tenants
from core.access import SYSTEM
from core.app import App, AwsProviders
from core.cli import main
from core.db.models import Account, Identity, Message, Sender
from core.db.states import FallbackPolicy
from core.errors import Conflict, InputError
from core.providers.base import Outcome
from core.routes import Route
from core.sending.record import record
from core.settings import Settings
from tests.campaigning import addresses, counts, draft, send_until_idle, started, view, written_to
from tests.conftest import Cast, verified_sender
from tests.engine import Engine, go_out
from tests.integration.test_identities import cool_down, unpublish
from tests.simulators import Simulator

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
NEWS, SHOP = "news@acme-mail.io", "hello@acme-shop.net"
OURS = "news@postyard-mail.io"  # the installation's own address, verified at Resend


@pytest.fixture(scope="module")
def aws(simulator_process: Simulator) -> AwsProviders:
    return AwsProviders(Settings.load(**simulator_process.resend()))


@pytest.fixture
def settings(settings: Settings, simulator: Simulator) -> Settings:
    url = settings.database_url.get_secret_value()
    given = {"database_url": url, "data_dir": settings.data_dir, "dns_servers": settings.dns_servers}
    return Settings.load(**given, **simulator.resend())


@pytest.fixture
def news(app: App, cast: Cast) -> Sender:
    """Of a domain that nobody has verified yet."""
    return senders.add(app, cast.bob, cast.acme.id, NEWS, "Acme News")


@pytest.fixture
def verified(app: App, simulator: Simulator, cast: Cast) -> Sender:
    return verified_sender(app, simulator, cast.acme.id, NEWS)


def may_fall_back(app: App, cast: Cast, policy: FallbackPolicy) -> None:
    tenants.set_fallback_policy(app, SYSTEM, cast.acme.id, policy)


def way(app: App, cast: Cast, campaign_id: int) -> Route | str:
    return campaigns.way_of(app, cast.bob, cast.acme.id, campaign_id)


def one_mail(app: App, cast: Cast, sender: Sender, to: str = "anna@example.net") -> int:
    return sending.send(
        app, cast.bob, cast.acme.id, sender_id=sender.id, to=to, subject="Hi", html="<p>Hi</p>"
    )


def kept(app: App) -> Counter[tuple[str, str | None]]:
    """How many messages are in which state, by which provider."""
    with app.db.read() as session:
        rows = session.execute(select(Message.status, Message.provider)).all()
    return Counter((row.status, row.provider) for row in rows)


def logged(simulator: Simulator) -> Counter[str]:
    """How many mails which provider took."""
    return Counter(mail["provider"] for mail in simulator.messages())


def publish(app: App, simulator: Simulator, sender: Sender) -> None:
    wanted = senders.records(app, SYSTEM, sender.tenant_id, sender.id)
    simulator.put_dns([record.as_json() for record in wanted])


def remove_domain(app: App, simulator: Simulator, sender: Sender) -> None:
    """Its records are gone from DNS, and the next check sees it."""
    with app.db.read() as session:
        identity = session.get_one(Identity, sender.identity_id)
    unpublish(simulator, identity)
    cool_down(app, identity)
    assert not senders.verify_now(app, SYSTEM, sender.tenant_id, sender.id).verified_for_sending


def delete_sender(app: App, sender: Sender) -> None:
    """As nobody can by Postyard while its campaign runs."""
    with pytest.raises(Conflict, match="uses news@acme-mail"):
        senders.remove(app, SYSTEM, sender.tenant_id, sender.id)
    with app.db.begin() as session:
        session.execute(update(Sender).where(Sender.id == sender.id).values(deleted_at=app.now()))


def test_v3_1_without_a_verified_domain_mail_goes_through_resend_and_that_is_said_before(
    app: App, simulator: Simulator, cast: Cast, news: Sender
) -> None:
    may_fall_back(app, cast, FallbackPolicy.NO_VERIFIED_DOMAIN)
    campaign_id = draft(app, cast.acme.id, news.id, addresses(3))
    announced = way(app, cast, campaign_id)
    assert isinstance(announced, Route)
    assert announced.warning == (
        f"Acme Retail has no verified domain. Its mail goes through Resend, from {OURS}; "
        f"replies go to {NEWS}."
    )
    campaigns.start(app, cast.bob, cast.acme.id, campaign_id, announced=announced)
    one_mail(app, cast, news)
    send_until_idle(app)
    assert kept(app) == {("sent", "resend"): 4}
    begun = view(app, cast.acme.id, campaign_id).campaign
    assert (begun.status, begun.provider) == ("SENT", "resend")
    assert written_to(simulator.messages()) == dict.fromkeys([*addresses(3), "anna@example.net"], 1)
    for mail in simulator.messages():
        assert (mail["provider"], mail["from"]) == ("resend", f"Acme News <{OURS}>")
        assert mail["reply_to"] == NEWS
        assert mail["tags"]["tenant"] == "acme"


@SQLITE
def test_v3_1_the_command_line_starts_it_so_only_when_that_is_wanted(
    app: App, simulator: Simulator, cast: Cast, news: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    def typed(*arguments: object) -> Result:
        return CliRunner().invoke(main, [str(part) for part in arguments], prog_name="postyard")

    settings = app.settings
    given = {"database_url": settings.database_url.get_secret_value(), "data_dir": settings.data_dir}
    for name, value in (given | simulator.resend()).items():
        monkeypatch.setenv(f"POSTYARD_{name.upper()}", str(value))
    may_fall_back(app, cast, FallbackPolicy.NO_VERIFIED_DOMAIN)
    campaign_id = draft(app, cast.acme.id, news.id, addresses(2))
    told = typed("campaigns", "start", campaign_id)
    assert told.exit_code != 0
    assert f"goes through Resend, from {OURS}" in told.output
    assert view(app, cast.acme.id, campaign_id).campaign.status == "DRAFT"
    assert typed("campaigns", "start", campaign_id, "--yes").exit_code == 0
    send_until_idle(app)
    assert kept(app) == {("sent", "resend"): 2}
    assert '"provider": "resend"' in typed("campaigns", "status", campaign_id, "--json").output


@SQLITE
def test_v3_2_once_its_domain_is_verified_nothing_is_announced_any_more(
    app: App, simulator: Simulator, cast: Cast, news: Sender
) -> None:
    may_fall_back(app, cast, FallbackPolicy.NO_VERIFIED_DOMAIN)
    campaign_id = draft(app, cast.acme.id, news.id, addresses(1))
    announced = way(app, cast, campaign_id)
    assert isinstance(announced, Route)
    publish(app, simulator, news)
    checked = senders.verify_now(app, cast.bob, cast.acme.id, news.id)
    assert (checked.verified_for_sending, checked.dkim_status) == (True, "SUCCESS")
    assert way(app, cast, campaign_id) == Route("ses", f"Acme News <{NEWS}>")
    with pytest.raises(Conflict, match="another way now"):
        campaigns.start(app, cast.bob, cast.acme.id, campaign_id, announced=announced)


@SQLITE
def test_v3_3_the_verified_sender_becomes_the_default(
    app: App, simulator: Simulator, cast: Cast, news: Sender
) -> None:
    with pytest.raises(InputError, match="Domain must be verified"):
        senders.set_default(app, cast.bob, cast.acme.id, news.id)
    publish(app, simulator, news)
    senders.verify_now(app, cast.bob, cast.acme.id, news.id)
    senders.set_default(app, cast.bob, cast.acme.id, news.id)
    [shown] = senders.list_senders(app, cast.bob, cast.acme.id)
    assert shown.sender.is_default


def test_v3_4_a_sender_that_matches_goes_through_ses(
    app: App, simulator: Simulator, cast: Cast, verified: Sender
) -> None:
    may_fall_back(app, cast, FallbackPolicy.UNMATCHED_SENDER)
    campaign_id = draft(app, cast.acme.id, verified.id, addresses(3))
    announced = way(app, cast, campaign_id)
    assert announced == Route("ses", NEWS)
    campaigns.start(app, cast.bob, cast.acme.id, campaign_id, announced=announced)
    one_mail(app, cast, verified)
    send_until_idle(app)
    assert kept(app) == {("sent", "ses"): 4}
    assert logged(simulator) == {"ses": 4}
    assert view(app, cast.acme.id, campaign_id).campaign.provider == "ses"


@SQLITE
def test_v3_5_ses_sees_it_with_tenant_configuration_set_and_tags(
    app: App, simulator: Simulator, cast: Cast, verified: Sender
) -> None:
    campaign_id = started(app, cast.acme.id, verified.id, addresses(2))
    single = one_mail(app, cast, verified)
    send_until_idle(app)
    [*bulk, one] = sorted(
        simulator.messages(tenant="acme"), key=lambda mail: mail["to"] == "anna@example.net"
    )
    for mail in (*bulk, one):
        assert (mail["from"], mail["tenant"]) == (NEWS, "acme")
        assert mail["configuration_set"] == cast.acme.configuration_set
        assert mail["reply_to"] is None
    assert [mail["tags"]["campaign"] for mail in (*bulk, one)] == [str(campaign_id), str(campaign_id), "0"]
    assert {mail["tags"]["tenant"] for mail in (*bulk, one)} == {"acme"}
    assert (bulk[0]["tags"]["user"], one["tags"]["user"]) == ("postyard", "bob")
    assert one["tags"]["msg_uid"].startswith(f"{single}-")
    with app.db.read() as session:
        rows = session.execute(select(Message.id, Message.attempt, Message.provider_message_id)).all()
    assert {(f"{row.id}-{row.attempt}", row.provider_message_id) for row in rows} == {
        (mail["tags"]["msg_uid"], mail["message_id"]) for mail in (*bulk, one)
    }


@SQLITE
def test_v3_6_a_sender_that_does_not_match_goes_through_resend_with_a_warning(
    app: App, simulator: Simulator, cast: Cast, verified: Sender
) -> None:
    shop = senders.add(app, cast.bob, cast.acme.id, SHOP)
    campaign_id = draft(app, cast.acme.id, shop.id, addresses(3))
    for policy in (FallbackPolicy.NONE, FallbackPolicy.NO_VERIFIED_DOMAIN):
        may_fall_back(app, cast, policy)
        with pytest.raises(InputError, match=r"hello@acme-shop\.net is not verified"):
            campaigns.start(app, cast.bob, cast.acme.id, campaign_id)
        with pytest.raises(InputError, match=r"hello@acme-shop\.net is not verified"):
            one_mail(app, cast, shop)
    may_fall_back(app, cast, FallbackPolicy.UNMATCHED_SENDER)
    announced = way(app, cast, campaign_id)
    assert isinstance(announced, Route)
    assert announced.warning == (
        f"acme-shop.net is not verified. Its mail goes through Resend, from {OURS}; replies go to {SHOP}."
    )
    campaigns.start(app, cast.bob, cast.acme.id, campaign_id, announced=announced)
    one_mail(app, cast, shop)
    send_until_idle(app)
    assert kept(app) == {("sent", "resend"): 4}
    for mail in simulator.messages():
        assert (mail["from"], mail["reply_to"]) == (f"Acme Retail <{OURS}>", SHOP)


@SQLITE
def test_v3_7_fifty_through_ses_keep_the_rate(
    app: App, simulator: Simulator, cast: Cast, verified: Sender
) -> None:
    simulator.scenario(account={"max_send_rate": 25})
    with app.db.begin() as session:
        session.execute(update(Account).values(checked_at=None))
    accounts.refresh_due(app)
    started(app, cast.acme.id, verified.id, addresses(50))
    send_until_idle(app)
    times = sorted(datetime.fromisoformat(mail["time"]).timestamp() for mail in simulator.messages())
    assert kept(app) == {("sent", "ses"): 50}
    assert written_to(simulator.messages()) == dict.fromkeys(addresses(50), 1)
    for start in times:
        assert sum(start <= at < start + 1 for at in times) <= 25 + 2, "the rate, and one call"
    assert times[-1] - times[0] > (50 - 2) / 25 - 0.3


def test_v3_8_each_message_keeps_the_provider_it_went_by(
    app: App, simulator: Simulator, cast: Cast, verified: Sender
) -> None:
    may_fall_back(app, cast, FallbackPolicy.UNMATCHED_SENDER)
    shop = senders.add(app, cast.bob, cast.acme.id, SHOP)
    by_ses = started(app, cast.acme.id, verified.id, addresses(3), "Winter")
    by_resend = started(app, cast.acme.id, shop.id, addresses(3), "Shop")
    suppressions.add(app, SYSTEM, cast.acme.id, addresses(3)[2])
    one_mail(app, cast, shop, to=addresses(1)[0])
    send_until_idle(app)
    not_started = draft(app, cast.acme.id, verified.id, addresses(1), "Later")

    def providers(campaign_id: int) -> dict[str, tuple[str, str | None]]:
        rows = campaigns.list_messages(app, cast.bob, cast.acme.id, campaign_id)
        return {row.address: (row.status, row.provider) for row in rows}

    first, second, third = addresses(3)
    skipped = ("suppressed", None)
    assert providers(by_ses) == {first: ("sent", "ses"), second: ("sent", "ses"), third: skipped}
    assert providers(by_resend) == {first: ("sent", "resend"), second: ("sent", "resend"), third: skipped}
    assert providers(not_started) == {first: ("pending", None)}
    stories = reports.find_messages(app, cast.bob, cast.acme.id, first)
    assert Counter(story.message.provider for story in stories) == {"ses": 1, "resend": 2, None: 1}
    for mail in simulator.messages():
        number = int(mail["tags"]["msg_uid"].partition("-")[0])
        with app.db.read() as session:
            row = session.get_one(Message, number)
        assert (row.provider, row.provider_message_id) == (mail["provider"], mail["message_id"])


@pytest.mark.parametrize("provider", ["ses", "resend"])
def test_v3_10_a_suppressed_address_is_skipped(
    app: App, simulator: Simulator, cast: Cast, verified: Sender, provider: str
) -> None:
    """Suppressed before the start, after it, and after it had been claimed and came back."""
    may_fall_back(app, cast, FallbackPolicy.UNMATCHED_SENDER)
    sender = verified if provider == "ses" else senders.add(app, cast.bob, cast.acme.id, SHOP)
    before, after, came_back, last = addresses(4)
    suppressions.add(app, SYSTEM, cast.acme.id, before.upper())
    campaign_id = started(app, cast.acme.id, sender.id, [before, after, came_back, last])
    one_mail(app, cast, sender, to="single@example.org")
    suppressions.add(app, SYSTEM, cast.acme.id, after)
    suppressions.add(app, SYSTEM, cast.acme.id, "single@example.org")
    engine = Engine(app)
    [call] = engine.calls()
    assert len(call.message_ids) == 2
    suppressions.add(app, SYSTEM, cast.acme.id, came_back)
    record(app, [engine.answered(call, Outcome.THROTTLED)])
    send_until_idle(app)
    assert counts(app, cast.acme.id, campaign_id) == {"suppressed": 3, "sent": 1}
    assert written_to(simulator.messages()) == {last: 1}
    assert kept(app) == {("suppressed", None): 4, ("sent", provider): 1}
    assert view(app, cast.acme.id, campaign_id).campaign.status == "SENT"


@pytest.mark.parametrize("what", ["domain", "sender"])
def test_v3_12_a_campaign_that_loses_its_domain_goes_on_with_the_fallback(
    app: App, simulator: Simulator, cast: Cast, verified: Sender, what: str
) -> None:
    may_fall_back(app, cast, FallbackPolicy.UNMATCHED_SENDER)
    senders.set_default(app, cast.bob, cast.acme.id, verified.id)
    campaign_id = started(app, cast.acme.id, verified.id, addresses(50))
    go_out(app)
    if what == "domain":
        remove_domain(app, simulator, verified)
    else:
        delete_sender(app, verified)
    send_until_idle(app)
    assert kept(app) == {("sent", "ses"): 20, ("sent", "resend"): 30}
    assert logged(simulator) == {"ses": 20, "resend": 30}
    assert written_to(simulator.messages()) == dict.fromkeys(addresses(50), 1)
    seen = view(app, cast.acme.id, campaign_id).campaign
    assert (seen.status, seen.provider) == ("SENT", "resend")
    assert f"goes through Resend, from {OURS}" in str(seen.status_reason)


@pytest.mark.parametrize(
    ("what", "policy"), [("domain", FallbackPolicy.NO_VERIFIED_DOMAIN), ("sender", FallbackPolicy.NONE)]
)
@SQLITE
def test_v3_12_without_a_fallback_it_stops_with_a_clear_error(
    app: App, simulator: Simulator, cast: Cast, verified: Sender, what: str, policy: FallbackPolicy
) -> None:
    verified_sender(app, simulator, cast.acme.id, SHOP)  # so that one domain stays verified
    may_fall_back(app, cast, policy)
    campaign_id = started(app, cast.acme.id, verified.id, addresses(50))
    go_out(app)
    if what == "domain":
        remove_domain(app, simulator, verified)
    else:
        delete_sender(app, verified)
    send_until_idle(app)
    stopped = view(app, cast.acme.id, campaign_id)
    assert (stopped.campaign.status, stopped.counts["sent"], stopped.counts["pending"]) == ("BLOCKED", 20, 30)
    why = {
        "domain": "acme-mail.io is not verified any more. The Senders page says what its DNS lacks",
        "sender": f"The sender {NEWS} was removed.",
    }
    assert why[what] in str(stopped.campaign.status_reason)
    assert logged(simulator) == {"ses": 20}


@SQLITE
def test_v3_12_a_tenant_that_is_paused_stops_whatever_its_policy(
    app: App, simulator: Simulator, cast: Cast, verified: Sender
) -> None:
    may_fall_back(app, cast, FallbackPolicy.UNMATCHED_SENDER)
    campaign_id = started(app, cast.acme.id, verified.id, addresses(50))
    go_out(app)
    remove_domain(app, simulator, verified)
    tenants.pause(app, SYSTEM, cast.acme.id, "Their list looks bought.")
    send_until_idle(app)
    held = view(app, cast.acme.id, campaign_id)
    assert (held.campaign.status, held.counts["sent"], held.counts["pending"]) == ("SENDING", 20, 30)
    assert held.held_reason == "Acme Retail is paused: Their list looks bought."
    assert logged(simulator) == {"ses": 20}

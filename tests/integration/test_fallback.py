"""The second provider: what may go its way, at its own pace, and what never goes a second way."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import select, update

from core import alerts, campaigns, routes, senders, sending, tenants, unknown
from core.access import SYSTEM
from core.app import App, AwsProviders
from core.db.models import Account, Campaign, Identity, Lane, Message, Sender
from core.db.states import FallbackPolicy
from core.providers.base import Outcome
from core.routes import Route
from core.sending.record import record
from core.sending.worker import call
from core.settings import Settings
from tests.campaigning import addresses, send_until_idle, started, view, written_to
from tests.conftest import Cast, verified_sender
from tests.engine import Begun, Engine, campaign_of, fast_account, go_out, single
from tests.ledger import Ledger
from tests.simulators import Simulator

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
POSTGRESQL = pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
POLICIES = (FallbackPolicy.NONE, FallbackPolicy.NO_VERIFIED_DOMAIN, FallbackPolicy.UNMATCHED_SENDER)
# Situation -> by policy, campaigns and then single messages: by SES, by Resend, or not at all.
WAYS = {
    "nothing is verified": ("--", "rr", "rr"),
    "another domain is verified": ("--", "--", "rr"),
    "its own domain is verified": ("ss", "ss", "ss"),
    "DKIM is lost": ("-s", "rs", "rs"),
    "DKIM is lost, another domain is verified": ("-s", "-s", "rs"),
    "the sender is removed": ("--", "--", "rr"),
    "the sender is removed, nothing is verified": ("--", "rr", "rr"),
}
A_TURN = timedelta(seconds=0.5)  # of Resend's two requests a second


@pytest.fixture(scope="module")
def aws(simulator_process: Simulator) -> AwsProviders:
    return AwsProviders(Settings.load(**simulator_process.resend()))


@pytest.fixture
def settings(settings: Settings, simulator: Simulator) -> Settings:
    url = settings.database_url.get_secret_value()
    given = {"database_url": url, "data_dir": settings.data_dir, "dns_servers": settings.dns_servers}
    return Settings.load(**given, **simulator.resend())


@pytest.fixture
def sender(app: App, cast: Cast, news_sender: Sender) -> Sender:
    """Verified, of a tenant that may fall back for each sender."""
    tenants.set_fallback_policy(app, SYSTEM, cast.acme.id, FallbackPolicy.UNMATCHED_SENDER)
    return news_sender


def set_identity(app: App, tenant_id: int, *, verified: bool, dkim: str | None = None) -> None:
    status = dkim or ("SUCCESS" if verified else "PENDING")
    with app.db.begin() as session:
        rows = update(Identity).where(Identity.tenant_id == tenant_id)
        session.execute(rows.values(verified_for_sending=verified, dkim_status=status))


def lose_domain(app: App, cast: Cast) -> None:
    set_identity(app, cast.acme.id, verified=False)


def reopen(app: App) -> None:
    """As if the time for which they were closed or slowed were over."""
    with app.db.begin() as session:
        session.execute(update(Lane).values(closed_until=None, slowed_at=None))


def logged(simulator: Simulator) -> Counter[str]:
    """How many mails which provider took."""
    return Counter(mail["provider"] for mail in simulator.messages())


def kept(app: App, campaign_id: int) -> Counter[tuple[str, str | None]]:
    with app.db.read() as session:
        query = select(Message.status, Message.provider).where(Message.campaign_id == campaign_id)
        return Counter((row.status, row.provider) for row in session.execute(query))


def unverified(app: App, account: Account, slug: str, people: int) -> Ledger:
    """A tenant whose campaign can only go through Resend."""
    ledger = campaign_of(app, account, slug, people, fallback_policy=FallbackPolicy.UNMATCHED_SENDER)
    set_identity(app, ledger.tenant.id, verified=False)
    return ledger


def second_sender(app: App, ledger: Ledger) -> Sender:
    """Of a domain of its own that is verified."""
    with app.db.begin() as session:
        name = f"{ledger.tenant.slug}-shop.net"
        identity = Identity(tenant_id=ledger.tenant.id, name=name, created_at=app.now())
        identity.verified_for_sending, identity.dkim_status = True, "SUCCESS"
        session.add(identity)
        session.flush()
        sender = Sender(tenant_id=ledger.tenant.id, identity_id=identity.id, address=f"hello@{name}")
        sender.created_at = app.now()
        session.add(sender)
    return sender


def in_situation(app: App, account: Account, number: int, situation: str, policy: FallbackPolicy) -> Ledger:
    ledger = campaign_of(app, account, f"tenant{number}", 1, fallback_policy=policy)
    single(ledger)
    if "nothing is verified" in situation or situation == "another domain is verified":
        set_identity(app, ledger.tenant.id, verified=False)
    if "DKIM is lost" in situation:
        set_identity(app, ledger.tenant.id, verified=True, dkim="TEMPORARY_FAILURE")
    if "another domain" in situation:
        second_sender(app, ledger)
    if "removed" in situation:
        with app.db.begin() as session:
            session.execute(update(Sender).where(Sender.id == ledger.sender.id).values(deleted_at=app.now()))
    return ledger


def by_route(app: App, ledger: Ledger, fallback_from: str) -> str:
    letters = ""
    with app.db.read() as session:
        for campaign in (True, False):
            way = routes.of_sender(
                session, ledger.tenant.id, ledger.sender.id, fallback_from, campaign=campaign
            )
            letters += way.provider[0] if isinstance(way, Route) else "-"
    return letters


def by_claims(begun: list[Begun], ledger: Ledger) -> str:
    letters = ""
    for campaign_id in (ledger.campaign.id, None):
        lanes = [
            one.lane for one in begun if (one.tenant_id, one.campaign_id) == (ledger.tenant.id, campaign_id)
        ]
        assert len(lanes) <= 1
        letters += "-" if not lanes else "r" if lanes[0] == "resend" else "s"
    return letters


def test_who_may_go_which_way(app: App) -> None:
    """As it is announced, and as claims do it."""
    account = fast_account(app)
    ledgers = {
        (situation, policy): in_situation(app, account, 10 * row + column, situation, policy)
        for row, situation in enumerate(WAYS)
        for column, policy in enumerate(POLICIES)
    }

    def found(letters: dict[tuple[str, FallbackPolicy], str]) -> dict[str, tuple[str, ...]]:
        return {situation: tuple(letters[situation, policy] for policy in POLICIES) for situation in WAYS}

    address = routes.fallback_address(app)
    assert found({key: by_route(app, ledger, address) for key, ledger in ledgers.items()}) == WAYS
    without = {situation: tuple(ways.replace("r", "-") for ways in row) for situation, row in WAYS.items()}
    assert found({key: by_route(app, ledger, "") for key, ledger in ledgers.items()}) == without

    engine = Engine(app)
    engine.run(15, step=0.25)
    assert found({key: by_claims(engine.begun, ledger) for key, ledger in ledgers.items()}) == WAYS
    with app.db.read() as session:
        states = {row.id: row.status for row in session.execute(select(Campaign.id, Campaign.status))}
    for (situation, policy), ledger in ledgers.items():
        stays = WAYS[situation][POLICIES.index(policy)][0] == "-"
        assert states[ledger.campaign.id] == ("BLOCKED" if stays else "SENT"), (situation, policy)


@pytest.mark.parametrize(
    "fault", [{"kind": "accept_then_time_out", "seconds": 0}, {"kind": "error", "status": 500}]
)
@SQLITE
def test_what_ses_may_have_taken_never_goes_through_resend(
    app: App, simulator: Simulator, cast: Cast, sender: Sender, fault: dict[str, object]
) -> None:
    campaign_id = started(app, cast.acme.id, sender.id, addresses(5))
    simulator.faults({**fault, "operation": "SendBulkEmail", "times": 1})
    go_out(app)
    lose_domain(app, cast)
    late = started(app, cast.acme.id, sender.id, ["late@example.org"], "Late")
    send_until_idle(app)
    assert kept(app, campaign_id) == {("unknown", "ses"): 5}
    assert kept(app, late) == {("sent", "resend"): 1}
    assert logged(simulator)["resend"] == 1


def test_what_is_sent_again_by_a_persons_word_never_goes_through_resend(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    people = addresses(4)
    campaign_id = started(app, cast.acme.id, sender.id, people)
    send_until_idle(app)
    with app.db.begin() as session:
        long_ago = app.now() - timedelta(hours=73)
        silent = update(Message).where(Message.address_key.in_(people[:2]))
        session.execute(silent.values(status="unknown", armed_at=long_ago))
        session.execute(update(Account).values(queue_url=None))  # nothing is left to read
    assert unknown.resend(app, SYSTEM, cast.acme.id, campaign_id, expected=2) == 2
    lose_domain(app, cast)
    send_until_idle(app)
    assert kept(app, campaign_id) == {("sent", "ses"): 2, ("unknown", "ses"): 2}
    assert view(app, cast.acme.id, campaign_id).campaign.status == "SENT"
    assert logged(simulator) == {"ses": 4}


@SQLITE
def test_what_resend_may_have_taken_never_goes_through_ses(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    lose_domain(app, cast)
    campaign_id = started(app, cast.acme.id, sender.id, addresses(5))
    simulator.faults({"kind": "error", "status": 500, "operation": "resend.batch", "times": 2})
    go_out(app)
    set_identity(app, cast.acme.id, verified=True)
    send_until_idle(app)
    assert kept(app, campaign_id) == {("unknown", "resend"): 5}
    assert simulator.messages() == []


@SQLITE
def test_what_ses_certainly_did_not_take_may_go_through_resend(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    campaign_id = started(app, cast.acme.id, sender.id, addresses(5))
    simulator.faults({"kind": "throttle", "operation": "SendBulkEmail", "times": 1})
    go_out(app)
    assert kept(app, campaign_id) == {("pending", None): 5}
    lose_domain(app, cast)
    send_until_idle(app)
    assert kept(app, campaign_id) == {("sent", "resend"): 5}
    assert written_to(simulator.messages()) == dict.fromkeys(addresses(5), 1)


def test_the_rest_goes_through_ses_once_the_domain_is_verified(
    app: App, simulator: Simulator, cast: Cast
) -> None:
    tenants.set_fallback_policy(app, SYSTEM, cast.acme.id, FallbackPolicy.NO_VERIFIED_DOMAIN)
    sender = senders.add(app, SYSTEM, cast.acme.id, "news@acme-mail.io")
    people = addresses(50)
    campaign_id = started(app, cast.acme.id, sender.id, people)
    go_out(app)
    seen = view(app, cast.acme.id, campaign_id).campaign
    assert (seen.provider, "has no verified domain" in str(seen.status_reason)) == ("resend", True)
    records = senders.records(app, SYSTEM, cast.acme.id, sender.id)
    simulator.put_dns([each.as_json() for each in records])
    assert senders.verify_now(app, SYSTEM, cast.acme.id, sender.id).verified_for_sending
    send_until_idle(app)
    assert kept(app, campaign_id) == {("sent", "resend"): 20, ("sent", "ses"): 30}
    assert logged(simulator) == {"resend": 20, "ses": 30}
    assert written_to(simulator.messages()) == dict.fromkeys(people, 1)
    seen = view(app, cast.acme.id, campaign_id).campaign
    assert (seen.status, seen.provider, seen.status_reason) == ("SENT", "ses", None)


@SQLITE
def test_a_refused_key_closes_only_resends_lane_and_is_told_until_it_is_right(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    lose_domain(app, cast)
    other = verified_sender(app, simulator, cast.globex.id, "post@globex-post.net")
    held = started(app, cast.acme.id, sender.id, addresses(3))
    free = started(app, cast.globex.id, other.id, addresses(3))
    wrong = Settings.load(**{**simulator.resend(), "resend_api_key": "hush-4f1d"})
    send_until_idle(replace(app, providers=AwsProviders(wrong)))
    assert kept(app, free) == {("sent", "ses"): 3}
    assert kept(app, held) == {("pending", None): 3}
    assert "Check POSTYARD_RESEND_API_KEY" in str(view(app, cast.acme.id, held).held_reason)
    with app.db.read() as session:
        closed = {lane.name: lane.closed_until is not None for lane in session.scalars(select(Lane))}
    assert closed == {"account 1": False, "resend": True}
    [alert] = alerts.list_open(app, SYSTEM)
    assert (alert.kind, alert.cause, alert.tenant_id) == ("credentials refused", "resend", None)
    assert "hush" not in alert.sentence

    reopen(app)
    send_until_idle(app)
    assert kept(app, held) == {("sent", "resend"): 3}
    assert alerts.list_open(app, SYSTEM) == []


def test_two_workers_keep_to_resends_two_requests_a_second(app: App) -> None:
    account = fast_account(app)
    unverified(app, account, "acme", 700)
    engine = Engine(app, workers=2)
    with ThreadPoolExecutor(2) as pool:
        while engine.clock.at < app.now() + timedelta(seconds=5) and len(engine.begun) < 7:
            both = [pool.submit(engine.claims, turn) for turn in engine.turns]
            engine.take(claimed for each in both for claimed in each.result())
            engine.clock.sleep(0.1)
    assert [one.recipients for one in engine.begun] == [100] * 7
    assert all(later.at - earlier.at >= A_TURN for earlier, later in pairwise(engine.begun))
    assert engine.begun[-1].at - engine.begun[0].at < 6 * A_TURN + timedelta(seconds=0.3)


@POSTGRESQL
def test_resend_itself_finds_two_schedulers_slow_enough(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    simulator.scenario(resend_calls_per_second=2)
    lose_domain(app, cast)
    people = addresses(350)
    campaign_id = started(app, cast.acme.id, sender.id, people)
    with ThreadPoolExecutor(2) as pool:
        for each in [pool.submit(sending.work, app, threading.Event(), True) for _ in range(2)]:
            each.result(timeout=60)
    assert kept(app, campaign_id) == {("sent", "resend"): 350}
    assert written_to(simulator.messages()) == dict.fromkeys(people, 1)


@SQLITE
def test_single_messages_keep_to_its_requests_as_well_and_none_waits_too_long(app: App) -> None:
    ledger = unverified(app, fast_account(app), "acme", 0)
    single(ledger, 12)
    engine = Engine(app)
    engine.run(6.5)
    assert engine.sent() == 12
    assert all(later.at - earlier.at >= A_TURN for earlier, later in pairwise(engine.begun))
    assert engine.longest_ahead < 1


@SQLITE
def test_a_request_is_used_up_even_when_its_recipients_are_refused(app: App) -> None:
    unverified(app, fast_account(app), "acme", 700)
    engine = Engine(app)
    engine.run(2, Outcome.ACCEPTED, Outcome.REFUSED)
    assert len(engine.begun) >= 4
    assert all(later.at - earlier.at >= A_TURN for earlier, later in pairwise(engine.begun))


def test_mail_that_can_go_no_way_keeps_no_other_single_message_back(app: App) -> None:
    ledger = campaign_of(app, fast_account(app), "acme", 0)
    single(ledger, 60)
    set_identity(app, ledger.tenant.id, verified=False)
    single(ledger, 1, sender_id=second_sender(app, ledger).id)
    engine = Engine(app)
    engine.run(1)
    assert [(one.lane, one.recipients) for one in engine.begun] == [("account 1", 1)]


@SQLITE
def test_ses_pausing_the_account_holds_no_campaign_that_goes_through_resend(app: App) -> None:
    ledger = unverified(app, fast_account(app, sending_enabled=False), "acme", 150)
    engine = Engine(app)
    engine.run(0.2)
    assert campaigns.status(app, SYSTEM, ledger.tenant.id, ledger.campaign.id).held_reason is None
    engine.run(1)
    assert engine.sent(lambda one: one.lane == "resend") == 150


@SQLITE
def test_resend_sends_nothing_twice_under_one_key_and_a_new_attempt_has_another(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    lose_domain(app, cast)
    started(app, cast.acme.id, sender.id, addresses(3))
    engine = Engine(app)
    [armed] = engine.calls()
    assert (
        armed.mail.idempotency_key
        == armed.mail.entries[0].msg_uid
        == f"{armed.message_ids[0]}-{armed.attempt}"
    )
    first, again = (call(engine.app, armed).results for _ in range(2))
    assert [each.provider_message_id for each in first] == [each.provider_message_id for each in again]
    assert len(simulator.messages()) == 3

    record(app, [engine.answered(armed, Outcome.THROTTLED)])
    reopen(app)
    engine.clock.sleep(1)
    [next_time] = engine.calls()
    assert next_time.message_ids == armed.message_ids
    assert next_time.mail.idempotency_key != armed.mail.idempotency_key


@SQLITE
def test_what_had_no_room_in_a_request_goes_with_the_next_and_holds_nobody(app: App) -> None:
    unverified(app, fast_account(app), "acme", 150)
    engine = Engine(app)
    engine.run(7, Outcome.ACCEPTED, Outcome.NOT_SENT)
    assert len(engine.begun) >= 8
    assert all(after.at - before.at >= A_TURN for before, after in pairwise(engine.begun))
    with app.db.read() as session:
        assert set(session.scalars(select(Message.status))) == {"sent"}

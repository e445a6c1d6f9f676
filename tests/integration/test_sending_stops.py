"""What stops sending, and how it goes on: nobody is left waiting for what will never come."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Connection, delete, event, select, text, update
from sqlalchemy.exc import OperationalError

from core import accounts, campaigns, jobs, reports, senders, sending, tenants
from core.access import Actor
from core.app import App
from core.db.engine import Database
from core.db.models import Campaign, Content, Identity, JobRun, Lane, Message, Sender, Tenant
from core.errors import Conflict
from core.providers.base import EntryResult, Outcome
from core.reports.overview import ACCOUNT_PAUSED
from core.sending.claim import Call, Turn, claim
from core.sending.record import Finished, record
from core.sending.turns import LaneWithWork, lanes_with_work
from core.sending.worker import beat
from tests.campaigning import (
    addresses,
    counts,
    ingest_until_idle,
    send_until_idle,
    started,
    view,
    written_to,
)
from tests.conftest import Cast, verified_sender
from tests.simulators import Simulator


@pytest.fixture
def sender(news_sender: Sender) -> Sender:
    return news_sender


def account(app: App, simulator: Simulator, **scenario: object) -> None:
    simulator.scenario(account=scenario)
    accounts.refresh_due(app)


def only_lane(app: App) -> LaneWithWork:
    with app.db.read() as session:
        [lane] = lanes_with_work(session, "")
    return lane


def armed(app: App) -> Call:
    [call] = claim(app, Turn(worker="gone"), only_lane(app), 100).calls
    return call


def answer(app: App, call: Call, outcome: Outcome) -> None:
    results = [EntryResult(outcome, reason="as the test wants")] * len(call.message_ids)
    record(app, [Finished(call, results, app.now())])


def one_mail(app: App, actor: Actor, tenant_id: int, sender: Sender) -> None:
    sending.send(
        app, actor, tenant_id, sender_id=sender.id, to="a@example.com", subject="Hi", html="<p>Hi</p>"
    )


def test_who_was_in_flight_when_the_campaign_was_cancelled_does_not_wait_for_ever(
    app: App, cast: Cast, sender: Sender, alice: Actor
) -> None:
    campaign_id = started(app, cast.acme.id, sender.id, addresses(5))
    call = armed(app)
    campaigns.cancel(app, alice, cast.acme.id, campaign_id)
    answer(app, call, Outcome.THROTTLED)
    assert counts(app, cast.acme.id, campaign_id) == {"cancelled": 5}


def test_a_finished_campaign_goes_on_for_those_whose_worker_came_back_unsent(
    app: App, cast: Cast, sender: Sender
) -> None:
    """A process that was stopped for a minute is taken for dead; then it says that it had not called yet."""
    campaign_id = started(app, cast.acme.id, sender.id, addresses(5))
    call = armed(app)
    sending.reap_dead(app)
    send_until_idle(app)
    assert view(app, cast.acme.id, campaign_id).campaign.status == "SENT"
    answer(app, call, Outcome.NOT_SENT)
    with app.db.begin() as session:
        session.execute(update(Lane).values(closed_until=None))
    send_until_idle(app)
    assert counts(app, cast.acme.id, campaign_id) == {"sent": 5}
    assert view(app, cast.acme.id, campaign_id).campaign.status == "SENT"


def test_sending_goes_on_by_itself_when_ses_ends_its_pause_of_the_account(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    campaign_id = started(app, cast.acme.id, sender.id, addresses(20))
    simulator.scenario(account={"sending_enabled": False})
    send_until_idle(app)
    held = view(app, cast.acme.id, campaign_id)
    assert (held.campaign.status, held.counts["pending"]) == ("SENDING", 20)
    assert "paused sending for this account" in (held.held_reason or "")

    account(app, simulator, sending_enabled=True)
    send_until_idle(app)
    assert counts(app, cast.acme.id, campaign_id) == {"sent": 20}


def test_a_list_larger_than_the_daily_quota_waits_says_why_and_does_not_keep_a_script(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    account(app, simulator, max_24_hour_send=30)
    campaign_id = started(app, cast.acme.id, sender.id, addresses(50))
    send_until_idle(app)
    held = view(app, cast.acme.id, campaign_id)
    assert (held.counts["pending"], held.counts["sent"]) == (20, 30)
    assert "24 hours is used up" in (held.held_reason or "")
    assert "Looked at again at" in (held.held_reason or "")

    account(app, simulator, max_24_hour_send=500)
    with app.db.begin() as session:
        session.execute(update(Lane).values(closed_until=None))
    send_until_idle(app)
    assert counts(app, cast.acme.id, campaign_id) == {"sent": 50}


def test_one_refused_recipient_does_not_stop_a_slow_accounts_campaign(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    account(app, simulator, max_send_rate=14)
    simulator.faults({"kind": "error", "entry": True, "times": 1, "code": "INVALID_PARAMETER"})
    campaign_id = started(app, cast.acme.id, sender.id, addresses(15))
    send_until_idle(app)
    assert counts(app, cast.acme.id, campaign_id) == {"sent": 14, "failed": 1}


def test_a_campaign_whose_every_recipient_is_refused_is_blocked_early(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    account(app, simulator, production_access=False, max_send_rate=14)
    campaign_id = started(app, cast.acme.id, sender.id, addresses(40))
    send_until_idle(app)
    blocked = view(app, cast.acme.id, campaign_id)
    assert blocked.campaign.status == "BLOCKED"
    assert "not verified" in (blocked.campaign.status_reason or "")
    assert blocked.counts["failed"] <= 12, "the five that stop it, and what had begun by then"
    assert blocked.counts["pending"] == 40 - blocked.counts["failed"]


def test_a_tenant_paused_at_ses_alone_does_not_use_up_the_rate_with_one_mail(
    app: App, cast: Cast, sender: Sender, alice: Actor
) -> None:
    ses = app.providers.email("ap-southeast-1")
    ses.set_tenant_sending(str(cast.acme.ses_tenant_arn), enabled=False)
    one_mail(app, alice, cast.acme.id, sender)
    turn = Turn(worker="w")
    turn.rest(cast.acme.id, app.clock.monotonic() + 5)
    assert claim(app, turn, only_lane(app), 100).calls == []
    turn.rest(cast.acme.id, app.clock.monotonic() - 1)
    assert len(claim(app, turn, only_lane(app), 100).calls) == 1


def test_one_mail_that_cannot_leave_does_not_keep_a_script(
    app: App, cast: Cast, sender: Sender, alice: Actor
) -> None:
    one_mail(app, alice, cast.acme.id, sender)
    ingest_until_idle(app)
    assert not jobs.is_idle(app)
    with app.db.begin() as session:
        session.execute(update(Identity).values(verified_for_sending=False))
    assert jobs.is_idle(app)


def test_a_sender_whose_mail_still_waits_is_not_removed(
    app: App, cast: Cast, sender: Sender, alice: Actor
) -> None:
    one_mail(app, alice, cast.acme.id, sender)
    with pytest.raises(Conflict, match="still waits"):
        senders.remove(app, alice, cast.acme.id, sender.id)
    send_until_idle(app)
    senders.remove(app, alice, cast.acme.id, sender.id)


def test_the_overview_says_that_ses_has_paused_the_account(
    app: App, simulator: Simulator, cast: Cast, sender: Sender, alice: Actor
) -> None:
    account(app, simulator, sending_enabled=False)
    for row in reports.overview(app, alice):
        assert ACCOUNT_PAUSED in row.what_needs_a_hand


def test_a_job_whose_scheduler_was_killed_is_free_again_in_minutes(app: App) -> None:
    job = jobs.Job("read the account's quota", 60, lambda _: "done")
    killed_at = app.now() - jobs.CLAIMED_FOR + timedelta(seconds=60)
    for claimed_until, runs in (
        (killed_at + jobs.CLAIMED_FOR, False),
        (app.now() - timedelta(seconds=1), True),
        (app.now() + timedelta(days=365), True),  # a clock was wrong
    ):
        with app.db.begin() as session:
            session.execute(delete(JobRun))
            session.add(JobRun(name=job.name, claimed_until=claimed_until, result=""))
        jobs.run_job(app, job)
        with app.db.read() as session:
            assert (session.scalars(select(JobRun.result)).one() == "done") is runs


def test_a_tenants_campaign_goes_on_after_its_resume_also_when_ses_learns_of_it_late(
    app: App, simulator: Simulator, cast: Cast, sender: Sender, alice: Actor
) -> None:
    campaign_id = started(app, cast.acme.id, sender.id, addresses(20))
    call = armed(app)
    tenants.pause(app, alice, cast.acme.id, "Looking at their list.")
    answer(app, call, Outcome.PAUSED)
    assert view(app, cast.acme.id, campaign_id).campaign.status == "SENDING"

    simulator.faults(
        {"kind": "error", "operation": "UpdateReputationEntityCustomerManagedStatus", "times": 3}
    )
    tenants.resume(app, alice, cast.acme.id, "It is clean.")
    stop = threading.Event()
    worker = threading.Thread(target=sending.work, args=(app, stop))
    worker.start()
    time.sleep(1)
    assert simulator.messages() == []
    assert view(app, cast.acme.id, campaign_id).campaign.status == "SENDING"
    stop.set()
    worker.join()

    tenants.sync_due(app)
    send_until_idle(app)
    assert counts(app, cast.acme.id, campaign_id) == {"sent": 20}


def test_a_campaign_of_a_tenant_that_ses_itself_paused_is_blocked(
    app: App, cast: Cast, sender: Sender
) -> None:
    campaign_id = started(app, cast.acme.id, sender.id, addresses(5))
    answer(app, armed(app), Outcome.PAUSED)
    assert view(app, cast.acme.id, campaign_id).campaign.status == "BLOCKED"


@pytest.mark.parametrize(
    "database_url", [pytest.param("postgresql", marks=pytest.mark.postgresql)], indirect=True
)
def test_a_database_that_drops_its_connections_loses_and_repeats_nobody(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    people = addresses(400)
    campaign_id = started(app, cast.acme.id, sender.id, people)
    elsewhere = Database(app.settings.database_url.get_secret_value())
    drop = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    with ThreadPoolExecutor(1) as pool:
        ended = pool.submit(sending.work, app, threading.Event(), until_idle=True)
        for _ in range(5):
            time.sleep(0.3)
            with elsewhere.begin() as session:
                session.execute(drop)
        ended.result(timeout=60)
    elsewhere.dispose()
    assert counts(app, cast.acme.id, campaign_id) == {"sent": 400}
    assert written_to(simulator.messages()) == dict.fromkeys(people, 1)


def test_mail_armed_by_a_commit_whose_answer_was_lost_is_sent_after_all(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    """The database took the claim and dropped the connection: the worker lives and never called SES."""
    campaign_id = started(app, cast.acme.id, sender.id, addresses(3))
    turn = Turn(worker="w")
    [call] = claim(app, turn, only_lane(app), 100).calls
    assert turn.doubtful == set()
    turn.doubtful.add(call.attempt)  # as the claim leaves it then: see the next test
    beat(app, turn, set())
    assert counts(app, cast.acme.id, campaign_id) == {"pending": 3}
    send_until_idle(app)
    assert written_to(simulator.messages()) == dict.fromkeys(addresses(3), 1)


def test_mail_so_armed_ends_with_the_campaign_that_was_cancelled_meanwhile(
    app: App, cast: Cast, sender: Sender
) -> None:
    campaign_id = started(app, cast.acme.id, sender.id, addresses(3))
    turn = Turn(worker="w")
    [call] = claim(app, turn, only_lane(app), 100).calls
    campaigns.cancel(app, cast.bob, cast.acme.id, campaign_id)
    turn.doubtful.add(call.attempt)
    beat(app, turn, set())
    assert counts(app, cast.acme.id, campaign_id) == {"cancelled": 3}


def test_a_claim_whose_commit_fails_is_doubtful(app: App, cast: Cast, sender: Sender) -> None:
    campaign_id = started(app, cast.acme.id, sender.id, addresses(3))
    turn, lane = Turn(worker="w"), only_lane(app)

    def drop(connection: Connection) -> None:
        raise OperationalError("COMMIT", None, ConnectionError("connection lost"))

    event.listen(app.db.engine, "commit", drop)
    with pytest.raises(OperationalError):
        claim(app, turn, lane, 100)
    event.remove(app.db.engine, "commit", drop)
    assert len(turn.doubtful) == 1
    beat(app, turn, set())
    assert (turn.doubtful, counts(app, cast.acme.id, campaign_id)) == (set(), {"pending": 3})


def test_what_a_living_worker_has_no_call_for_is_unknown_never_pending(
    app: App, simulator: Simulator, cast: Cast, sender: Sender
) -> None:
    """A standby took over that lacks the answers of the last second."""
    campaign_id = started(app, cast.acme.id, sender.id, addresses(3))
    turn = Turn(worker="w")
    [call] = claim(app, turn, only_lane(app), 100).calls
    beat(app, turn, {call.attempt})
    assert counts(app, cast.acme.id, campaign_id) == {"sending": 3}
    beat(app, turn, set())
    assert counts(app, cast.acme.id, campaign_id) == {"unknown": 3}
    send_until_idle(app)
    assert simulator.messages() == []


def test_a_content_and_a_time_zone_that_are_good_no_more_stop_their_tenant_alone(
    app: App, simulator: Simulator, cast: Cast, sender: Sender, alice: Actor
) -> None:
    others = verified_sender(app, simulator, cast.globex.id, "post@globex-post.net")
    bad = started(app, cast.acme.id, sender.id, addresses(3))
    one_mail(app, alice, cast.acme.id, sender)
    good = started(app, cast.globex.id, others.id, addresses(3))
    with app.db.begin() as session:
        session.execute(update(Content).where(Content.tenant_id == cast.acme.id).values(subject=""))
        session.execute(update(Tenant).values(timezone="Gone/Nowhere"))
    send_until_idle(app)
    assert counts(app, cast.globex.id, good) == {"sent": 3}
    with app.db.read() as session:
        campaign = session.get_one(Campaign, bad)
        single = session.scalars(select(Message).where(Message.campaign_id.is_(None))).one()
    assert (campaign.status, single.status) == ("BLOCKED", "failed")
    for reason in (campaign.status_reason, single.reason):
        assert "cannot be sent any more: The subject is empty" in (reason or "")

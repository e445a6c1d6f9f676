"""Events: found by our tag, believed only from the tenant's own topic, stored once with all that follows."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from core import events
from core.app import App, build_app
from core.db.models import Message
from core.db.states import BounceType, EventType
from core.events.counting import Counted, recount
from core.providers.base import ProviderEvent
from core.settings import Settings
from tests.ledger import ARMED_AT, Ledger, new_account, new_ledger


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    app = build_app(settings)
    yield new_ledger(app, new_account(app), "acme")
    app.db.dispose()


def ingest(ledger: Ledger, *said: ProviderEvent) -> events.Ingested:
    return events.ingest(ledger.app, ledger.account, list(said))


def test_a_delivered_message_keeps_every_time_and_counts_once(ledger: Ledger) -> None:
    message = ledger.add_message("Ann@Example.com")
    send = ledger.says(message, EventType.SEND)
    delivery = ledger.says(message, EventType.DELIVERY)
    opened = ledger.says(message, EventType.OPEN)
    clicked = ledger.says(message, EventType.CLICK)
    assert ingest(ledger, send, delivery, opened, clicked).stored == 4
    seen = ledger.look(message)
    assert (seen.status, seen.sent_at, seen.delivered_at) == (
        "delivered",
        send.occurred_at,
        delivery.occurred_at,
    )
    assert (seen.opened_at, seen.clicked_at) == (opened.occurred_at, clicked.occurred_at)
    assert seen.provider_message_id == f"ses-{message.id}"
    counts = ledger.counts()
    day, campaign_id, tenant_id = ARMED_AT.date(), ledger.campaign.id, ledger.tenant.id
    assert dict(counts.daily) == {(tenant_id, day, campaign_id): [1, 1, 0, 0, 0, 1, 1, 0, 0, 0]}
    assert dict(counts.domains) == {(tenant_id, "example.com", day): [1, 1, 0, 0, 0, 1, 1, 0, 0, 0]}


@pytest.mark.parametrize("status", ["sending", "unknown"])
def test_a_send_event_settles_a_message_whose_reply_was_lost(ledger: Ledger, status: str) -> None:
    message = ledger.add_message("ann@example.com", status=status, reason="Nobody can tell.")
    ingest(ledger, ledger.says(message, EventType.SEND))
    assert (ledger.look(message).status, ledger.look(message).reason) == ("sent", None)


def test_a_delay_is_a_note_and_no_state(ledger: Ledger) -> None:
    message = ledger.add_message("ann@example.com", status="sent")
    ingest(ledger, ledger.says(message, EventType.DELIVERY_DELAY))
    assert ledger.look(message).status == "sent"
    assert ledger.look(message).delayed_at is not None


def test_a_permanent_bounce_suppresses_the_address_for_its_tenant_alone(ledger: Ledger) -> None:
    globex = new_ledger(ledger.app, ledger.account, "globex")
    message = ledger.add_message("gone@example.com")
    globex.add_message("gone@example.com")
    assert ingest(ledger, ledger.bounce(message)).suppressed == 1
    assert ledger.look(message).status == "bounced"
    [suppression] = ledger.suppressions()
    assert (suppression.tenant_id, suppression.address, suppression.reason) == (
        ledger.tenant.id,
        "gone@example.com",
        "BOUNCE",
    )
    assert (suppression.source, suppression.campaign_id) == ("event", ledger.campaign.id)
    assert suppression.event_id == ledger.events()[0].id


def test_a_delivery_report_after_a_permanent_bounce_does_not_undo_it(ledger: Ledger) -> None:
    message = ledger.add_message("gone@example.com")
    ingest(ledger, ledger.bounce(message))
    ingest(ledger, ledger.says(message, EventType.DELIVERY))
    seen = ledger.look(message)
    assert (seen.status, seen.bounce_type, seen.bounce_subtype) == ("bounced", "PERMANENT", "NoEmail")
    assert seen.delivered_at is not None
    assert (ledger.total("delivered"), ledger.total("permanent_bounces")) == (0, 1)


def test_an_out_of_office_answer_leaves_the_message_delivered(ledger: Ledger) -> None:
    message = ledger.add_message("away@example.com")
    ingest(ledger, ledger.transient(message, "General"), ledger.says(message, EventType.DELIVERY))
    assert ledger.look(message).status == "delivered"
    assert (ledger.total("delivered"), ledger.total("transient_bounces")) == (1, 0)
    assert not ledger.suppressions()


@pytest.mark.parametrize("kind", [BounceType.TRANSIENT, BounceType.UNDETERMINED])
def test_a_bounce_that_is_not_permanent_ends_the_message_and_suppresses_nobody(
    ledger: Ledger, kind: BounceType
) -> None:
    message = ledger.add_message("full@example.com")
    ingest(ledger, ledger.bounce(message, "MailboxFull", bounce_type=kind))
    seen = ledger.look(message)
    assert (seen.status, seen.bounce_type) == ("bounced", kind)
    assert seen.reason == "The provider gave up after several tries (MailboxFull)."
    assert ledger.total("transient_bounces") == 1
    assert not ledger.suppressions()


@pytest.mark.parametrize("subtype", ["OnTenantSuppressionList", "OnAccountSuppressionList"])
def test_an_address_on_a_list_of_ses_ends_suppressed_and_counts_nowhere(ledger: Ledger, subtype: str) -> None:
    message = ledger.add_message("listed@example.com")
    ingest(
        ledger,
        ledger.says(message, EventType.SEND),
        ledger.bounce(message, subtype, counts_in_rates=False),
    )
    assert ledger.look(message).status == "suppressed"
    assert "suppression list" in str(ledger.look(message).reason)
    assert (ledger.total("sent"), ledger.total("permanent_bounces")) == (1, 0)
    assert [s.note for s in ledger.suppressions()] == [subtype]


def test_a_complaint_beats_everything_and_suppresses(ledger: Ledger) -> None:
    message = ledger.add_message("angry@example.com")
    ingest(ledger, ledger.complaint(message))
    ingest(ledger, ledger.says(message, EventType.DELIVERY), ledger.transient(message))
    assert ledger.look(message).status == "complained"
    assert [(s.address, s.reason) for s in ledger.suppressions()] == [("angry@example.com", "COMPLAINT")]
    assert (ledger.total("delivered"), ledger.total("complaints")) == (1, 1)


def test_a_not_spam_report_is_no_complaint(ledger: Ledger) -> None:
    message = ledger.add_message("happy@example.com")
    ingest(ledger, ledger.complaint(message, "not-spam"), ledger.says(message, EventType.DELIVERY))
    assert ledger.look(message).status == "delivered"
    assert not ledger.suppressions()
    assert ledger.total("complaints") == 0


@pytest.mark.parametrize("kind", [EventType.REJECT, EventType.RENDERING_FAILURE])
def test_what_ses_could_not_send_after_all_has_failed_with_a_reason(ledger: Ledger, kind: EventType) -> None:
    message = ledger.add_message("ann@example.com")
    ingest(ledger, ledger.says(message, EventType.SEND), ledger.says(message, kind))
    assert ledger.look(message).status == "failed"
    assert ledger.look(message).reason
    assert ledger.total("rejected") == 1


def test_an_event_type_nobody_knows_is_stored_and_changes_nothing(ledger: Ledger) -> None:
    message = ledger.add_message("ann@example.com")
    ingest(ledger, ledger.says(message, EventType.OTHER))
    assert [event.type for event in ledger.events()] == ["OTHER"]
    assert ledger.look(message).status == "sending"
    assert ledger.counts() == Counted()


def test_mail_to_the_mailbox_simulator_moves_but_counts_nowhere(ledger: Ledger) -> None:
    message = ledger.add_message("bounce@simulator.amazonses.com")
    ingest(
        ledger,
        ledger.says(message, EventType.SEND, counts_in_rates=False),
        ledger.bounce(message, counts_in_rates=False),
    )
    assert ledger.look(message).status == "bounced"
    assert ledger.counts() == Counted()


def test_two_send_events_of_one_message_count_as_one(ledger: Ledger) -> None:
    message = ledger.add_message("ann@example.com")
    ingest(ledger, ledger.says(message, EventType.SEND))
    ingest(ledger, ledger.says(message, EventType.SEND))
    assert ledger.total("sent") == 1


def test_the_same_events_again_are_known_and_change_nothing(ledger: Ledger) -> None:
    message = ledger.add_message("gone@example.com")
    said = [ledger.says(message, EventType.SEND), ledger.bounce(message)]
    ingest(ledger, *said)
    before = ledger.counts()
    again = ingest(ledger, *said, *said)
    assert (again.stored, again.known, again.suppressed) == (0, 2, 0)
    assert ledger.counts() == before
    assert len(ledger.events()) == 2


def test_one_event_many_times_in_parallel_counts_once(ledger: Ledger) -> None:
    message = ledger.add_message("gone@example.com")
    bounce = ledger.bounce(message)
    with ThreadPoolExecutor(8) as threads:
        stored = list(threads.map(lambda _: ingest(ledger, bounce).stored, range(100)))
    assert sum(stored) == 1
    assert ledger.total("permanent_bounces") == 1
    assert len(ledger.suppressions()) == 1


def test_writers_of_the_same_messages_in_parallel_keep_exact_counters(ledger: Ledger) -> None:
    messages = ledger.add_messages([f"p{n}@d{n % 7}.example.com" for n in range(120)])
    said = [ledger.says(m, kind) for m in messages for kind in (EventType.SEND, EventType.DELIVERY)]
    blocks = [said[0::3], said[1::3][::-1], said[2::3], said[::-1]]
    with ThreadPoolExecutor(4) as threads:
        stored = sum(done.stored for done in threads.map(lambda block: ingest(ledger, *block), blocks))
    assert stored == len(said)
    with ledger.app.db.read() as session:
        assert ledger.counts() == recount(session, ledger.tenant.id)
    assert (ledger.total("sent"), ledger.total("delivered")) == (120, 120)


def test_more_than_a_block_is_stored_in_blocks(ledger: Ledger) -> None:
    messages = ledger.add_messages([f"p{n}@example.com" for n in range(620)])
    assert ingest(ledger, *(ledger.says(m, EventType.DELIVERY) for m in messages)).stored == 620
    assert ledger.total("delivered") == 620


def test_an_event_through_another_tenants_topic_is_parked_and_believed_by_nobody(ledger: Ledger) -> None:
    globex = new_ledger(ledger.app, ledger.account, "globex")
    message = globex.add_message("ann@example.com")
    forged = globex.bounce(message, topic_arn=ledger.tenant.topic_arn, tenant_tag=None)
    assert ingest(ledger, forged).wrong_tenant == 1
    assert globex.look(message).status == "sending"
    assert not ledger.events()
    assert not ledger.suppressions()
    [parked] = ledger.parked()
    assert (parked.reason, parked.tenant_id, parked.retry_at) == ("wrong tenant", ledger.tenant.id, None)


def test_an_event_whose_tag_names_another_tenant_is_parked(ledger: Ledger) -> None:
    message = ledger.add_message("ann@example.com")
    assert ingest(ledger, ledger.bounce(message, tenant_tag="globex")).wrong_tenant == 1
    assert ledger.look(message).status == "sending"


def test_an_event_through_another_accounts_queue_is_parked(ledger: Ledger) -> None:
    other = new_account(ledger.app, "other")
    message = ledger.add_message("ann@example.com")
    done = events.ingest(ledger.app, other, [ledger.bounce(message)])
    assert done.wrong_tenant == 1
    assert ledger.look(message).status == "sending"


@pytest.mark.parametrize("tag", [None, "", "nonsense", "12", "-x", "99999999999999999999-a", "²-a", "0-a"])
def test_an_event_with_a_strange_tag_is_parked_as_unmatched(ledger: Ledger, tag: str | None) -> None:
    message = ledger.add_message("ann@example.com")
    assert ingest(ledger, ledger.bounce(message, msg_uid=tag)).unmatched == 1
    assert [row.reason for row in ledger.parked()] == ["unmatched"]


def test_an_event_of_an_earlier_attempt_is_parked(ledger: Ledger) -> None:
    message = ledger.add_message("ann@example.com")
    assert ingest(ledger, ledger.bounce(message, msg_uid=f"{message.id}-feed")).unmatched == 1
    assert ledger.look(message).status == "sending"


def test_a_parked_event_finds_its_message_later_and_is_resolved(ledger: Ledger) -> None:
    message = ledger.add_message("gone@example.com", status="pending")
    ingest(ledger, ledger.bounce(message))
    _set(ledger, message, status="sending")
    assert events.retry_parked_due(ledger.app) == "0 of 0 parked events found their message"
    moved = _at(ledger, datetime.now(UTC) + timedelta(minutes=2))
    assert events.retry_parked_due(moved) == "1 of 1 parked events found their message"
    assert ledger.look(message).status == "bounced"
    assert ledger.look(message).bounced_at == ledger.events()[0].occurred_at
    assert ledger.parked()[0].resolved_at is not None
    assert len(ledger.suppressions()) == 1


def test_a_parked_event_is_tried_for_a_day_and_then_stays_to_be_seen(ledger: Ledger) -> None:
    message = ledger.add_message("ann@example.com")
    ingest(ledger, ledger.bounce(message, msg_uid="77-gone"))
    now = datetime.now(UTC)
    tries = 0
    for minutes in range(0, 26 * 60, 5):
        said = events.retry_parked_due(_at(ledger, now + timedelta(minutes=minutes)))
        tries += said.startswith("0 of 1 ")
    [parked] = ledger.parked()
    assert parked.tries == tries
    assert 20 <= tries <= 40
    assert (parked.retry_at, parked.resolved_at) == (None, None)


def test_an_event_that_is_parked_already_is_parked_once(ledger: Ledger) -> None:
    message = ledger.add_message("ann@example.com")
    stray = ledger.bounce(message, msg_uid="77-gone")
    ingest(ledger, stray)
    ingest(ledger, stray)
    assert len(ledger.parked()) == 1


def test_what_nobody_can_read_is_kept_as_it_is(ledger: Ledger) -> None:
    done = events.ingest(ledger.app, ledger.account, [], ["<b>\x00not json</b>", "again"])
    events.ingest(ledger.app, ledger.account, [], ["again"])
    assert done.unreadable == 2
    assert sorted(row.body for row in ledger.parked()) == ["<b>�not json</b>", "again"]
    assert {row.reason for row in ledger.parked()} == {"unreadable"}


def test_what_a_hostile_server_says_is_stored_as_text(ledger: Ledger) -> None:
    message = ledger.add_message("ann@example.com")
    ingest(ledger, ledger.bounce(message, diagnostic="<img src=x onerror=alert(1)>\x00", raw="\x00"))
    assert ledger.events()[0].diagnostic == "<img src=x onerror=alert(1)>�"
    assert "img" not in str(ledger.look(message).reason)


def test_a_block_that_fails_leaves_nothing_behind(ledger: Ledger) -> None:
    good, bad = ledger.add_messages(["ann@example.com", "bo@example.com"])
    broken = replace(ledger.bounce(bad), occurred_at=datetime(2026, 5, 4))
    with pytest.raises(Exception, match="zone"):
        ingest(ledger, ledger.bounce(good), broken)
    assert ledger.look(good).status == "sending"
    assert not ledger.events()
    assert ledger.counts() == Counted()


def _set(ledger: Ledger, message: Message, **values: object) -> None:
    with ledger.app.db.begin() as session:
        session.execute(update(Message).where(Message.id == message.id).values(**values))


class _FixedClock:
    def __init__(self, at: datetime) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at

    def monotonic(self) -> float:
        return 0.0

    def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here waits")


def _at(ledger: Ledger, at: datetime) -> App:
    """The same installation at another time."""
    return replace(ledger.app, clock=_FixedClock(at))

"""Unknown: what nobody reported is shown to a person after 72 hours, and only that person sends it again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from core import campaigns, unknown
from core.access import SYSTEM, Actor, Role
from core.app import App, build_app
from core.db.models import Alert, AuditEntry, Campaign, Identity, Message, Tenant
from core.db.states import EventType
from core.errors import Conflict, InputError, NotFound, PermissionDenied, ProviderError, SendingPaused
from core.events import ingest
from core.settings import Settings
from tests.integration.test_senders_at_once import outcomes
from tests.ledger import ARMED_AT, Ledger, new_account, new_ledger
from tests.visitors import Visitor

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
LOST = "The process that was sending it ended before SES's answer was written."
TIME_OUT = "Nobody can tell whether SES took it: it did not answer in time"
ALICE = Actor(username="alice", role=Role.OPERATOR)


@dataclass
class HandClock:
    at: datetime

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass
class Queues:
    """`waiting` events in every queue; None: SQS does not answer."""

    waiting: int | None = 0

    def queue(self, region: str) -> Queues:
        return self

    def depth(self, url: str) -> int:
        if self.waiting is None:
            raise ProviderError("SQS does not answer.", permanent=False)
        return self.waiting


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    """A campaign that ended with three unknown messages, 73 hours ago."""
    clock: Any = HandClock(ARMED_AT + timedelta(hours=73))
    queues: Any = Queues()
    app = replace(build_app(settings), clock=clock, providers=queues)
    made = new_ledger(app, new_account(app, queue_url="https://queue"), "acme")
    with app.db.begin() as session:
        session.execute(update(Identity).values(dkim_status="SUCCESS"))
        session.execute(update(Campaign).values(status="SENT", recipients=4, finished_at=ARMED_AT))
    made.add_messages(["ann@example.com", "ben@example.net"], status="unknown", reason=LOST)
    made.add_message("cleo@example.org", status="unknown", reason=TIME_OUT)
    made.add_message("dan@example.com", status="delivered")
    yield made
    app.db.dispose()


def at(ledger: Ledger, hours: float) -> App:
    """The app so many hours after the messages were armed."""
    clock: Any = HandClock(ARMED_AT + timedelta(hours=hours))
    return replace(ledger.app, clock=clock)


def with_queue(app: App, waiting: int | None) -> App:
    queues: Any = Queues(waiting)
    return replace(app, providers=queues)


def found(ledger: Ledger, app: App | None = None) -> unknown.Unknown:
    return unknown.unknown_of(app or ledger.app, SYSTEM, ledger.tenant.id, ledger.campaign.id)


def resend(ledger: Ledger, expected: int = 3, app: App | None = None, actor: Actor = ALICE) -> int:
    return unknown.resend(app or ledger.app, actor, ledger.tenant.id, ledger.campaign.id, expected=expected)


def leave(ledger: Ledger, expected: int = 3, actor: Actor = ALICE) -> int:
    return unknown.leave(ledger.app, actor, ledger.tenant.id, ledger.campaign.id, expected=expected)


def campaign_of(ledger: Ledger) -> Campaign:
    with ledger.app.db.read() as session:
        return session.get_one(Campaign, ledger.campaign.id)


def change(ledger: Ledger, table: Any, **values: object) -> None:
    with ledger.app.db.begin() as session:
        session.execute(update(table).values(**values))


def open_alerts(ledger: Ledger) -> list[Alert]:
    with ledger.app.db.read() as session:
        return list(session.scalars(select(Alert).where(Alert.cleared_at.is_(None))))


def test_after_72_hours_without_a_word_they_are_for_a_person(ledger: Ledger) -> None:
    seen = found(ledger)
    assert (seen.count, seen.waiting, seen.for_a_person, seen.resendable, seen.left) == (3, 0, 3, 3, 0)
    assert (seen.oldest_at, seen.ready_at, seen.lag_seconds, seen.obstacle) == (ARMED_AT, None, 0.0, "")
    assert seen.by_reason == [(LOST, 2), (TIME_OUT, 1)]


def test_before_that_events_are_awaited(ledger: Ledger) -> None:
    seen = found(ledger, at(ledger, 71))
    assert (seen.count, seen.waiting, seen.for_a_person) == (3, 3, 0)
    assert seen.ready_at == ARMED_AT + timedelta(hours=72)
    with pytest.raises(Conflict):
        resend(ledger, 3, at(ledger, 71))


def test_nothing_is_for_a_person_while_events_wait_to_be_read(ledger: Ledger) -> None:
    behind = with_queue(ledger.app, 5)
    seen = found(ledger, behind)
    assert (seen.waiting, seen.for_a_person, seen.lag_seconds) == (3, 0, float("inf"))
    with pytest.raises(Conflict, match="still waiting to be read"):
        resend(ledger, 3, behind)


def test_what_always_waits_in_the_queue_of_a_busy_account_is_no_lag(ledger: Ledger) -> None:
    other = new_ledger(ledger.app, ledger.account, "globex")
    heard = other.says(other.add_message("eve@example.com"), EventType.DELIVERY, occurred_at=ledger.app.now())
    ingest(ledger.app, ledger.account, [heard])
    assert found(ledger, with_queue(at(ledger, 73.1), 5)).for_a_person == 3
    assert found(ledger, with_queue(at(ledger, 75), 5)).for_a_person == 0


def test_another_accounts_events_do_not_hide_a_queue_that_nobody_reads(ledger: Ledger) -> None:
    other = new_ledger(ledger.app, new_account(ledger.app, "second"), "globex")
    heard = other.says(other.add_message("eve@example.com"), EventType.DELIVERY, occurred_at=ledger.app.now())
    ingest(ledger.app, other.account, [heard])
    assert found(ledger, with_queue(at(ledger, 73.1), 5)).for_a_person == 0


def test_when_sqs_does_not_answer_nothing_is_for_a_person(ledger: Ledger) -> None:
    silent = with_queue(ledger.app, None)
    assert (found(ledger, silent).for_a_person, found(ledger, silent).lag_seconds) == (0, None)
    with pytest.raises(ProviderError):
        resend(ledger, 3, silent)


def test_sending_again_makes_them_wait_as_new_attempts(ledger: Ledger) -> None:
    assert resend(ledger) == 3
    rows = [message for message in ledger.messages() if message.resent_by]
    assert {(row.status, row.attempt, row.worker, row.resent_by, row.provider) for row in rows} == {
        ("pending", None, None, "alice", "ses")
    }
    assert {row.earlier_attempts for row in rows} == {"00112233aabbccdd"}
    assert (campaign_of(ledger).status, campaign_of(ledger).finished_at) == ("SENDING", None)
    with ledger.app.db.read() as session:
        entry = session.scalars(select(AuditEntry)).one()
    assert (entry.actor, entry.action, entry.detail["messages"]) == ("alice", "resend unknown messages", 3)


def test_a_second_time_there_is_nothing_left_to_send(ledger: Ledger) -> None:
    resend(ledger)
    for expected in (3, 0):
        with pytest.raises(Conflict, match="No message waits"):
            resend(ledger, expected)


def test_another_number_than_the_person_saw_is_told(ledger: Ledger) -> None:
    with pytest.raises(Conflict, match="3 such messages now, not 2"):
        resend(ledger, 2)
    with pytest.raises(Conflict, match="3 such messages now, not 4"):
        leave(ledger, 4)
    assert {message.status for message in ledger.messages()} == {"unknown", "delivered"}


def test_two_people_at_once_send_again_once(ledger: Ledger) -> None:
    assert outcomes(*[lambda: resend(ledger)] * 3) == {"won": 1, "Conflict": 2}


def test_an_event_at_the_same_moment_is_not_overtaken(ledger: Ledger) -> None:
    message = ledger.messages()[0]
    again = Visitor(lambda: resend(ledger))
    with ledger.app.db.begin() as session:
        row = session.scalars(select(Message).where(Message.id == message.id).with_for_update()).one()
        again.come()
        row.status = "delivered"
    assert isinstance(again.left(), Conflict)
    assert [m.status for m in ledger.messages()] == ["delivered", "unknown", "unknown", "delivered"]


@pytest.mark.parametrize("status", ["pending", "sending", "unknown"])
def test_a_late_event_of_the_first_attempt_settles_it(ledger: Ledger, status: str) -> None:
    late = ledger.says(ledger.messages()[0], EventType.DELIVERY)
    resend(ledger)
    with ledger.app.db.begin() as session:
        session.execute(
            update(Message)
            .where(Message.status == "pending")
            .values(status=status, attempt=None if status == "pending" else "ffeeddccbbaa9988")
        )
    assert ingest(ledger.app, ledger.account, [late]).stored == 1
    assert ledger.messages()[0].status == "delivered"
    assert [m.status for m in ledger.messages()[1:3]] == [status, status]


def test_an_event_of_an_attempt_that_never_was_settles_nothing(ledger: Ledger) -> None:
    message = ledger.messages()[0]
    resend(ledger)
    forged = ledger.says(message, EventType.DELIVERY, msg_uid=f"{message.id}-0123456789abcdef")
    assert ingest(ledger.app, ledger.account, [forged]).unmatched == 1
    assert ledger.messages()[0].status == "pending"


def test_both_attempts_are_remembered_when_it_is_unknown_again(ledger: Ledger) -> None:
    resend(ledger)
    change(ledger, Message, status="unknown", attempt="ffeeddccbbaa9988")
    resend(ledger, 4)
    assert ledger.messages()[0].earlier_attempts == "00112233aabbccdd ffeeddccbbaa9988"


def test_leaving_them_is_kept_and_asks_nobody_again(ledger: Ledger) -> None:
    unknown.alert_due(ledger.app)
    assert leave(ledger) == 3
    seen = found(ledger)
    assert (seen.count, seen.for_a_person, seen.left, seen.resendable) == (3, 0, 3, 0)
    assert ledger.messages()[0].reason == f"{LOST} {unknown.NO_WORD} Left so by alice."
    assert open_alerts(ledger) == []
    with pytest.raises(Conflict):
        leave(ledger)
    with pytest.raises(Conflict):
        resend(ledger)
    assert campaign_of(ledger).status == "SENT"


def test_an_event_still_settles_what_was_left(ledger: Ledger) -> None:
    late = ledger.says(ledger.messages()[0], EventType.DELIVERY)
    leave(ledger)
    ingest(ledger.app, ledger.account, [late])
    assert (found(ledger).count, ledger.messages()[0].status) == (2, "delivered")


@pytest.mark.parametrize("status", ["PAUSED", "BLOCKED", "SENDING"])
@SQLITE
def test_a_campaign_that_has_not_ended_keeps_its_state(ledger: Ledger, status: str) -> None:
    change(ledger, Campaign, status=status)
    assert resend(ledger) == 3
    assert campaign_of(ledger).status == status


@SQLITE
def test_a_cancelled_campaign_sends_nothing_again(ledger: Ledger) -> None:
    change(ledger, Campaign, status="CANCELLED")
    assert "cancelled" in found(ledger).obstacle
    assert found(ledger).resendable == 0
    with pytest.raises(Conflict, match="cancelled"):
        resend(ledger)
    assert leave(ledger) == 3


def test_one_that_is_cancelled_at_the_same_moment_sends_nothing_again(ledger: Ledger) -> None:
    again = Visitor(lambda: resend(ledger))
    with ledger.app.db.begin() as session:
        session.execute(update(Campaign).values(status="CANCELLED", version=Campaign.version + 1))
        again.come()
    assert isinstance(again.left(), Conflict)
    assert {message.status for message in ledger.messages()} == {"unknown", "delivered"}


@SQLITE
def test_a_campaign_past_its_last_moment_sends_nothing_again(ledger: Ledger) -> None:
    change(ledger, Campaign, send_until=ARMED_AT + timedelta(hours=1))
    assert "was not to be sent after" in found(ledger).obstacle
    with pytest.raises(Conflict, match="was not to be sent after"):
        resend(ledger)


def test_cancelling_leaves_what_was_to_be_sent_again_unknown(ledger: Ledger) -> None:
    resend(ledger)
    campaigns.cancel(ledger.app, ALICE, ledger.tenant.id, ledger.campaign.id)
    seen = found(ledger)
    assert (seen.count, seen.left, seen.for_a_person) == (3, 3, 0)
    assert "was not sent again: The campaign was cancelled by alice." in seen.by_reason[0][0]


@SQLITE
def test_neither_a_paused_tenant_nor_an_unverified_sender_sends_again(ledger: Ledger) -> None:
    change(ledger, Tenant, sending_status="DISABLED", paused_reason="Too many bounces.")
    with pytest.raises(SendingPaused, match="Too many bounces"):
        resend(ledger)
    change(ledger, Tenant, sending_status="ENABLED")
    change(ledger, Identity, verified_for_sending=False)
    with pytest.raises(InputError, match="not verified"):
        resend(ledger)
    assert {message.status for message in ledger.messages()} == {"unknown", "delivered"}


@SQLITE
def test_what_may_have_arrived_one_way_is_not_sent_another(ledger: Ledger) -> None:
    first = ledger.messages()[0]
    with ledger.app.db.begin() as session:
        session.execute(update(Message).where(Message.id == first.id).values(provider="resend"))
    seen = found(ledger)
    assert (seen.for_a_person, seen.resendable) == (3, 2)
    assert "did not go through Amazon SES" in seen.obstacle
    assert resend(ledger, 2) == 2
    assert [m.status for m in ledger.messages()] == ["unknown", "pending", "pending", "delivered"]


@SQLITE
def test_only_staff_decides_and_only_of_a_tenant_it_sees(ledger: Ledger) -> None:
    manager = Actor(username="bob", role=Role.ACCOUNT_MANAGER, tenant_ids=frozenset({ledger.tenant.id}))
    stranger = Actor(username="charlie", role=Role.OPERATOR, tenant_ids=frozenset({999}))
    for decide in (resend, leave):
        with pytest.raises(PermissionDenied):
            decide(ledger, actor=manager)
        with pytest.raises(NotFound):
            decide(ledger, actor=stranger)
    assert found(ledger).count == 3
    with pytest.raises(NotFound):
        unknown.unknown_of(ledger.app, stranger, ledger.tenant.id, ledger.campaign.id)


@SQLITE
def test_another_tenants_campaign_is_not_there(ledger: Ledger) -> None:
    other = new_ledger(ledger.app, ledger.account, "globex")
    for decide in (unknown.resend, unknown.leave):
        with pytest.raises(NotFound):
            decide(ledger.app, ALICE, other.tenant.id, ledger.campaign.id, expected=3)
    with pytest.raises(NotFound):
        unknown.unknown_of(ledger.app, ALICE, other.tenant.id, ledger.campaign.id)


def test_one_alert_stands_for_a_campaign_until_nothing_is_left_to_decide(ledger: Ledger) -> None:
    for _ in range(2):
        unknown.alert_due(ledger.app)
    [alert] = open_alerts(ledger)
    assert (alert.kind, alert.tenant_id) == ("unknown messages", ledger.tenant.id)
    assert "3 messages of “Spring”" in alert.sentence
    resend(ledger)
    assert open_alerts(ledger) == []


@SQLITE
def test_an_alert_is_cleared_when_events_settle_the_last(ledger: Ledger) -> None:
    unknown.alert_due(ledger.app)
    heard = [ledger.says(message, EventType.DELIVERY) for message in ledger.messages()[:3]]
    ingest(ledger.app, ledger.account, heard)
    unknown.alert_due(ledger.app)
    assert open_alerts(ledger) == []


@SQLITE
def test_no_alert_is_raised_too_early_or_while_events_wait(ledger: Ledger) -> None:
    assert unknown.alert_due(at(ledger, 71)) == ""
    unknown.alert_due(with_queue(ledger.app, 5))
    unknown.alert_due(with_queue(ledger.app, None))
    assert open_alerts(ledger) == []


@SQLITE
def test_a_lag_that_comes_later_does_not_take_the_alert_away(ledger: Ledger) -> None:
    unknown.alert_due(ledger.app)
    unknown.alert_due(with_queue(ledger.app, 5))
    assert len(open_alerts(ledger)) == 1

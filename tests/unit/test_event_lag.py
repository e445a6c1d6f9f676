"""The lag as receivers see it: the age of what they hold, or of what they get now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from core.events.lag import Meter
from core.providers.base import QueueMessage

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def waiting_since(at: datetime | None, receipt: str = "a") -> QueueMessage:
    return QueueMessage(receipt=receipt, body="", sent_at=at, receives=1)


def test_nobody_knows_it_before_sqs_has_answered() -> None:
    assert Meter().seconds(NOON) is None


def test_an_empty_queue_has_none() -> None:
    meter = Meter()
    meter.received([], NOON)
    assert meter.seconds(after(3)) == 0


def test_what_is_received_and_not_stored_grows_older() -> None:
    meter = Meter()
    meter.received([waiting_since(NOON)], after(2))
    assert (meter.seconds(after(2)), meter.seconds(after(90))) == (2, 90)


def test_it_is_the_age_of_the_oldest_of_those() -> None:
    meter = Meter()
    meter.received([waiting_since(after(50), "a"), waiting_since(NOON, "b")], after(60))
    meter.received([waiting_since(after(55), "c")], after(60))
    assert meter.seconds(after(60)) == 60
    meter.settled(["b"])
    assert meter.seconds(after(60)) == 10


def test_while_messages_wait_it_is_the_age_of_what_came_last() -> None:
    meter = Meter()
    meter.received([waiting_since(NOON)], after(300))
    meter.settled(["a"])
    assert meter.seconds(after(301)) == 300
    meter.received([], after(302))
    assert meter.seconds(after(302)) == 0


def test_it_is_unknown_again_while_sqs_does_not_answer() -> None:
    meter = Meter()
    meter.received([], NOON)
    assert meter.seconds(after(29)) == 0
    assert meter.seconds(after(31)) is None


def test_what_is_held_is_known_whether_or_not_sqs_answers() -> None:
    meter = Meter()
    meter.received([waiting_since(NOON)], after(1))
    assert meter.seconds(after(600)) == 600


def test_a_message_without_a_time_and_a_clock_behind_sqs_are_no_lag() -> None:
    meter = Meter()
    meter.received([waiting_since(None)], NOON)
    assert meter.seconds(NOON) == 0
    meter.received([waiting_since(after(20))], NOON)
    assert meter.seconds(NOON) == 0

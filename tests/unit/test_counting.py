"""Counting: what one message's events move, and the stream of outcomes they make."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from core.db.states import BounceType, EventType
from core.events.counting import NOTHING, Changes, Outcome, tally
from core.providers.base import ProviderEvent

ARMED_AT = datetime(2026, 5, 4, 22, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Mail:
    id: int = 1
    tenant_id: int = 3
    campaign_id: int | None = 8
    address_key: str = "ann@example.com"
    armed_at: datetime | None = ARMED_AT
    created_at: datetime = ARMED_AT
    counts_in_rates: bool = True


def said(type: EventType, bounce_type: BounceType | None = None) -> ProviderEvent:
    return ProviderEvent(
        uid=f"{type}{bounce_type}",
        type=type,
        recipient="ann@example.com",
        provider_message_id="ses-1",
        msg_uid="1-a",
        occurred_at=ARMED_AT,
        topic_arn=None,
        tenant_tag=None,
        bounce_type=bounce_type,
    )


def told(*events: ProviderEvent, mail: Mail | None = None) -> Changes:
    """One event after the other, as so many blocks would bring them."""
    changes, before = Changes(), NOTHING
    for number in range(1, len(events) + 1):
        after = tally(events[:number])
        changes.move(mail or Mail(), "Asia/Singapore", before, after)
        before = after
    return changes


def steps(changes: Changes) -> list[tuple[int, ...]]:
    return [(o.outcomes, o.permanent_bounces, o.delivered, o.complaints) for o in changes.outcomes]


DELIVERY = said(EventType.DELIVERY)
BOUNCE = said(EventType.BOUNCE, BounceType.PERMANENT)
TRANSIENT = said(EventType.BOUNCE, BounceType.TRANSIENT)
COMPLAINT = said(EventType.COMPLAINT)


def test_an_outcome_says_whose_it_is_and_when_its_mail_was_armed() -> None:
    assert told(BOUNCE).outcomes == [Outcome(3, 8, "example.com", ARMED_AT, 1, 1, 0, 0)]
    assert told(DELIVERY, mail=Mail(campaign_id=None)).outcomes[0].campaign_id == 0


def test_a_bounce_after_the_delivery_is_no_second_outcome() -> None:
    assert steps(told(DELIVERY, BOUNCE)) == [(1, 0, 1, 0), (0, 1, -1, 0)]
    assert steps(told(BOUNCE, DELIVERY)) == [(1, 1, 0, 0)]


def test_an_out_of_office_answer_is_no_outcome_of_its_own() -> None:
    assert steps(told(TRANSIENT, DELIVERY)) == [(1, 0, 0, 0), (0, 0, 1, 0)]
    assert steps(told(DELIVERY, TRANSIENT)) == [(1, 0, 1, 0)]


def test_a_complaint_comes_with_or_without_its_delivery() -> None:
    assert steps(told(COMPLAINT, DELIVERY)) == [(0, 0, 0, 1), (1, 0, 1, 0)]


def test_a_sent_or_opened_message_has_no_outcome_yet() -> None:
    assert told(said(EventType.SEND), said(EventType.OPEN)).outcomes == []


def test_mail_that_does_not_count_makes_no_outcome() -> None:
    assert told(BOUNCE, mail=Mail(counts_in_rates=False)).outcomes == []


def test_every_order_of_events_ends_in_the_same_counters_and_the_same_sum_of_outcomes() -> None:
    opened = said(EventType.OPEN)
    by_machine = replace(said(EventType.CLICK), bot_likely=True)
    later = replace(opened, occurred_at=ARMED_AT + timedelta(hours=1))
    events = [said(EventType.SEND), DELIVERY, TRANSIENT, BOUNCE, COMPLAINT, by_machine, later]
    ends = set()
    for order in itertools.permutations(events):
        changes = told(*order)
        [counts] = changes.daily.values()
        ends.add((tuple(counts), tuple(map(sum, zip(*steps(changes), strict=True)))))
    assert ends == {((1, 0, 1, 0, 1, 1, 0, 0, 1, 0), (1, 1, 0, 1))}

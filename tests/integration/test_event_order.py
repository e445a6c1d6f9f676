"""Whatever order events come in, however often and in whatever blocks: the same rows, the same counters."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import events
from core.app import build_app
from core.db.states import BounceType, EventType
from core.events.counting import recount
from core.providers.base import ProviderEvent
from core.settings import Settings
from tests.ledger import ARMED_AT, Ledger, new_account, new_ledger

ADDRESSES = ["ann@example.com", "bo@example.net"]

LOOKED = (EventType.OPEN, EventType.CLICK)
OTHERS = (EventType.BOUNCE, EventType.COMPLAINT, *LOOKED)
seen = {
    "user_agent": st.sampled_from([None, "Thunderbird", "Mozilla/5.0", "curl/8.5.0"]),
    "ip_address": st.sampled_from([None, "192.0.2.9"]),
    "bot_likely": st.sampled_from([None, False, True]),
}
said = st.one_of(
    st.builds(dict, type=st.sampled_from([t for t in EventType if t not in OTHERS])),
    st.builds(dict, type=st.just(EventType.OPEN), **seen),
    st.builds(dict, type=st.just(EventType.CLICK), link=st.sampled_from(["/a", "/b", "/c", None]), **seen),
    st.builds(
        dict,
        type=st.just(EventType.BOUNCE),
        bounce_type=st.sampled_from(BounceType),
        bounce_subtype=st.sampled_from(["General", "NoEmail", "MailboxFull", "Suppressed"]),
    ),
    st.builds(
        dict,
        type=st.just(EventType.BOUNCE),
        bounce_type=st.just(BounceType.PERMANENT),
        bounce_subtype=st.sampled_from(
            ["OnTenantSuppressionList", "OnAccountSuppressionList", "EmailValidationSuppressed"]
        ),
        counts_in_rates=st.just(False),
    ),
    st.builds(dict, type=st.just(EventType.COMPLAINT), feedback_type=st.sampled_from(["abuse", "not-spam"])),
)
# Seconds after the message was armed: close enough for a burst, for "too quick", and for people.
moments = st.sampled_from([0, 1, 3, 7, 12, 90, 3600])
story = st.lists(st.tuples(st.sampled_from(range(len(ADDRESSES))), moments, said), min_size=1, max_size=10)
status_at_first = st.sampled_from(["sending", "sent", "unknown"])


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    app = build_app(settings)
    yield new_ledger(app, new_account(app), "acme")
    app.db.dispose()


@pytest.mark.slow
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data(), told=story, status=status_at_first)
def test_order_copies_and_blocks_of_events_make_no_difference(
    ledger: Ledger, data: st.DataObject, told: list[Any], status: str
) -> None:
    once = list(range(len(told)))
    again = data.draw(st.permutations(once + data.draw(st.lists(st.sampled_from(once), max_size=6))))
    cuts = data.draw(st.sets(st.integers(1, len(again)), max_size=4))
    assert _end(ledger, told, status, [once]) == _end(ledger, told, status, _cut(again, cuts))


def test_the_same_event_a_thousand_times_in_parallel_counts_once(ledger: Ledger) -> None:
    [message] = ledger.add_messages(ADDRESSES[:1])
    told = [
        ledger.bounce(message),
        ledger.says(message, EventType.SEND),
        ledger.says(message, EventType.CLICK, link="/a"),
    ]
    blocks = [told * size for size in (1, 4, 20, 100)] * 8
    with ThreadPoolExecutor(8) as threads:
        done = list(threads.map(lambda block: events.ingest(ledger.app, ledger.account, block), blocks))
    assert sum(map(len, blocks)) == 3_000
    assert sum(each.stored for each in done) == len(ledger.events()) == 3
    assert len(ledger.suppressions()) == 1
    for column in ("sent", "permanent_bounces", "clicked"):
        assert ledger.total(column) == 1
    with ledger.app.db.read() as session:
        assert ledger.counts() == recount(session, ledger.tenant.id)


def _cut(order: list[int], at: set[int]) -> list[list[int]]:
    edges = [0, *sorted(at), len(order)]
    return [order[start:end] for start, end in itertools.pairwise(edges)]


def _end(ledger: Ledger, told: list[Any], status: str, blocks: list[list[int]]) -> Any:
    """Everything that is stored after the story has been told so."""
    ledger.forget_events()
    published = _published(ledger, told, status)
    for block in blocks:
        events.ingest(ledger.app, ledger.account, [published[number] for number in block])
        with ledger.app.db.read() as session:
            assert ledger.counts() == recount(session, ledger.tenant.id)
    return (
        [_row(message) for message in ledger.messages()],
        ledger.counts(),
        sorted((suppression.address, suppression.reason) for suppression in ledger.suppressions()),
        sorted(event.uid for event in ledger.events()),
        ledger.parked(),
    )


def _published(ledger: Ledger, told: list[Any], status: str) -> list[ProviderEvent]:
    messages = ledger.add_messages(ADDRESSES, status=status)
    return [
        replace(
            ledger.says(messages[whose], **said),
            uid=f"uid-{number}",
            occurred_at=ARMED_AT + timedelta(seconds=seconds),
            provider_message_id=f"ses-{whose}",
        )
        for number, (whose, seconds, said) in enumerate(told)
    ]


def _row(message: Any) -> dict[str, Any]:
    return {c.name: getattr(message, c.name) for c in message.__table__.columns if c.name != "id"}

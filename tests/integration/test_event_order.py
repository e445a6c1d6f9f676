"""Whatever order events come in, however often and in whatever blocks: the same rows, the same counters."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
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

said = st.one_of(
    st.builds(
        dict,
        type=st.sampled_from([t for t in EventType if t not in (EventType.BOUNCE, EventType.COMPLAINT)]),
    ),
    st.builds(
        dict,
        type=st.just(EventType.BOUNCE),
        bounce_type=st.sampled_from(BounceType),
        bounce_subtype=st.sampled_from(["General", "NoEmail", "MailboxFull"]),
    ),
    st.builds(
        dict,
        type=st.just(EventType.BOUNCE),
        bounce_type=st.just(BounceType.PERMANENT),
        bounce_subtype=st.sampled_from(["OnTenantSuppressionList", "OnAccountSuppressionList"]),
        counts_in_rates=st.just(False),
    ),
    st.builds(dict, type=st.just(EventType.COMPLAINT), feedback_type=st.sampled_from(["abuse", "not-spam"])),
)
story = st.lists(
    st.tuples(st.sampled_from(range(len(ADDRESSES))), st.integers(0, 3), said), min_size=1, max_size=9
)
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
            occurred_at=ARMED_AT + timedelta(minutes=minutes),
            provider_message_id=f"ses-{whose}",
        )
        for number, (whose, minutes, said) in enumerate(told)
    ]


def _row(message: Any) -> dict[str, Any]:
    return {c.name: getattr(message, c.name) for c in message.__table__.columns if c.name != "id"}

"""The pipeline's proof: what a message that came back is worth, by its age. Pure: no database."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core.checklist.facts import Facts, RoundTrip
from core.checklist.pipeline import proof
from core.db.models import Account, Message, Tenant
from tests.turns import NOON


@pytest.mark.parametrize(
    ("age", "took_seconds", "state", "advice"),
    [
        (timedelta(minutes=1), 2, "done", ""),
        (timedelta(days=6, hours=23), 2, "done", ""),
        (timedelta(days=7, hours=1), 2, "warn", "That is long ago: prove it again with a test message."),
        (timedelta(days=400), 2, "warn", "That is long ago: prove it again with a test message."),
        (timedelta(days=1), 301, "warn", "That was late: see on the Health page whether the scheduler runs."),
    ],
)
def test_a_proof_holds_for_a_week(age: timedelta, took_seconds: float, state: str, advice: str) -> None:
    sent_at = NOON - age
    trip = RoundTrip(
        Message(created_at=sent_at, status="delivered"), heard_at=sent_at + timedelta(seconds=took_seconds)
    )
    facts = Facts(NOON, Tenant(), Account(), [], [], [], trip, pipeline_changed_at=None)
    part = proof(facts)
    assert (str(part.state), part.advice) == (state, advice)
    assert part.found.startswith(f"A test message came back after {took_seconds} s")

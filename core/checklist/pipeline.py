"""Pipeline: whether what SES reports comes back here, as the last message to its mailbox simulator shows."""

from __future__ import annotations

from datetime import timedelta

from core.checklist.facts import Facts, RoundTrip
from core.checklist.items import Part, State, ago
from core.db.states import MessageStatus, SendingStatus

GIVEN_UP_AFTER = timedelta(minutes=5)
PROVES_FOR = timedelta(days=7)
NEVER_SENT = (
    MessageStatus.FAILED,
    MessageStatus.SUPPRESSED,
    MessageStatus.CANCELLED,
    MessageStatus.EXPIRED,
)


def proof(facts: Facts) -> Part:
    """A message that left before the pipeline was repaired or found changed proves nothing of it now."""
    trip = facts.round_trip
    if trip is None:
        return _open(facts, "Not proven yet.")
    if facts.pipeline_changed_at is not None and trip.message.created_at <= facts.pipeline_changed_at:
        return _open(facts, "The set-up was changed since it was proven.")
    age = facts.now - trip.message.created_at
    if trip.heard_at is not None:
        return _came_back(trip.heard_at - trip.message.created_at, age)
    if is_under_way(facts):
        found = f"A test message left {age.total_seconds():.0f} s ago; nothing has come back yet."
        return Part(State.WAITING, found, "", "tenants")
    return _lost(facts, trip)


def is_under_way(facts: Facts) -> bool:
    trip = facts.round_trip
    if trip is None or trip.heard_at is not None or trip.message.status in NEVER_SENT:
        return False
    return facts.now - trip.message.created_at < GIVEN_UP_AFTER


def _open(facts: Facts, found: str) -> Part:
    if not facts.verified_senders:
        return Part(State.TODO, found, "Verify a sender first, then send a test message.")
    return Part(State.TODO, found, "Send a test message to see that events come back.", "tenants")


def _came_back(took: timedelta, age: timedelta) -> Part:
    found = f"A test message came back after {took.total_seconds():.0f} s, {ago(age)}."
    if age > PROVES_FOR:
        return Part(State.WARN, found, "That is long ago: prove it again with a test message.", "tenants")
    if took <= GIVEN_UP_AFTER:
        return Part(State.DONE, found, "", "tenants")
    return Part(
        State.WARN, found, "That was late: see on the Health page whether the scheduler runs.", "health"
    )


def _lost(facts: Facts, trip: RoundTrip) -> Part:
    """What to look at, by how far the message got."""
    message = trip.message
    if message.status in NEVER_SENT:
        found = f"The test message was not sent: {message.reason or message.status}"
        return Part(State.TODO, found, "Put that right, then send another.", "tenants")
    found = f"A test message of {ago(facts.now - message.created_at)} did not come back within 5 minutes."
    if message.status != MessageStatus.PENDING:
        advice = "Amazon SES may have it and its events are lost: repair the set-up, then send another."
        return Part(State.TODO, found, advice, "tenants")
    if facts.tenant.sending_status == SendingStatus.DISABLED:
        return Part(State.TODO, found, "It waits, because sending is paused: resume the tenant.", "tenants")
    advice = "It was not even sent: see on the Health page whether the scheduler runs."
    return Part(State.TODO, found, advice, "health")

"""Parked events as a person sees them, tries them again and discards them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, update

from core import events
from core.access import Action, Actor, Role
from core.app import build_app
from core.db.models import AuditEntry, Message, ParkedEvent
from core.db.states import EventType
from core.errors import InputError, NotFound, PermissionDenied
from core.events import parked
from core.events.parked import SECOND_PROVIDER, Which
from core.settings import Settings
from tests import signing
from tests.integration.test_events import _at as at
from tests.ledger import ARMED_AT, Ledger, new_account, new_ledger

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
ANALYST = Actor("carol", Role.ANALYST)


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    app = build_app(settings)
    yield new_ledger(app, new_account(app), "acme")
    app.db.dispose()


def park_stray(ledger: Ledger, address: str = "gone@example.com") -> Message:
    """A bounce of a message that is not armed yet, as after a restore."""
    message = ledger.add_message(address, status="pending")
    events.ingest(ledger.app, ledger.account, [ledger.bounce(message)])
    return message


def arm(ledger: Ledger) -> None:
    with ledger.app.db.begin() as session:
        session.execute(update(Message).values(status="sending"))


def audited(ledger: Ledger) -> list[tuple[str, str, str, dict[str, object]]]:
    with ledger.app.db.read() as session:
        entries = session.scalars(select(AuditEntry).order_by(AuditEntry.id))
        return [(entry.actor, entry.action, entry.subject, entry.detail) for entry in entries]


def test_an_event_that_is_tried_no_more_finds_its_message_when_a_person_asks(
    ledger: Ledger, alice: Actor
) -> None:
    message = park_stray(ledger)
    later = at(ledger, datetime.now(UTC) + timedelta(hours=25))
    assert events.retry_parked_due(later) == "0 of 1 parked events found their message"
    [row] = ledger.parked()
    assert row.retry_at is None
    arm(ledger)
    assert parked.replay_parked(later, alice, Which(ids=(row.id,))) == parked.Tried(1, 1)
    assert ledger.look(message).status == "bounced"
    [row] = ledger.parked()
    assert (row.resolved_by, row.resolution, row.tries) == ("alice", "matched", 2)
    assert audited(ledger)[-1] == (
        "alice", "replay parked events", f"parked event {row.id}", {"tried": 1, "matched": 1},
    )  # fmt: skip


def test_an_event_that_finds_nothing_stays_and_says_how_often_it_was_tried(
    ledger: Ledger, alice: Actor
) -> None:
    park_stray(ledger)
    for _ in range(2):
        assert parked.replay_parked(ledger.app, alice, Which()) == parked.Tried(1, 0)
    [line] = parked.list_parked(ledger.app, alice)
    assert (line.tries, line.resolved_at, line.says) == (2, None, "BOUNCE gone@example.com")


def test_what_was_quarantined_is_never_replayed_into_the_tenant_it_names(
    ledger: Ledger, alice: Actor
) -> None:
    globex = new_ledger(ledger.app, ledger.account, "globex")
    message = globex.add_message("ann@example.com")
    forged = globex.bounce(message, topic_arn=ledger.tenant.topic_arn, tenant_tag=None)
    events.ingest(ledger.app, ledger.account, [forged])
    for which in (Which(), Which(reason="wrong tenant"), Which(tenant_id=ledger.tenant.id)):
        assert parked.replay_parked(ledger.app, alice, which) == parked.Tried(1, 0)
    assert globex.look(message).status == "sending"
    assert not ledger.events()
    assert not ledger.suppressions()
    assert parked.discard_parked(ledger.app, alice, Which(reason="wrong tenant"), "forged by a test") == 1
    assert [row.resolution for row in ledger.parked()] == ["discarded: forged by a test"]


def test_what_is_discarded_is_tried_no_more_and_kept(ledger: Ledger, alice: Actor) -> None:
    message = park_stray(ledger)
    parked.discard_parked(ledger.app, alice, Which(reason="unmatched"), " of a lost database ")
    arm(ledger)
    later = at(ledger, datetime.now(UTC) + timedelta(hours=1))
    assert events.retry_parked_due(later) == "0 of 0 parked events found their message"
    assert parked.replay_parked(later, alice, Which()) == parked.Tried(0, 0)
    assert ledger.look(message).status == "sending"
    assert parked.list_parked(ledger.app, alice) == []
    [line] = parked.list_parked(ledger.app, alice, resolved=True)
    assert (line.resolved_by, line.resolution) == ("alice", "discarded: of a lost database")
    assert audited(ledger)[-1][3] == {"of_reason": "unmatched", "count": 1, "reason": "of a lost database"}


@SQLITE
def test_discarding_needs_a_reason(ledger: Ledger, alice: Actor) -> None:
    park_stray(ledger)
    for reason in ("", " \0 ", "x" * 201):
        with pytest.raises(InputError):
            parked.discard_parked(ledger.app, alice, Which(), reason)
    assert parked.count_parked(ledger.app, alice) == 1


@SQLITE
def test_one_that_somebody_else_has_dealt_with_is_not_found(ledger: Ledger, alice: Actor) -> None:
    park_stray(ledger)
    [line] = parked.list_parked(ledger.app, alice)
    parked.discard_parked(ledger.app, alice, Which(ids=(line.id,)), "mine")
    with pytest.raises(NotFound):
        parked.discard_parked(ledger.app, alice, Which(ids=(line.id,)), "mine, too")
    with pytest.raises(NotFound):
        parked.replay_parked(ledger.app, alice, Which(ids=(line.id,)))
    with pytest.raises(NotFound):
        parked.get_parked(ledger.app, alice, 999)


def test_filters_choose_and_pages_go_down_by_number(ledger: Ledger, alice: Actor) -> None:
    other = new_account(ledger.app, "second")
    stray = ledger.add_message("ann@example.com", status="pending")
    events.ingest(ledger.app, ledger.account, [ledger.bounce(stray), ledger.complaint(stray)], ["<b>?"])
    events.ingest(ledger.app, other, [ledger.says(stray, EventType.OPEN, topic_arn=None, tenant_tag=None)])
    events.ingest(ledger.app, None, [], ["resend?"])

    def found(which: Which) -> list[str]:
        return [line.says for line in parked.list_parked(ledger.app, alice, which)]

    assert len(found(Which())) == parked.count_parked(ledger.app, alice) == 5
    assert found(Which(reason="unreadable")) == ["resend?", "<b>?"]
    assert found(Which(tenant_id=ledger.tenant.id)) == ["COMPLAINT ann@example.com", "BOUNCE ann@example.com"]
    assert found(Which(account_id=other.id)) == ["OPEN ann@example.com"]
    assert found(Which(account_id=SECOND_PROVIDER)) == ["resend?"]
    first = parked.list_parked(ledger.app, alice, limit=2)
    second = parked.list_parked(ledger.app, alice, limit=2, before_id=first[-1].id)
    assert [line.id for line in (*first, *second)] == sorted([line.id for line in (*first, *second)])[::-1]


def test_what_an_earlier_version_could_not_read_is_read_again(ledger: Ledger, alice: Actor) -> None:
    message = ledger.add_message("gone@example.com")
    body = json.dumps(
        {
            "eventType": "Bounce",
            "mail": {
                "timestamp": ARMED_AT.isoformat(),
                "messageId": "ses-1",
                "destination": [message.address],
                "tags": {"msg_uid": [f"{message.id}-{message.attempt}"], "tenant": ["acme"]},
            },
            "bounce": {"bounceType": "Permanent", "bounceSubType": "General", "feedbackId": "f"},
        }
    )
    events.ingest(ledger.app, ledger.account, [], [body, "not json"])
    assert parked.replay_parked(ledger.app, alice, Which(reason="unreadable")) == parked.Tried(2, 1)
    assert ledger.look(message).status == "bounced"
    assert {row.resolution for row in ledger.parked()} == {"read", None}


@SQLITE
def test_what_the_second_provider_said_is_read_again_too(ledger: Ledger, alice: Actor) -> None:
    message = ledger.add_message("ann@example.com", provider="resend", provider_message_id="e-1")
    body = signing.resend_event("email.delivered", "e-1", "ann@example.com").decode()
    events.ingest(ledger.app, None, [], [body, "still nothing anybody can read"])
    of_second = Which(account_id=SECOND_PROVIDER)

    assert parked.replay_parked(ledger.app, alice, of_second) == parked.Tried(2, 1)
    assert parked.replay_parked(ledger.app, alice, of_second) == parked.Tried(1, 0)

    assert (ledger.look(message).status, ledger.total("delivered")) == ("delivered", 1)
    assert [row.resolution for row in ledger.parked()] == ["read", None]


@SQLITE
def test_a_body_is_shown_whole_and_as_it_is(ledger: Ledger, alice: Actor) -> None:
    hostile = "<img src=x onerror=alert(1)> " + "x" * 3000
    events.ingest(ledger.app, ledger.account, [], [hostile])
    [line] = parked.list_parked(ledger.app, alice)
    assert (line.body, line.says) == ("", hostile[:200])
    assert parked.get_parked(ledger.app, alice, line.id).body == hostile


@SQLITE
def test_addresses_are_masked_for_a_role_that_may_not_see_them(
    ledger: Ledger, alice: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from core import access

    monkeypatch.setitem(access.ALLOWED, Action.SEE_ADDRESSES, frozenset({Role.ADMIN}))
    park_stray(ledger)
    [line] = parked.list_parked(ledger.app, alice)
    assert line.says == "BOUNCE g***@example.com"
    assert "gone" not in parked.get_parked(ledger.app, alice, line.id).body


@SQLITE
def test_who_may_not_see_the_installation_sees_and_does_nothing(ledger: Ledger) -> None:
    park_stray(ledger)
    for call in (
        lambda: parked.list_parked(ledger.app, ANALYST),
        lambda: parked.get_parked(ledger.app, ANALYST, 1),
        lambda: parked.count_parked(ledger.app, ANALYST),
        lambda: parked.replay_parked(ledger.app, ANALYST, Which()),
        lambda: parked.discard_parked(ledger.app, ANALYST, Which(), "mine"),
    ):
        with pytest.raises(PermissionDenied):
            call()


@SQLITE
def test_more_than_a_block_is_replayed(ledger: Ledger, alice: Actor) -> None:
    messages = ledger.add_messages([f"p{n}@example.com" for n in range(620)], status="pending")
    events.ingest(ledger.app, ledger.account, [ledger.says(m, EventType.DELIVERY) for m in messages])
    arm(ledger)
    assert parked.replay_parked(ledger.app, alice, Which(reason="unmatched")) == parked.Tried(620, 620)
    assert ledger.total("delivered") == 620
    with ledger.app.db.read() as session:
        assert session.scalar(select(ParkedEvent.id).where(ParkedEvent.resolved_at.is_(None))) is None

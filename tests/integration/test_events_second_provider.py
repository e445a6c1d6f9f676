"""Events of the second provider: believed about mail that it was given, found by our tag or by its own id."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from core import events
from core.app import App, SystemClock, build_app
from core.db.models import Message
from core.db.states import EventType
from core.providers.base import ProviderEvent
from core.settings import Settings
from tests.ledger import Ledger, new_account, new_ledger


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    app = build_app(settings)
    yield new_ledger(app, new_account(app), "acme")
    app.db.dispose()


def test_an_event_is_found_by_our_tag(ledger: Ledger) -> None:
    message = ledger.add_message("ann@example.com", provider="resend")
    assert _ingest(ledger, _delivery(ledger, message)).stored == 1
    assert ledger.look(message).status == "delivered"
    assert ledger.total("delivered") == 1


def test_an_event_without_our_tag_is_found_by_the_providers_own_id(ledger: Ledger) -> None:
    message = ledger.add_message("ann@example.com", provider="resend", provider_message_id="r-1")
    ledger.add_message("bea@example.com", provider="ses", provider_message_id="r-2")
    untagged = {"msg_uid": None, "tenant_tag": None}
    said = _delivery(ledger, message, provider_message_id="r-1", **untagged)
    foreign = _delivery(ledger, message, provider_message_id="r-2", **untagged)
    done = _ingest(ledger, said, foreign)
    assert (done.stored, done.unmatched) == (1, 1)
    assert ledger.look(message).status == "delivered"


def test_another_tenants_name_on_it_quarantines_it(ledger: Ledger) -> None:
    message = ledger.add_message("ann@example.com", provider="resend")
    done = _ingest(ledger, _delivery(ledger, message, tenant_tag="globex"))
    assert (done.stored, done.wrong_tenant) == (0, 1)


def test_it_is_not_believed_about_mail_that_ses_was_given(ledger: Ledger) -> None:
    message = ledger.add_message("ann@example.com", provider="ses")
    done = _ingest(ledger, _delivery(ledger, message))
    assert (done.stored, done.wrong_tenant) == (0, 1)
    assert ledger.look(message).status == "sending"


def test_what_comes_before_its_message_waits_and_is_tried_again(ledger: Ledger) -> None:
    message = ledger.add_message("ann@example.com", provider="resend", status="pending")
    assert _ingest(ledger, _delivery(ledger, message)).unmatched == 1
    [parked] = ledger.parked()
    assert parked.account_id is None
    with ledger.app.db.begin() as session:
        session.execute(update(Message).values(status="sent"))
    assert events.retry_parked_due(_later(ledger.app)) == "1 of 1 parked events found their message"
    assert ledger.look(message).status == "delivered"


def test_the_same_event_twice_is_stored_once(ledger: Ledger) -> None:
    message = ledger.add_message("ann@example.com", provider="resend")
    said = _delivery(ledger, message)
    _ingest(ledger, said)
    assert _ingest(ledger, said, said).known == 1
    assert ledger.total("delivered") == 1


class _Later(SystemClock):
    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(hours=1)


def _later(app: App) -> App:
    return replace(app, clock=_Later())


def _ingest(ledger: Ledger, *said: ProviderEvent) -> events.Ingested:
    return events.ingest(ledger.app, None, list(said))


def _delivery(ledger: Ledger, message: Message, **values: str | None) -> ProviderEvent:
    return ledger.says(message, EventType.DELIVERY, topic_arn=None, **values)

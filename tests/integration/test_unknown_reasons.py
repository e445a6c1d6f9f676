"""What is written beside a message nobody knows the fate of, before and after 72 hours."""

from __future__ import annotations

from sqlalchemy import update

from core import unknown
from core.db.models import Message
from core.sending.worker import WORKER_ENDED
from tests.databases import ON_SQLITE
from tests.integration.test_unknown import at, found, leave, ledger, resend, with_queue
from tests.ledger import Ledger, new_ledger

__all__ = ["ledger"]

ENDED = "The process that was sending it ended before the answer was written."
TIME_OUT = "Nobody can tell whether it was taken: SES's answer was lost (ReadTimeout); its events will tell."
NO_WORD = "72 hours brought no word of it, so nobody knows whether it arrived."
ON_ITS_PAGE = "Send it again or leave it so on its campaign's page."


def with_reasons(ledger: Ledger) -> Ledger:
    """As a worker that ended and a time-out leave them."""
    first, second, third, _ = ledger.messages()
    with ledger.app.db.begin() as session:
        for message, reason in ((first, WORKER_ENDED), (second, TIME_OUT), (third, None)):
            session.execute(update(Message).where(Message.id == message.id).values(reason=reason))
    return ledger


def reasons(ledger: Ledger) -> list[str | None]:
    return [message.reason for message in ledger.messages() if message.status == "unknown"]


def test_after_72_hours_it_says_what_is_known_and_what_can_be_done(ledger: Ledger) -> None:
    with_reasons(ledger)
    for _ in range(2):
        unknown.alert_due(ledger.app)
    assert reasons(ledger) == [
        f"{ENDED} {NO_WORD} {ON_ITS_PAGE}",
        f"Nobody can tell whether it was taken: SES's answer was lost (ReadTimeout). {NO_WORD} {ON_ITS_PAGE}",
        f"{NO_WORD} {ON_ITS_PAGE}",
    ]
    assert "will tell" not in str(found(ledger).by_reason)


@ON_SQLITE
def test_before_that_and_while_events_wait_to_be_read_they_will_tell(ledger: Ledger) -> None:
    with_reasons(ledger)
    unknown.alert_due(at(ledger, 71))
    unknown.alert_due(with_queue(ledger.app, 5))
    assert reasons(ledger) == [WORKER_ENDED, TIME_OUT, None]


def test_what_a_person_leaves_so_asks_for_nothing_any_more(ledger: Ledger) -> None:
    with_reasons(ledger)
    told = f"{ENDED} {NO_WORD} Left so by alice."
    leave(ledger)
    assert reasons(ledger)[0] == told
    unknown.alert_due(ledger.app)
    assert reasons(ledger)[0] == told


@ON_SQLITE
def test_what_was_told_and_is_left_so_afterwards_says_so(ledger: Ledger) -> None:
    with_reasons(ledger)
    unknown.alert_due(ledger.app)
    leave(ledger)
    assert reasons(ledger)[0] == f"{ENDED} {NO_WORD} Left so by alice."


@ON_SQLITE
def test_a_second_attempt_is_told_of_anew(ledger: Ledger) -> None:
    with_reasons(ledger)
    unknown.alert_due(ledger.app)
    resend(ledger)
    with ledger.app.db.begin() as session:
        lost = update(Message).where(Message.status == "pending")
        session.execute(lost.values(status="unknown", reason=WORKER_ENDED, attempt="ffeeddccbbaa9988"))
    unknown.alert_due(ledger.app)
    assert reasons(ledger) == [f"{ENDED} {NO_WORD} {ON_ITS_PAGE}"] * 3


@ON_SQLITE
def test_a_single_message_is_told_of_too(ledger: Ledger) -> None:
    other = new_ledger(ledger.app, ledger.account, "globex")
    message = other.add_message("eve@example.com", campaign_id=None, status="unknown", reason=WORKER_ENDED)
    unknown.alert_due(ledger.app)
    assert other.look(message).reason == (
        f"{ENDED} {NO_WORD} It is not sent again by itself; if it arrived, a new message is a second one."
    )

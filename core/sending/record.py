"""Record: what a call's reply means for its messages, in one transaction for many calls.

A row is moved only while it still carries the attempt that was called, and never out of a state that an event
has already proved.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, or_, select, update
from sqlalchemy.orm import Session

from core import limits
from core.app import App
from core.db.models import Account, Campaign, Message, Tenant
from core.db.states import CampaignStatus, MessageStatus, SendingStatus
from core.providers.base import EntryResult, Outcome
from core.sending.claim import Call

logger = logging.getLogger(__name__)

NOT_ACCEPTED = (Outcome.THROTTLED, Outcome.QUOTA, Outcome.PAUSED, Outcome.CREDENTIALS, Outcome.NOT_SENT)
# Of a resumed tenant; SES's control plane answers before all of it knows.
SES_KNOWS_AFTER = timedelta(minutes=2)
NOT_TAKEN = (*NOT_ACCEPTED, Outcome.REFUSED)
ENDED = (CampaignStatus.SENT, CampaignStatus.CANCELLED)
# Spelled out: an IN list cannot be sent for many rows at once.
STILL_OURS = or_(Message.status == MessageStatus.SENDING, Message.status == MessageStatus.UNKNOWN)
# How long nothing is sent through the account then; SES's advice for its quota is ten minutes.
CLOSED_FOR = {
    Outcome.THROTTLED: timedelta(seconds=1),
    Outcome.QUOTA: timedelta(minutes=10),
    Outcome.CREDENTIALS: timedelta(minutes=5),
    Outcome.NOT_SENT: timedelta(seconds=5),
}
# Refused one after the other: then it is not the recipients.
REFUSALS_THAT_STOP_A_CAMPAIGN = 5
LOOK_BACK_ROWS = 100


@dataclass(frozen=True, slots=True)
class Finished:
    """A call and its reply: one result per message, in order."""

    call: Call
    results: list[EntryResult]
    replied_at: datetime


def record(app: App, finished: list[Finished]) -> None:
    """Write the replies of many calls. Twice is the same."""
    outcomes: Counter[str] = Counter()
    with app.db.begin() as session:
        ended = _lock_ended(session, finished)
        for results in _by_statement(finished).values():
            statement, rows = results
            session.connection().execute(statement, sorted(rows, key=lambda row: row["of_id"]))
        limits.release(session, {done.call.attempt: done.replied_at for done in finished})
        for done in finished:
            outcomes.update(result.outcome.value for result in done.results)
            _draw_consequences(session, done)
            if done.call.campaign_id in ended:
                _follow_the_end(session, done.call, ended[done.call.campaign_id])
    logger.info(
        "sent calls=%d %s", len(finished), " ".join(f"{name}={n}" for name, n in sorted(outcomes.items()))
    )


def _by_statement(finished: list[Finished]) -> dict[str, tuple[Any, list[dict[str, Any]]]]:
    grouped: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for done in finished:
        for message_id, result in zip(done.call.message_ids, done.results, strict=True):
            kind, values = _move(result, done.replied_at)
            grouped[kind].append({"of_id": message_id, "of_attempt": done.call.attempt, **values})
    return {kind: (_statement(kind, rows[0]), rows) for kind, rows in grouped.items()}


def _move(result: EntryResult, at: datetime) -> tuple[str, dict[str, Any]]:
    """Which statement, and its values."""
    if result.outcome is Outcome.ACCEPTED:
        return "accepted", {"to_id": result.provider_message_id, "to_at": at}
    if result.outcome in NOT_ACCEPTED:
        return "not accepted", {"to_reason": _short(f"Waiting: {result.reason or result.code}")}
    if result.outcome is Outcome.REFUSED:
        return "refused", {"to_reason": _short(result.reason or result.code)}
    return "unknown", {"to_reason": _short(f"Nobody can tell whether SES took it: {result.reason}")}


def _statement(kind: str, row: dict[str, Any]) -> Any:
    statement = update(Message).where(Message.id == bindparam("of_id"))
    statement = statement.where(Message.attempt == bindparam("of_attempt"))
    if kind == "accepted":
        return statement.where(STILL_OURS).values(
            status=MessageStatus.SENT,
            provider_message_id=bindparam("to_id"),
            sent_at=bindparam("to_at"),
            reason=None,
        )
    if kind == "not accepted":
        return statement.where(STILL_OURS).values(
            status=MessageStatus.PENDING, reason=bindparam("to_reason"), attempt=None, worker=None
        )
    status = MessageStatus.FAILED if kind == "refused" else MessageStatus.UNKNOWN
    return statement.where(Message.status == MessageStatus.SENDING).values(
        status=status, reason=bindparam("to_reason")
    )


def _lock_ended(session: Session, finished: list[Finished]) -> dict[int | None, str]:
    """Of the campaigns some of whose mail was not taken: the status of those that ended before; the others do
    not end until the replies are written. Locks in the order of a claim: account, campaign, messages."""
    calls = [done.call for done in finished if any(r.outcome in NOT_TAKEN for r in done.results)]
    if not calls:
        return {}
    accounts = select(Account.id).where(Account.id.in_({call.account_id for call in calls}))
    session.execute(accounts.order_by(Account.id).with_for_update())
    campaigns = select(Campaign.id, Campaign.status).where(
        Campaign.id.in_({call.campaign_id for call in calls} - {None})
    )
    rows = session.execute(campaigns.order_by(Campaign.id).with_for_update(key_share=True))
    return {row.id: row.status for row in rows if row.status in ENDED}


def _follow_the_end(session: Session, call: Call, status: str) -> None:
    """Nobody waits in a campaign that has ended: cancelled with it, or it goes on for those who came back."""
    came_back = (Message.id.in_(call.message_ids), Message.status == MessageStatus.PENDING)
    if status == CampaignStatus.CANCELLED:
        session.execute(
            update(Message)
            .where(*came_back)
            .values(status=MessageStatus.CANCELLED, reason="The campaign was cancelled.")
        )
    elif session.scalar(select(Message.id).where(*came_back).limit(1)):
        session.execute(
            update(Campaign)
            .where(Campaign.id == call.campaign_id, Campaign.status == CampaignStatus.SENT)
            .values(status=CampaignStatus.SENDING, finished_at=None, version=Campaign.version + 1)
        )


def _draw_consequences(session: Session, done: Finished) -> None:
    """What an answer says about account and campaign, beyond its own messages."""
    for result in _one_of_each_outcome(done.results):
        if pause := CLOSED_FOR.get(result.outcome):
            reason = _short(result.reason or result.code)
            limits.close(session, done.call.account_id, until=done.replied_at + pause, reason=reason)
        elif result.outcome is Outcome.PAUSED and result.account_wide:
            # Its campaigns only wait: they go on by themselves once GetAccount says that SES sends again.
            session.execute(
                update(Account).where(Account.id == done.call.account_id).values(sending_enabled=False)
            )
        elif (result.outcome is Outcome.PAUSED and not _is_our_own_pause(session, done)) or (
            result.outcome is Outcome.REFUSED and _refuses_everybody(session, done.call)
        ):
            _stop(session, done.call, result.reason or result.code)


def _is_our_own_pause(session: Session, done: Finished) -> bool:
    """We paused the tenant, or resumed it and SES may not know yet: its campaigns wait, nobody has to resume
    them, too."""
    tenant = session.get_one(Tenant, done.call.tenant_id)
    if tenant.sending_status == SendingStatus.DISABLED or not tenant.ses_status_synced:
        return True
    return tenant.resumed_at is not None and done.replied_at < tenant.resumed_at + SES_KNOWS_AFTER


def _refuses_everybody(session: Session, call: Call) -> bool:
    """Whether SES refused the last few of the campaign, in however many calls."""
    last = max(call.message_ids)
    # By id alone: a condition on the campaign would make SQLite read all of it.
    query = (
        select(Message.campaign_id, Message.status)
        .where(Message.id.between(last - LOOK_BACK_ROWS, last), Message.attempt.is_not(None))
        .order_by(Message.id.desc())
    )
    answered = [
        row.status
        for row in session.execute(query)
        if row.campaign_id == call.campaign_id and row.status != MessageStatus.SENDING
    ][:REFUSALS_THAT_STOP_A_CAMPAIGN]
    return answered == [MessageStatus.FAILED] * REFUSALS_THAT_STOP_A_CAMPAIGN


def _one_of_each_outcome(results: list[EntryResult]) -> Iterator[EntryResult]:
    yield from {result.outcome: result for result in results}.values()


def _stop(session: Session, call: Call, reason: str) -> None:
    if call.campaign_id is None:
        return
    session.execute(
        update(Campaign)
        .where(Campaign.id == call.campaign_id, Campaign.status == CampaignStatus.SENDING)
        .values(
            status=CampaignStatus.BLOCKED,
            status_reason=_short(f"SES refuses: {reason}"),
            version=Campaign.version + 1,
        )
    )


def _short(reason: str) -> str:
    return reason if len(reason) <= 500 else reason[:499] + "…"

"""Record: what a call's reply means for its messages, in one transaction for many calls.

A row is moved only while it still carries the attempt that was called, and never out of a state that an event
has already proved.
"""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, or_, select, update
from sqlalchemy.orm import Session

from core import alerts, lanes, limits
from core.access import SYSTEM
from core.app import App
from core.campaigns.moves import never_sent
from core.db.models import Account, Campaign, Message, Tenant
from core.db.states import CampaignStatus, MessageStatus, SendingStatus
from core.providers.base import EntryResult, Outcome
from core.sending import answers
from core.sending.claim import Call
from core.tenants import limits as tenant_limits

logger = logging.getLogger(__name__)

NOT_ACCEPTED = (Outcome.THROTTLED, Outcome.QUOTA, Outcome.PAUSED, Outcome.CREDENTIALS, Outcome.NOT_SENT)
# Of a resumed tenant; SES's control plane answers before all of it knows.
SES_KNOWS_AFTER = timedelta(minutes=2)
NOT_TAKEN = (*NOT_ACCEPTED, Outcome.REFUSED)
ENDED = (CampaignStatus.SENT, CampaignStatus.CANCELLED)
# How long nothing leaves by the lane then; SES's advice for its quota is ten minutes.
CLOSED_FOR = {
    Outcome.QUOTA: timedelta(minutes=10),
    Outcome.CREDENTIALS: timedelta(minutes=5),
    Outcome.NOT_SENT: timedelta(seconds=5),
}
# Refused one after the other: then it is not the recipients.
REFUSALS_THAT_STOP_A_CAMPAIGN = 5
LOOK_BACK_ROWS = 100
# The first time it has failed; the second it is left as unknown as it was.
_REFUSED = or_(
    Message.status == MessageStatus.FAILED.value,
    and_(Message.status == MessageStatus.UNKNOWN.value, Message.left_by == SYSTEM.username),
)


@dataclass(frozen=True, slots=True)
class Finished:
    """A call and its reply: one result per message, in order."""

    call: Call
    results: list[EntryResult]
    replied_at: datetime


def record(app: App, finished: Sequence[Finished]) -> None:
    """Write the replies of many calls. Twice is the same."""
    outcomes: Counter[str] = Counter()
    with app.db.begin(power_cut_may_undo=_is_all_accepted(finished)) as session:
        ended = _lock(session, finished)
        moved: set[int] = set()
        by_kind = _by_kind(finished)
        if len(by_kind) > 1:
            answers.lock(session, [id_ for done in finished for id_ in done.call.message_ids])
        for kind, rows in by_kind.items():
            moved |= answers.write(session, kind, rows, at=max(done.replied_at for done in finished))
        _give_back(app, session, finished, moved)
        for done in finished:
            outcomes.update(result.outcome.value for result in done.results)
            _draw_consequences(session, done)
            if done.call.campaign_id in ended:
                status = ended[done.call.campaign_id]
                _follow_the_end(session, done.call.campaign_id, done.call.message_ids, status)
    logger.info(
        "sent calls=%d %s", len(finished), " ".join(f"{name}={n}" for name, n in sorted(outcomes.items()))
    )


def send_back(session: Session, worker: str, attempts: Collection[str]) -> None:
    """What these attempts of a worker armed, none of which was called for, waits again."""
    armed = (
        Message.status == MessageStatus.SENDING,
        Message.worker == worker,
        Message.attempt.in_(attempts),
    )
    ids: dict[int | None, list[int]] = defaultdict(list)
    for message_id, campaign_id in session.execute(select(Message.id, Message.campaign_id).where(*armed)):
        ids[campaign_id].append(message_id)
    ended = _lock_campaigns(session, set(ids))
    session.execute(
        update(Message)
        .where(*armed)
        .values(status=MessageStatus.PENDING, attempt=None, worker=None, provider=answers.ANY_WAY_AGAIN)
    )
    for campaign_id, status in ended.items():
        _follow_the_end(session, campaign_id, ids[campaign_id], status)


def _by_kind(finished: Sequence[Finished]) -> dict[answers.Kind, list[answers.Row]]:
    grouped: dict[answers.Kind, list[answers.Row]] = defaultdict(list)
    for done in finished:
        for message_id, result in zip(done.call.message_ids, done.results, strict=True):
            kind, told = _meaning(result)
            grouped[kind].append((message_id, done.call.attempt, told))
    return grouped


def _meaning(result: EntryResult) -> tuple[answers.Kind, str | None]:
    """What becomes of the row, and what is kept of the answer: the provider's id, or a reason."""
    if result.outcome is Outcome.ACCEPTED:
        return answers.Kind.ACCEPTED, result.provider_message_id
    if result.outcome in NOT_ACCEPTED:
        return answers.Kind.NOT_ACCEPTED, _short(f"Waiting: {result.reason or result.code}")
    if result.outcome is Outcome.REFUSED:
        return answers.Kind.REFUSED, _short(result.reason or result.code)
    return answers.Kind.UNKNOWN, _short(f"Nobody can tell whether it was taken: {result.reason}")


def _is_all_accepted(finished: Sequence[Finished]) -> bool:
    """Then a power cut that takes the answers back leaves messages unknown until their events come; nothing
    is sent again."""
    return all(result.outcome is Outcome.ACCEPTED for done in finished for result in done.results)


def _is_unused(done: Finished) -> bool:
    return any(result.outcome in NOT_TAKEN for result in done.results)


def _lock(session: Session, finished: Sequence[Finished]) -> dict[int | None, str]:
    """Of the campaigns some of whose mail was not taken: the status of those that ended before; the others do
    not end until the replies are written. Locks in the order of a claim: lane, campaign, messages."""
    unused = [done.call for done in finished if _is_unused(done)]
    if not unused:
        return {}
    for name in sorted({call.lane.name for call in unused}):
        lanes.lock_lane(session, name)
    return _lock_campaigns(session, {call.campaign_id for call in unused})


def _lock_campaigns(session: Session, ids: set[int | None]) -> dict[int | None, str]:
    campaigns = select(Campaign.id, Campaign.status).where(Campaign.id.in_(ids - {None}))
    rows = session.execute(campaigns.order_by(Campaign.id).with_for_update(key_share=True))
    return {row.id: row.status for row in rows if row.status in ENDED}


def _give_back(app: App, session: Session, finished: Sequence[Finished], moved: Collection[int]) -> None:
    """What was not accepted counts for no limit; what was throttled slows the lane. Only what moved now: the
    answers may have been written before, by a commit whose own answer was lost."""
    for done in sorted(finished, key=lambda done: done.call.tenant_id):
        answered = zip(done.call.message_ids, done.results, strict=True)
        outcomes = Counter(result.outcome for id_, result in answered if id_ in moved)
        unused = sum(outcomes[outcome] for outcome in NOT_TAKEN)
        if not unused:
            continue
        lane = lanes.lock_lane(session, done.call.lane.name)
        account = session.get(Account, done.call.lane.account_id) if done.call.lane.account_id else None
        throttled = outcomes[Outcome.THROTTLED]
        speed = limits.speed_of(app, account, lane, done.replied_at)
        limits.give_back(lane, speed, done.replied_at, not_accepted=unused, throttled=throttled)
        tenant = session.get_one(Tenant, done.call.tenant_id)
        tenant_limits.count(session, tenant, -unused, done.call.granted_at)


def _follow_the_end(
    session: Session, campaign_id: int | None, message_ids: Sequence[int], status: str
) -> None:
    """Nobody waits in a campaign that has ended: cancelled with it, or it goes on for those who came back."""
    came_back = (Message.id.in_(message_ids), Message.status == MessageStatus.PENDING)
    if status == CampaignStatus.CANCELLED:
        session.execute(
            update(Message)
            .where(*came_back)
            .values(never_sent(MessageStatus.CANCELLED, "The campaign was cancelled.", SYSTEM.username))
        )
    elif session.scalar(select(Message.id).where(*came_back).limit(1)):
        session.execute(
            update(Campaign)
            .where(Campaign.id == campaign_id, Campaign.status == CampaignStatus.SENT)
            .values(status=CampaignStatus.SENDING, finished_at=None, version=Campaign.version + 1)
        )


def _draw_consequences(session: Session, done: Finished) -> None:
    """What an answer says about lane and campaign, beyond its own messages."""
    for result in _one_of_each_outcome(done.results):
        if result.outcome is Outcome.ACCEPTED and done.call.lane.account_id is None:
            _clear_refused_key(session, done)  # of an account: core/accounts.py
        elif pause := _closed_for(result, done):
            _close(session, done, result, pause)
        elif result.outcome is Outcome.PAUSED and result.account_wide:
            # Its campaigns only wait: they go on by themselves once GetAccount says that SES sends again.
            session.execute(
                update(Account).where(Account.id == done.call.lane.account_id).values(sending_enabled=False)
            )
        elif (result.outcome is Outcome.PAUSED and not _is_our_own_pause(session, done)) or (
            result.outcome is Outcome.REFUSED and _refuses_everybody(session, done.call)
        ):
            _stop(session, done.call, result.reason or result.code)


def _closed_for(result: EntryResult, done: Finished) -> timedelta | None:
    """What was not sent beside others that were had no room: nothing is wrong with the way."""
    if result.outcome is Outcome.NOT_SENT and any(r.outcome is Outcome.ACCEPTED for r in done.results):
        return None
    return CLOSED_FOR.get(result.outcome)


def _close(session: Session, done: Finished, result: EntryResult, pause: timedelta) -> None:
    reason = _short(result.reason or result.code)
    if result.outcome is Outcome.QUOTA:
        reason = f"{lanes.QUOTA_USED_UP}: {reason}"
    lanes.close(session, done.call.lane.name, until=done.replied_at + pause, reason=reason)
    if result.outcome is Outcome.CREDENTIALS:
        alerts.raise_once(
            session,
            kind=lanes.CREDENTIALS_REFUSED,
            cause=done.call.lane.name,
            sentence=f"Nothing is sent: {reason}",
            tenant_id=None,
            at=done.replied_at,
        )


def _clear_refused_key(session: Session, done: Finished) -> None:
    alerts.clear(session, kind=lanes.CREDENTIALS_REFUSED, cause=done.call.lane.name, at=done.replied_at)


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
        select(Message.campaign_id, Message.status, _REFUSED.label("is_refused"))
        .where(Message.id.between(last - LOOK_BACK_ROWS, last), Message.attempt.is_not(None))
        .order_by(Message.id.desc())
    )
    answered = [
        row.is_refused
        for row in session.execute(query)
        if row.campaign_id == call.campaign_id and row.status != MessageStatus.SENDING
    ][:REFUSALS_THAT_STOP_A_CAMPAIGN]
    return len(answered) == REFUSALS_THAT_STOP_A_CAMPAIGN and all(answered)


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
            status_reason=_short(f"{call.provider_name} refuses: {reason}"),
            version=Campaign.version + 1,
        )
    )


def _short(reason: str) -> str:
    return reason if len(reason) <= 500 else reason[:499] + "…"

"""Claim: take pending mail and arm it, in one transaction that reads everything that could forbid it.

Tenant, campaign, sender, identity, suppression and limits are read in the same transaction that moves rows
from pending to sending. Only after it has committed may the provider be called, once.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from core import installation, lanes, limits, routes
from core.app import App
from core.content import CompiledContent
from core.db.models import Account, Campaign, Identity, Lane, Message, Tenant
from core.db.states import CampaignStatus, FallbackPolicy, MessageStatus, ProviderName
from core.limits import Allowance
from core.providers.base import BulkMail
from core.sending import arming, turns
from core.sending.arming import Armed
from core.sending.turns import Candidate, LaneWithWork, Work
from core.tenants import limits as tenant_limits

LOOK_AGAIN_SECONDS = 0.5
HELD_SECONDS = 1.0
HELD_CAMPAIGN_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Call:
    """One armed request: whom it is for, and what is needed to record its reply."""

    attempt: str
    lane: LaneWithWork
    tenant_id: int
    campaign_id: int | None
    message_ids: tuple[int, ...]
    mail: BulkMail
    armed_at: float  # monotonic seconds
    begin_at: float  # monotonic seconds: not before
    alone_seconds: float  # no other of its process begins so soon after it
    granted_at: datetime

    @property
    def provider_name(self) -> str:
        """For people."""
        return "Resend" if self.lane.account_id is None else "SES"


@dataclass(frozen=True, slots=True)
class Claimed:
    calls: list[Call]
    wait_seconds: float  # when nothing could be claimed: how long until it is worth asking again
    is_idle: bool  # nothing is waiting that could go out
    ahead: int = limits.LARGEST_CLAIM  # recipients that may wait for their moment at this rate


@dataclass
class Turn:
    """What a worker remembers between claims: where it was, compiled contents, who rests."""

    worker: str
    last_message_id: dict[int, int] = field(default_factory=dict)  # by campaign
    contents: dict[int, CompiledContent] = field(default_factory=dict)
    # Of commits whose answer was lost: whether they armed anything is not known.
    doubtful: set[str] = field(default_factory=set)
    # Tenant -> until when (monotonic) it rests, because SES does not send for it.
    resting: dict[int, float] = field(default_factory=dict)

    def rest(self, tenant_id: int, until: float) -> None:
        self.resting[tenant_id] = until

    def resting_at(self, monotonic: float) -> list[int]:
        self.resting = {id_: until for id_, until in self.resting.items() if until > monotonic}
        return sorted(self.resting)


def claim(app: App, turn: Turn, lane: LaneWithWork, room: int) -> Claimed:
    """Arm what the lane's limits and `room`, in recipients, allow of the tenant whose turn it is."""
    armed_at, now = app.clock.monotonic(), app.now()
    with app.db.begin() as session:
        one = _Claim(app, session, turn, lane, lanes.lock_lane(session, lane.name), now, armed_at)
        claimed = one.made(room)
        turn.doubtful.update(call.attempt for call in claimed.calls)
    turn.doubtful.difference_update(call.attempt for call in claimed.calls)
    return claimed


class _Claim:
    """One transaction: the lane's row is held."""

    def __init__(
        self,
        app: App,
        session: Session,
        turn: Turn,
        way: LaneWithWork,
        lane: Lane,
        now: datetime,
        armed_at: float,
    ) -> None:
        self.app, self.session, self.turn, self.way, self.lane = app, session, turn, way, lane
        self.now, self.armed_at = now, armed_at
        self.fallback_from = routes.fallback_address(app)
        self.account = session.get_one(Account, way.account_id) if way.account_id is not None else None
        self.speed = limits.speed_of(app, self.account, lane, now)
        self.waits: list[float] = []

    def made(self, room: int) -> Claimed:
        if closed := self._closed():
            return closed
        paced = limits.paced(self.lane.next_at, self.speed, self.now)
        most = min(paced.recipients, room)
        if most <= 0:
            return Claimed([], paced.wait_seconds or LOOK_AGAIN_SECONDS, is_idle=False)
        resting = self.turn.resting_at(self.armed_at)
        found, stuck = turns.candidates(
            self.session, self.lane, self.way.account_id, self.fallback_from, resting=resting, now=self.now
        )
        for work, _ in stuck:
            self._block(work)
        for candidate in found:
            if calls := self._serve(candidate, most):
                return Claimed(calls, 0.0, is_idle=False, ahead=limits.waiting(self.speed))
        self.lane.turn_left = 0  # nobody has anything that may go now
        wait = min(self.waits, default=LOOK_AGAIN_SECONDS)
        return Claimed([], min(wait, 5.0), is_idle=not resting and (not found or wait >= 60))

    def _closed(self) -> Claimed | None:
        if installation.held_reason(self.session) is not None:
            return Claimed([], HELD_SECONDS, is_idle=True)
        if gate := limits.closed(self.lane, self.now):
            return Claimed([], min(gate.wait_seconds, 5.0), is_idle=gate.wait_seconds >= 60)
        if self.account is not None and not self.account.sending_enabled:
            return Claimed([], 5.0, is_idle=True)
        return None

    def _serve(self, candidate: Candidate, most: int) -> list[Call]:
        """The calls of this candidate's claim; none when it may not go now, or nothing of it waits."""
        if not (most := min(most, self._allowed(candidate))):
            return []
        if not self._holds_campaign(candidate):
            self.waits.append(HELD_CAMPAIGN_SECONDS)
            return []
        quantum = limits.ahead(self.speed, single=candidate.campaign is None)
        most = min(most, turns.take_turn(self.lane, candidate, quantum))
        attempt = secrets.token_hex(8)
        armed = self._armed(candidate, most, attempt)
        recipients = sum(len(part.message_ids) for part in armed)
        if not recipients:
            return []
        turns.used(self.lane, candidate, recipients, self.speed.call_size)
        if candidate.campaign is not None:
            self._note_campaign(candidate, candidate.campaign, recipients)
        tenant = self._tenant(candidate)
        limits.pace_tenant(self.session, tenant, recipients, self.speed, self.now)
        tenant_limits.count(self.session, tenant, recipients, self.now)
        moments = limits.begin(self.lane, [len(part.message_ids) for part in armed], self.speed, self.now)
        return [
            Call(
                attempt,
                self.way,
                candidate.tenant_id,
                part.campaign_id,
                part.message_ids,
                part.mail,
                self.armed_at,
                self.armed_at + moment,
                self.speed.seconds_at_least(len(part.message_ids)),
                self.now,
            )
            for part, moment in zip(armed, moments, strict=True)
        ]

    @property
    def _provider(self) -> ProviderName:
        return ProviderName.RESEND if self.account is None else ProviderName.SES

    def _armed(self, candidate: Candidate, most: int, attempt: str) -> list[Armed]:
        arms = arming.Arms(
            self.app, self.session, self.turn.worker, self.turn.contents, self._provider,
            self.speed.call_size, attempt, self.now,
        )  # fmt: skip
        if candidate.campaign is None:
            return arms.transactional(candidate.tenant_id, most, self.fallback_from)
        campaign_id = candidate.campaign.campaign_id
        if fault := arms.unreadable(candidate.campaign.content_id):
            self._stop(campaign_id, fault)
            return []
        after = self.turn.last_message_id.get(campaign_id, 0)
        armed, last = arms.campaign(candidate, most, after)
        if last == 0 and after:  # those that went back to pending
            armed, last = arms.campaign(candidate, most, 0)
        self.turn.last_message_id[campaign_id] = last
        if last == 0:
            _never_a_second_way(self.session, campaign_id, self._provider)
            if _finish_if_done(self.session, campaign_id, self.now):
                self.waits.append(0.0)
        elif not armed:
            self.waits.append(0.0)
        return armed

    def _allowed(self, candidate: Candidate) -> int:
        """By the quota of 24 hours, the tenant's own limits, its probation and its campaign's rate."""
        tenant = self._tenant(candidate)
        allowed = [self._quota(candidate), limits.of_tenant(tenant, self.speed, self.now)]
        if left := self._left(tenant):
            allowed.append(Allowance(*left))
        if candidate.campaign is not None:
            allowed.append(limits.of_campaign(candidate.campaign, self.now))
        least = min(allowed, key=lambda one: one.recipients)
        if least.recipients > 0:
            return least.recipients
        self.waits.append(max(one.wait_seconds for one in allowed if one.recipients <= 0))
        if least.closes:
            lanes.close(self.session, self.way.name, until=self.now + least.closes, reason=least.reason)
        return 0

    def _left(self, tenant: Tenant) -> tuple[int, float, str] | None:
        """Of the tenant's limits. Where some of its mail may leave by the second provider's lane, nobody may
        take of them there meanwhile."""
        left = tenant_limits.left(self.session, tenant, self.now)
        if not left or not left[0] or self.account is None or not self.fallback_from:
            return left
        if tenant.fallback_policy == FallbackPolicy.NONE:
            return left
        lanes.lock_lane(self.session, ProviderName.RESEND)
        return tenant_limits.left(self.session, tenant, self.now)

    def _quota(self, candidate: Candidate) -> Allowance:
        if self.account is None:
            return Allowance(limits.LARGEST_CLAIM)
        transactional = candidate.campaign is None
        return limits.of_24_hours(
            self.session, self.account, self.lane, transactional=transactional, now=self.now
        )

    def _tenant(self, candidate: Candidate) -> Tenant:
        return self.session.get_one(Tenant, candidate.tenant_id)

    def _holds_campaign(self, candidate: Candidate) -> bool:
        """One whose row is written after its messages is locked before them, as everybody does. False while
        somebody else holds it: who cancels a long list would keep the whole lane waiting."""
        work, way = candidate.campaign, candidate.route
        if work is None or way is None or (work.rate_per_second is None and work.provider == way.provider):
            return True
        return _hold(self.session, work.campaign_id)

    def _note_campaign(self, candidate: Candidate, work: Work, recipients: int) -> None:
        limits.pace_campaign(self.session, work, recipients, self.now)
        if candidate.route is not None and work.provider != candidate.route.provider:
            self.session.execute(
                update(Campaign)
                .where(Campaign.id == work.campaign_id)
                .values(provider=candidate.route.provider, status_reason=candidate.route.warning or None)
            )

    def _block(self, work: Work) -> None:
        """Looked at again with the identity's row held: a check that verifies it lets blocked campaigns go
        on, and must not miss this one."""
        self.session.execute(
            select(Identity.id).where(Identity.id == work.identity_id).with_for_update(read=True)
        )
        reason = turns.why_stuck(self.session, work, self.fallback_from)
        if reason is not None:
            self._stop(work.campaign_id, reason)

    def _stop(self, campaign_id: int, reason: str) -> None:
        self.session.execute(
            update(Campaign)
            .where(Campaign.id == campaign_id, Campaign.status == CampaignStatus.SENDING)
            .values(status=CampaignStatus.BLOCKED, status_reason=reason, version=Campaign.version + 1)
        )


def _never_a_second_way(session: Session, campaign_id: int, provider: ProviderName) -> None:
    """A person wants them sent again, but mail goes another way by now: they are as unknown as they were."""
    session.execute(
        update(Message)
        .where(Message.campaign_id == campaign_id, Message.status == MessageStatus.PENDING)
        .where(Message.resent_by.is_not(None), Message.provider != provider)
        .values(
            status=MessageStatus.UNKNOWN,
            reason="It may have arrived, and its sender's mail goes another way by now. "
            "What may have arrived is never sent a second way.",
        )
    )


def _hold(session: Session, campaign_id: int) -> bool:
    """Its row, unless it sends no more or somebody else holds it."""
    mine = select(Campaign.id).where(Campaign.id == campaign_id, Campaign.status == CampaignStatus.SENDING)
    return session.scalar(mine.with_for_update(key_share=True, skip_locked=True)) is not None


def _finish_if_done(session: Session, campaign_id: int, now: datetime) -> bool:
    """Looked at with its row held: whoever holds it may be putting messages back."""
    if not _hold(session, campaign_id):
        return False
    waiting = exists().where(
        Message.campaign_id == campaign_id,
        Message.status.in_((MessageStatus.PENDING, MessageStatus.SENDING)),
    )
    ended = session.execute(
        update(Campaign)
        .where(Campaign.id == campaign_id, Campaign.status == CampaignStatus.SENDING, ~waiting)
        .values(status=CampaignStatus.SENT, finished_at=now, version=Campaign.version + 1)
        .returning(Campaign.id)
    )
    return ended.first() is not None

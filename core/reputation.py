"""Reputation: when a tenant's own bounces and complaints pause its sending, before AWS would.

The rule looks at a campaign and at the tenant's last two UTC days, both from the rollups, in the transaction
that stores the evidence. After a resume only what was armed since then counts: for a campaign that had begun
before, its messages are counted one by one; the tenant's days begin with the day after the resume.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, Select, and_, case, func, select
from sqlalchemy.orm import Session

from core import audit, tenants
from core.access import SYSTEM
from core.db.models import Campaign, DailyCount, Message, Tenant
from core.db.states import BounceType, MessageStatus, SendingStatus

# AWS's own (SES developer guide, reputation FAQ): review at the first, may pause at the second.
AWS_REVIEW_BOUNCE, AWS_PAUSE_BOUNCE = 0.05, 0.10
AWS_REVIEW_COMPLAINT, AWS_PAUSE_COMPLAINT = 0.001, 0.005

PAUSE_BOUNCE = 0.10
PAUSE_BOUNCE_LOWER_BOUND = 0.05  # of the 99.9 % Wilson interval: few messages prove little
PAUSE_BOUNCE_EVIDENCE = 5
PAUSE_COMPLAINT = 0.005
PAUSE_COMPLAINT_EVIDENCE = 4
Z_999 = 3.090
SIMULATOR_DOMAIN = "@simulator.amazonses.com"
_TENANT: tuple[Any, ...] = (Tenant.id, Tenant.slug, Tenant.sending_status, Tenant.resumed_at)
_CAMPAIGN: tuple[Any, ...] = (Campaign.id, Campaign.name, Campaign.started_at, Campaign.created_at)
_BAD_NEWS: tuple[Any, ...] = (  # in the order of Evidence's fields
    DailyCount.permanent_bounces,
    DailyCount.complaints,
    DailyCount.delivered,
    DailyCount.transient_bounces,
)


class Signal(StrEnum):
    BOUNCE = "bounce"
    COMPLAINT = "complaint"


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one signal, as rates 0-1: where Postyard pauses, and AWS's two."""

    pause: float
    evidence: int  # bad messages below which nobody is paused
    aws_review: float
    aws_pause: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """Messages of one scope, each counted once."""

    scope: str
    permanent_bounces: int
    complaints: int
    delivered: int
    transient_bounces: int

    def of(self, signal: Signal) -> tuple[int, int]:
        """Bad messages, and those they are measured against."""
        if signal is Signal.BOUNCE:
            outcomes = self.delivered + self.permanent_bounces + self.transient_bounces
            return self.permanent_bounces, outcomes
        # Who complains has the message, even when that report has not come yet.
        return self.complaints, max(self.delivered, self.complaints)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A tenant was paused, and why."""

    tenant_id: int
    signal: Signal
    bad: int
    outcomes: int
    scope: str
    reason: str


def limits() -> dict[Signal, Limits]:
    return {
        Signal.BOUNCE: Limits(PAUSE_BOUNCE, PAUSE_BOUNCE_EVIDENCE, AWS_REVIEW_BOUNCE, AWS_PAUSE_BOUNCE),
        Signal.COMPLAINT: Limits(
            PAUSE_COMPLAINT, PAUSE_COMPLAINT_EVIDENCE, AWS_REVIEW_COMPLAINT, AWS_PAUSE_COMPLAINT
        ),
    }


def wilson_lower_bound(bad: int, outcomes: int, z: float = Z_999) -> float:
    """The rate that is exceeded with the confidence of `z` (one-sided)."""
    if outcomes <= 0:
        return 0.0
    p = bad / outcomes
    spread = z * math.sqrt(max(p * (1 - p), 0.0) / outcomes + z * z / (4 * outcomes * outcomes))
    return max(0.0, (p + z * z / (2 * outcomes) - spread) / (1 + z * z / outcomes))


def over_limit(bad: int, outcomes: int, signal: Signal) -> bool:
    """Whether that many bad messages among those with an outcome are enough to pause."""
    limit = limits()[signal]
    if bad < limit.evidence or bad < limit.pause * outcomes:
        return False
    if signal is Signal.COMPLAINT:
        return True  # four at that rate are beyond chance already
    return wilson_lower_bound(bad, outcomes) >= PAUSE_BOUNCE_LOWER_BOUND


def judge(session: Session, tenant_id: int, campaign_ids: Sequence[int], at: datetime) -> Verdict | None:
    """Pause the tenant when the campaigns that just got bad news, or its last two days, are over a limit.
    None: nothing was done, because all is well or because it is paused already."""
    tenant = session.execute(select(*_TENANT).where(Tenant.id == tenant_id)).one()
    if tenant.sending_status == SendingStatus.DISABLED:
        return None
    verdict = next(_verdicts(session, tenant, campaign_ids, at), None)
    if verdict is None or not tenants.disable(
        session, tenant_id, reason=verdict.reason, by=SYSTEM.username, at=at
    ):
        return None
    audit.record(
        session,
        SYSTEM,
        "pause tenant",
        tenant.slug,
        at=at,
        tenant_id=tenant_id,
        reason=verdict.reason,
        signal=verdict.signal.value,
        bad=verdict.bad,
        outcomes=verdict.outcomes,
        lower_bound=round(wilson_lower_bound(verdict.bad, verdict.outcomes), 4),
        scope=verdict.scope,
    )
    return verdict


def _verdicts(
    session: Session, tenant: Row[Any], campaign_ids: Sequence[int], at: datetime
) -> Iterator[Verdict]:
    for evidence in _evidence(session, tenant, campaign_ids, at):
        for signal in Signal:
            bad, outcomes = evidence.of(signal)
            if over_limit(bad, outcomes, signal):
                reason = _sentence(signal, bad, outcomes, evidence.scope)
                yield Verdict(tenant.id, signal, bad, outcomes, evidence.scope, reason)


def _sentence(signal: Signal, bad: int, outcomes: int, scope: str) -> str:
    rate = bad / outcomes
    if signal is Signal.BOUNCE:
        among = f"{bad:,} of {outcomes:,} messages with an outcome"
        return f"Bounce rate {rate * 100:.1f} % ({among}) in {scope}; the limit is {PAUSE_BOUNCE * 100:g} %."
    among = f"{bad:,} of {outcomes:,} delivered messages"
    return (
        f"Complaint rate {rate * 100:.2f} % ({among}) in {scope}; the limit is {PAUSE_COMPLAINT * 100:g} %."
    )


def _evidence(
    session: Session, tenant: Row[Any], campaign_ids: Sequence[int], at: datetime
) -> Iterator[Evidence]:
    for campaign in session.execute(_campaigns(tenant.id, campaign_ids)):
        began_at = campaign.started_at or campaign.created_at
        scope = f"campaign '{campaign.name}'"
        if tenant.resumed_at is not None and began_at < tenant.resumed_at:
            yield _sum(session, scope, _armed_since(tenant.id, campaign.id, tenant.resumed_at))
        else:
            yield _sum(session, scope, _of_campaign(tenant.id, campaign.id))
    since = at.date() - timedelta(days=1)
    if tenant.resumed_at is not None:
        since = max(since, tenant.resumed_at.date() + timedelta(days=1))
    yield _sum(session, "the mail of the last two days", _of_days(tenant.id, since))


def _sum(session: Session, scope: str, query: Select[Any]) -> Evidence:
    row = session.execute(query).one()
    return Evidence(scope, *(int(value or 0) for value in row))


def _campaigns(tenant_id: int, campaign_ids: Sequence[int]) -> Select[Any]:
    return (
        select(*_CAMPAIGN)
        .where(Campaign.tenant_id == tenant_id, Campaign.id.in_(campaign_ids))
        .order_by(Campaign.id)
    )


def _rollups(tenant_id: int) -> Select[Any]:
    return select(*map(func.sum, _BAD_NEWS)).where(DailyCount.tenant_id == tenant_id)


def _of_campaign(tenant_id: int, campaign_id: int) -> Select[Any]:
    return _rollups(tenant_id).where(DailyCount.campaign_id == campaign_id)


def _of_days(tenant_id: int, since: Any) -> Select[Any]:
    return _rollups(tenant_id).where(DailyCount.day >= since)


def _armed_since(tenant_id: int, campaign_id: int, since: datetime) -> Select[Any]:
    """What the rollups would hold if they began at `since`."""
    permanent = and_(Message.bounce_type == BounceType.PERMANENT, Message.status != MessageStatus.SUPPRESSED)
    not_permanent = Message.bounce_type.is_distinct_from(BounceType.PERMANENT)
    delivered = and_(Message.delivered_at.is_not(None), not_permanent)
    transient = and_(Message.bounce_type != BounceType.PERMANENT, Message.delivered_at.is_(None))
    complained = Message.complained_at.is_not(None)
    return select(
        *(func.sum(case((it, 1), else_=0)) for it in (permanent, complained, delivered, transient))
    ).where(
        Message.tenant_id == tenant_id,
        Message.campaign_id == campaign_id,
        Message.armed_at >= since,
        Message.counts_in_rates,
        ~Message.address_key.endswith(SIMULATOR_DOMAIN),
    )

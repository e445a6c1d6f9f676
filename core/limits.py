"""Limits: how much may leave a lane now, and when each call begins.

Calls of a lane begin one after the other, each when the one before has used up its part of the rate: so no
second, wherever it starts, sees more than the rate and one call. Moments are given out at most AHEAD in
advance, from one row of the database that whoever claims holds: any number of workers share it. What was not
accepted is given back, and used by calls that follow each other a little closer, so that the promise holds
for every second of it, too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from core import lanes
from core.app import App
from core.db.models import Account, Campaign, Lane, Tenant, TenantUsage

AHEAD = timedelta(seconds=0.2)
CLAIMS_AHEAD = 4  # in that time: so long a claim may take without losing anything of the rate
CLOSEST = 0.9  # of a call's part of the rate, however few calls a second has
# What is further ahead than this and one call at its slowest was written while a clock was wrong.
LONGEST_AHEAD = timedelta(seconds=5)
# Beside the largest call, no claim takes more, whatever the rate: a crash leaves it unknown.
LARGEST_CLAIM = 500
# GetAccount is asked each minute, and the first of those who were sent to yesterday may be 24 hours ago then.
QUOTA_LOOKED_AT_EVERY = timedelta(minutes=2)
# Two claims: while one waits the next is made.
MOST_WAITING = 2 * LARGEST_CLAIM
PROBATION_SHARE = 0.1  # of the lane's rate, for a tenant that was resumed lately
# Of the 24 hours' quota, campaigns leave so much to transactional mail.
KEPT_FOR_TRANSACTIONAL = 0.02

# A few throttled recipients are what a full rate looks like; more say that SES allows less than it tells.
THROTTLED_MEMORY = 200  # recipients
TOO_MANY_THROTTLED = 0.10
SLOWEST = 0.02
SPEEDS_UP_PER_SECOND = 0.05
SLOWED_AT_MOST_EVERY = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Speed:
    """Of a lane or a campaign. `call_size`: recipients of one call."""

    recipients_per_second: float
    call_size: int
    calls_per_second: float = math.inf

    def seconds(self, recipients: int) -> float:
        """How much of the rate one call uses up."""
        return max(recipients / self.recipients_per_second, 1 / self.calls_per_second)

    def seconds_at_least(self, recipients: int) -> float:
        """After so long the next call may begin when the lane is late: so close that no second begins more
        than one call too many, a little on the way to the provider allowed for. Not where requests are
        counted."""
        return self.seconds(recipients) * (1 - self._slack() * 0.8)

    def seconds_catching_up(self, recipients: int) -> float:
        """While something was given back: half as close, so that there is something left for being late."""
        return self.seconds(recipients) * (1 - self._slack() / 2)

    def _slack(self) -> float:
        if not math.isinf(self.calls_per_second):
            return 0.0
        return min(1 - CLOSEST, 1 / (self.recipients_per_second / self.call_size + 1))


@dataclass(frozen=True, slots=True)
class Allowance:
    """`recipients` may be sent to now; if 0, ask again after `wait_seconds`. `closes`: for so long nothing at
    all can leave, and people should see why."""

    recipients: int
    wait_seconds: float = 0.0
    reason: str = ""
    closes: timedelta | None = None


def speed_of(app: App, account: Account | None, lane: Lane, now: datetime) -> Speed:
    """What SES allows the account, or the second provider (no account) the installation; less while it
    throttles. SES accepts a call's recipients at once: so each is a tenth of a second's rate at most."""
    slow = slowed_to(lane, now)
    if account is not None:
        allowed = account.max_send_rate if account.max_send_rate > 0 else 1.0
        return Speed(allowed * slow, max(1, min(50, int(allowed) // 10)))
    calls = app.settings.resend_calls_per_second * slow
    resend = app.providers.resend()
    largest = 1 if resend is None else resend.largest_call
    return Speed(calls * largest, largest, calls)


def slowed_to(lane: Lane, now: datetime) -> float:
    """Share of the rate that is used: halved by throttling, it grows again by a twentieth each second."""
    if lane.slowed_at is None:
        return 1.0
    since = abs((now - lane.slowed_at).total_seconds())
    return min(1.0, lane.slowed_to + SPEEDS_UP_PER_SECOND * since)


def closed(lane: Lane, now: datetime) -> Allowance | None:
    """The gate: None while it is open."""
    if lane.closed_until is None or not lanes.is_closed(lane, now):
        return None
    wait = (lane.closed_until - now).total_seconds()
    return Allowance(0, wait, lane.closed_reason or "Sending is closed for a while.")


def paced(next_at: datetime | None, speed: Speed, now: datetime) -> Allowance:
    """What may be claimed now to begin within AHEAD: at least one call, once a part of it has passed."""
    begins = _begins(next_at, now, _slowest_call(speed))
    soon = AHEAD - AHEAD / CLAIMS_AHEAD
    if begins > now + soon:
        return Allowance(0, (begins - now - soon).total_seconds())
    share = (now + AHEAD - begins) / AHEAD
    return Allowance(max(speed.call_size, int(share * ahead(speed))))


def ahead(speed: Speed, *, single: bool = False) -> int:
    """Recipients whose calls begin within AHEAD; also a tenant's turn. `single`: each has its own call."""
    if single:
        a_second = min(speed.recipients_per_second, speed.calls_per_second)
        return max(1, min(LARGEST_CLAIM, int(a_second * AHEAD.total_seconds())))
    in_time = int(speed.recipients_per_second * AHEAD.total_seconds())
    return max(speed.call_size, min(LARGEST_CLAIM, in_time))


def waiting(speed: Speed) -> int:
    """Recipients that one process may have armed and not begun to send to."""
    return max(speed.call_size, min(MOST_WAITING, int(speed.recipients_per_second * AHEAD.total_seconds())))


def of_24_hours(
    session: Session, account: Account, lane: Lane, *, transactional: bool, now: datetime
) -> Allowance:
    """What SES's quota for 24 hours leaves; SES tells only how much is used, not when it frees."""
    if account.max_24_hour_send < 0:  # SES's word for unlimited
        return Allowance(LARGEST_CLAIM)
    used = account.sent_last_24_hours + max(0, lane.granted - lane.granted_when_checked)
    kept = 0 if transactional else int(account.max_24_hour_send * KEPT_FOR_TRANSACTIONAL)
    left = int(account.max_24_hour_send - kept - used)
    if left > 0:
        return Allowance(min(left, LARGEST_CLAIM))
    reason = (
        f"The quota of {account.max_24_hour_send:,.0f} recipients in 24 hours is used up. "
        f"{_when_it_frees(session, account, now)}"
    )
    if kept and left > -kept:
        return Allowance(0, 60.0, f"{reason} What is left of it is kept for transactional mail.")
    return Allowance(0, 60.0, reason, closes=QUOTA_LOOKED_AT_EVERY)


def begin(lane: Lane, sizes: Sequence[int], speed: Speed, now: datetime) -> list[float]:
    """Give each call its moment: seconds from now. The lane is granted their recipients."""
    begins = _begins(lane.next_at, now, _slowest_call(speed))
    moments = []
    for size in sizes:
        moments.append((begins - now).total_seconds())
        usual, closer = speed.seconds(size), speed.seconds_catching_up(size)
        spared = min(lane.given_back, (usual - closer) * speed.recipients_per_second)
        lane.given_back -= spared
        begins += timedelta(seconds=usual - spared / speed.recipients_per_second)
    total = sum(sizes)
    lane.next_at = begins
    lane.granted += total
    lane.throttled_share *= math.exp(-total / THROTTLED_MEMORY)
    return moments


def give_back(lane: Lane, speed: Speed, now: datetime, *, not_accepted: int, throttled: int) -> None:
    """What calls were granted and did not use. Throttled recipients slow the lane once they are too many.
    Where requests are counted, each is used up whatever becomes of its recipients."""
    lane.granted -= not_accepted
    lane.throttled_share += throttled / THROTTLED_MEMORY
    if lane.throttled_share <= TOO_MANY_THROTTLED:
        if math.isinf(speed.calls_per_second):
            lane.given_back = min(lane.given_back + not_accepted, speed.recipients_per_second)
    elif lane.slowed_at is None or abs(now - lane.slowed_at) >= SLOWED_AT_MOST_EVERY:
        lane.slowed_to = max(SLOWEST, slowed_to(lane, now) / 2)
        lane.slowed_at = now
        lane.throttled_share = 0.0


class Paced(Protocol):
    """A campaign, as a claim reads it."""

    campaign_id: int
    rate_per_second: float | None
    next_at: datetime | None


def of_campaign(campaign: Paced, now: datetime) -> Allowance:
    """What its own rate allows."""
    return _at_rate(campaign.rate_per_second, campaign.next_at, now)


def pace_campaign(session: Session, campaign: Paced, recipients: int, now: datetime) -> None:
    """Its next call begins when its rate allows."""
    if campaign.rate_per_second is None:
        return
    following = _following(campaign.rate_per_second, campaign.next_at, recipients, now)
    session.execute(update(Campaign).where(Campaign.id == campaign.campaign_id).values(next_at=following))


def of_tenant(tenant: Tenant, speed: Speed, now: datetime) -> Allowance:
    """What its probation allows, campaigns and single mails together. `speed`: the lane's."""
    return _at_rate(_probation_rate(tenant, speed), tenant.next_at, now)


def pace_tenant(session: Session, tenant: Tenant, recipients: int, speed: Speed, now: datetime) -> None:
    """On probation its next call begins when that allows."""
    rate = _probation_rate(tenant, speed)
    if rate is None:
        return
    following = _following(rate, tenant.next_at, recipients, now)
    session.execute(update(Tenant).where(Tenant.id == tenant.id).values(next_at=following))


def _probation_rate(tenant: Tenant, speed: Speed) -> float | None:
    return speed.recipients_per_second * PROBATION_SHARE if tenant.probation_left else None


def _at_rate(rate: float | None, next_at: datetime | None, now: datetime) -> Allowance:
    """A fifth of a second's worth, at least one; None: no such rate."""
    if rate is None:
        return Allowance(LARGEST_CLAIM)
    begins = _begins(next_at, now, 1 / rate)
    if begins > now:
        return Allowance(0, (begins - now).total_seconds())
    return Allowance(min(LARGEST_CLAIM, max(1, int(rate * AHEAD.total_seconds()))))


def _following(rate: float, next_at: datetime | None, recipients: int, now: datetime) -> datetime:
    """When the next call may begin; a claim that comes a little late loses nothing."""
    since = max(next_at, now - AHEAD) if next_at is not None and next_at < now else now
    return since + timedelta(seconds=recipients / rate)


def _slowest_call(speed: Speed) -> float:
    """Seconds of the rate, should the lane be throttled as much as can be."""
    return speed.seconds(speed.call_size) / SLOWEST


def _begins(next_at: datetime | None, now: datetime, a_call: float) -> datetime:
    """When the next call may begin, at the earliest now. `a_call`: seconds of it that one may use."""
    if next_at is None or not now < next_at <= now + LONGEST_AHEAD + timedelta(seconds=a_call):
        return now
    return next_at


def _when_it_frees(session: Session, account: Account, now: datetime) -> str:
    """From our own counts: other applications may send through the account, too."""
    day = timedelta(hours=24)
    first = session.scalar(
        select(TenantUsage.slot_at)
        .join(Tenant, Tenant.id == TenantUsage.tenant_id)
        .where(Tenant.account_id == account.id, TenantUsage.span == "hour")
        .where(TenantUsage.slot_at > now - day, TenantUsage.recipients > 0)
        .order_by(TenantUsage.slot_at)
        .limit(1)
    )
    if first is None:
        return "Sending goes on by itself as soon as Amazon SES allows more."
    return (
        f"Sending goes on by itself, from about {first + day:%H:%M} UTC, "
        "when the first of them are 24 hours old."
    )
